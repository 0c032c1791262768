#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/load.h"
#include "fs/merge_int.h"
#include "fs/node.h"
#include "fs/repack.h"

#define MERGE_GAIN 16u /* extents and chunks fewer: worth it */
#define MERGE_CHUNK (256u << 10) /* what a new one has, at least, or nearly */
#define MERGE_NEWS (MERGE_EXTENTS + BATCH_CHUNKS)

/* One region that is looked at, and its ranges one after the other. */
struct merge_job {
	struct merge *m;
	struct merge_at at;
	uint64_t from, end; /* of the region that is left to look at */
	uint32_t policy;
	unsigned n;
	struct extent_row row[MERGE_EXTENTS];
	unsigned first, upto; /* of the rows: the range */
	uint64_t bytes; /* of it */
	unsigned news;
	struct extent new[MERGE_NEWS];
	struct batch b;
	struct load load;
};

/* --- 1: is it worth it? --------------------------------------------------- */

/* Rows from j->from on. -ENOENT: of nothing that has a name. */
static int merge_rows(
	struct merge_job *j, struct meta_tx *tx, struct pluri_err *err)
{
	struct tree_attr a = {0};
	int r = tree_get(tx, j->at.ino, &a, err);

	if (r >= 0 && (a.nlink == 0 || !S_ISREG(a.mode)))
		r = -ENOENT;
	if (r >= 0)
		r = extent_read(tx, j->at.ino,
			(struct extent_span){j->from, j->end - j->from}, j->row,
			MERGE_EXTENTS, &j->n, err);
	j->policy = a.policy;
	return r;
}

static int merge_look(struct merge_job *j, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int r = meta_begin(j->m->v->meta, &tx, err);

	if (r < 0)
		return r;
	r = meta_end(tx, merge_rows(j, tx, err), err);
	/* What begins before it belongs to the region before. */
	j->upto = r >= 0 && j->n > 0 && j->row[0].e.off < j->from ? 1 : 0;
	j->first = j->upto;
	return r;
}

