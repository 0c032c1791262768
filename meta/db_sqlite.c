/*
 * SQLite: statements and transactions. Files and durability are
 * db_sqlite_file.c's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "meta/db_sqlite_int.h"

#define DB_SQLITE_SLOTS 256u /* to begin with; a power of two */

static int db_sqlite_code(sqlite3 *sql, int rc)
{
	int sys = 0;

	switch (rc & 0xff) {
	case SQLITE_NOMEM:
		return ENOMEM;
	case SQLITE_FULL:
		return ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return EBADMSG;
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_READONLY:
		return EACCES;
	case SQLITE_CONSTRAINT:
		return rc == SQLITE_CONSTRAINT_UNIQUE ||
				       rc == SQLITE_CONSTRAINT_PRIMARYKEY ||
				       rc == SQLITE_CONSTRAINT_ROWID
			       ? EEXIST
			       : EIO;
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
		sys = sqlite3_system_errno(sql);
		if (sys == ENOSPC || sys == EDQUOT || sys == EFBIG)
			return ENOSPC;
		return sys == EACCES ? EACCES : EIO;
	default:
		return EIO;
	}
}

int db_sqlite_fail(
	struct db *db, int rc, const char *what, struct pluri_err *err)
{
	const int code = db_sqlite_code(db->sql, rc);
	const char *text = sqlite3_errmsg(db->sql);

	/* Some failures make SQLite roll back everything since BEGIN. Going on
	 * would write each change on its own, with half of them missing. */
	if (db->in_tx && sqlite3_get_autocommit(db->sql))
		db->lost = true;
	switch (code) {
	case EBUSY:
		return pluri_fail(err, code,
			"database %s: another process has it open (%s)",
			db->path, text);
	case ENOSPC:
		return pluri_fail(err, code,
			"database %s: its disk is full; make room (%s: %s)",
			db->path, what, text);
	case EBADMSG:
		return pluri_fail(err, code,
			"database %s: not a database of ours, or damaged "
			"(%s: %s)",
			db->path, what, text);
	case EACCES:
		return pluri_fail(err, code,
			"database %s: may not be read and written by this "
			"user (%s: %s)",
			db->path, what, text);
	default:
		return pluri_fail(
			err, code, "database %s: %s: %s", db->path, what, text);
	}
}

static int db_sqlite_lost(const struct db *db, struct pluri_err *err)
{
	return pluri_fail(err, EIO,
		"database %s: the open transaction was lost by an earlier "
		"failure; open it again",
		db->path);
}

static size_t db_sqlite_slot(
	struct db_stmt *const *slots, size_t n, const char *sql)
{
	size_t i = (size_t)(((uintptr_t)sql * UINT64_C(0x9e3779b97f4a7c15)) >>
			    32) &
		   (n - 1);

	while (slots[i] && slots[i]->sql != sql)
		i = (i + 1) & (n - 1);
	return i;
}

static int db_sqlite_grow(struct db *db, struct pluri_err *err)
{
	const size_t n = db->nslots ? db->nslots * 2 : DB_SQLITE_SLOTS;
	struct db_stmt **slots = NULL;

	if (db->used * 2 < db->nslots)
		return 0;
	slots = calloc(n, sizeof(struct db_stmt *));
	if (!slots)
		return pluri_fail(err, ENOMEM, "database: out of memory");
	for (size_t i = 0; i < db->nslots; i++)
		if (db->slots[i])
			slots[db_sqlite_slot(slots, n, db->slots[i]->sql)] =
				db->slots[i];
	free(db->slots);
	db->slots = slots;
	db->nslots = n;
	return 0;
}

static int db_sqlite_compile(struct db *db, const char *sql,
	struct db_stmt **ret, struct pluri_err *err)
{
	pluri_auto_mem struct db_stmt *s = NULL;
	int r;

	r = db_sqlite_grow(db, err);
	if (r < 0)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s)
		return pluri_fail(err, ENOMEM, "database: out of memory");
	r = sqlite3_prepare_v3(
		db->sql, sql, -1, SQLITE_PREPARE_PERSISTENT, &s->st, NULL);
	if (r != SQLITE_OK)
		return db_sqlite_fail(db, r, sql, err);
	s->db = db;
	s->sql = sql;
	s->writes = !sqlite3_stmt_readonly(s->st);
	db->used++;
	*ret = s;
	db->slots[db_sqlite_slot(db->slots, db->nslots, sql)] = s;
	s = NULL;
	return 0;
}

