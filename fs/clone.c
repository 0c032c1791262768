#include <errno.h>

#include "fs/clone.h"
#include "fs/commit.h"
#include "fs/node_int.h"
#include "fs/staging.h"
#include "fs/trim.h"
#include "fs/write.h"
#include "meta/extent.h"

/* Steps of one call: about a tenth of a second. */
#define CLONE_STEPS 64u

/* Size and policy as of now. */
static int clone_look(struct volume *v, struct node *n, uint64_t *ret_size,
	uint32_t *ret_policy, struct pluri_err *err)
{
	int r;

	(void)pthread_mutex_lock(&n->lock);
	r = node_know(v, n, err);
	if (r >= 0) {
		*ret_size = n->size;
		*ret_policy = n->policy;
	}
	(void)pthread_mutex_unlock(&n->lock);
	return r;
}

static int clone_check(
	struct volume *v, struct clone_ask *a, struct pluri_err *err)
{
	const uint64_t apart = a->from_off < a->to_off
				       ? a->to_off - a->from_off
				       : a->from_off - a->to_off;
	uint64_t size = 0;
	uint32_t policy[2] = {0};
	uint64_t there = 0;
	int r = clone_look(v, a->from, &size, &policy[0], err);

	if (r >= 0)
		r = clone_look(v, a->to, &there, &policy[1], err);
	if (r < 0)
		return r;
	if (policy[0] != policy[1])
		return -EXDEV;
	if (a->from_off >= size)
		a->len = 0;
	else if (a->len > size - a->from_off)
		a->len = size - a->from_off;
	if (a->to_off > PLURI_FILE_MAX || a->len > PLURI_FILE_MAX - a->to_off)
		return -EFBIG;
	return a->from == a->to && a->len > apart ? -EINVAL : 0;
}

/* Extents and what stat() shows, in one bracket. */
static int clone_rows(struct volume *v, const struct extent_copy *c,
	struct tree_attr *a, uint64_t *ret_done, struct pluri_err *err)
{
	const int64_t mtime = a->mtime_ns;
	const int64_t ctime = a->ctime_ns;
	struct meta_tx *tx = NULL;
	uint64_t done = 0;
	int r = meta_begin(v->meta, &tx, err);

	if (r < 0)
		return r;
	r = extent_clone(tx, c, EXTENT_STEP, &done, err);
	if (r >= 0)
		r = tree_get(tx, c->to, a, err);
	if (r >= 0) {
		if (c->to_off + done > a->size)
			a->size = c->to_off + done;
		a->mtime_ns = mtime;
		a->ctime_ns = ctime;
		r = tree_set(tx,
			TREE_SET_SIZE | TREE_SET_MTIME | TREE_SET_CTIME, a,
			err);
	}
	r = meta_end(tx, r, err);
	if (r >= 0)
		*ret_done = done;
	return r;
}

/*
 * The first part of the range, with the target's lock held and no flush of it
 * under way: as with a punch, rows and dirty bytes go in one hold of it. The
 * source needs no lock: its rows hold at least what was written before.
 */
static int clone_step(struct volume *v, struct node *n,
	const struct extent_copy *c, uint64_t *ret_done, struct pluri_err *err)
{
	const int64_t now = clock_real_ns(v->clock);
	struct tree_attr a = {0};
	uint64_t done = 0;
	int r = node_know(v, n, err);

	/* Who keeps the times: see write_touch(). */
	a.mtime_ns = v->writeback ? n->mtime_ns : now;
	a.ctime_ns = v->writeback ? n->ctime_ns : now;
	if (r >= 0)
		r = clone_rows(v, c, &a, &done, err);
	if (r >= 0)
		owing_upto(&n->owing, staging_last(v->staging));
	if (r >= 0)
		r = write_drop(v, n, c->to_off, done, err);
	if (r < 0)
		return r;
	n->mtime_ns = a.mtime_ns;
	n->ctime_ns = a.ctime_ns;
	if (c->to_off + done > n->size)
		n->size = c->to_off + done;
	*ret_done = done;
	return 0;
}

/* 1: extents that are to be removed first are in the way. */
static int clone_try(struct volume *v, struct node *n,
	const struct extent_copy *c, uint64_t *ret_done, struct pluri_err *err)
{
	int r;

	(void)pthread_mutex_lock(&n->lock);
	while (n->flushing)
		(void)pthread_cond_wait(&n->idle, &n->lock);
	r = trim_blocks(v, n->ino, c->to_off + c->len, err);
	if (r == 0)
		r = clone_step(v, n, c, ret_done, err);
	(void)pthread_mutex_unlock(&n->lock);
	return r;
}

static int clone_some(struct volume *v, struct node *n,
	const struct extent_copy *c, uint64_t *ret_done, struct pluri_err *err)
{
	int r = clone_try(v, n, c, ret_done, err);

	while (r == 1) {
		r = trim_finish(v, n->ino, err);
		if (r >= 0)
			r = clone_try(v, n, c, ret_done, err);
	}
	return r;
}

int clone_range(struct volume *v, const struct clone_ask *ask,
	uint64_t *ret_done, struct pluri_err *err)
{
	struct clone_ask a = *ask;
	struct extent_copy c = {.from = a.from->ino, .to = a.to->ino};
	uint64_t done = 0;
	int r = commit_broken(v->commit, err);

	if (r >= 0)
		r = clone_check(v, &a, err);
	/* The target's, too: its size is about to be recorded, and bytes before
	 * it that are not would be zeros after a crash. */
	if (r >= 0 && a.len > 0)
		r = write_flush(v, a.from, err);
	if (r >= 0 && a.len > 0 && a.to != a.from)
		r = write_flush(v, a.to, err);
	for (unsigned i = 0; i < CLONE_STEPS && r >= 0 && done < a.len; i++) {
		uint64_t some = 0;

		c.from_off = a.from_off + done;
		c.to_off = a.to_off + done;
		c.len = a.len - done;
		r = clone_some(v, a.to, &c, &some, err);
		done += some;
	}
	if (r < 0 && done == 0)
		return r;
	*ret_done = done;
	return 0;
}