static int merge_order(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a;
	const uint64_t y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static unsigned merge_chunks(const struct merge_job *j)
{
	uint64_t num[MERGE_EXTENTS];
	const unsigned n = j->upto - j->first;
	unsigned chunks = 1;

	for (unsigned i = 0; i < n; i++)
		num[i] = j->row[j->first + i].e.chunk;
	qsort(num, n, sizeof(num[0]), merge_order);
	for (unsigned i = 1; i < n; i++)
		chunks += num[i] != num[i - 1];
	return chunks;
}

/* Extents and chunks that it has, against those it would have. */
static bool merge_worth(struct merge_job *j)
{
	const unsigned n = j->upto - j->first;
	unsigned runs = 1;
	unsigned has;
	unsigned gets;

	j->bytes = 0;
	for (unsigned i = j->first; i < j->upto; i++) {
		const struct extent *e = &j->row[i].e;

		runs += i > j->first &&
			e[0].off != j->row[i - 1].e.off + j->row[i - 1].e.len;
		j->bytes += e->len;
	}
	if (n < 2 || j->bytes >= (uint64_t)n * MERGE_SMALL)
		return false;
	has = n + merge_chunks(j);
	gets = runs + 2 * (unsigned)(j->bytes / MERGE_CHUNK) + 1;
	return has >= gets + MERGE_GAIN;
}

/* The next range of the rows that is: extents up to a large one, or the end. */
static bool merge_range(struct merge_job *j)
{
	while (j->upto < j->n) {
		while (j->upto < j->n && j->row[j->upto].e.len >= MERGE_LARGE)
			j->upto++;
		j->first = j->upto;
		while (j->upto < j->n && j->row[j->upto].e.len < MERGE_LARGE)
			j->upto++;
		if (j->upto > j->first && merge_worth(j))
			return true;
	}
	return false;
}

static uint64_t merge_from(const struct merge_job *j)
{
	return j->row[j->first].e.off;
}

static uint64_t merge_to(const struct merge_job *j)
{
	return j->row[j->upto - 1].e.off + j->row[j->upto - 1].e.len;
}

/* It would be written over at once: not now. */
static bool merge_dirty(const struct merge_job *j)
{
	struct nodes *nodes = j->m->v->nodes;
	struct node *n = node_peek(nodes, j->at.ino);
	const uint64_t len = merge_to(j) - merge_from(j);
	const uint8_t *data = NULL;
	uint64_t off = 0;
	size_t some = 0;
	bool dirty;

	if (!n)
		return false;
	(void)pthread_mutex_lock(&n->lock);
	dirty = dirty_next(&n->dirty, merge_from(j), len, &off, &some, &data) ||
		dirty_next(&n->flight, merge_from(j), len, &off, &some, &data);
	(void)pthread_mutex_unlock(&n->lock);
	node_unpin(nodes, n);
	return dirty;
}

/* --- 2: its bytes --------------------------------------------------------- */

static int merge_stop_asked(void *arg)
{
	return merge_stopped(arg);
}

static int merge_read(struct merge_job *j, struct pluri_err *err)
{
	uint8_t *to = batch_end(&j->b);
	int r = 0;

	/* Not as work in the background: a program may wait for one of these
	 * frames in the cache, and would give way to others with us. It is one
	 * request at a time. */
	j->load = (struct load){.v = j->m->v,
		.patience = {.stop = merge_stop_asked, .arg = j->m}};
	for (unsigned i = j->first; i < j->upto && r >= 0; i++) {
		const struct extent_row *row = &j->row[i];

		r = load_add(&j->load, &row->chunk, row->e.skip, row->e.len, to,
			err);
		to += row->e.len;
	}
	return r < 0 ? r : load_end(&j->load, err);
}

/* --- 3: stored anew ------------------------------------------------------- */

static int merge_cut(struct merge_job *j, struct pluri_err *err)
{
	const struct cdc *cdc = &j->b.pol.cdc;
	uint64_t at = 0;

	while (at < j->bytes) {
		const uint64_t left = j->bytes - at;
		const size_t want = left < cdc->max ? left : cdc->max;
		size_t len = cdc_cut(cdc, batch_end(&j->b), want);

		if (batch_room(&j->b) == 0)
			return pluri_fail(err, ENOTSUP, "too many chunks");
		len = len ? len : want;
		batch_add(&j->b, at, len);
		at += len;
	}
	return 0;
}

static void merge_new_add(struct merge_job *j, struct extent e)
{
	struct extent *last = j->news ? &j->new[j->news - 1] : NULL;

	if (last && last->off + last->len == e.off && last->chunk == e.chunk &&
		last->skip + last->len == e.skip)
		last->len += e.len;
	else
		j->new[j->news++] = e;
}

/* Each extent's part of each item; neighbours become one. */
static void merge_new_all(struct merge_job *j)
{
	uint64_t at = 0; /* among the copied bytes */
	unsigned item = 0;

	j->news = 0;
	for (unsigned i = j->first; i < j->upto; i++) {
		const struct extent *e = &j->row[i].e;

		for (uint32_t done = 0; done < e->len;) {
			const struct extent *c = &j->b.item[item].e;
			const uint32_t skip = (uint32_t)(at - c->off);
			uint32_t len = c->len - skip;

			len = len < e->len - done ? len : e->len - done;
			merge_new_add(j, (struct extent){e->off + done, len,
						 skip, item});
			done += len;
			at += len;
			item += skip + len == c->len;
		}
	}
}

static struct merge_copy *merge_keep(const struct merge_job *j)
{
	const unsigned olds = j->upto - j->first;
	struct merge_copy *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	*c = (struct merge_copy){.ino = j->at.ino,
		.region = j->at.region,
		.from = merge_from(j),
		.to = merge_to(j),
		.bytes = j->bytes,
		.began_ms = clock_mono_ms(clock_system()),
		.olds = olds,
		.news = j->news,
		.items = j->b.items,
		.dedup = j->b.dedup,
		.old = calloc(olds, sizeof(*c->old)),
		.new = calloc(j->news, sizeof(*c->new)),
		.item = calloc(j->b.items, sizeof(*c->item))};
	if (!c->old || !c->new || !c->item) {
		merge_switch_free(c);
		return NULL;
	}
	for (unsigned i = 0; i < olds; i++)
		c->old[i] = j->row[j->first + i].e;
	memcpy(c->new, j->new, j->news * sizeof(*c->new));
	memcpy(c->item, j->b.item, j->b.items * sizeof(*c->item));
	return c;
}

static int merge_store(struct merge_job *j, struct pluri_err *err)
{
	struct merge_copy *c;
	unsigned kept = 0;
	int r = batch_open(&j->b, j->m->v, j->policy, j->bytes, err);

	if (r >= 0 && !repack_well(j->m->v, j->b.pol.num))
		r = pluri_fail(err, EAGAIN, "a store is in trouble");
	if (r >= 0 && !merge_pace(j->m, j->bytes))
		r = pluri_fail(err, ECANCELED, "stopped");
	if (r >= 0)
		r = merge_read(j, err);
	if (r >= 0)
		r = merge_cut(j, err);
	if (r >= 0)
		r = batch_store(&j->b, &kept, err);
	batch_close(&j->b);
	if (r < 0)
		return r;
	merge_new_all(j);
	c = merge_keep(j);
	if (!c)
		return pluri_fail(err, ENOMEM, "merge: no memory");
	j->m->copy[j->m->copies++] = c;
	(void)pthread_mutex_lock(&j->m->lock);
	j->m->stats.copied_bytes += j->bytes;
	(void)pthread_mutex_unlock(&j->m->lock);
	return 0;
}

/* The ranges of the rows. *ret: how many are copied. */
static int merge_ranges(struct merge_job *j, unsigned *ret, bool *ret_busy,
	struct pluri_err *err)
{
	int r = 0;

	while (r >= 0 && j->m->copies < MERGE_COPIES && merge_range(j)) {
		if (merge_dirty(j)) {
			*ret_busy = true;
			continue;
		}
		r = merge_store(j, err);
		if (r < 0)
			continue;
		++*ret;
		merge_told(j->m, j->at, MERGE_COPIED);
	}
	return r;
}

int merge_copy_region(struct merge *m, struct merge_at at, bool *ret_busy,
	struct pluri_err *err)
{
	pluri_auto_mem struct merge_job *j = malloc(sizeof(*j));
	unsigned done = 0;
	int r = 0;

	*ret_busy = false;
	if (!j)
		return pluri_fail(err, ENOMEM, "merge: no memory");
	j->m = m;
	j->at = at;
	j->from = at.region * MERGE_REGION;
	j->end = j->from + MERGE_REGION;
	j->n = MERGE_EXTENTS;
	while (r >= 0 && j->from < j->end && j->n == MERGE_EXTENTS) {
		r = merge_look(j, err);
		if (r >= 0)
			r = merge_ranges(j, &done, ret_busy, err);
		if (r >= 0 && j->n > 0)
			j->from =
				j->row[j->n - 1].e.off + j->row[j->n - 1].e.len;
	}
	if (m->copies == MERGE_COPIES)
		merge_told(m, at, MERGE_REST);
	if (r == -ENOENT)
		r = 0;
	return r < 0 ? r : done > 0;
}