static int db_sqlite_prepare(struct db *db, const char *sql,
	struct db_stmt **ret, struct pluri_err *err)
{
	struct db_stmt *s = NULL;

	if (db->nslots > 0)
		s = db->slots[db_sqlite_slot(db->slots, db->nslots, sql)];
	if (!s)
		return db_sqlite_compile(db, sql, ret, err);
	(void)sqlite3_reset(s->st);
	(void)sqlite3_clear_bindings(s->st);
	*ret = s;
	return 0;
}

static void db_sqlite_bind_int(struct db_stmt *s, int at, int64_t v)
{
	(void)sqlite3_bind_int64(s->st, at, v);
}

static void db_sqlite_bind_blob(struct db_stmt *s, int at, struct pluri_span v)
{
	if (v.data)
		(void)sqlite3_bind_blob64(
			s->st, at, v.data, v.len, SQLITE_STATIC);
	else
		(void)sqlite3_bind_null(s->st, at);
}

static void db_sqlite_bind_text(struct db_stmt *s, int at, const char *v)
{
	(void)sqlite3_bind_text(s->st, at, v, -1, SQLITE_STATIC);
}

/* BEGIN and its kin: cached statements without rows. */
static int db_sqlite_verb(struct db *db, const char *sql, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r;

	r = db_sqlite_prepare(db, sql, &s, err);
	if (r < 0)
		return r;
	r = sqlite3_step(s->st);
	if (r == SQLITE_DONE) {
		(void)sqlite3_reset(s->st);
		return 0;
	}
	r = db_sqlite_fail(db, r, sql, err);
	(void)sqlite3_reset(s->st);
	return r;
}

/* Is there disk for a bracket that begins with sql? */
static int db_sqlite_room(struct db *db, const char *sql, struct pluri_err *err)
{
	const int64_t want = strncmp(sql, "INSERT", 6) == 0
				     ? DB_SQLITE_RESERVE
				     : DB_SQLITE_RESERVE / 2;

	if (db->room < want)
		db_sqlite_file_reserve(db);
	if (db->room < want)
		return pluri_fail(err, ENOSPC,
			"database %s: its disk is full; make room", db->path);
	return 0;
}

static int db_sqlite_room_for(struct db *db, struct pluri_err *err)
{
	return db->lost ? db_sqlite_lost(db, err)
			: db_sqlite_room(db, "UPDATE", err);
}

/* Reading brackets are the many: the savepoint waits for a change. */
static int db_sqlite_save(struct db *db, const char *sql, struct pluri_err *err)
{
	int r;

	if (db->lost)
		return db_sqlite_lost(db, err);
	if (!db->marked || db->saved)
		return 0;
	r = db_sqlite_room(db, sql, err);
	if (r < 0)
		return r;
	r = db_sqlite_verb(db, "SAVEPOINT bracket", err);
	if (r < 0)
		return r;
	db->saved = true;
	db->total = sqlite3_total_changes64(db->sql);
	return 0;
}

static int db_sqlite_step(struct db_stmt *s, struct pluri_err *err)
{
	struct db *const db = s->db;
	int r;

	if (s->writes || db->lost) {
		r = db_sqlite_save(db, s->sql, err);
		if (r < 0)
			return r;
	}
	r = sqlite3_step(s->st);
	if (r == SQLITE_ROW) {
		if (!s->live) {
			s->live = true;
			s->next_live = db->live;
			db->live = s;
		}
		return 1;
	}
	r = r == SQLITE_DONE ? 0 : db_sqlite_fail(db, r, s->sql, err);
	(void)sqlite3_reset(s->st);
	return r;
}

static int64_t db_sqlite_get_int(struct db_stmt *s, int at)
{
	return sqlite3_column_int64(s->st, at);
}

static struct pluri_span db_sqlite_get_blob(struct db_stmt *s, int at)
{
	struct pluri_span v = {0};

	v.data = sqlite3_column_blob(s->st, at);
	v.len = (size_t)sqlite3_column_bytes(s->st, at);
	return v;
}

