#include <errno.h>

#include "meta/chunks_int.h"
#include "meta/garbage.h"
#include "meta/packs_int.h"

/* Closed, every shard STORED, none of them being moved. */
#define GARBAGE_FIT                                               \
	" p.state = 1 AND p.stored = p.k + p.m"                   \
	" AND (SELECT count(*) FROM shard s WHERE s.pack = p.num" \
	" AND s.state = 1) = p.k + p.m"                           \
	" AND NOT EXISTS(SELECT 1 FROM move m WHERE m.pack = p.num)"

/* --- the scan ------------------------------------------------------------- */

/* The next pack that is old enough: 1; 0: none. */
static int garbage_next(struct meta_tx *tx, struct garbage_pos *at,
	int64_t before_ns, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = meta_query(tx,
		"SELECT p.num, p.bytes FROM pack p WHERE p.num > ?1"
		" AND p.created <= ?2 AND" GARBAGE_FIT
		" ORDER BY p.num LIMIT 1",
		META_INTS((int64_t)at->pack, before_ns), &s, err);

	if (r == 0)
		r = meta_step(tx, s, err);
	if (r <= 0)
		return r;
	*at = (struct garbage_pos){.pack = meta_u64(tx, s, 0), .inside = true};
	at->use.pack = at->pack;
	at->use.bytes = meta_u64(tx, s, 1);
	return 1;
}

/* 1: the pack is counted to its end. */
static int garbage_count(struct meta_tx *tx, struct garbage_pos *at,
	unsigned *left, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = meta_query(tx,
		"SELECT off, num, bytes, refs FROM chunk WHERE pack = ?1"
		" AND off >= ?2 AND (off > ?2 OR num > ?3)"
		" ORDER BY off, num LIMIT ?4",
		META_INTS((int64_t)at->pack, (int64_t)at->off, (int64_t)at->num,
			*left),
		&s, err);

	while (r >= 0 && *left > 0 && (r = meta_step(tx, s, err)) > 0) {
		const int64_t refs = meta_int(tx, s, 3);

		(*left)--;
		at->off = meta_u64(tx, s, 0);
		at->num = meta_u64(tx, s, 1);
		if (refs == 0) {
			at->use.dead++;
			continue;
		}
		at->use.live += meta_u64(tx, s, 2);
		at->use.chunks++;
	}
	return r < 0 ? r : *left > 0;
}

int garbage_scan(struct meta_tx *tx, struct garbage_pos *at, int64_t before_ns,
	struct garbage_use *ret, struct pluri_err *err)
{
	unsigned left = GARBAGE_ROWS;
	int r = 1;

	if (!at->inside)
		r = garbage_next(tx, at, before_ns, err);
	if (r < 0)
		return r;
	if (r == 0) {
		*at = (struct garbage_pos){0};
		return pluri_fail(err, ENOENT, "there is no further pack");
	}
	r = garbage_count(tx, at, &left, err);
	if (r <= 0)
		return r;
	*ret = at->use;
	*at = (struct garbage_pos){.pack = at->pack};
	return 1;
}

int garbage_fit(struct meta_tx *tx, uint64_t pack, struct pluri_err *err)
{
	int64_t yes = 0;

	return meta_ask(tx,
		"SELECT 1 FROM pack p WHERE p.num = ?1 AND" GARBAGE_FIT,
		META_INTS((int64_t)pack), &yes, err);
}

/* --- chunks --------------------------------------------------------------- */

#define GARBAGE_BATCH 256u

static int garbage_dead(struct meta_tx *tx, uint64_t pack, unsigned max,
	uint64_t *ret, unsigned *ret_n, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	unsigned n = 0;
	int r = meta_query(tx,
		"SELECT num FROM chunk WHERE pack = ?1 AND refs = 0 LIMIT ?2",
		META_INTS((int64_t)pack, max), &s, err);

	while (r >= 0 && n < max && (r = meta_step(tx, s, err)) > 0)
		ret[n++] = meta_u64(tx, s, 0);
	if (r < 0)
		return r;
	*ret_n = n;
	return 0;
}

