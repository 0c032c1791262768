#include <errno.h>
#include <stdlib.h>

#include "fs/batch.h"
#include "fs/commit.h"
#include "fs/flush.h"
#include "fs/merge.h"
#include "fs/trim.h"

#define FLUSH_TRIES 8u /* while what it relies on is collected */

struct flush {
	struct volume *v;
	struct node *n;
	uint64_t done; /* bytes recorded */
	bool whole; /* keep no tail */
	bool grows; /* the run was cut before: somebody streams */
	size_t ahead; /* bytes of the run that lie behind the items already */
	struct batch b;
};

/* Chunks, extents, size and times in one bracket; the node is locked. */
static int flush_rows(struct flush *f, struct meta_tx *tx, uint64_t size,
	struct pluri_err *err)
{
	struct tree_attr a = {0};
	int r = tree_get(tx, f->n->ino, &a, err);

	if (r >= 0)
		r = batch_rows(&f->b, tx, f->n->ino, err);
	if (r < 0)
		return r;
	a.size = size > a.size ? size : a.size;
	a.atime_ns = f->n->atime_ns;
	a.mtime_ns = f->n->mtime_ns;
	/* A link or chmod since then may have set a later one. */
	if (f->n->ctime_ns > a.ctime_ns)
		a.ctime_ns = f->n->ctime_ns;
	return tree_set(tx,
		TREE_SET_SIZE | TREE_SET_ATIME | TREE_SET_MTIME |
			TREE_SET_CTIME,
		&a, err);
}

/* What is recorded leaves memory. Between the first of a batch and the last
 * there is nothing else. */
static int flush_landed(struct flush *f, struct pluri_err *err)
{
	const uint64_t from = f->b.items ? f->b.item[0].e.off : 0;
	const int r =
		dirty_punch(&f->n->flight, from, batch_upto(&f->b) - from);

	if (r < 0) /* recorded all the same; it goes once more */
		return pluri_fail(err, -r, "flush: no memory");
	f->done += batch_bytes(&f->b);
	return 0;
}

/*
 * Record the batch and take its bytes out of memory, at once for readers.
 * last: nothing else is to come, so the size may be the whole file's. -ESTALE:
 * the batch is as it was.
 */
static int flush_record(struct flush *f, bool last, struct pluri_err *err)
{
	const struct batch *b = &f->b;
	struct meta_tx *tx = NULL;
	uint64_t size = batch_upto(b);
	int r = batch_stable(b, err);

	if (r < 0) {
		batch_clear(&f->b);
		f->ahead = 0;
		return r;
	}
	commit_enter(f->v->commit);
	(void)pthread_mutex_lock(&f->n->lock);
	/* Not the size of bytes that are newer and not recorded yet: after a
	 * crash they would read as zeros. */
	if (last && f->n->dirty.bytes == 0 && f->n->size > size)
		size = f->n->size;
	r = meta_begin(f->v->meta, &tx, err);
	if (r >= 0)
		r = meta_end(tx, flush_rows(f, tx, size, err), err);
	if (r >= 0)
		batch_owe(b, &f->n->owing);
	if (r >= 0) {
		merge_note(f->v, f->n->ino, b);
		r = flush_landed(f, err);
	}
	if (r >= 0)
		node_recorded(f->v->nodes, f->n);
	if (r >= 0 && last && f->n->dirty.bytes == 0)
		f->n->attr_dirty = false;
	(void)pthread_mutex_unlock(&f->n->lock);
	commit_leave(f->v->commit);
	if (r == -ESTALE)
		return r;
	batch_clear(&f->b);
	f->ahead = 0;
	return r;
}

static int flush_try(struct flush *f, bool last, struct pluri_err *err)
{
	unsigned kept = 0;
	int r = 0;

	if (f->b.items > 0)
		r = batch_store(&f->b, &kept, err);
	if (r >= 0)
		return flush_record(f, last, err);
	/* On a full disk, what was appended counts: the next try must not
	 * need the same room again. */
	batch_keep(&f->b, kept);
	if (kept > 0)
		(void)flush_record(f, false, NULL);
	return r;
}

/*
 * A chunk that nothing refers to may be forgotten after it was found, and a
 * pack end after it was written to (fs/repack.h): then all is asked anew.
 */
static int flush_batch(struct flush *f, bool last, struct pluri_err *err)
{
	int r = flush_try(f, last, err);

	for (unsigned i = 1; r == -ESTALE && i < FLUSH_TRIES; i++) {
		batch_again(&f->b);
		r = flush_try(f, last, err);
	}
	return r;
}

/*
 * One chunk of the run at off (left bytes to its end). *ret_len is 0 when it is
 * a tail without a cut, which is better kept for later.
 */
static int flush_cut(struct flush *f, uint64_t off, uint64_t left,
	size_t *ret_len, struct pluri_err *err)
{
	const struct cdc *cdc = &f->b.pol.cdc;
	const size_t want = left < cdc->max ? left : cdc->max;
	uint8_t *at;
	size_t len;
	int r;

	if (want > batch_room(&f->b)) {
		r = flush_batch(f, false, err);
		if (r < 0)
			return r;
	}
	at = batch_end(&f->b);
	if (want > f->ahead && dirty_copy(&f->n->flight, off + f->ahead,
				       want - f->ahead, at + f->ahead) < 0)
		return pluri_fail(err, EIO, "a dirty range has a hole");
	len = cdc_cut(cdc, at, want);
	*ret_len = 0;
	if (len == 0 && f->grows && !f->whole)
		return 0;
	if (len == 0)
		len = want;
	if (!f->grows && len == left)
		batch_join(&f->b, off, len);
	else
		batch_add(&f->b, off, len);
	f->ahead = want - len;
	*ret_len = len;
	return 0;
}

