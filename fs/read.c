#include <errno.h>
#include <stdlib.h>

#include "base/work.h"
#include "chunker/encode.h"
#include "fs/cache.h"
#include "fs/fetch.h"
#include "fs/read.h"
#include "fs/trail.h"
#include "meta/extent.h"

#define READ_ROWS 32u /* extents asked for at once */
#define READ_THREADS 16u /* prefetches at once */
#define READ_AHEAD (1u << 20) /* bytes of one prefetch */
#define READ_WINDOW_MAX (16u << 20)

struct reader {
	struct volume *v;
	struct work *pool;
	struct trails *trails;
	_Atomic bool stop;
	uint32_t window_max;
};

/* A range of the file that no dirty bytes cover. */
struct gap {
	uint64_t off, end;
};

struct read_plan {
	uint64_t size; /* of the file, then */
	struct gap *gap;
	size_t gaps, gap_cap;
	struct extent_row *row;
	size_t rows, row_cap;
};

static void read_plan_free(struct read_plan *p)
{
	free(p->gap);
	free(p->row);
}

static int read_gap(struct read_plan *p, uint64_t off, uint64_t end)
{
	struct gap *more;

	if (p->gaps == p->gap_cap) {
		p->gap_cap = p->gap_cap ? 2 * p->gap_cap : 8;
		more = realloc(p->gap, p->gap_cap * sizeof(*more));
		if (!more)
			return -ENOMEM;
		p->gap = more;
	}
	p->gap[p->gaps++] = (struct gap){off, end};
	return 0;
}

/*
 * Copy what is dirty, newer over older, and note the gaps; with node->lock
 * held, so that it fits the extents that are asked for next.
 */
static int read_dirty(struct node *n, uint64_t off, uint64_t end, uint8_t *to,
	struct read_plan *p)
{
	uint64_t pos = off;

	while (pos < end) {
		const uint8_t *new_data = NULL;
		const uint8_t *old_data = NULL;
		uint64_t new_off = end;
		uint64_t old_off = end;
		size_t new_len = 0;
		size_t old_len = 0;
		uint64_t step;

		(void)dirty_next(&n->dirty, pos, end - pos, &new_off, &new_len,
			&new_data);
		(void)dirty_next(&n->flight, pos, end - pos, &old_off, &old_len,
			&old_data);
		if (new_off == pos && new_len > 0) {
			step = new_len;
			memcpy(to + (pos - off), new_data, step);
		} else if (old_off == pos && old_len > 0) {
			step = old_len < new_off - pos ? old_len
						       : new_off - pos;
			memcpy(to + (pos - off), old_data, step);
		} else {
			step = (new_off < old_off ? new_off : old_off) - pos;
			if (read_gap(p, pos, pos + step) < 0)
				return -ENOMEM;
		}
		pos += step;
	}
	return 0;
}

static int read_rows(struct volume *v, uint64_t ino, uint64_t off, uint64_t end,
	struct read_plan *p, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	unsigned got = READ_ROWS;
	int r = meta_begin(v->meta, &tx, err);

	if (r < 0)
		return r;
	while (off < end && got == READ_ROWS && r >= 0) {
		struct extent_row *more =
			realloc(p->row, (p->rows + READ_ROWS) * sizeof(*more));

		if (!more) {
			r = pluri_fail(err, ENOMEM, "no memory to read");
			break;
		}
		p->row = more;
		r = extent_read(tx, ino, (struct extent_span){off, end - off},
			p->row + p->rows, READ_ROWS, &got, err);
		if (r < 0 || got == 0)
			break;
		p->rows += got;
		off = p->row[p->rows - 1].e.off + p->row[p->rows - 1].e.len;
	}
	return meta_end(tx, r, err);
}

/* --- frames -------------------------------------------------------------- */

static uint32_t read_frame_plain(const struct chunk_row *c, uint32_t frame)
{
	const uint32_t left = c->plain - frame * FRAME_PLAIN;

	return left < FRAME_PLAIN ? left : FRAME_PLAIN;
}

/* Frames of one chunk, pinned. */
struct pins {
	uint32_t first, n;
	struct cache_frame *frame[FRAMES_MAX];
	bool owner[FRAMES_MAX];
};

static void read_unpin(struct volume *v, struct pins *p)
{
	for (uint32_t i = 0; i < p->n; i++)
		cache_unpin(v->cache, p->frame[i]);
	p->n = 0;
}

static int read_pin(struct volume *v, const struct chunk_row *c, uint32_t first,
	uint32_t last, struct pins *p)
{
	p->first = first;
	p->n = 0;
	for (uint32_t i = first; i <= last; i++) {
		const int r =
			cache_pin(v->cache, c->num, i, read_frame_plain(c, i),
				&p->frame[p->n], &p->owner[p->n]);

		if (r < 0)
			return r;
		p->n++;
	}
	return 0;
}

/* Bytes of one chunk. */
struct read_want {
	const struct chunk_row *chunk;
	uint32_t off, len;
	uint8_t *to; /* NULL: into the cache is enough */
	struct fetch_patience patience;
};

