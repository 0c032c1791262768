#include <errno.h>
#include <inttypes.h>

#include "meta/chunks_int.h"
#include "meta/extent_int.h"
#include "meta/rows.h"

#define EXTENT_BATCH 64u /* rows removed at once */

int extent_insert(struct meta_tx *tx, uint64_t ino, const struct extent *e,
	struct pluri_err *err)
{
	return meta_change(tx,
		"INSERT INTO extent (ino, off, len, skip, chunk)"
		" VALUES (?1, ?2, ?3, ?4, ?5)",
		META_INTS((int64_t)ino, (int64_t)e->off, e->len, e->skip,
			(int64_t)e->chunk),
		err);
}

int extent_count(
	struct meta_tx *tx, uint64_t ino, int64_t bytes, struct pluri_err *err)
{
	struct rows_row row = {0};
	int r;

	meta_touch(tx, META_TOUCHED_INODE, ino);
	if (bytes == 0)
		return 0;
	r = rows_get(tx, ino, &row, err);
	if (r < 0)
		return r;
	row.a.bytes += (uint64_t)bytes;
	return rows_set(tx, &row, err);
}

static int extent_load(struct meta_tx *tx, struct db_stmt *s,
	struct extent *ret, struct pluri_err *err)
{
	const int64_t off = meta_int(tx, s, 0);
	const int64_t len = meta_int(tx, s, 1);
	const int64_t skip = meta_int(tx, s, 2);

	if (off < 0 || len < 1 || skip < 0 || len > PLURI_CHUNK_MAX ||
		skip > PLURI_CHUNK_MAX - len || off > INT64_MAX - len)
		return pluri_fail(err, EBADMSG,
			"database: an extent of %" PRId64 " bytes at %" PRId64
			" cannot be; it is damaged",
			len, off);
	ret->off = (uint64_t)off;
	ret->len = (uint32_t)len;
	ret->skip = (uint32_t)skip;
	ret->chunk = meta_u64(tx, s, 3);
	return 0;
}

int extent_one(struct meta_tx *tx, struct db_stmt *s, struct extent *ret,
	struct pluri_err *err)
{
	int r = meta_step(tx, s, err);

	if (r > 0) {
		r = extent_load(tx, s, ret, err);
		return r < 0 ? r : 1;
	}
	return r;
}

/* What is left of an extent behind the cut, as a row of its own. */
static struct extent extent_tail(const struct extent *e, uint64_t to)
{
	const uint32_t gone = (uint32_t)(to - e->off);

	return (struct extent){to, e->len - gone, e->skip + gone, e->chunk};
}

/* References that come or go because an extent is cut. Where the chunk is
 * lost there are none to count, and the file must still be cut and removed. */
static int extent_recount(
	struct meta_tx *tx, uint64_t chunk, int delta, struct pluri_err *err)
{
	const int r = chunks_ref(tx, chunk, delta, err);

	return r == -ENOENT ? 0 : r;
}

/* The extent that begins before the range and reaches into it, or over it. */
static int extent_cut_head(struct extent_cut *c, struct pluri_err *err)
{
	struct extent e = {0};
	struct extent tail = {0};
	struct db_stmt *s = NULL;
	uint64_t end;
	int r = meta_query(c->tx,
		"SELECT off, len, skip, chunk FROM extent"
		" WHERE ino = ?1 AND off < ?2 ORDER BY off DESC LIMIT 1",
		META_INTS((int64_t)c->ino, (int64_t)c->from), &s, err);

	if (r == 0)
		r = extent_one(c->tx, s, &e, err);
	end = e.off + e.len;
	if (r <= 0 || end <= c->from)
		return r < 0 ? r : 0;
	r = meta_change(c->tx,
		"UPDATE extent SET len = ?3 WHERE ino = ?1 AND off = ?2",
		META_INTS((int64_t)c->ino, (int64_t)e.off,
			(int64_t)(c->from - e.off)),
		err);
	if (r < 0)
		return r;
	c->freed += (int64_t)((end < c->to ? end : c->to) - c->from);
	if (end <= c->to)
		return 0;
	tail = extent_tail(&e, c->to);
	r = extent_recount(c->tx, e.chunk, 1, err);
	return r < 0 ? r : extent_insert(c->tx, c->ino, &tail, err);
}

static int extent_batch(const struct extent_cut *c,
	struct extent ret[EXTENT_BATCH], unsigned *ret_n, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	unsigned n = 0;
	int r = meta_query(c->tx,
		"SELECT off, len, skip, chunk FROM extent WHERE ino = ?1"
		" AND off >= ?2 AND off < ?3 ORDER BY off LIMIT ?4",
		META_INTS((int64_t)c->ino, (int64_t)c->from, (int64_t)c->to,
			EXTENT_BATCH),
		&s, err);

	while (r == 0 && n < EXTENT_BATCH) {
		r = extent_one(c->tx, s, &ret[n], err);
		if (r <= 0)
			break;
		n++;
		r = 0;
	}
	*ret_n = n;
	return r;
}

