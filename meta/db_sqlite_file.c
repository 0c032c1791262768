/*
 * SQLite: the files of a database, who may open them, when they are safe.
 *
 * Why commit() and then sync() is durable, though commit() flushes nothing.
 * commit() appends the transaction's frames to the log. From then on, until
 * they are in the database file AND that file is flushed, they stay where they
 * are in the log, because with synchronous=NORMAL a checkpoint runs in this
 * order: flush the log; copy pages to the database; flush the database; only
 * then may the next writer start the log over, and it flushes the new header
 * before the first new frame. So whenever sync() runs, every earlier commit is
 * either in the log, and fdatasync() makes it stable, or was moved by a
 * checkpoint that flushed both files. A transaction that is half in the log
 * then has no commit frame with a right checksum and is ignored by recovery.
 * The log's name is made stable once, at open: SQLite creates the log on the
 * first read and, with exclusive locking, keeps that same file until close. A
 * descriptor of our own may come and go: SQLite puts no locks on the log, which
 * it does on the database, so that one is never opened here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "meta/db_sqlite_int.h"

#define DB_SQLITE_APP 0x506c7572 /* "Plur", in the header of the file */

/* The log: a checkpoint begins at so many frames (one page each). */
#define DB_SQLITE_LOG_PAGES 8192
#define DB_SQLITE_LOG_HEAD 32
#define DB_SQLITE_FRAME (24 + 4096)
#define DB_SQLITE_LOG \
	((int64_t)DB_SQLITE_LOG_PAGES * DB_SQLITE_FRAME + DB_SQLITE_LOG_HEAD)
#define DB_SQLITE_AHEAD (1 << 20) /* bytes of zeros written at once */

/* The one row of a question, as a number. */
static int db_sqlite_file_ask(
	struct db *db, const char *sql, int64_t *ret, struct pluri_err *err)
{
	sqlite3_stmt *st = NULL;
	int r;

	r = sqlite3_prepare_v2(db->sql, sql, -1, &st, NULL);
	if (r == SQLITE_OK)
		r = sqlite3_step(st);
	if (r != SQLITE_ROW) {
		r = db_sqlite_fail(db, r, sql, err);
		(void)sqlite3_finalize(st);
		return r;
	}
	*ret = sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	return 0;
}

int db_sqlite_file_get_version(
	struct db *db, int64_t *ret, struct pluri_err *err)
{
	int64_t app = 0, version = 0, tables = 0;
	int r;

	r = db_sqlite_file_ask(db, "PRAGMA application_id", &app, err);
	if (r == 0)
		r = db_sqlite_file_ask(
			db, "PRAGMA user_version", &version, err);
	if (r == 0)
		r = db_sqlite_file_ask(
			db, "SELECT count(*) FROM sqlite_master", &tables, err);
	if (r < 0)
		return r;
	if (app == 0 && version == 0 && tables == 0) {
		*ret = 0;
		return 0;
	}
	if (app != DB_SQLITE_APP || version < 1 || tables < 1)
		return pluri_fail(err, EBADMSG,
			"database %s: not a volume's database (application "
			"%#llx)",
			db->path, (unsigned long long)app);
	*ret = version;
	return 0;
}

int db_sqlite_file_set_version(struct db *db, int64_t v, struct pluri_err *err)
{
	char sql[96];
	int r;

	(void)snprintf(sql, sizeof(sql),
		"PRAGMA application_id = %d; PRAGMA user_version = %d",
		DB_SQLITE_APP, (int)v);
	r = sqlite3_exec(db->sql, sql, NULL, NULL, NULL);
	return r == SQLITE_OK ? 0 : db_sqlite_fail(db, r, sql, err);
}

/*
 * A new file is made here, not by SQLite, to be private from its first
 * moment. Only a file that did not exist is opened: closing a descriptor of a
 * database in use would drop its locks.
 */
static int db_sqlite_file_find(
	const char *path, bool create, struct pluri_err *err)
{
	int fd = -1;

	if (access(path, F_OK) == 0)
		return 0;
	if (errno != ENOENT || !create)
		return pluri_fail(
			err, errno, "database %s: %s", path, strerror(errno));
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EEXIST ? 0
				       : pluri_fail(err, errno,
						 "database %s: cannot make it: "
						 "%s",
						 path, strerror(errno));
	(void)close(fd);
	return 0;
}

/* After each commit: pages is how many frames the log has now. Replaces
 * SQLite's own hook, and so has to do what that does. */
static int db_sqlite_file_committed(
	void *arg, sqlite3 *sql, const char *name, int pages)
{
	struct db *db = arg;
	int frames = 0;
	int done = 0;

	db->log_end = DB_SQLITE_LOG_HEAD + (int64_t)pages * DB_SQLITE_FRAME;
	if (pages < DB_SQLITE_LOG_PAGES)
		return SQLITE_OK;
	/* Should it fail, the next commit tries again. */
	if (sqlite3_wal_checkpoint_v2(sql, name, SQLITE_CHECKPOINT_PASSIVE,
		    &frames, &done) == SQLITE_OK &&
		frames == done)
		db->log_end = 0; /* the next commit begins it anew */
	return SQLITE_OK;
}

/* page_size counts for a new file only. Exclusive locking comes before the
 * log, so that there is no shared-memory file and a second process is refused
 * at once. */