static const char *db_sqlite_get_text(struct db_stmt *s, int at)
{
	return (const char *)sqlite3_column_text(s->st, at);
}

static int db_sqlite_exec(struct db *db, const char *sql, struct pluri_err *err)
{
	int r = db_sqlite_save(db, sql, err);

	if (r < 0)
		return r;
	r = sqlite3_exec(db->sql, sql, NULL, NULL, NULL);
	return r == SQLITE_OK ? 0 : db_sqlite_fail(db, r, sql, err);
}

static int64_t db_sqlite_changes(struct db *db)
{
	return sqlite3_changes64(db->sql);
}

/* Statements that were left with rows would hold back checkpoints. */
static void db_sqlite_rest(struct db *db)
{
	while (db->live) {
		struct db_stmt *s = db->live;

		db->live = s->next_live;
		s->live = false;
		(void)sqlite3_reset(s->st);
	}
}

static int db_sqlite_begin(struct db *db, struct pluri_err *err)
{
	int r;

	if (db->lost)
		return db_sqlite_lost(db, err);
	r = db_sqlite_verb(db, "BEGIN", err);
	if (r < 0)
		return r;
	db->in_tx = true;
	db_sqlite_file_reserve(db);
	db_sqlite_file_ahead(db);
	return 0;
}

static int db_sqlite_commit(struct db *db, struct pluri_err *err)
{
	int r;

	if (db->lost)
		return db_sqlite_lost(db, err);
	db_sqlite_rest(db);
	r = db_sqlite_verb(db, "COMMIT", err);
	if (r < 0)
		db->lost = true;
	else
		db->in_tx = false;
	return r;
}

static void db_sqlite_mark(struct db *db)
{
	db->marked = true;
	db->saved = false;
}

static int db_sqlite_keep(
	struct db *db, bool *ret_changed, struct pluri_err *err)
{
	int r;

	if (db->lost)
		return db_sqlite_lost(db, err);
	db_sqlite_rest(db);
	if (!db->saved) {
		db->marked = false;
		*ret_changed = false;
		return 0;
	}
	r = db_sqlite_verb(db, "RELEASE bracket", err);
	if (r < 0)
		return r;
	*ret_changed = sqlite3_total_changes64(db->sql) != db->total;
	db->marked = false;
	db->saved = false;
	return 0;
}

static int db_sqlite_undo(struct db *db, struct pluri_err *err)
{
	const bool saved = db->saved;
	int r;

	db_sqlite_rest(db);
	db->marked = false;
	db->saved = false;
	if (db->lost)
		return db_sqlite_lost(db, err);
	if (!saved)
		return 0;
	r = db_sqlite_verb(db, "ROLLBACK TO bracket", err);
	if (r == 0)
		r = db_sqlite_verb(db, "RELEASE bracket", err);
	if (r < 0)
		db->lost = true;
	return r;
}

static void db_sqlite_close(struct db *db)
{
	if (!db)
		return;
	for (size_t i = 0; i < db->nslots; i++) {
		if (!db->slots[i])
			continue;
		(void)sqlite3_finalize(db->slots[i]->st);
		free(db->slots[i]);
	}
	free(db->slots);
	db_sqlite_file_free(db);
}

const struct db_ops *db_sqlite(void)
{
	static const struct db_ops ops = {
		.name = "sqlite",
		.open = db_sqlite_file_open,
		.close = db_sqlite_close,
		.get_version = db_sqlite_file_get_version,
		.set_version = db_sqlite_file_set_version,
		.prepare = db_sqlite_prepare,
		.bind_int = db_sqlite_bind_int,
		.bind_blob = db_sqlite_bind_blob,
		.bind_text = db_sqlite_bind_text,
		.step = db_sqlite_step,
		.get_int = db_sqlite_get_int,
		.get_blob = db_sqlite_get_blob,
		.get_text = db_sqlite_get_text,
		.exec = db_sqlite_exec,
		.changes = db_sqlite_changes,
		.begin = db_sqlite_begin,
		.commit = db_sqlite_commit,
		.mark = db_sqlite_mark,
		.room = db_sqlite_room_for,
		.keep = db_sqlite_keep,
		.undo = db_sqlite_undo,
		.sync = db_sqlite_file_sync,
	};

	return &ops;
}
