#include <errno.h>

#include "meta/packs_int.h"

/* Columns: pack, idx, store, state. */
static int packs_shard_row(struct meta_tx *tx, struct db_stmt *s,
	struct shard_row *ret, struct pluri_err *err)
{
	const uint64_t pack = meta_u64(tx, s, 0);
	const uint64_t index = meta_u64(tx, s, 1);
	const uint64_t store = meta_u64(tx, s, 2);
	const uint64_t state = meta_u64(tx, s, 3);

	if (index >= PLURI_SHARDS_MAX || store >= PLURI_STORES_MAX ||
		state > SHARD_BAD)
		return pluri_fail(err, EBADMSG,
			"database: shard %llu of pack %llu: its row is damaged "
			"(store %llu, state %llu)",
			(unsigned long long)index, (unsigned long long)pack,
			(unsigned long long)store, (unsigned long long)state);
	*ret = (struct shard_row){
		.pack = pack,
		.index = (uint32_t)index,
		.store = (uint32_t)store,
		.state = (enum shard_state)state,
	};
	return 0;
}

static int packs_shard_rows(struct meta_tx *tx, struct db_stmt *s,
	struct shard_row *ret, unsigned max, unsigned *ret_n,
	struct pluri_err *err)
{
	unsigned n = 0;
	int r = 0;

	while (r >= 0 && n < max) {
		r = meta_step(tx, s, err);
		if (r <= 0)
			break;
		r = packs_shard_row(tx, s, &ret[n++], err);
	}
	if (r < 0)
		return r;
	*ret_n = n;
	return 0;
}

int packs_shard_add(struct meta_tx *tx, uint64_t pack, const uint32_t *stores,
	unsigned n, struct pluri_err *err)
{
	for (unsigned i = 0; i < n; i++) {
		int r = stores_check(tx, stores[i], err);

		if (r == 0)
			r = meta_change(tx,
				"INSERT INTO shard (pack, idx, store, state)"
				" VALUES (?1, ?2, ?3, 0)",
				META_INTS((int64_t)pack, i, stores[i]), err);
		if (r < 0)
			return r;
	}
	return 0;
}

int packs_shard_get(struct meta_tx *tx, uint64_t pack, uint32_t index,
	struct shard_row *ret, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = meta_query(tx,
		"SELECT pack, idx, store, state FROM shard"
		" WHERE pack = ?1 AND idx = ?2",
		META_INTS((int64_t)pack, index), &s, err);

	if (r == 0)
		r = meta_step(tx, s, err);
	if (r < 0)
		return r;
	if (r == 0)
		return pluri_fail(err, ENOENT,
			"there is no shard %u of pack %llu", index,
			(unsigned long long)pack);
	return packs_shard_row(tx, s, ret, err);
}

int packs_full(struct meta_tx *tx, uint64_t num, struct pluri_err *err)
{
	int64_t full = 0;
	const int r = meta_ask(tx,
		"SELECT CASE WHEN state = 1 AND stored = k + m THEN 1"
		" ELSE 0 END FROM pack WHERE num = ?1",
		META_INTS((int64_t)num), &full, err);

	if (r == 0)
		return pluri_fail(err, ENOENT, "there is no pack %llu",
			(unsigned long long)num);
	return r < 0 ? r : full != 0;
}

int packs_shards(struct meta_tx *tx, uint64_t num, struct shard_row *ret,
	unsigned max, unsigned *ret_n, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = meta_query(tx,
		"SELECT pack, idx, store, state FROM shard WHERE pack = ?1"
		" ORDER BY idx LIMIT ?2",
		META_INTS((int64_t)num, max), &s, err);

	return r < 0 ? r : packs_shard_rows(tx, s, ret, max, ret_n, err);
}

int packs_set_shard(
	struct meta_tx *tx, const struct shard_row *s, struct pluri_err *err)
{
	struct shard_row old;
	int delta;
	int r;

