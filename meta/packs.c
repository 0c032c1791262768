#include <errno.h>

#include "meta/chunks.h"
#include "meta/packs_int.h"

#define PACKS_BATCH 32u /* rows read before each() sees the first */

#define PACKS_COLUMNS \
	"num, id, policy, state, kind, k, m, local, bytes, sum, created"

/* Ceilings of a row, on the way in and out. */
static bool packs_lawful(uint64_t policy, uint64_t kind, uint64_t k, uint64_t m)
{
	if (policy >= PLURI_POLICIES_MAX || kind > UINT8_MAX)
		return false;
	return k >= 1 && k <= PLURI_SHARDS_MAX && m <= PLURI_SHARDS_MAX - k;
}

static int packs_row(struct meta_tx *tx, struct db_stmt *s,
	struct pack_row *ret, struct pluri_err *err)
{
	struct pack_row p = {.num = meta_u64(tx, s, 0)};
	const uint64_t policy = meta_u64(tx, s, 2);
	const uint64_t state = meta_u64(tx, s, 3);
	const uint64_t kind = meta_u64(tx, s, 4);
	const uint64_t k = meta_u64(tx, s, 5);
	const uint64_t m = meta_u64(tx, s, 6);
	const uint64_t local = meta_u64(tx, s, 7);
	int r;

	p.bytes = meta_u64(tx, s, 8);
	if (!packs_lawful(policy, kind, k, m) || state > PACK_CLOSED ||
		local > 1 || p.bytes > PLURI_PACK_MAX)
		return pluri_fail(err, EBADMSG,
			"database: pack %llu: its row is damaged (policy %llu, "
			"state %llu, layout %llu+%llu, %llu bytes)",
			(unsigned long long)p.num, (unsigned long long)policy,
			(unsigned long long)state, (unsigned long long)k,
			(unsigned long long)m, (unsigned long long)p.bytes);
	p.policy = (uint32_t)policy;
	p.state = (enum pack_state)state;
	p.kind = (uint8_t)kind;
	p.k = (uint8_t)k;
	p.m = (uint8_t)m;
	p.local = local != 0;
	p.sum = meta_u64(tx, s, 9);
	p.created_ns = meta_int(tx, s, 10);
	r = meta_bytes(tx, s, 1, p.id.b, sizeof(p.id.b), err);
	if (r < 0) {
		(void)pluri_where(err, "pack %llu", (unsigned long long)p.num);
		return r;
	}
	*ret = p;
	return 0;
}

int packs_add(struct meta_tx *tx, struct pack_row *p, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	uint64_t num;
	int r;

	if (!packs_lawful(p->policy, p->kind, p->k, p->m))
		return pluri_fail(err, EINVAL, "pack: policy %u, layout %u+%u",
			p->policy, p->k, p->m);
	num = meta_next(tx, META_PACK);
	r = meta_query(tx,
		"INSERT INTO pack (num, policy, kind, k, m, created, state,"
		" local, bytes, sum, stored, id)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 1, 0, 0, 0, ?7)",
		META_INTS((int64_t)num, p->policy, p->kind, p->k, p->m,
			p->created_ns),
		&s, err);
	if (r < 0)
		return r;
	tx->ops->bind_blob(s, 7, (struct pluri_span){p->id.b, sizeof(p->id.b)});
	r = meta_step_done(tx, s, err);
	if (r < 0)
		return r;
	p->num = num;
	p->state = PACK_OPEN;
	p->local = true;
	p->bytes = 0;
	p->sum = 0;
	return 0;
}

int packs_get(struct meta_tx *tx, uint64_t num, struct pack_row *ret,
	struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = meta_query(tx,
		"SELECT " PACKS_COLUMNS " FROM pack WHERE num = ?1",
		META_INTS((int64_t)num), &s, err);

	if (r == 0)
		r = meta_step(tx, s, err);
	if (r < 0)
		return r;
	if (r == 0)
		return pluri_fail(err, ENOENT, "there is no pack %llu",
			(unsigned long long)num);
	return packs_row(tx, s, ret, err);
}

int packs_find(struct meta_tx *tx, const struct pluri_id *id,
	struct pack_row *ret, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = meta_query(tx,
		"SELECT " PACKS_COLUMNS " FROM pack WHERE id = ?1", NULL, 0, &s,
		err);

	if (r < 0)
		return r;
	tx->ops->bind_blob(s, 1, (struct pluri_span){id->b, sizeof(id->b)});
	r = meta_step(tx, s, err);
	if (r < 0)
		return r;
	if (r == 0)
		return pluri_fail(err, ENOENT, "there is no pack of that id");
	return packs_row(tx, s, ret, err);
}

