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

	/* where: a path, or an engine's connection string. */
	int (*open)(const char *where, struct db **ret, struct pluri_err *err);
	void (*close)(struct db *db); /* NULL is fine */

	/* Prepared once per literal: keyed by the pointer, so sql must be a
	 * string literal. Reset and unbound when handed out. */
	int (*prepare)(struct db *db, const char *sql, struct db_stmt **ret,
		struct pluri_err *err);
	void (*bind_int)(struct db_stmt *s, int at, int64_t v);
	void (*bind_blob)(struct db_stmt *s, int at, struct pluri_span v);
	void (*bind_text)(struct db_stmt *s, int at, const char *v); /* NULL */
	/* 1: a row; 0: done; -ENOSPC, -EEXIST (a unique key), -EIO, -EBADMSG
	 * (damaged database), -ESTALE (serialisation: start over). */
	int (*step)(struct db_stmt *s, struct pluri_err *err);
	int64_t (*get_int)(struct db_stmt *s, int at);
	/* Borrowed until the next step. */
	struct pluri_span (*get_blob)(struct db_stmt *s, int at);
	const char *(*get_text)(struct db_stmt *s, int at); /* NULL for null */

	int (*exec)(struct db *db, const char *sql, struct pluri_err *err);
	int64_t (*changes)(struct db *db); /* rows of the last statement */

	int (*begin)(struct db *db, struct pluri_err *err);
	/* Visible to others and safe from a killed process. */
	int (*commit)(struct db *db, struct pluri_err *err);
	/*
	 * Everything committed before the call is on stable storage. May run
	 * at the same time as every other call of the connection.
	 */
	int (*sync)(struct db *db, struct pluri_err *err);
};

const struct db_ops *db_sqlite(void);

#endif