/* 1: its tail is kept. */
static int flush_run(
	struct flush *f, uint64_t off, uint64_t left, struct pluri_err *err)
{
	f->ahead = 0;
	f->grows = false;
	while (left > 0) {
		size_t len = 0;
		const int r = flush_cut(f, off, left, &len, err);

		if (r < 0)
			return r;
		if (len == 0)
			return 1;
		f->grows = true;
		off += len;
		left -= len;
	}
	return 0;
}

static int flush_runs(struct flush *f, struct pluri_err *err)
{
	uint64_t off = 0;
	uint64_t left = dirty_run(&f->n->flight, 0, &off);
	bool kept = false;

	while (left > 0) {
		int r = flush_run(f, off, left, err);

		if (r == 1) { /* a batch leaves out nothing on its way */
			kept = true;
			r = flush_batch(f, false, err);
		}
		if (r < 0)
			return r;
		off += left;
		left = dirty_run(&f->n->flight, off, &off);
	}
	return flush_batch(f, !kept, err);
}

static int flush_open(struct flush *f, struct pluri_err *err)
{
	const uint64_t bytes = f->n->flight.bytes;
	uint32_t policy;

	(void)pthread_mutex_lock(&f->n->lock);
	policy = f->n->policy;
	(void)pthread_mutex_unlock(&f->n->lock);
	return batch_open(&f->b, f->v, policy, bytes, err);
}

/* Put flight under dirty. Returns how many bytes were hidden by newer ones. */
static uint64_t flush_merge(struct node *n, int *ret)
{
	const uint64_t before = n->dirty.bytes + n->flight.bytes;
	uint64_t after;

	*ret = dirty_under(&n->dirty, &n->flight);
	after = n->dirty.bytes + n->flight.bytes;
	return after < before ? before - after : 0;
}

/*
 * Take the dirty ranges into flight: 1 when there is something to do, 2 when
 * they go where old extents are to be removed first. While there is a flush no
 * cut can begin.
 */
static int flush_take(struct volume *v, struct node *n, uint64_t *ret_done,
	struct pluri_err *err)
{
	int blocked = 0;
	int r = 0;

	(void)pthread_mutex_lock(&n->lock);
	while (n->flushing)
		(void)pthread_cond_wait(&n->idle, &n->lock);
	if (n->flight.bytes)
		*ret_done += flush_merge(n, &r);
	if (r < 0)
		(void)pluri_fail(err, -r, "flush: no memory");
	else
		blocked = trim_blocks(v, n->ino, dirty_upto(&n->dirty), err);
	if (blocked != 0)
		r = blocked < 0 ? blocked : 2;
	if (r == 0 && (n->dirty.bytes || n->attr_dirty)) {
		dirty_free(&n->flight);
		n->flushing = true;
		n->flight = n->dirty;
		n->dirty = (struct dirty){0};
		atomic_store(&n->due_ms, 0);
		n->fresh_ms = 0;
		r = 1;
	}
	(void)pthread_mutex_unlock(&n->lock);
	return r;
}

static int flush_begin(struct volume *v, struct node *n, uint64_t *ret_done,
	struct pluri_err *err)
{
	int r = flush_take(v, n, ret_done, err);

	while (r == 2) {
		r = trim_finish(v, n->ino, err);
		if (r >= 0)
			r = flush_take(v, n, ret_done, err);
	}
	return r;
}

static void flush_end(
	struct node *n, bool failed, uint64_t now_ms, uint64_t *ret_done)
{
	bool kept;
	int r;

	(void)pthread_mutex_lock(&n->lock);
	kept = n->flight.bytes > 0 || failed;
	/* What was kept or failed is dirty again, under what is newer. Should
	 * memory fail here, it stays in flight and is merged next time. */
	*ret_done += flush_merge(n, &r);
	if (r == 0)
		dirty_free(&n->flight);
	if (n->dirty.bytes == 0 && n->flight.bytes == 0 && !n->attr_dirty) {
		atomic_store(&n->dirty_since_ms, 0);
		atomic_store(&n->due_ms, 0);
	} else {
		if (!kept)
			atomic_store(&n->dirty_since_ms,
				n->fresh_ms ? n->fresh_ms : now_ms);
		if (atomic_load(&n->due_ms) == 0)
			atomic_store(&n->due_ms, now_ms + NODE_FLUSH_MS);
	}
	n->flushing = false;
	(void)pthread_cond_broadcast(&n->idle);
	(void)pthread_mutex_unlock(&n->lock);
}

int flush_node(struct volume *v, struct node *n, bool whole, uint64_t *ret_done,
	struct pluri_err *err)
{
	struct flush *f;
	int r;

	*ret_done = 0;
	r = flush_begin(v, n, ret_done, err);
	if (r <= 0)
		return r;
	f = calloc(1, sizeof(*f));
	if (f) {
		f->v = v;
		f->n = n;
		f->whole = whole;
		r = flush_open(f, err);
		if (r >= 0)
			r = flush_runs(f, err);
		*ret_done += f->done;
		batch_close(&f->b);
		free(f);
	} else {
		r = pluri_fail(err, ENOMEM, "flush: no memory");
	}
	flush_end(n, r < 0, clock_mono_ms(v->clock), ret_done);
	return r;
}
