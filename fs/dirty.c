#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/dirty.h"

#define DIRTY_ROUND 4096u

static uint64_t dirty_end(const struct dirty_piece *p)
{
	return p->off + p->len;
}

/* In debug builds: ascending, apart, within bounds, counted. */
static void dirty_check(const struct dirty *d)
{
#ifndef NDEBUG
	uint64_t bytes = 0;

	for (size_t i = 0; i < d->n; i++) {
		assert(d->piece[i].len > 0);
		assert(d->piece[i].len <= d->piece[i].cap);
		assert(i == 0 ||
			dirty_end(&d->piece[i - 1]) <= d->piece[i].off);
		bytes += d->piece[i].len;
		if (d->n > 64)
			return; /* the whole walk would be quadratic */
	}
	assert(bytes == d->bytes);
#else
	(void)d;
#endif
}

void dirty_free(struct dirty *d)
{
	for (size_t i = 0; i < d->n; i++)
		free(d->piece[i].data);
	free(d->piece);
	*d = (struct dirty){0};
}

/* Index of the first piece that ends behind off. */
static size_t dirty_find(const struct dirty *d, uint64_t off)
{
	size_t lo = 0;
	size_t hi = d->n;

	while (lo < hi) {
		const size_t mid = lo + (hi - lo) / 2;

		if (dirty_end(&d->piece[mid]) <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int dirty_insert(struct dirty *d, size_t at, struct dirty_piece p)
{
	if (d->n == d->cap) {
		const size_t cap = d->cap ? 2 * d->cap : 8;
		struct dirty_piece *more =
			realloc(d->piece, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		d->piece = more;
		d->cap = cap;
	}
	memmove(&d->piece[at + 1], &d->piece[at],
		(d->n - at) * sizeof(d->piece[0]));
	d->piece[at] = p;
	d->n++;
	d->bytes += p.len;
	return 0;
}

/* Pieces [at, upto) go, and are moved over once. */
static void dirty_remove(struct dirty *d, size_t at, size_t upto)
{
	if (at == upto)
		return;
	for (size_t i = at; i < upto; i++) {
		d->bytes -= d->piece[i].len;
		free(d->piece[i].data);
	}
	memmove(&d->piece[at], &d->piece[upto],
		(d->n - upto) * sizeof(d->piece[0]));
	d->n -= upto - at;
}

/* Lengthen the piece before a gap: what sequential writers do. */
static size_t dirty_extend(struct dirty *d, size_t at, uint64_t off,
	const uint8_t *data, size_t len)
{
	struct dirty_piece *p;
	uint32_t cap;
	uint8_t *more;

	if (at == 0 || dirty_end(&d->piece[at - 1]) != off)
		return 0;
	p = &d->piece[at - 1];
	if (len > DIRTY_PIECE - p->len)
		len = DIRTY_PIECE - p->len;
	if (len == 0)
		return 0;
	if (p->len + len > p->cap) {
		cap = p->cap;
		while (cap < p->len + len)
			cap *= 2;
		more = realloc(p->data, cap);
		if (!more)
			return 0;
		p->data = more;
		p->cap = cap;
	}
	memcpy(p->data + p->len, data, len);
	p->len += (uint32_t)len;
	d->bytes += len;
	return len;
}

/* Fill a gap in front of piece `at`. */
static int dirty_fill(struct dirty *d, size_t at, uint64_t off,
	const uint8_t *data, size_t len)
{
	const size_t taken = dirty_extend(d, at, off, data, len);

	off += taken;
	data += taken;
	len -= taken;
	while (len > 0) {
		struct dirty_piece p = {.off = off};
		int r;

		p.len = len < DIRTY_PIECE ? (uint32_t)len : DIRTY_PIECE;
		p.cap = (p.len + DIRTY_ROUND - 1) / DIRTY_ROUND * DIRTY_ROUND;
		p.data = malloc(p.cap);
		if (!p.data)
			return -ENOMEM;
		memcpy(p.data, data, p.len);
		r = dirty_insert(d, at, p);
		if (r < 0) {
			free(p.data);
			return r;
		}
		at++;
		off += p.len;
		data += p.len;
		len -= p.len;
	}
	return 0;
}

int dirty_write(
	struct dirty *d, uint64_t off, const void *data, size_t len, bool over)
{
	const uint8_t *from = data;

	while (len > 0) {
		const size_t at = dirty_find(d, off);
		struct dirty_piece *p = at < d->n ? &d->piece[at] : NULL;
		size_t step = len;
		int r;

		if (p && p->off <= off) { /* inside a piece */
			if (step > dirty_end(p) - off)
				step = dirty_end(p) - off;
			if (over)
				memcpy(p->data + (off - p->off), from, step);
		} else { /* a gap */
			if (p && step > p->off - off)
				step = p->off - off;
			r = dirty_fill(d, at, off, from, step);
			if (r < 0)
				return r;
		}
		off += step;
		from += step;
		len -= step;
	}
	dirty_check(d);
	return 0;
}

/* Cut [off, end) out of the middle of a piece: its tail becomes a new one. */
static int dirty_split(struct dirty *d, size_t at, uint64_t end)
{
	struct dirty_piece *p = &d->piece[at];
	const size_t tail = dirty_end(p) - end;
	struct dirty_piece q = {.off = end, .len = (uint32_t)tail};
	int r;

	q.cap = q.len;
	q.data = malloc(q.cap);
	if (!q.data)
		return -ENOMEM;
	memcpy(q.data, p->data + (end - p->off), tail);
	r = dirty_insert(d, at + 1, q);
	if (r < 0) {
		free(q.data);
		return r;
	}
	d->piece[at].len -= q.len;
	d->bytes -= q.len;
	return 0;
}

/* The part of piece `at` that [off, end) covers, which is not all of it. */
static int dirty_trim(struct dirty *d, size_t at, uint64_t off, uint64_t end)
{
	struct dirty_piece *p = &d->piece[at];
	uint32_t drop;

	if (dirty_end(p) > end) {
		const int r = dirty_split(d, at, end);

		if (r < 0)
			return r;
		p = &d->piece[at];
	}
	if (p->off >= off) { /* only its tail was to stay */
		dirty_remove(d, at, at + 1);
		return 0;
	}
	drop = (uint32_t)(dirty_end(p) - off);
	p->len -= drop;
	d->bytes -= drop;
	return 0;
}

int dirty_punch(struct dirty *d, uint64_t off, uint64_t len)
{
	const uint64_t end = len > UINT64_MAX - off ? UINT64_MAX : off + len;
	size_t at = dirty_find(d, off);
	size_t upto;
	int r = 0;

	if (at < d->n && d->piece[at].off < off) {
		r = dirty_trim(d, at, off, end);
		at++;
	}
	for (upto = at; upto < d->n && dirty_end(&d->piece[upto]) <= end;)
		upto++;
	dirty_remove(d, at, upto);
	if (r >= 0 && at < d->n && d->piece[at].off < end)
		r = dirty_trim(d, at, off, end);
	dirty_check(d);
	return r;
}

bool dirty_next(const struct dirty *d, uint64_t off, uint64_t len,
	uint64_t *ret_off, size_t *ret_len, const uint8_t **ret_data)
{
	const size_t at = dirty_find(d, off);
	const struct dirty_piece *p;
	uint64_t from;
	uint64_t to;

	if (at == d->n || len == 0)
		return false;
	p = &d->piece[at];
	from = p->off > off ? p->off : off;
	to = dirty_end(p);
	if (from >= off + len)
		return false;
	if (to > off + len)
		to = off + len;
	*ret_off = from;
	*ret_len = to - from;
	*ret_data = p->data + (from - p->off);
	return true;
}

int dirty_copy(const struct dirty *d, uint64_t off, size_t len, uint8_t *to)
{
	while (len > 0) {
		const uint8_t *data = NULL;
		uint64_t at = off;
		size_t step = 0;

		if (!dirty_next(d, off, len, &at, &step, &data) || at != off)
			return -EIO;
		memcpy(to, data, step);
		off += step;
		to += step;
		len -= step;
	}
	return 0;
}

uint64_t dirty_run(const struct dirty *d, uint64_t off, uint64_t *ret_off)
{
	size_t at = dirty_find(d, off);
	uint64_t end;

	if (at == d->n)
		return 0;
	*ret_off = d->piece[at].off > off ? d->piece[at].off : off;
	end = dirty_end(&d->piece[at]);
	while (++at < d->n && d->piece[at].off == end)
		end = dirty_end(&d->piece[at]);
	return end - *ret_off;
}

uint64_t dirty_upto(const struct dirty *d)
{
	return d->n ? dirty_end(&d->piece[d->n - 1]) : 0;
}

int dirty_under(struct dirty *to, struct dirty *from)
{
	if (to->n == 0) {
		struct dirty empty = *to;

		*to = *from;
		*from = empty;
		return 0;
	}
	while (from->n > 0) {
		const struct dirty_piece *p = &from->piece[from->n - 1];
		const int r = dirty_write(to, p->off, p->data, p->len, false);

		if (r < 0)
			return r;
		dirty_remove(from, from->n - 1, from->n);
	}
	dirty_free(from);
	return 0;
}