/* One reference less for each; neighbours are often of one chunk. */
static int extent_unref(struct meta_tx *tx, const struct extent *e, unsigned n,
	struct pluri_err *err)
{
	int r = 0;

	for (unsigned i = 0; i < n && r == 0;) {
		int run = 1;

		while (i + (unsigned)run < n &&
			e[i + (unsigned)run].chunk == e[i].chunk)
			run++;
		r = extent_recount(tx, e[i].chunk, -run, err);
		i += (unsigned)run;
	}
	return r;
}

/* The first extents that begin in the range; *ret_n of them are gone. */
static int extent_cut_next(
	struct extent_cut *c, unsigned *ret_n, struct pluri_err *err)
{
	struct extent e[EXTENT_BATCH];
	const struct extent *last;
	struct extent tail = {0};
	unsigned n = 0;
	int r = extent_batch(c, e, &n, err);

	*ret_n = n;
	if (r < 0 || n == 0)
		return r;
	last = &e[n - 1];
	r = meta_change(c->tx,
		"DELETE FROM extent WHERE ino = ?1 AND off >= ?2"
		" AND off <= ?3",
		META_INTS(
			(int64_t)c->ino, (int64_t)c->from, (int64_t)last->off),
		err);
	for (unsigned i = 0; i < n; i++)
		c->freed += e[i].len;
	if (r == 0 && last->off + last->len > c->to) {
		tail = extent_tail(last, c->to);
		c->freed -= tail.len;
		n--; /* its reference is the tail's now */
		r = extent_insert(c->tx, c->ino, &tail, err);
	}
	return r < 0 ? r : extent_unref(c->tx, e, n, err);
}

int extent_clear(struct extent_cut *c, struct pluri_err *err)
{
	unsigned n = EXTENT_BATCH;
	int r = extent_cut_head(c, err);

	while (r == 0 && n == EXTENT_BATCH)
		r = extent_cut_next(c, &n, err);
	return r;
}

int extent_bound(const struct extent_cut *c, unsigned limit, uint64_t *ret_to,
	struct pluri_err *err)
{
	int64_t to = (int64_t)c->to;
	const int r = meta_ask(c->tx,
		"SELECT off FROM extent WHERE ino = ?1 AND off >= ?2"
		" AND off < ?3 ORDER BY off LIMIT 1 OFFSET ?4",
		META_INTS((int64_t)c->ino, (int64_t)c->from, (int64_t)c->to,
			limit),
		&to, err);

	if (r < 0)
		return r;
	*ret_to = (uint64_t)to;
	return 0;
}

static int extent_check(
	const struct extent *e, unsigned n, struct pluri_err *err)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < n; i++) {
		if (e[i].len == 0 || e[i].len > PLURI_CHUNK_MAX ||
			e[i].skip > PLURI_CHUNK_MAX - e[i].len ||
			e[i].off < end ||
			e[i].off > (uint64_t)INT64_MAX - e[i].len)
			return pluri_fail(err, EINVAL,
				"extent of %u bytes at %" PRIu64 ", %u into "
				"its chunk: out of order or too large",
				e[i].len, e[i].off, e[i].skip);
		end = e[i].off + e[i].len;
	}
	return 0;
}

int extent_put(struct extent_cut *c, const struct extent *e, unsigned n,
	struct pluri_err *err)
{
	int r = 0;

	for (unsigned i = 0; i < n && r == 0; i++)
		r = chunks_ref(c->tx, e[i].chunk, 1, err);
	if (r == 0)
		r = extent_clear(c, err);
	for (unsigned i = 0; i < n && r == 0; i++) {
		c->freed -= e[i].len;
		r = extent_insert(c->tx, c->ino, &e[i], err);
	}
	return r;
}

int extent_write(struct meta_tx *tx, uint64_t ino, const struct extent *e,
	unsigned n, struct pluri_err *err)
{
	struct extent_cut c = {.tx = tx, .ino = ino};
	int r = extent_check(e, n, err);

	if (r == 0 && n > 0)
		r = extent_alive(tx, ino, e[n - 1].off + e[n - 1].len, err);
	for (unsigned i = 0; i < n && r == 0;) {
		unsigned run = 1;

		c.from = e[i].off;
		c.to = e[i].off + e[i].len;
		while (i + run < n && e[i + run].off == c.to)
			c.to += e[i + run++].len;
		r = extent_put(&c, e + i, run, err);
		i += run;
	}
	return r < 0 ? r : extent_count(tx, ino, -c.freed, err);
}

/* The end of a span of bytes, in the largest file at most. */
static uint64_t extent_end(struct extent_span at)
{
	const uint64_t top = INT64_MAX;

	return at.off > top || at.len > top - at.off ? top : at.off + at.len;
}

