#include <errno.h>
#include <stdlib.h>

#include "base/work.h"
#include "chunker/encode.h"
#include "fs/cache.h"
#include "fs/load.h"
#include "fs/read.h"
#include "fs/repack.h"
#include "fs/trail.h"
#include "meta/extent.h"

#define READ_ROWS 32u /* extents asked for at once */
#define READ_THREADS 16u /* prefetches at once */
#define READ_WINDOW_MAX (48u << 20)
#define READ_APART (256u << 10) /* worth a request beside another */
#define READ_AGAIN 5u /* packs that vanish under one read */

struct reader {
	struct volume *v;
	struct work *pool;
	struct trails *trails;
	struct nearby *nearby;
	_Atomic bool stop;
	uint32_t window_max;
};

/* A range of the file that no dirty bytes cover. */
struct gap {
	uint64_t off, end;
};

struct read_plan {
	uint64_t size; /* of the file, then */
	bool stream; /* it goes on as others did */
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

/* --- putting it together ------------------------------------------------- */

/* What of a gap one extent holds; the file from off on goes to `to`. */
static int read_row(struct load *l, const struct extent_row *row,
	const struct gap *g, uint64_t off, uint8_t *to, struct pluri_err *err)
{
	const uint64_t end = row->e.off + row->e.len;
	const uint64_t a = row->e.off > g->off ? row->e.off : g->off;
	const uint64_t b = end < g->end ? end : g->end;

	if (a >= b)
		return 0;
	return load_add(l, &row->chunk,
		row->e.skip + (uint32_t)(a - row->e.off), (uint32_t)(b - a),
		to ? to + (a - off) : NULL, err);
}

static int read_fill(struct load *l, const struct read_plan *p, uint64_t off,
	uint8_t *to, struct pluri_err *err)
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
			r = read_row(l, &p->row[j], g, off, to, err);
	}
	return r < 0 ? r : load_end(l, err);
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
	uint64_t ino, off, end;
	bool alone; /* it goes in one request, or is not worth more */
};

static void read_ahead_submit(struct reader *rd, uint64_t ino, uint64_t off,
	uint64_t end, bool alone);

static int read_ahead_stop(void *arg)
{
	struct reader *rd = arg;

	return atomic_load(&rd->stop);
}

/*
 * What lies elsewhere, and is worth a request of its own, goes beside what is
 * before it, not after it. Asked for in the file's order.
 */
static void read_ahead_divide(struct ahead *a, const struct read_plan *p)
{
	const uint64_t end = a->end;
	uint64_t from = a->off;

	for (size_t i = 1; i < p->rows; i++) {
		const uint64_t at = p->row[i].e.off;

		if (at < from + READ_APART || at + READ_APART > end ||
			!load_apart(&p->row[i - 1].chunk, &p->row[i].chunk))
			continue;
		if (from == a->off)
			a->end = at;
		else
			read_ahead_submit(a->rd, a->ino, from, at, true);
		from = at;
	}
	if (from > a->off)
		read_ahead_submit(a->rd, a->ino, from, end, true);
}

/* Nobody waits for it: what fails now is for the read itself to retry. */
static void read_ahead_run(struct work_item *item)
{
	struct ahead *a = work_of(item, struct ahead, item);
	struct read_plan p = {0};
	struct load l = {.v = a->rd->v,
		.ahead = true,
		.patience = {.stop = read_ahead_stop, .arg = a->rd}};
	int r = atomic_load(&a->rd->stop) ? -ECANCELED : 0;

	if (r >= 0)
		r = read_rows(l.v, a->ino, a->off, a->end, &p, NULL);
	if (r >= 0 && !a->alone)
		read_ahead_divide(a, &p);
	for (size_t i = 0; i < p.rows && r >= 0; i++) {
		const struct gap g = {a->off, a->end};

		r = read_row(&l, &p.row[i], &g, 0, NULL, NULL);
	}
	if (r >= 0)
		(void)load_end(&l, NULL);
	read_plan_free(&p);
	free(a);
}

