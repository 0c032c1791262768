/*
 * meta/db_sqlite_int.h - the inside of a SQLite connection, for db_sqlite*.c.
 *
 * Confined, but for db_sqlite_file_sync().
 */
#ifndef PLURI_META_DB_SQLITE_INT_H
#define PLURI_META_DB_SQLITE_INT_H

#include <sqlite3.h>
#include <stdatomic.h>

#include "meta/db.h"

#define DB_SQLITE_PATH_MAX 4096
#define DB_SQLITE_RESERVE (INT64_C(32) << 20) /* bytes, see below */

struct db_warm;

struct db_stmt {
	struct db *db;
	sqlite3_stmt *st;
	const char *sql;
	struct db_stmt *next_live;
	bool live;   /* may have rows left, so it holds a read lock */
	bool writes;
};

struct db {
	sqlite3 *sql;
	struct db_stmt **slots; /* open addressing by the literal's address */
	size_t nslots, used;
	struct db_stmt *live;
	bool in_tx;  /* begin() until commit() */
	bool marked; /* mark() until keep() or undo() */
	bool saved;  /* the savepoint of that mark is taken */
	bool lost;   /* the engine dropped the transaction */
	int64_t total; /* rows changed so far when the savepoint was taken */
	int64_t log_end; /* bytes of the log that are in use */
	int64_t room;  /* bytes of disk that are ours behind them */
	int log_fd;
	struct db_warm *warm;
	atomic_bool sync_failed;
	char path[DB_SQLITE_PATH_MAX];
};

/* SQLite's code as ours, with the story; notes a lost transaction. */
int db_sqlite_fail(struct db *db, int rc, const char *what,
	struct pluri_err *err);

/* db_sqlite_warm.c: once the lock is held; ended after it was given back. NULL:
 * nothing to be done. */
struct db_warm *db_sqlite_warm_start(const char *path);
void db_sqlite_warm_end(struct db_warm *w); /* NULL is fine */

/* db_sqlite_pages.c: before a connection is opened. Once is enough; shared. */
void db_sqlite_pages_prepare(void);

/* db_sqlite_file.c: as db.h says of open, close, get_version, set_version and
 * sync. */
int db_sqlite_file_open(const char *path, bool create, struct db **ret,
	struct pluri_err *err);
void db_sqlite_file_free(struct db *db); /* statements are finalized */
int db_sqlite_file_get_version(struct db *db, int64_t *ret,
	struct pluri_err *err);
int db_sqlite_file_set_version(struct db *db, int64_t v,
	struct pluri_err *err);
int db_sqlite_file_sync(struct db *db, struct pluri_err *err);

/*
 * A commit that finds the disk full loses the transaction. So disk is reserved
 * ahead of the log, db->room says how much, and changes are refused in time:
 * new rows with less than all of DB_SQLITE_RESERVE, whatever else, which may
 * be what makes room, with less than half.
 */
void db_sqlite_file_reserve(struct db *db);

/*
 * Zeros are written ahead of the log's end, a step at a time: a flush of bytes
 * that only replace others need not wait for the file's length and extents to
 * be made durable as well, which takes twice as long. To SQLite they are
 * frames of page 0, which there is none: the end of the log.
 */
void db_sqlite_file_ahead(struct db *db);

#endif