static int db_sqlite_file_tune(struct db *db, struct pluri_err *err)
{
	static const char sql[] = "PRAGMA page_size = 4096;"
				  "PRAGMA locking_mode = EXCLUSIVE;"
				  "PRAGMA journal_mode = WAL;"
				  "PRAGMA synchronous = NORMAL;"
				  "PRAGMA cache_size = -65536;"
				  "PRAGMA temp_store = MEMORY;"
				  "PRAGMA foreign_keys = OFF;"
				  "PRAGMA trusted_schema = OFF;"
				  "PRAGMA secure_delete = OFF;"
				  "PRAGMA cell_size_check = ON;";
	int64_t tables = 0;
	int r;

	r = sqlite3_exec(db->sql, sql, NULL, NULL, NULL);
	if (r != SQLITE_OK)
		return db_sqlite_fail(db, r, "opening", err);
	(void)sqlite3_wal_hook(db->sql, db_sqlite_file_committed, db);
	if (sqlite3_db_readonly(db->sql, "main") != 0)
		return pluri_fail(err, EACCES,
			"database %s: cannot be written by this user",
			db->path);
	/* The first read takes the lock and makes the log. */
	return db_sqlite_file_ask(
		db, "SELECT count(*) FROM sqlite_master", &tables, err);
}

/* Make the names of both files stable. */
static int db_sqlite_file_sync_dir(const char *path)
{
	char dir[DB_SQLITE_PATH_MAX];
	char *slash = NULL;
	int fd = -1;
	int r = 0;

	(void)snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/'); /* there is one: see open */
	slash[slash == dir] = '\0';
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fsync(fd) < 0)
		r = -errno;
	(void)close(fd);
	return r;
}

static int db_sqlite_file_log(struct db *db, struct pluri_err *err)
{
	char path[DB_SQLITE_PATH_MAX + 8];
	int r;

	(void)snprintf(path, sizeof(path), "%s-wal", db->path);
	db->log_fd = open(path, O_RDWR | O_CLOEXEC);
	if (db->log_fd < 0)
		return pluri_fail(err, errno == EACCES ? EACCES : EIO,
			"database log %s: %s", path, strerror(errno));
	r = db_sqlite_file_sync_dir(db->path);
	if (r < 0)
		return pluri_fail(err, EIO,
			"database %s: cannot flush its "
			"directory: %s",
			db->path, strerror(-r));
	return 0;
}

/* "./" keeps a relative name from being read as a URI or ":memory:". */
static int db_sqlite_file_name(
	struct db *db, const char *path, struct pluri_err *err)
{
	const int n = snprintf(db->path, sizeof(db->path), "%s%s",
		path[0] == '/' ? "" : "./", path);

	if (n < 0 || (size_t)n >= sizeof(db->path))
		return pluri_fail(err, ENAMETOOLONG,
			"database: the path has more than %d bytes",
			DB_SQLITE_PATH_MAX - 1);
	return 0;
}

void db_sqlite_file_free(struct db *db)
{
	if (!db)
		return;
	(void)sqlite3_close(db->sql);
	db_sqlite_warm_end(db->warm);
	if (db->log_fd >= 0)
		(void)close(db->log_fd);
	free(db);
}

int db_sqlite_file_open(
	const char *path, bool create, struct db **ret, struct pluri_err *err)
{
	const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
			  SQLITE_OPEN_EXRESCODE;
	struct db *db = NULL;
	int r;

	db = calloc(1, sizeof(*db));
	if (!db)
		return pluri_fail(err, ENOMEM, "database: out of memory");
	db->log_fd = -1;
	r = db_sqlite_file_name(db, path, err);
	if (r == 0)
		r = db_sqlite_file_find(db->path, create, err);
	if (r < 0)
		goto fail;
	db_sqlite_pages_prepare();
	r = sqlite3_open_v2(db->path, &db->sql, flags, NULL);
	if (r != SQLITE_OK) {
		r = db_sqlite_fail(db, r, "opening", err);
		goto fail;
	}
	r = db_sqlite_file_tune(db, err);
	if (r < 0)
		goto fail;
	db->warm = db_sqlite_warm_start(db->path);
	r = db_sqlite_file_log(db, err);
	if (r < 0)
		goto fail;
	*ret = db;
	return 0;

fail:
	db_sqlite_file_free(db);
	return r;
}

void db_sqlite_file_reserve(struct db *db)
{
	const int64_t want = DB_SQLITE_RESERVE + DB_SQLITE_RESERVE / 4;
	struct stat st;

	if (fstat(db->log_fd, &st) < 0)
		return;
	db->room = (int64_t)st.st_blocks * 512 - db->log_end;
	if (db->room >= DB_SQLITE_RESERVE)
		return;
	/* A filesystem that cannot reserve must do without. */
	if (fallocate(db->log_fd, FALLOC_FL_KEEP_SIZE, db->log_end, want) ==
			0 ||
		(errno != ENOSPC && errno != EDQUOT))
		db->room = want;
}

void db_sqlite_file_ahead(struct db *db)
{
	static const uint8_t zeros[DB_SQLITE_AHEAD];
	struct stat st;

	if (db->log_end >= DB_SQLITE_LOG || fstat(db->log_fd, &st) < 0 ||
		st.st_size - db->log_end >= DB_SQLITE_AHEAD / 4)
		return;
	/* Behind all that SQLite has written; a part of it will do. */
	(void)!pwrite(db->log_fd, zeros, sizeof(zeros), st.st_size);
}

int db_sqlite_file_sync(struct db *db, struct pluri_err *err)
{
	/* After a failed flush the kernel calls the pages clean; a second
	 * flush would succeed and lie. */
	if (atomic_load(&db->sync_failed))
		return pluri_fail(err, EIO,
			"database %s: an earlier flush failed; unmount and "
			"check the disk",
			db->path);
	if (fdatasync(db->log_fd) == 0)
		return 0;
	atomic_store(&db->sync_failed, true);
	return pluri_fail(err, EIO, "database %s: flush failed: %s", db->path,
		strerror(errno));
}