static void read_ahead_submit(
	struct reader *rd, uint64_t ino, uint64_t off, uint64_t end, bool alone)
{
	struct ahead *a = calloc(1, sizeof(*a));

	if (!a)
		return;
	*a = (struct ahead){{.run = read_ahead_run}, rd, ino, off, end, alone};
	work_submit(rd->pool, &a->item);
}

static void read_ahead_range(
	struct reader *rd, uint64_t ino, uint64_t off, uint64_t end)
{
	while (off < end) {
		const uint64_t upto =
			end - off > TRAIL_STEP_MAX ? off + TRAIL_STEP_MAX : end;

		read_ahead_submit(rd, ino, off, upto, false);
		off = upto;
	}
}

/*
 * What was prefetched and not read yet fills half of the cache at most; when
 * readers have left that much behind, windows are small until it is old and
 * goes. True: a stream, without gaps.
 */
static bool read_ahead(
	struct volume *v, uint64_t ino, uint64_t off, size_t len, uint64_t size)
{
	struct reader *rd = v->reader;
	struct trail_room room = {rd->window_max, v->config->memory / 2,
		clock_mono_ms(clock_system())};
	struct cache_stats stats;
	struct trail_step step;

	if (room.window < FRAME_PLAIN)
		return false; /* it would be gone before it is read */
	cache_stats(v->cache, &stats);
	if (stats.ahead > room.all && room.window > TRAIL_STEP_MIN)
		room.window = TRAIL_STEP_MIN;
	trail_note(rd->trails, ino, off, len, &room, &step);
	for (unsigned i = 0; i < step.count; i++) {
		const uint64_t from = step.from + i * (uint64_t)step.stride;
		const uint64_t upto = from + (step.upto - step.from);

		read_ahead_range(rd, ino, from, upto < size ? upto : size);
	}
	return step.on && step.stride == 0;
}

/* --- one read ------------------------------------------------------------- */

struct read_view {
	struct load l;
	uint8_t *own; /* a copy, if it must be one */
	unsigned n;
	struct iovec part[LOAD_FRAMES];
};

/* Is all of it in extents, and can all of their frames be held at once? */
static bool read_lends(const struct read_plan *p, uint64_t off, size_t len)
{
	const uint64_t end = off + len;
	uint64_t at = off;
	size_t frames = 0;
	size_t held = 0;

	if (p->gaps != 1 || p->gap->off != off || p->gap->end != end)
		return false;
	for (size_t i = 0; i < p->rows && at < end; i++) {
		const struct extent *e = &p->row[i].e;
		const uint64_t upto =
			e->off + e->len < end ? e->off + e->len : end;

		const uint64_t skip = e->skip + at - e->off;
		size_t more;

		if (e->off > at || upto <= at)
			return false;
		more = (skip + (upto - at) - 1) / FRAME_PLAIN -
		       skip / FRAME_PLAIN + 1;
		frames += more;
		held += more * (p->row[i].chunk.plain < FRAME_PLAIN
					       ? p->row[i].chunk.plain
					       : FRAME_PLAIN);
		at = upto;
	}
	return at >= end && frames <= LOAD_FRAMES && held <= LOAD_HELD_MAX;
}

static int read_lend(
	struct read_view *w, const struct read_plan *p, struct pluri_err *err)
{
	int r = 0;

	w->l.lend = true;
	for (size_t i = 0; i < p->rows && r >= 0; i++)
		r = read_row(&w->l, &p->row[i], p->gap, 0, NULL, err);
	if (r >= 0)
		r = load_end(&w->l, err);
	if (r >= 0)
		w->n = load_lent(&w->l, w->part);
	return r;
}

/* w: lend it, if that is possible; to->data is not touched then. */
static int read_once(struct volume *v, struct node *n,
	const struct read_ask *ask, uint64_t off, struct pluri_room *to,
	struct read_view *w, struct pluri_err *err)
{
	struct load l = {.v = v,
		.nearby = v->reader->nearby,
		.patience = {
			.again = true, .stop = ask->stop, .arg = ask->arg}};
	struct read_plan p = {0};
	size_t len = to->cap;
	int r = read_plan(v, n, off, &len, to->data, &p, err);