int extent_punch_step(struct meta_tx *tx, uint64_t ino, struct extent_span at,
	unsigned limit, uint64_t *ret_upto, struct pluri_err *err)
{
	const uint64_t top = INT64_MAX;
	const uint64_t end = extent_end(at);
	struct extent_cut c = {.tx = tx, .ino = ino, .from = at.off, .to = end};
	uint64_t dead = UINT64_MAX;
	uint64_t stop;
	int r = extent_dead(tx, ino, &dead, err);

	if (r < 0)
		return r;
	/* The dead are a hole already; whoever clears all that is behind, which
	 * is how they are removed, takes them too. */
	if (end < top && c.to > dead)
		c.to = dead;
	stop = c.to;
	if (c.from >= stop) {
		*ret_upto = end;
		return 0;
	}
	r = extent_bound(&c, limit, &c.to, err);
	if (r == 0)
		r = extent_clear(&c, err);
	if (r == 0)
		r = extent_count(tx, ino, -c.freed, err);
	if (r == 0 && c.to == top && dead >= at.off && dead < top)
		r = extent_trimmed(tx, ino, err);
	if (r < 0)
		return r;
	*ret_upto = c.to < stop ? c.to : end;
	return 0;
}

int extent_punch(struct meta_tx *tx, uint64_t ino, uint64_t off, uint64_t len,
	unsigned limit, bool *ret_more, struct pluri_err *err)
{
	const struct extent_span at = {off, len};
	const uint64_t end = extent_end(at);
	uint64_t upto = end;
	const int r = extent_punch_step(tx, ino, at, limit, &upto, err);

	*ret_more = r == 0 && upto < end;
	return r;
}

/* The row that s stands on, its chunk too. */
static int extent_fetch(struct meta_tx *tx, struct db_stmt *s,
	struct extent_row *ret, struct pluri_err *err)
{
	int r = extent_load(tx, s, &ret->e, err);

	if (r < 0)
		return r;
	if (meta_u64(tx, s, 4) != ret->e.chunk)
		return pluri_fail(err, EBADMSG,
			"database: an extent names chunk %" PRIu64
			", which is not there; it is damaged",
			ret->e.chunk);
	r = chunks_row(tx->ops, s, 4, &ret->chunk, err);
	if (r < 0)
		return r;
	if (ret->e.skip + ret->e.len > ret->chunk.plain)
		return pluri_fail(err, EBADMSG,
			"database: an extent passes the end of chunk %" PRIu64
			"; it is damaged",
			ret->e.chunk);
	return 0;
}

int extent_shown(struct meta_tx *tx, uint64_t ino, struct extent_span at,
	uint64_t *ret_end, struct pluri_err *err)
{
	const uint64_t end = extent_end(at);
	uint64_t dead = UINT64_MAX;
	const int r = extent_dead(tx, ino, &dead, err);

	if (r < 0)
		return r;
	*ret_end = dead < end ? dead : end;
	return at.off < *ret_end;
}

/*
 * The subquery finds the extent that may reach into the range from before. A
 * left join, since a chunk that is missing must be told, not read as a hole.
 */
int extent_read(struct meta_tx *tx, uint64_t ino, struct extent_span at,
	struct extent_row *ret, unsigned max, unsigned *ret_n,
	struct pluri_err *err)
{
	uint64_t end = 0;
	struct db_stmt *s = NULL;
	unsigned n = 0;
	int r = extent_shown(tx, ino, at, &end, err);

	if (r < 0)
		return r;
	if (r == 0) {
		*ret_n = 0;
		return 0;
	}
	r = meta_query(tx,
		"SELECT e.off, e.len, e.skip, e.chunk, " CHUNKS_COLUMNS
		" FROM extent e LEFT JOIN chunk c ON c.num = e.chunk"
		" WHERE e.ino = ?1 AND e.off >= COALESCE("
		"(SELECT p.off FROM extent p WHERE p.ino = ?1 AND p.off <= ?2"
		" ORDER BY p.off DESC LIMIT 1), 0)"
		" AND e.off < ?3 ORDER BY e.off",
		META_INTS((int64_t)ino, (int64_t)at.off, (int64_t)end), &s,
		err);
	while (r == 0 && n < max && (r = meta_step(tx, s, err)) > 0) {
		r = extent_fetch(tx, s, &ret[n], err);
		if (r == 0 && ret[n].e.off + ret[n].e.len > at.off)
			n++;
	}
	if (r < 0)
		return r;
	*ret_n = n;
	return 0;
}

int extent_walk(struct meta_tx *tx, uint64_t ino, uint64_t off,
	struct extent_of *ret, unsigned max, unsigned *ret_n,
	struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	unsigned n = 0;
	int r = meta_query(tx,
		"SELECT off, len, skip, chunk, ino FROM extent"
		" WHERE (ino, off) > (?1, ?2) ORDER BY ino, off LIMIT ?3",
		META_INTS((int64_t)ino, (int64_t)off, max), &s, err);

	while (r == 0 && n < max && (r = meta_step(tx, s, err)) > 0) {
		ret[n].ino = meta_u64(tx, s, 4);
		r = extent_load(tx, s, &ret[n].e, err);
		n += r == 0;
	}
	if (r < 0 && r != -EBADMSG)
		return r;
	*ret_n = n;
	return r < 0 ? r : 0;
}