int garbage_forget(struct meta_tx *tx, uint64_t pack, unsigned max,
	unsigned *ret, struct pluri_err *err)
{
	uint64_t num[GARBAGE_BATCH];
	unsigned done = 0;
	unsigned n = 1;
	int r = 0;

	while (r >= 0 && done < max && n > 0) {
		const unsigned left = max - done;

		n = 0;
		r = garbage_dead(tx, pack,
			left < GARBAGE_BATCH ? left : GARBAGE_BATCH, num, &n,
			err);
		for (unsigned i = 0; i < n && r >= 0; i++)
			r = chunks_drop(tx, num[i], err);
		done += n;
	}
	if (r < 0)
		return r;
	*ret = done;
	return 0;
}

int garbage_live(struct meta_tx *tx, uint64_t pack,
	const struct chunk_row *after, struct chunk_row *ret, unsigned max,
	unsigned *ret_n, struct pluri_err *err)
{
	const int64_t off = after ? (int64_t)after->off : 0;
	const int64_t num = after ? (int64_t)after->num : 0;
	struct db_stmt *s = NULL;
	unsigned n = 0;
	int r = meta_query(tx,
		"SELECT " CHUNKS_COLUMNS " FROM chunk c WHERE c.pack = ?1"
		" AND c.off >= ?2 AND (c.off > ?2 OR c.num > ?3)"
		" AND c.refs <> 0 ORDER BY c.off, c.num LIMIT ?4",
		META_INTS((int64_t)pack, off, num, max), &s, err);

	while (r >= 0 && n < max && (r = meta_step(tx, s, err)) > 0)
		r = chunks_row(tx->ops, s, 0, &ret[n++], err);
	if (r < 0)
		return r;
	*ret_n = n;
	return 0;
}

int garbage_switch(struct meta_tx *tx, uint64_t pack, uint64_t off,
	const struct chunk_row *to, struct pluri_err *err)
{
	struct chunk_row now;
	int64_t refs = 0;
	int r = packs_full(tx, to->pack, err);

	if (r == -ENOENT)
		return pluri_fail(err, ESTALE,
			"the pack %llu of a copy is not there any more",
			(unsigned long long)to->pack);
	if (r < 0)
		return r;
	if (r == 0)
		return pluri_fail(err, EAGAIN, "pack %llu lacks a shard",
			(unsigned long long)to->pack);
	r = chunks_get(tx, to->num, &now, err);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = meta_ask(tx, "SELECT refs FROM chunk WHERE num = ?1",
			META_INTS((int64_t)to->num), &refs, err);
	if (r < 0)
		return r;
	if (refs <= 0 || now.pack != pack || now.off != off)
		return 0;
	if (memcmp(now.id.b, to->id.b, sizeof(now.id.b)) != 0 ||
		now.plain != to->plain)
		return pluri_fail(err, EBADMSG,
			"database: chunk %llu is another one than was copied",
			(unsigned long long)to->num);
	return chunks_move(tx, to, err);
}

/* --- packs ---------------------------------------------------------------- */

int garbage_bury(struct meta_tx *tx, uint64_t pack, int64_t now_ns,
	struct pluri_err *err)
{
	const int64_t num = (int64_t)pack;
	struct pack_row p;
	int64_t short_of = 0;
	int r = packs_get(tx, pack, &p, err);

	if (r == 0)
		r = meta_ask(tx,
			"SELECT 1 FROM pack WHERE num = ?1 AND (state <> 1 OR"
			" stored <> k + m OR EXISTS(SELECT 1 FROM shard"
			" WHERE pack = ?1 AND state <> 1))",
			META_INTS(num), &short_of, err);
	if (r < 0)
		return r;
	if (r > 0)
		return pluri_fail(err, EAGAIN,
			"pack %llu is not in the clouds as a whole",
			(unsigned long long)pack);
	r = meta_change(tx,
		"INSERT INTO grave (pack, idx, store, id, at)"
		" SELECT s.pack, s.idx, s.store, p.id, ?2 FROM shard s"
		" JOIN pack p ON p.num = s.pack WHERE s.pack = ?1",
		META_INTS(num, now_ns), err);
	return r < 0 ? r : packs_drop(tx, pack, err);
}