	if (r >= 0 && ask->ahead && p.gaps > 0 && off + len < p.size)
		p.stream = read_ahead(v, n->ino, off, len, p.size);
	l.stream = p.stream;
	if (r >= 0 && w && read_lends(&p, off, len)) {
		w->l = l;
		r = read_lend(w, &p, err);
	} else if (r >= 0) {
		r = read_fill(&l, &p, off, to->data, err);
	}
	if (r < 0 && r != -ECANCELED && repack_moved(v, p.row, p.rows))
		r = -ESTALE;
	read_plan_free(&p);
	if (r >= 0)
		to->len = len;
	return r;
}

/* A pack may go between the moment at which we learn that it has our bytes and
 * the moment at which we ask for them: they are in another one then. */
static int read_some(struct volume *v, struct node *n,
	const struct read_ask *ask, uint64_t off, struct pluri_room *to,
	struct read_view *w, struct pluri_err *err)
{
	int r = -ESTALE;

	for (unsigned i = 0; i < READ_AGAIN && r == -ESTALE; i++)
		r = read_once(v, n, ask, off, to, w, err);
	if (r == -ESTALE)
		return pluri_fail(err, EIO,
			"database: bytes of inode %llu at %llu are in a pack "
			"that it does not know; it is damaged",
			(unsigned long long)n->ino, (unsigned long long)off);
	return r;
}

int read_bytes(struct volume *v, struct node *n, const struct read_ask *ask,
	uint64_t off, struct pluri_room *to, struct pluri_err *err)
{
	return read_some(v, n, ask, off, to, NULL, err);
}

int read_view(struct volume *v, struct node *n, const struct read_ask *ask,
	struct extent_span at, struct read_view **ret, struct pluri_err *err)
{
	pluri_auto(read_view) w = malloc(sizeof(*w));
	struct pluri_room to = {.cap = at.len};
	int r;

	if (!w)
		return pluri_fail(err, ENOMEM, "no memory to read");
	w->l.n = 0;
	w->n = 0;
	w->own = to.data = malloc(at.len); /* not touched, as a rule */
	if (!w->own)
		return pluri_fail(err, ENOMEM, "no memory to read");
	r = read_some(v, n, ask, at.off, &to, w, err);
	if (r < 0)
		return r;
	if (w->n == 0 && to.len > 0) {
		w->part[0] = (struct iovec){to.data, to.len};
		w->n = 1;
	}
	*ret = pluri_steal(w);
	return 0;
}

const struct iovec *read_view_parts(const struct read_view *w, unsigned *ret_n)
{
	*ret_n = w->n;
	return w->part;
}

void read_view_free(struct read_view *w)
{
	if (!w)
		return;
	load_free(&w->l);
	free(w->own);
	free(w);
}

int reader_new(struct volume *v, struct reader **ret, struct pluri_err *err)
{
	const uint64_t memory = v->config->memory;
	struct reader *rd = calloc(1, sizeof(*rd));
	int r;

	if (!rd)
		return pluri_fail(err, ENOMEM, "reader: no memory");
	rd->v = v;
	rd->window_max = READ_WINDOW_MAX;
	if (memory / 8 * 3 < rd->window_max)
		rd->window_max = (uint32_t)(memory / 8 * 3);
	r = trails_new(&rd->trails, err);
	if (r >= 0 && memory / 16 >= NEARBY_MIN)
		r = nearby_new(memory / 16 < NEARBY_MAX
				       ? (uint32_t)(memory / 16)
				       : NEARBY_MAX,
			&rd->nearby, err);
	if (r >= 0)
		r = work_new(READ_THREADS, "prefetch", &rd->pool, err);
	if (r < 0) {
		nearby_free(rd->nearby);
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
	nearby_free(rd->nearby);
	trails_free(rd->trails);
	free(rd);
}
