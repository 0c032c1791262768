#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "meta/extent_int.h"

int extent_list(struct meta_tx *tx, uint64_t ino, struct extent_span at,
	struct extent *ret, unsigned max, unsigned *ret_n,
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
		"SELECT off, len, skip, chunk FROM extent WHERE ino = ?1"
		" AND off >= COALESCE((SELECT p.off FROM extent p WHERE"
		" p.ino = ?1 AND p.off <= ?2 ORDER BY p.off DESC LIMIT 1), 0)"
		" AND off < ?3 ORDER BY off",
		META_INTS((int64_t)ino, (int64_t)at.off, (int64_t)end), &s,
		err);
	while (r == 0 && n < max) {
		r = extent_one(tx, s, &ret[n], err);
		if (r <= 0)
			break;
		if (ret[n].off + ret[n].len > at.off)
			n++;
		r = 0;
	}
	if (r < 0)
		return r;
	*ret_n = n;
	return 0;
}

static int extent_clone_check(
	struct meta_tx *tx, const struct extent_copy *c, struct pluri_err *err)
{
	const uint64_t top = INT64_MAX;
	const uint64_t apart = c->from_off < c->to_off
				       ? c->to_off - c->from_off
				       : c->from_off - c->to_off;

	if (c->len > top || c->from_off > top - c->len ||
		c->to_off > top - c->len)
		return pluri_fail(err, EINVAL,
			"a range of %" PRIu64 " bytes passes the largest file",
			c->len);
	if (c->from == c->to && apart < c->len)
		return pluri_fail(err, EINVAL,
			"inode %" PRIu64 ": a range would be copied over "
			"itself",
			c->from);
	return extent_alive(tx, c->to, c->to_off + c->len, err);
}

/* What of e lies in the source's range, where it goes to; false: nothing. */
static bool extent_clone_piece(
	const struct extent_copy *c, const struct extent *e, struct extent *ret)
{
	const uint64_t end = c->from_off + c->len;
	const uint64_t a = e->off > c->from_off ? e->off : c->from_off;
	const uint64_t b = e->off + e->len < end ? e->off + e->len : end;

	if (a >= b)
		return false;
	*ret = (struct extent){.off = c->to_off + (a - c->from_off),
		.len = (uint32_t)(b - a),
		.skip = e->skip + (uint32_t)(a - e->off),
		.chunk = e->chunk};
	return true;
}

int extent_clone(struct meta_tx *tx, const struct extent_copy *copy,
	unsigned limit, uint64_t *ret_done, struct pluri_err *err)
{
	struct extent_copy c = *copy;
	struct extent_cut cut = {.tx = tx, .ino = c.to, .from = c.to_off};
	struct extent e[EXTENT_STEP];
	unsigned got = 0;
	unsigned n = 0;
	int r = extent_clone_check(tx, &c, err);

	assert(limit > 0 && limit <= EXTENT_STEP);
	if (r < 0 || c.len == 0) {
		*ret_done = r < 0 ? *ret_done : 0;
		return r;
	}
	r = extent_list(tx, c.from, (struct extent_span){c.from_off, c.len}, e,
		limit, &got, err);
	if (r < 0)
		return r;
	if (got == limit && e[got - 1].off + e[got - 1].len - c.from_off <
				    c.len) /* the rest is not known */
		c.len = e[got - 1].off + e[got - 1].len - c.from_off;
	cut.to = c.to_off + c.len;
	r = extent_bound(&cut, limit, &cut.to, err);
	c.len = cut.to - c.to_off;
	for (unsigned i = 0; i < got; i++)
		n += extent_clone_piece(&c, &e[i], &e[n]);
	if (r == 0)
		r = extent_put(&cut, e, n, err);
	if (r == 0)
		r = extent_count(tx, c.to, -cut.freed, err);
	if (r < 0)
		return r;
	*ret_done = c.len;
	return 0;
}