/* --- graves --------------------------------------------------------------- */

static int garbage_row(struct meta_tx *tx, struct db_stmt *s,
	struct garbage_grave *ret, struct pluri_err *err)
{
	const uint64_t index = meta_u64(tx, s, 1);
	const uint64_t store = meta_u64(tx, s, 2);
	struct garbage_grave g = {
		.pack = meta_u64(tx, s, 0), .at_ns = meta_int(tx, s, 4)};

	if (index >= PLURI_SHARDS_MAX || store >= PLURI_STORES_MAX)
		return pluri_fail(err, EBADMSG,
			"database: grave %llu of pack %llu: its row is damaged "
			"(store %llu)",
			(unsigned long long)index, (unsigned long long)g.pack,
			(unsigned long long)store);
	g.index = (uint32_t)index;
	g.store = (uint32_t)store;
	*ret = g;
	return meta_bytes(tx, s, 3, ret->id.b, sizeof(ret->id.b), err);
}

int garbage_graves(struct meta_tx *tx, const struct garbage_grave *after,
	int64_t before_ns, struct garbage_grave *ret, unsigned max,
	unsigned *ret_n, struct pluri_err *err)
{
	const int64_t at = after ? after->at_ns : INT64_MIN;
	const int64_t pack = after ? (int64_t)after->pack : -1;
	const int64_t index = after ? (int64_t)after->index : -1;
	struct db_stmt *s = NULL;
	unsigned n = 0;
	int r = meta_query(tx,
		"SELECT pack, idx, store, id, at FROM grave"
		" WHERE (at, pack, idx) > (?1, ?2, ?3) AND at <= ?4"
		" ORDER BY at, pack, idx LIMIT ?5",
		META_INTS(at, pack, index, before_ns, max), &s, err);

	while (r >= 0 && n < max && (r = meta_step(tx, s, err)) > 0)
		r = garbage_row(tx, s, &ret[n++], err);
	if (r < 0)
		return r;
	*ret_n = n;
	return 0;
}

int garbage_done(struct meta_tx *tx, uint64_t pack, uint32_t index,
	struct pluri_err *err)
{
	return meta_change(tx, "DELETE FROM grave WHERE pack = ?1 AND idx = ?2",
		META_INTS((int64_t)pack, index), err);
}

int garbage_known(
	struct meta_tx *tx, const struct pluri_id *id, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = meta_query(tx, "SELECT 1 FROM grave WHERE id = ?1 LIMIT 1",
		NULL, 0, &s, err);

	if (r < 0)
		return r;
	tx->ops->bind_blob(s, 1, (struct pluri_span){id->b, sizeof(id->b)});
	return meta_step(tx, s, err);
}

int garbage_of_store(struct meta_tx *tx, uint32_t store, uint64_t *ret,
	struct pluri_err *err)
{
	int64_t n = 0;
	const int r =
		meta_ask(tx, "SELECT count(*) FROM grave WHERE store = ?1",
			META_INTS(store), &n, err);

	if (r < 0)
		return r;
	*ret = (uint64_t)n;
	return 0;
}

int garbage_total(
	struct meta_tx *tx, struct garbage_totals *ret, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = meta_query(
		tx, "SELECT count(*), min(at) FROM grave", NULL, 0, &s, err);

	if (r == 0)
		r = meta_step(tx, s, err);
	if (r < 0)
		return r;
	*ret = (struct garbage_totals){meta_u64(tx, s, 0), meta_int(tx, s, 1)};
	return 0;
}
