/*
 * meta/db.h - the small SQL driver interface.
 *
 * SQL is written once, in the dialect that SQLite and PostgreSQL share, with
 * ?1 ?2 ... as parameters. Only meta/ includes this; only meta/db_*.c knows an
 * engine. Confined: meta.c serialises.
 */
#ifndef PLURI_META_DB_H
#define PLURI_META_DB_H

#include <stdbool.h>

#include "base/err.h"
#include "base/own.h"
#include "base/types.h"

struct db;	/* a connection */
struct db_stmt; /* a prepared statement, owned by the connection */

struct db_ops {
	const char *name; /* "sqlite" */

	/*
	 * where: a path, or an engine's connection string. create: make an
	 * empty one when there is none; otherwise that is -ENOENT. -EBUSY:
	 * another process has it open. -EBADMSG: not a database, or damaged.
	 */
	int (*open)(const char *where, bool create, struct db **ret,
		struct pluri_err *err);
	void (*close)(struct db *db); /* NULL is fine */

	/* The schema number kept in the database; 0: it is empty. -EBADMSG:
	 * it is somebody else's. set: inside a transaction. */
	int (*get_version)(struct db *db, int64_t *ret, struct pluri_err *err);
	int (*set_version)(struct db *db, int64_t v, struct pluri_err *err);

	/* Prepared once per literal: keyed by the pointer, so sql must be a
	 * string literal. Reset and unbound when handed out. */
	int (*prepare)(struct db *db, const char *sql, struct db_stmt **ret,
		struct pluri_err *err);
	/* Parameters count from 1. Blobs and texts are borrowed until the last
	 * row was read. Data NULL binds null. */
	void (*bind_int)(struct db_stmt *s, int at, int64_t v);
	void (*bind_blob)(struct db_stmt *s, int at, struct pluri_span v);
	void (*bind_text)(struct db_stmt *s, int at, const char *v); /* NULL */
	/* 1: a row; 0: done; -ENOSPC, -EEXIST (a unique key), -EIO, -EBADMSG
	 * (damaged database), -ESTALE (serialisation: start over). */
	int (*step)(struct db_stmt *s, struct pluri_err *err);
	/* Columns count from 0. */
	int64_t (*get_int)(struct db_stmt *s, int at);
	/* Borrowed until the next step. */
	struct pluri_span (*get_blob)(struct db_stmt *s, int at);
	const char *(*get_text)(struct db_stmt *s, int at); /* NULL for null */

	/* Several statements without parameters or rows: schemas. */
	int (*exec)(struct db *db, const char *sql, struct pluri_err *err);
	int64_t (*changes)(struct db *db); /* rows of the last statement */

	int (*begin)(struct db *db, struct pluri_err *err);
	/* Visible to others and safe from a killed process. After a failure
	 * the transaction is lost: see undo. */
	int (*commit)(struct db *db, struct pluri_err *err);
	/*
	 * Inside a transaction: what follows mark() is kept by keep(), which
	 * tells whether any row changed, or undone by undo(). Free while
	 * nothing is written. undo() fails with -EIO when the engine has
	 * dropped the whole transaction (disk full, I/O error); from then on
	 * every statement fails too, and only close() is left.
	 */
	void (*mark)(struct db *db);
	/* A change of a row that is written later, but not after commit():
	 * refused (-ENOSPC) where it would be now. */
	int (*room)(struct db *db, struct pluri_err *err);
	int (*keep)(struct db *db, bool *ret_changed, struct pluri_err *err);
	int (*undo)(struct db *db, struct pluri_err *err);
	/*
	 * Everything committed before the call is on stable storage. May run
	 * at the same time as every other call of the connection. Once it
	 * failed it fails for ever: the kernel reports lost writes only once.
	 */
	int (*sync)(struct db *db, struct pluri_err *err);
};

const struct db_ops *db_sqlite(void);

#endif