/* Load owned neighbours [at, at + n) with one fetch. */
static int read_load_run(struct volume *v, const struct read_want *w,
	struct pins *p, uint32_t at, uint32_t n)
{
	uint8_t *to[FRAMES_MAX];
	uint32_t len[FRAMES_MAX];
	struct pluri_err err = {0};
	int r;

	for (uint32_t i = 0; i < n; i++)
		to[i] = cache_room(p->frame[at + i]);
	r = fetch_frames(v,
		&(struct fetch_want){.chunk = w->chunk,
			.first = p->first + at,
			.count = n,
			.to = to,
			.ret_len = len,
			.patience = w->patience},
		&err);
	for (uint32_t i = 0; i < n; i++)
		if (r < 0)
			cache_failed(v->cache, p->frame[at + i], &err);
		else
			cache_ready(v->cache, p->frame[at + i], len[i]);
	return r;
}

/* Ends every load that is the caller's. How it went is in the frames, but for
 * -ECANCELED, which is the caller's alone. */
static int read_load(
	struct volume *v, const struct read_want *w, struct pins *p)
{
	int r = 0;

	for (uint32_t at = 0; at < p->n;) {
		uint32_t n = 0;

		while (at + n < p->n && p->owner[at + n])
			n++;
		if (n > 0 && read_load_run(v, w, p, at, n) == -ECANCELED)
			r = -ECANCELED;
		at += n ? n : 1;
	}
	return r;
}

/* A pin that fails half-way leaves owned frames that others wait for. */
static void read_abandon(struct volume *v, struct pins *p)
{
	struct pluri_err err = {0};

	(void)pluri_fail(&err, ENOMEM, "no memory to read");
	for (uint32_t i = 0; i < p->n; i++)
		if (p->owner[i])
			cache_failed(v->cache, p->frame[i], &err);
	read_unpin(v, p);
}

/* What the caller wants of the frame at pin i, once it is there. */
static int read_frame(struct volume *v, const struct read_want *w,
	const struct pins *p, uint32_t i, struct pluri_err *err)
{
	const uint32_t base = (p->first + i) * FRAME_PLAIN;
	const uint32_t from = w->off > base ? w->off - base : 0;
	uint32_t upto = w->off + w->len - base;
	uint32_t have = 0;
	const uint8_t *bytes;
	int r = cache_wait(
		v->cache, p->frame[i], w->patience.stop, w->patience.arg, err);

	if (r < 0)
		return r;
	bytes = cache_bytes(p->frame[i], &have);
	if (upto > FRAME_PLAIN)
		upto = FRAME_PLAIN;
	if (upto > have)
		return pluri_fail(err, EIO, "a frame is shorter than recorded");
	if (w->to)
		memcpy(w->to + (base + from - w->off), bytes + from,
			upto - from);
	return 0;
}

/* *ret_theirs: a load that failed was another reader's. */
static int read_chunk_once(struct volume *v, const struct read_want *w,
	bool *ret_theirs, struct pluri_err *err)
{
	struct pins p;
	int r = read_pin(v, w->chunk, w->off / FRAME_PLAIN,
		(w->off + w->len - 1) / FRAME_PLAIN, &p);

	*ret_theirs = false;
	if (r < 0) {
		read_abandon(v, &p);
		return pluri_fail(err, -r, "no memory to read");
	}
	r = read_load(v, w, &p);
	if (r < 0)
		(void)pluri_fail(err, -r, "the read was interrupted");
	for (uint32_t i = 0; i < p.n && r >= 0; i++) {
		r = read_frame(v, w, &p, i, err);
		*ret_theirs = !p.owner[i];
	}
	read_unpin(v, &p);
	return r;
}

/*
 * A load that began long ago may fail for what has healed since: who joined it
 * late, and so has time left, asks anew. And always when its loader just gave
 * up, which says nothing of the bytes (-EAGAIN, fs/cache.h).
 */
static int read_chunk(
	struct volume *v, struct read_want *w, struct pluri_err *err)
{
	const uint64_t now = clock_mono_ms(clock_system());
	const uint64_t soon = now + v->config->timeout_ms;
	bool theirs = false;
	int r;

	w->patience.began_ms = now;
	do {
		r = read_chunk_once(v, w, &theirs, err);
		if (r >= 0 || r == -ECANCELED || !theirs || !w->patience.again)
			return r;
	} while (r == -EAGAIN || clock_mono_ms(clock_system()) < soon);
	return r;
}

/* --- putting it together ------------------------------------------------- */

/* What of a gap one extent holds. */
static int read_row(struct volume *v, const struct read_ask *ask,
	const struct extent_row *row, const struct gap *g, uint64_t off,
	uint8_t *to, struct pluri_err *err)
{
	const uint64_t end = row->e.off + row->e.len;
	const uint64_t a = row->e.off > g->off ? row->e.off : g->off;
	const uint64_t b = end < g->end ? end : g->end;
	struct read_want w = {.chunk = &row->chunk,
		.patience = {
			.again = true, .stop = ask->stop, .arg = ask->arg}};

	if (a >= b)
		return 0;
	w.off = row->e.skip + (uint32_t)(a - row->e.off);
	w.len = (uint32_t)(b - a);
	w.to = to + (a - off);
	return read_chunk(v, &w, err);
}