	if ((unsigned)s->state > SHARD_BAD)
		return pluri_fail(err, EINVAL,
			"shard %u of pack %llu: state %d", s->index,
			(unsigned long long)s->pack, (int)s->state);
	r = packs_shard_get(tx, s->pack, s->index, &old, err);
	if (r == 0 && old.store != s->store)
		r = stores_check(tx, s->store, err);
	if (r == 0)
		r = meta_change(tx,
			"UPDATE shard SET store = ?3, state = ?4"
			" WHERE pack = ?1 AND idx = ?2",
			META_INTS(
				(int64_t)s->pack, s->index, s->store, s->state),
			err);
	delta = (s->state == SHARD_STORED) - (old.state == SHARD_STORED);
	if (r < 0 || delta == 0)
		return r;
	return meta_change(tx,
		"UPDATE pack SET stored = stored + ?2 WHERE num = ?1",
		META_INTS((int64_t)s->pack, delta), err);
}

int packs_debt(struct meta_tx *tx, struct shard_row *ret, unsigned max,
	unsigned *ret_n, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = meta_query(tx,
		"SELECT pack, idx, store, state FROM shard WHERE state <> 1"
		" ORDER BY pack, idx LIMIT ?1",
		META_INTS(max), &s, err);

	return r < 0 ? r : packs_shard_rows(tx, s, ret, max, ret_n, err);
}

/* A shard of a pack has its bytes / k, rounded up; headers are not counted. */
int packs_of_store(struct meta_tx *tx, uint32_t store, struct packs_store *ret,
	struct pluri_err *err)
{
	struct packs_store t = {0};
	struct db_stmt *s = NULL;
	int64_t wanted = 0;
	int r = meta_query(tx,
		"SELECT count(*), sum((p.bytes + p.k - 1) / p.k)"
		" FROM shard s JOIN pack p ON p.num = s.pack"
		" WHERE s.store = ?1 AND s.state = 1",
		META_INTS(store), &s, err);

	if (r == 0)
		r = meta_step(tx, s, err);
	if (r < 0)
		return r;
	t.objects = meta_u64(tx, s, 0);
	t.bytes = meta_u64(tx, s, 1);
	r = meta_ask(tx,
		"SELECT count(*) FROM shard WHERE store = ?1 AND state <> 1",
		META_INTS(store), &wanted, err);
	if (r < 0)
		return r;
	t.wanted = (uint64_t)wanted;
	*ret = t;
	return 0;
}

/*
 * The quorum of a layout is all its shards but one, and k at least, so that
 * any one cloud may be away. Only packs short of a shard can be below it, and
 * they have an index; one scan with all the sums took five times as long.
 */
#define PACKS_BELOW "WHEN stored < k + m - 1 OR stored < k THEN "

static const char packs_short_sql[] =
	"SELECT count(*),"
	" sum(CASE WHEN stored >= k THEN 1 ELSE 0 END),"
	" sum(CASE WHEN stored < k AND local = 1 THEN 1 ELSE 0 END),"
	" sum(CASE WHEN stored < k AND local <> 1 THEN 1 ELSE 0 END),"
	" sum(CASE " PACKS_BELOW "1 ELSE 0 END),"
	" sum(CASE " PACKS_BELOW "bytes ELSE 0 END),"
	" min(CASE " PACKS_BELOW "created END),"
	" sum(k + m - stored),"
	" sum((k + m - stored) * ((bytes + k - 1) / k))"
	" FROM pack WHERE stored < k + m AND state = 1";

/* CLOSED packs that lack a shard. */
static int packs_totals_short(
	struct meta_tx *tx, struct packs_totals *t, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = meta_query(tx, packs_short_sql, NULL, 0, &s, err);

	if (r == 0)
		r = meta_step(tx, s, err);
	if (r < 0)
		return r;
	t->full = t->packs - meta_u64(tx, s, 0);
	t->degraded = meta_u64(tx, s, 1);
	t->unsafe = meta_u64(tx, s, 2);
	t->unreadable = meta_u64(tx, s, 3);
	t->below_quorum = meta_u64(tx, s, 4);
	t->pending_bytes = meta_u64(tx, s, 5);
	t->oldest_ns = meta_int(tx, s, 6);
	t->debt_shards = meta_u64(tx, s, 7);
	t->debt_bytes = meta_u64(tx, s, 8);
	return 0;
}

