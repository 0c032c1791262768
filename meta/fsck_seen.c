#include <errno.h>
#include <stdlib.h>

#include "meta/fsck_int.h"

size_t fsck_seen_find(const struct fsck_seen *s, uint64_t num)
{
	const uint64_t rel = num - s->base;
	size_t lo = 0;
	size_t hi = s->n;

	if (s->n == 0 || num < s->base || rel > s->rel[s->n - 1])
		return FSCK_NONE;
	while (lo < hi) {
		const size_t mid = lo + (hi - lo) / 2;

		if (s->rel[mid] < rel)
			lo = mid + 1;
		else
			hi = mid;
	}
	return s->rel[lo] == rel ? lo : FSCK_NONE;
}

void fsck_seen_add(uint32_t *to)
{
	if ((*to & FSCK_COUNT) < FSCK_COUNT)
		(*to)++;
}

static int seen_array(uint32_t **at, size_t cap)
{
	uint32_t *more = realloc(*at, cap * sizeof(*more));

	if (!more)
		return -ENOMEM;
	*at = more;
	return 0;
}

static int seen_grow(struct fsck_seen *s, struct pluri_err *err)
{
	size_t cap = s->cap ? s->cap + s->cap / 4 : 1024;
	int r;

	if (s->n < s->cap)
		return 0;
	cap = cap > s->max ? s->max : cap;
	r = seen_array(&s->rel, cap);
	if (r == 0)
		r = seen_array(&s->count, cap);
	if (r == 0 && s->kind == META_TOUCHED_INODE)
		r = seen_array(&s->more, cap);
	if (r < 0)
		return pluri_fail(
			err, ENOMEM, "check: no memory for %zu numbers", cap);
	s->cap = cap;
	return 0;
}

int fsck_seen_load(struct fsck_seen *s, uint64_t num, struct pluri_err *err)
{
	int r;

	if (s->n == 0)
		s->base = num;
	if (s->n == s->max || num - s->base > UINT32_MAX) {
		s->full = true;
		return 0;
	}
	r = seen_grow(s, err);
	if (r < 0)
		return r;
	s->rel[s->n] = (uint32_t)(num - s->base);
	s->count[s->n] = 0;
	if (s->more)
		s->more[s->n] = 0;
	s->n++;
	s->next = num;
	return 1;
}

void fsck_seen_reset(struct fsck_seen *s)
{
	for (size_t i = 0; i < s->n; i++) {
		s->count[i] &= FSCK_SETTLED;
		if (s->more)
			s->more[i] &= FSCK_GOOD | FSCK_BAD;
	}
}

void fsck_seen_clear(struct fsck_seen *s)
{
	free(s->rel);
	free(s->count);
	free(s->more);
	*s = (struct fsck_seen){.max = s->max};
}

uint64_t fsck_seen_memory(const struct fsck_seen *s)
{
	return s->cap * (s->more ? 3 : 2) * sizeof(uint32_t);
}

int fsck_seen_read(struct fsck *f, struct meta_tx *tx, const char *sql,
	bool *ret_more, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int took = 1;
	int r;

	if (!f->on && f->counting)
		f->key[0] = (int64_t)f->seen.next;
	r = fsck_query(f, tx, sql, 1, &s, err);
	while (r >= 0 && took > 0 && fsck_go(f) &&
		(r = meta_step(tx, s, err)) > 0) {
		f->key[0] = meta_int(tx, s, 0);
		fsck_took(f);
		if (f->key[0] > 0)
			took = fsck_seen_load(
				&f->seen, (uint64_t)f->key[0], err);
	}
	*ret_more = took > 0 && (r > 0 || !fsck_go(f));
	return took < 0 ? took : r;
}

void fsck_window(struct fsck *f, unsigned load, unsigned count)
{
	f->counting = true;
	if (f->unsettled && ++f->pass < FSCK_PASSES) {
		fsck_seen_reset(&f->seen);
		f->jump = count;
	} else {
		f->busy += f->unsettled;
		f->pass = 0;
		if (f->seen.full) {
			f->seen.full = false;
			f->seen.n = 0;
			f->jump = load;
		}
	}
	f->unsettled = 0;
}