static int read_fill(struct volume *v, const struct read_ask *ask,
	const struct read_plan *p, uint64_t off, uint8_t *to,
	struct pluri_err *err)
{
	size_t row = 0;
	int r = 0;

	for (size_t i = 0; i < p->gaps && r >= 0; i++) {
		const struct gap *g = &p->gap[i];

		memset(to + (g->off - off), 0, g->end - g->off);
		while (row < p->rows &&
			p->row[row].e.off + p->row[row].e.len <= g->off)
			row++;
		for (size_t j = row;
			j < p->rows && r >= 0 && p->row[j].e.off < g->end; j++)
			r = read_row(v, ask, &p->row[j], g, off, to, err);
	}
	return r;
}

static int read_plan(struct volume *v, struct node *n, uint64_t off,
	size_t *len, uint8_t *to, struct read_plan *p, struct pluri_err *err)
{
	int r;

	(void)pthread_mutex_lock(&n->lock);
	r = node_know(v, n, err);
	if (r >= 0) {
		p->size = n->size;
		if (off >= n->size)
			*len = 0;
		else if (*len > n->size - off)
			*len = n->size - off;
		r = read_dirty(n, off, off + *len, to, p);
		if (r < 0)
			(void)pluri_fail(err, ENOMEM, "no memory to read");
	}
	if (r >= 0 && p->gaps > 0)
		r = read_rows(v, n->ino, p->gap[0].off, p->gap[p->gaps - 1].end,
			p, err);
	(void)pthread_mutex_unlock(&n->lock);
	return r;
}

/* --- prefetch ------------------------------------------------------------ */

struct ahead {
	struct work_item item;
	struct reader *rd;
	uint64_t ino, off;
};

static int read_ahead_stop(void *arg)
{
	struct reader *rd = arg;

	return atomic_load(&rd->stop);
}

/* Nobody waits for it: what fails now is for the read itself to retry. */
static void read_ahead_run(struct work_item *item)
{
	struct ahead *a = work_of(item, struct ahead, item);
	struct read_plan p = {0};
	struct volume *v = a->rd->v;
	int r = atomic_load(&a->rd->stop) ? -ECANCELED : 0;

	if (r >= 0)
		r = read_rows(v, a->ino, a->off, a->off + READ_AHEAD, &p, NULL);
	for (size_t i = 0; i < p.rows && r >= 0; i++) {
		const struct extent *e = &p.row[i].e;
		struct read_want w = {.chunk = &p.row[i].chunk,
			.off = e->skip,
			.len = e->len,
			.patience = {.stop = read_ahead_stop, .arg = a->rd}};

		/* A chunk belongs to the prefetch in which it begins. */
		if (e->off >= a->off)
			r = read_chunk(v, &w, NULL);
	}
	read_plan_free(&p);
	free(a);
}

static void read_ahead(
	struct volume *v, uint64_t ino, uint64_t off, size_t len, uint64_t size)
{
	struct reader *rd = v->reader;
	struct trail_step step;

	trail_note(
		rd->trails, ino, off, len, READ_AHEAD, rd->window_max, &step);
	while (step.from < step.upto && step.from < size) {
		struct ahead *a = calloc(1, sizeof(*a));

		if (!a)
			break;
		a->rd = rd;
		a->ino = ino;
		a->off = step.from;
		a->item.run = read_ahead_run;
		work_submit(rd->pool, &a->item);
		step.from += READ_AHEAD;
	}
}

int read_bytes(struct volume *v, struct node *n, const struct read_ask *ask,
	uint64_t off, struct pluri_room *to, struct pluri_err *err)
{
	struct read_plan p = {0};
	size_t len = to->cap;
	int r = read_plan(v, n, off, &len, to->data, &p, err);

	if (r >= 0 && ask->ahead && p.gaps > 0 && off + len < p.size)
		read_ahead(v, n->ino, off, len, p.size);
	if (r >= 0)
		r = read_fill(v, ask, &p, off, to->data, err);
	read_plan_free(&p);
	if (r < 0)
		return r;
	to->len = len;
	return 0;
}

int reader_new(struct volume *v, struct reader **ret, struct pluri_err *err)
{
	struct reader *rd = calloc(1, sizeof(*rd));
	int r;

	if (!rd)
		return pluri_fail(err, ENOMEM, "reader: no memory");
	rd->v = v;
	rd->window_max = READ_WINDOW_MAX;
	if (v->config->memory / 4 < rd->window_max)
		rd->window_max = (uint32_t)(v->config->memory / 4);
	r = trails_new(&rd->trails, err);
	if (r >= 0)
		r = work_new(READ_THREADS, "prefetch", &rd->pool, err);
	if (r < 0) {
		trails_free(rd->trails);
		free(rd);
		return r;
	}
	*ret = rd;
	return 0;
}

void reader_free(struct reader *rd)
{
	if (!rd)
		return;
	atomic_store(&rd->stop, true);
	work_free(rd->pool);
	trails_free(rd->trails);
	free(rd);
}