/* May this pack be closed that way? */
static int packs_judge_close(struct meta_tx *tx, const struct pack_row *p,
	uint64_t bytes, unsigned n, struct pluri_err *err)
{
	uint64_t end = 0;
	int r;

	if (p->state != PACK_OPEN)
		return pluri_fail(err, ESTALE, "pack %llu is closed already",
			(unsigned long long)p->num);
	if (n != (unsigned)p->k + p->m)
		return pluri_fail(err, EINVAL,
			"pack %llu: %u stores for a layout of %u+%u",
			(unsigned long long)p->num, n, p->k, p->m);
	r = chunks_end(tx, p->num, &end, err);
	if (r < 0)
		return r;
	if (bytes > PLURI_PACK_MAX || bytes < end)
		return pluri_fail(err, EINVAL,
			"pack %llu: closed at %llu bytes, its chunks end at "
			"%llu, the limit is %llu",
			(unsigned long long)p->num, (unsigned long long)bytes,
			(unsigned long long)end, PLURI_PACK_MAX);
	return 0;
}

int packs_close(struct meta_tx *tx, uint64_t num, uint64_t bytes, uint64_t sum,
	const uint32_t *stores, unsigned n, struct pluri_err *err)
{
	struct pack_row p;
	int r = packs_get(tx, num, &p, err);

	if (r == 0)
		r = packs_judge_close(tx, &p, bytes, n, err);
	if (r == 0)
		r = packs_shard_add(tx, num, stores, n, err);
	if (r == 0)
		r = packs_tail_drop(tx, num, err);
	if (r < 0)
		return r;
	return meta_change(tx,
		"UPDATE pack SET state = 1, bytes = ?2, sum = ?3"
		" WHERE num = ?1",
		META_INTS((int64_t)num, (int64_t)bytes, (int64_t)sum), err);
}

int packs_drop(struct meta_tx *tx, uint64_t num, struct pluri_err *err)
{
	const int64_t key = (int64_t)num;
	int64_t any = 0;
	int r = meta_ask(tx, "SELECT 1 FROM chunk WHERE pack = ?1 LIMIT 1",
		META_INTS(key), &any, err);

	if (r > 0)
		return pluri_fail(err, EBUSY, "pack %llu still has chunks",
			(unsigned long long)num);
	if (r == 0)
		r = meta_ask(tx, "SELECT 1 FROM move WHERE pack = ?1 LIMIT 1",
			META_INTS(key), &any, err);
	if (r > 0)
		return pluri_fail(err, EBUSY,
			"a shard of pack %llu is being moved",
			(unsigned long long)num);
	if (r == 0)
		r = packs_tail_drop(tx, num, err);
	if (r == 0)
		r = meta_change(tx, "DELETE FROM shard WHERE pack = ?1",
			META_INTS(key), err);
	if (r == 0)
		r = meta_change(tx, "DELETE FROM pack WHERE num = ?1",
			META_INTS(key), err);
	if (r < 0 || tx->ops->changes(tx->db) > 0)
		return r;
	return pluri_fail(
		err, ENOENT, "there is no pack %llu", (unsigned long long)num);
}

int packs_set_local(
	struct meta_tx *tx, uint64_t num, bool local, struct pluri_err *err)
{
	int r = meta_change(tx, "UPDATE pack SET local = ?2 WHERE num = ?1",
		META_INTS((int64_t)num, local), err);

	if (r < 0 || tx->ops->changes(tx->db) > 0)
		return r;
	return pluri_fail(
		err, ENOENT, "there is no pack %llu", (unsigned long long)num);
}

/* *ret_upto: the last row that was read, or 0 when that was the last of all. */
static int packs_batch(struct meta_tx *tx, uint64_t after, struct pack_row *ret,
	unsigned *ret_n, uint64_t *ret_upto, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	uint64_t upto = 0;
	unsigned rows = 0;
	unsigned n = 0;
	int r = meta_query(tx,
		"SELECT " PACKS_COLUMNS " FROM pack WHERE num > ?1"
		" ORDER BY num LIMIT ?2",
		META_INTS((int64_t)after, PACKS_BATCH), &s, err);

	for (; r >= 0 && rows < PACKS_BATCH; rows++) {
		r = meta_step(tx, s, err);
		if (r <= 0)
			break;
		upto = meta_u64(tx, s, 0);
		n += packs_row(tx, s, &ret[n], NULL) == 0;
	}
	if (r < 0)
		return r;
	*ret_n = n;
	*ret_upto = rows == PACKS_BATCH ? upto : 0;
	return 0;
}

int packs_list(struct meta_tx *tx, uint64_t after,
	int (*each)(void *arg, const struct pack_row *p), void *arg,
	struct pluri_err *err)
{
	struct pack_row rows[PACKS_BATCH];
	unsigned n = 0;

	do {
		const int r = packs_batch(tx, after, rows, &n, &after, err);

		if (r < 0)
			return r;
		for (unsigned i = 0; i < n; i++)
			if (each(arg, &rows[i]) != 0)
				return 0;
	} while (after > 0);
	return 0;
}
