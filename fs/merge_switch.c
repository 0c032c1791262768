#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/commit.h"
#include "fs/merge_int.h"
#include "meta/packs.h"

#define MERGE_PATIENCE_MS 600000u /* for packs to be stored */

void merge_switch_free(struct merge_copy *c)
{
	if (!c)
		return;
	free(c->old);
	free(c->new);
	free(c->item);
	free(c);
}

static bool merge_equal(const struct extent *a, const struct extent *b)
{
	return a->off == b->off && a->len == b->len && a->skip == b->skip &&
	       a->chunk == b->chunk;
}

/* Has the range the extents that were read, and no others? */
static int merge_still(
	const struct merge_copy *c, struct meta_tx *tx, struct pluri_err *err)
{
	struct extent now[MERGE_EXTENTS + 1];
	unsigned n = 0;
	bool same;
	int r = extent_list(tx, c->ino,
		(struct extent_span){c->from, c->to - c->from}, now,
		MERGE_EXTENTS + 1, &n, err);

	if (r < 0)
		return r;
	same = n == c->olds;
	for (unsigned i = 0; i < n && same; i++)
		same = merge_equal(&now[i], &c->old[i]);
	return same ? 0 : pluri_fail(err, ESTALE, "written to meanwhile");
}

/* -EAGAIN: not all of it is stored. */
static int merge_stored(
	struct meta_tx *tx, uint64_t pack, struct pluri_err *err)
{
	const int r = packs_full(tx, pack, err);

	return r == 0 ? pluri_fail(err, EAGAIN, "a pack lacks a shard") : r;
}

/* A chunk that was there already may be in any pack. */
static int merge_item_stored(
	struct meta_tx *tx, const struct batch_item *it, struct pluri_err *err)
{
	struct chunk_row row;
	const int r = chunks_get(tx, it->row.num, &row, err);

	return r < 0 ? r : merge_stored(tx, row.pack, err);
}

static int merge_replace(struct merge_copy *c, struct batch_item *item,
	struct extent *new, struct meta_tx *tx, struct pluri_err *err)
{
	int r = 0;

	for (unsigned i = 0; i < c->items && r >= 0; i++)
		if (item[i].fresh)
			r = merge_stored(tx, item[i].row.pack, err);
	if (r >= 0)
		r = merge_still(c, tx, err);
	if (r >= 0)
		r = batch_chunks(&c->dedup, item, c->items, tx, err);
	for (unsigned i = 0; i < c->items && r >= 0; i++)
		r = merge_item_stored(tx, &item[i], err);
	for (unsigned i = 0; i < c->news && r >= 0; i++)
		new[i].chunk = item[new[i].chunk].row.num;
	if (r >= 0)
		r = extent_write(tx, c->ino, new, c->news, err);
	/* Forgotten, or ended, or dead after a cut. */
	if (r == -ENOENT || r == -EBUSY)
		return -ESTALE;
	return r < 0 ? r : 0;
}

/* On copies of what may be needed once more: an undone bracket has been in
 * them. */
static int merge_switch_one(
	struct merge *m, struct merge_copy *c, struct pluri_err *err)
{
	pluri_auto_mem struct batch_item *item =
		calloc(c->items, sizeof(*item));
	pluri_auto_mem struct extent *new = calloc(c->news, sizeof(*new));
	struct meta_tx *tx = NULL;
	int r;

	if (!item || !new)
		return pluri_fail(err, ENOMEM, "merge: no memory");
	memcpy(item, c->item, c->items * sizeof(*item));
	memcpy(new, c->new, c->news * sizeof(*new));
	commit_enter(m->v->commit);
	r = meta_begin(m->v->meta, &tx, err);
	if (r >= 0)
		r = meta_end(tx, merge_replace(c, item, new, tx, err), err);
	commit_leave(m->v->commit);
	return r;
}

static void merge_done(struct merge *m, const struct merge_copy *c)
{
	(void)pthread_mutex_lock(&m->lock);
	m->stats.ranges++;
	m->stats.before += c->olds;
	m->stats.after += c->news;
	m->stats.bytes += c->bytes;
	(void)pthread_mutex_unlock(&m->lock);
}

int merge_switch_all(struct merge *m, struct pluri_err *err)
{
	const uint64_t now = clock_mono_ms(clock_system());
	unsigned keep = 0;
	int worst = 0;

	for (unsigned i = 0; i < m->copies; i++) {
		struct merge_copy *c = m->copy[i];
		int r = merge_switch_one(m, c, worst < 0 ? NULL : err);

		if (r == -EAGAIN && now < c->began_ms + MERGE_PATIENCE_MS) {
			m->copy[keep++] = c;
			continue;
		}
		if (r >= 0)
			merge_done(m, c);
		merge_told(m, (struct merge_at){c->ino, c->region},
			r < 0 ? MERGE_VAIN : MERGE_DONE);
		merge_switch_free(c);
		if (r < 0 && r != -EAGAIN && r != -ESTALE && worst == 0)
			worst = r;
	}
	m->copies = keep;
	return worst;
}