/* sql gives a count and a sum of bytes. */
static int packs_totals_pair(struct meta_tx *tx, const char *sql,
	uint64_t *ret_packs, uint64_t *ret_bytes, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = meta_query(tx, sql, NULL, 0, &s, err);

	if (r == 0)
		r = meta_step(tx, s, err);
	if (r < 0)
		return r;
	*ret_packs = meta_u64(tx, s, 0);
	*ret_bytes = meta_u64(tx, s, 1);
	return 0;
}

/* OPEN packs: few; they weigh what their chunks take so far, their own bytes
 * are 0 until they close. */
static int packs_totals_open(
	struct meta_tx *tx, struct packs_totals *t, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = meta_query(tx,
		"SELECT p.local, p.created, (SELECT c.off + c.bytes FROM chunk"
		" c WHERE c.pack = p.num ORDER BY c.off DESC LIMIT 1)"
		" FROM pack p WHERE p.state = 0",
		NULL, 0, &s, err);

	while (r >= 0 && (r = meta_step(tx, s, err)) > 0) {
		const bool local = meta_int(tx, s, 0) == 1;
		const int64_t created = meta_int(tx, s, 1);
		const uint64_t end = meta_u64(tx, s, 2);

		t->local_bytes += local ? end : 0;
		if (end == 0)
			continue;
		t->unreadable += !local;
		t->pending_bytes += end;
		if (t->below_quorum++ == 0 || created < t->oldest_ns)
			t->oldest_ns = created;
	}
	return r;
}

int packs_totals(
	struct meta_tx *tx, struct packs_totals *ret, struct pluri_err *err)
{
	struct packs_totals t = {0};
	int r = packs_totals_pair(tx,
		"SELECT count(*), sum(bytes) FROM pack WHERE state = 1",
		&t.packs, &t.bytes, err);

	if (r == 0)
		r = packs_totals_pair(tx,
			"SELECT count(*), sum(bytes) FROM pack WHERE local = 1",
			&t.local_packs, &t.local_bytes, err);
	if (r == 0)
		r = packs_totals_short(tx, &t, err);
	if (r == 0)
		r = packs_totals_open(tx, &t, err);
	if (r < 0)
		return r;
	*ret = t;
	return 0;
}

int packs_pending(
	struct meta_tx *tx, struct packs_totals *ret, struct pluri_err *err)
{
	struct packs_totals t = {0};
	int r = packs_totals_short(tx, &t, err);

	if (r == 0)
		r = packs_totals_open(tx, &t, err);
	if (r < 0)
		return r;
	*ret = t;
	return 0;
}

/* The index is named, since the other one would do the grouping, and read
 * every shard there is. */
int packs_owed(struct meta_tx *tx, struct packs_owed ret[PLURI_STORES_MAX],
	struct pluri_err *err)
{
	struct packs_owed owed[PLURI_STORES_MAX] = {{0, 0}};
	struct db_stmt *s = NULL;
	int r = meta_query(tx,
		"SELECT s.store, count(*), sum((p.bytes + p.k - 1) / p.k)"
		" FROM shard s INDEXED BY shard_debt"
		" JOIN pack p ON p.num = s.pack"
		" WHERE s.state <> 1 GROUP BY s.store",
		NULL, 0, &s, err);

	while (r >= 0 && (r = meta_step(tx, s, err)) > 0) {
		const uint64_t store = meta_u64(tx, s, 0);

		if (store >= PLURI_STORES_MAX)
			continue; /* pluri fsck tells of it */
		owed[store].shards = meta_u64(tx, s, 1);
		owed[store].bytes = meta_u64(tx, s, 2);
	}
	if (r < 0)
		return r;
	memcpy(ret, owed, sizeof(owed));
	return 0;
}
