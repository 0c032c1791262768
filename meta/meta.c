#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "meta/meta_int.h"
#include "meta/rows.h"
#include "meta/schema.h"

struct meta {
	pthread_mutex_t lock; /* held by a bracket; guards all below */
	const struct db_ops *ops;
	struct db *db;
	bool open; /* a transaction is */
	struct meta_tx tx; /* the bracket */
	int64_t counter[META_COUNTERS];
	int64_t before[META_COUNTERS]; /* as the bracket found them */
	int64_t stored[META_COUNTERS]; /* as the transaction has them */
	struct pluri_err broken; /* code 0, or why nothing works any more */
	atomic_uint_fast64_t pending; /* also read without the lock */
};

int meta_query(struct meta_tx *tx, const char *sql, const int64_t *v, size_t n,
	struct db_stmt **ret, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = tx->ops->prepare(tx->db, sql, &s, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		tx->ops->bind_int(s, (int)i + 1, v[i]);
	*ret = s;
	return 0;
}

int meta_step_done(struct meta_tx *tx, struct db_stmt *s, struct pluri_err *err)
{
	int r;

	do
		r = tx->ops->step(s, err);
	while (r > 0);
	return r;
}

int meta_change(struct meta_tx *tx, const char *sql, const int64_t *v, size_t n,
	struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = meta_query(tx, sql, v, n, &s, err);

	return r < 0 ? r : meta_step_done(tx, s, err);
}

int meta_ask(struct meta_tx *tx, const char *sql, const int64_t *v, size_t n,
	int64_t *ret, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = meta_query(tx, sql, v, n, &s, err);

	if (r == 0)
		r = meta_step(tx, s, err);
	if (r > 0)
		*ret = meta_int(tx, s, 0);
	return r;
}

int meta_bytes(struct meta_tx *tx, struct db_stmt *s, int at, void *to,
	size_t len, struct pluri_err *err)
{
	const struct pluri_span v = tx->ops->get_blob(s, at);

	if (v.len != len)
		return pluri_fail(err, EBADMSG,
			"database: a value has %zu bytes instead of %zu; it is "
			"damaged",
			v.len, len);
	if (len > 0)
		memcpy(to, v.data, len);
	return 0;
}

int meta_text(struct meta_tx *tx, struct db_stmt *s, int at, char *to,
	size_t cap, struct pluri_err *err)
{
	const char *v = tx->ops->get_text(s, at);
	const size_t len = v ? strlen(v) : 0;

	if (len >= cap)
		return pluri_fail(err, EBADMSG,
			"database: a text has %zu bytes, %zu are allowed; it "
			"is damaged",
			len, cap - 1);
	memcpy(to, v ? v : "", len + 1);
	return 0;
}

/* From here on memory and database disagree: nothing may be answered. */
static int meta_break(struct meta *m, struct pluri_err *err)
{
	if (m->broken.code == 0)
		(void)pluri_fail(&m->broken, EIO,
			"metadata: changes since the last commit were lost; "
			"unmount and mount again (%s)",
			err && err->code ? err->text : "no details");
	return pluri_fail(err, EIO, "%s", m->broken.text);
}

static int meta_enter(struct meta *m, struct pluri_err *err)
{
	int r;

	assert(m->db);
	if (m->broken.code)
		return pluri_fail(err, EIO, "%s", m->broken.text);
	if (!m->open) {
		r = m->ops->begin(m->db, err);
		if (r < 0)
			return r;
		m->open = true;
	}
	memcpy(m->before, m->counter, sizeof(m->before));
	if (m->tx.watch) {
		m->tx.watch->before[0] = m->tx.watch->inodes;
		m->tx.watch->before[1] = m->tx.watch->bytes;
	}
	m->ops->mark(m->db);
	rows_begin(m->tx.rows);
	return 0;
}

/* Undo the bracket: rc, or what is worse. The story of rc stays told. */
static int meta_undo(struct meta *m, int rc, struct pluri_err *err)
{
	rows_undo(m->tx.rows);
	memcpy(m->counter, m->before, sizeof(m->counter));
	if (m->tx.watch) {
		m->tx.watch->inodes = m->tx.watch->before[0];
		m->tx.watch->bytes = m->tx.watch->before[1];
	}
	if (m->ops->undo(m->db, NULL) == 0)
		return rc;
	return meta_break(m, err);
}

static int meta_leave(struct meta *m, int rc, struct pluri_err *err)
{
	bool changed = false;
	int r;

	if (rc < 0)
		return meta_undo(m, rc, err);
	r = m->ops->keep(m->db, &changed, err);
	if (r < 0)
		return meta_undo(m, r, err);
	if (changed || rows_keep(m->tx.rows))
		atomic_fetch_add(&m->pending, 1);
	return rc;
}

int meta_begin(struct meta *m, struct meta_tx **ret, struct pluri_err *err)
{
	int r;

	(void)pthread_mutex_lock(&m->lock);
	r = meta_enter(m, err);
	if (r < 0) {
		(void)pthread_mutex_unlock(&m->lock);
		return r;
	}
	*ret = &m->tx;
	return 0;
}

int meta_end(struct meta_tx *tx, int rc, struct pluri_err *err)
{
	struct meta *const m = tx->meta;
	const int r = meta_leave(m, rc, err);

	(void)pthread_mutex_unlock(&m->lock);
	return r;
}

int meta_set_watch(struct meta *m, struct meta_watch *w, struct pluri_err *err)
{
	int r = 0;

	(void)pthread_mutex_lock(&m->lock);
	if (w && m->tx.watch)
		r = pluri_fail(err, EBUSY,
			"metadata: a check of it is under way already");
	else
		m->tx.watch = w;
	(void)pthread_mutex_unlock(&m->lock);
	return r;
}

static int meta_store_counters(struct meta *m, struct pluri_err *err)
{
	for (int64_t i = 0; i < META_COUNTERS; i++) {
		int r;

		if (m->counter[i] == m->stored[i])
			continue;
		r = meta_change(&m->tx,
			"UPDATE counter SET value = ?2 WHERE id = ?1",
			META_INTS(i, m->counter[i]), err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int meta_commit_locked(struct meta *m, struct pluri_err *err)
{
	int r;

	if (m->broken.code)
		return pluri_fail(err, EIO, "%s", m->broken.text);
	if (atomic_load(&m->pending) == 0)
		return 0;
	r = meta_enter(m, err);
	if (r < 0)
		return r;
	r = rows_settle(&m->tx, err);
	if (r == 0)
		r = meta_store_counters(m, err);
	r = meta_leave(m, r, err);
	if (r < 0)
		return r;
	if (m->ops->commit(m->db, err) < 0)
		return meta_break(m, err);
	m->open = false;
	memcpy(m->stored, m->counter, sizeof(m->stored));
	atomic_store(&m->pending, 0);
	return 0;
}

int meta_commit(struct meta *m, struct pluri_err *err)
{
	int r;

	(void)pthread_mutex_lock(&m->lock);
	r = meta_commit_locked(m, err);
	(void)pthread_mutex_unlock(&m->lock);
	return r;
}

int meta_sync(struct meta *m, struct pluri_err *err)
{
	return m->ops->sync(m->db, err);
}

uint64_t meta_pending(struct meta *m)
{
	return atomic_load(&m->pending);
}

static int meta_new(
	const char *path, bool create, struct meta **ret, struct pluri_err *err)
{
	pluri_auto(meta) m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return pluri_fail(err, ENOMEM, "metadata: out of memory");
	(void)pthread_mutex_init(&m->lock, NULL);
	m->ops = db_sqlite();
	r = rows_new(&m->tx.rows, err);
	if (r == 0)
		r = m->ops->open(path, create, &m->db, err);
	if (r < 0)
		return r;
	m->tx.meta = m;
	m->tx.ops = m->ops;
	m->tx.db = m->db;
	m->tx.counter = m->counter;
	*ret = pluri_steal(m);
	return 0;
}

static int meta_put_volume(
	struct meta_tx *tx, const struct meta_volume *v, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = meta_query(tx,
		"INSERT INTO volume (one, created, id, name, key_check)"
		" VALUES (1, ?1, ?2, ?3, ?4)",
		META_INTS(v->created_ns), &s, err);

	if (r < 0)
		return r;
	tx->ops->bind_blob(s, 2, (struct pluri_span){v->id.b, sizeof(v->id.b)});
	tx->ops->bind_text(s, 3, v->name);
	tx->ops->bind_blob(
		s, 4, (struct pluri_span){v->key_check, sizeof(v->key_check)});
	return meta_step_done(tx, s, err);
}

static int meta_get_volume(
	struct meta_tx *tx, struct meta_volume *ret, struct pluri_err *err)
{
	struct meta_volume v = {0};
	struct db_stmt *s = NULL;
	int r = meta_query(tx,
		"SELECT id, name, key_check, created FROM volume"
		" WHERE one = 1",
		NULL, 0, &s, err);

	if (r == 0)
		r = meta_step(tx, s, err);
	if (r < 0)
		return r;
	if (r == 0)
		return pluri_fail(err, EBADMSG,
			"database: it does not say which volume it is of");
	r = meta_bytes(tx, s, 0, v.id.b, sizeof(v.id.b), err);
	if (r == 0)
		r = meta_text(tx, s, 1, v.name, sizeof(v.name), err);
	if (r == 0)
		r = meta_bytes(tx, s, 2, v.key_check, sizeof(v.key_check), err);
	if (r < 0)
		return r;
	v.created_ns = meta_int(tx, s, 3);
	*ret = v;
	return 0;
}

static int meta_load_counters(
	struct meta *m, bool damaged, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = meta_query(
		&m->tx, "SELECT id, value FROM counter", NULL, 0, &s, err);

	while (r == 0 && (r = meta_step(&m->tx, s, err)) > 0) {
		const int64_t i = meta_int(&m->tx, s, 0);
		const int64_t v = meta_int(&m->tx, s, 1);

		const bool bad = i < 0 || i >= META_COUNTERS ||
				 (v < 0 && i != META_BYTES);

		r = 0;
		if (bad && !damaged)
			return pluri_fail(err, EBADMSG,
				"database: counter %" PRId64 " is %" PRId64
				"; it is damaged",
				i, v);
		if (!bad)
			m->counter[i] = v;
	}
	if (r < 0)
		return r;
	memcpy(m->before, m->counter, sizeof(m->before));
	memcpy(m->stored, m->counter, sizeof(m->stored));
	return 0;
}

static int meta_fill(struct meta_tx *tx, const struct meta_volume *v,
	uint32_t uid, uint32_t gid, struct pluri_err *err)
{
	int r = schema_apply(tx->ops, tx->db, 0, err);

	if (r == 0)
		r = meta_put_volume(tx, v, err);
	if (r == 0)
		r = tree_root(tx, uid, gid, v->created_ns, err);
	return r;
}

int meta_create(const char *path, const struct meta_volume *v, uint32_t uid,
	uint32_t gid, struct pluri_err *err)
{
	pluri_auto(meta) m = NULL;
	struct meta_tx *tx = NULL;
	int64_t version = 0;
	int r = meta_new(path, true, &m, err);

	if (r == 0)
		r = m->ops->get_version(m->db, &version, err);
	if (r < 0)
		return r;
	if (version != 0)
		return pluri_fail(err, EEXIST,
			"database %s: there is a volume already", path);
	r = meta_begin(m, &tx, err);
	if (r < 0)
		return r;
	r = meta_end(tx, meta_fill(tx, v, uid, gid, err), err);
	return r < 0 ? r : meta_close(m, err);
}

static int meta_upgrade(struct meta *m, const char *path, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int64_t version = 0;
	int r = m->ops->get_version(m->db, &version, err);

	if (r < 0 || version == META_SCHEMA)
		return r;
	if (version == 0)
		return pluri_fail(err, EBADMSG,
			"database %s is empty: its creation was interrupted, "
			"or it was cut",
			path);
	if (version > META_SCHEMA)
		return pluri_fail(err, ENOTSUP,
			"database %s has schema %" PRId64 ", this program "
			"knows up to %d; use the newer one",
			path, version, META_SCHEMA);
	r = meta_begin(m, &tx, err);
	if (r < 0)
		return r;
	r = meta_end(tx, schema_apply(m->ops, m->db, version, err), err);
	if (r < 0)
		return r;
	/* Tables and indices are no changed rows. */
	atomic_fetch_add(&m->pending, 1);
	return meta_commit(m, err);
}

static int meta_open_as(const char *path, bool damaged, struct meta **ret,
	struct meta_volume *ret_v, struct pluri_err *err)
{
	pluri_auto(meta) m = NULL;
	struct meta_volume v = {0};
	struct meta_tx *tx = NULL;
	int r = meta_new(path, false, &m, err);

	if (r == 0)
		r = meta_upgrade(m, path, err);
	if (r == 0)
		r = meta_begin(m, &tx, err);
	if (r < 0)
		return r;
	r = meta_get_volume(tx, &v, err);
	if (r == 0)
		r = meta_load_counters(m, damaged, err);
	r = meta_end(tx, r, err);
	if (r < 0)
		return r;
	*ret_v = v;
	*ret = pluri_steal(m);
	return 0;
}

int meta_open(const char *path, struct meta **ret, struct meta_volume *ret_v,
	struct pluri_err *err)
{
	return meta_open_as(path, false, ret, ret_v, err);
}

int meta_open_damaged(const char *path, struct meta **ret,
	struct meta_volume *ret_v, struct pluri_err *err)
{
	return meta_open_as(path, true, ret, ret_v, err);
}

int meta_close(struct meta *m, struct pluri_err *err)
{
	int r = meta_commit(m, err);

	return r < 0 ? r : meta_sync(m, err);
}

void meta_free(struct meta *m)
{
	if (!m)
		return;
	if (m->db)
		m->ops->close(m->db);
	rows_free(m->tx.rows);
	(void)pthread_mutex_destroy(&m->lock);
	free(m);
}
