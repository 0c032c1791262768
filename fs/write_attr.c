#include <errno.h>

#include "fs/commit.h"
#include "fs/node_int.h"
#include "fs/trim.h"
#include "fs/write.h"
#include "fs/xattr.h"
#include "meta/extent.h"

int write_drop(struct volume *v, struct node *n, uint64_t off, uint64_t len,
	struct pluri_err *err)
{
	const uint64_t before = n->dirty.bytes + n->flight.bytes;
	int r = dirty_punch(&n->flight, off, len);

	if (r >= 0)
		r = dirty_punch(&n->dirty, off, len);
	writer_forgive(v, before - n->dirty.bytes - n->flight.bytes);
	return r < 0 ? pluri_fail(err, -r, "no memory to cut dirty bytes") : 0;
}

/* One bracket, so that a crash never shows a file cut half-way; what there is
 * too much of for one is dead at once, and goes later. */
static int write_cut_rows(struct volume *v, struct meta_tx *tx, uint64_t ino,
	uint64_t size, struct pluri_err *err)
{
	bool more = false;
	const int r = extent_cut(tx, ino, size, EXTENT_STEP, &more, err);

	if (more)
		trim_mark(v);
	return r;
}

static int write_set_rows(struct volume *v, struct node *n, unsigned mask,
	struct tree_attr *a, struct pluri_err *err)
{
	const uint64_t size = a->size;
	struct tree_attr old = {0};
	struct meta_tx *tx = NULL;
	int r = meta_begin(v->meta, &tx, err);

	if (r < 0)
		return r;
	r = tree_get(tx, n->ino, &old, err);
	if (r >= 0 && (mask & TREE_SET_SIZE)) {
		r = write_cut_rows(v, tx, n->ino, size, err);
		/* Growing is recorded with the bytes that are still dirty. */
		a->size = size < old.size ? size : old.size;
	}
	a->ino = n->ino;
	if (r >= 0 && (mask & TREE_SET_MODE))
		r = xattr_follow_mode(v, tx, n->ino, a->mode, a->ctime_ns, err);
	if (r >= 0)
		r = tree_set(tx, mask, a, err);
	return meta_end(tx, r, err);
}

/* With node->lock held and nothing in flight. */
static int write_set(struct volume *v, struct node *n, unsigned mask,
	int64_t now, struct tree_attr *a, struct pluri_err *err)
{
	const uint64_t size = a->size;
	int r = node_know(v, n, err);

	if (r >= 0 && (mask & TREE_SET_SIZE)) {
		if (size > PLURI_FILE_MAX)
			return pluri_fail(
				err, EFBIG, "beyond the largest file");
		if (!(mask & TREE_SET_MTIME)) {
			a->mtime_ns = now;
			mask |= TREE_SET_MTIME;
		}
	}
	if (!(mask & TREE_SET_CTIME)) {
		a->ctime_ns = now;
		mask |= TREE_SET_CTIME;
	}
	if (r >= 0)
		r = write_set_rows(v, n, mask, a, err);
	if (r < 0)
		return r;
	n->ctime_ns = a->ctime_ns;
	if (mask & TREE_SET_MODE)
		n->mode = a->mode;
	if (mask & TREE_SET_GID)
		n->gid = a->gid;
	if (mask & TREE_SET_ATIME)
		n->atime_ns = a->atime_ns;
	if (mask & TREE_SET_MTIME)
		n->mtime_ns = a->mtime_ns;
	if (mask & TREE_SET_POLICY)
		n->policy = a->policy;
	if ((mask & TREE_SET_SIZE) && size != n->size) {
		/* After the rows: a cut that fails must not cost a byte. */
		if (size < n->size)
			(void)write_drop(v, n, size, UINT64_MAX - size, NULL);
		n->size = size;
		if (size != a->size)
			write_mark(v, n);
	}
	return 0;
}

int write_setattr(struct volume *v, struct node *n, unsigned mask, int64_t now,
	struct tree_attr *a, struct pluri_err *err)
{
	int r = commit_broken(v->commit, err);

	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&n->lock);
	while (n->flushing && (mask & TREE_SET_SIZE))
		(void)pthread_cond_wait(&n->idle, &n->lock);
	r = write_set(v, n, mask, now, a, err);
	if (r >= 0)
		node_lay_over(n, a);
	(void)pthread_mutex_unlock(&n->lock);
	return r;
}

int write_grow(
	struct volume *v, struct node *n, uint64_t end, struct pluri_err *err)
{
	int r = commit_broken(v->commit, err);

	if (r < 0)
		return r;
	if (end > PLURI_FILE_MAX)
		return pluri_fail(err, EFBIG, "beyond the largest file");
	(void)pthread_mutex_lock(&n->lock);
	r = node_know(v, n, err);
	if (r >= 0) {
		/* The kernel's writes may be ahead of what it grew from. */
		if (n->size < end)
			n->size = end;
		write_touch(v, n);
	}
	(void)pthread_mutex_unlock(&n->lock);
	return r;
}

/* The first part of the range, with node->lock held: rows and dirty bytes in
 * one hold of it, so that no older byte is ever shown in between. */
static int write_punch_step(struct volume *v, struct node *n,
	struct extent_span at, uint64_t *ret_upto, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	uint64_t upto = at.off;
	int r = node_know(v, n, err);

	if (r >= 0)
		r = meta_begin(v->meta, &tx, err);
	if (r >= 0)
		r = meta_end(tx,
			extent_punch_step(
				tx, n->ino, at, EXTENT_STEP, &upto, err),
			err);
	if (r >= 0)
		r = write_drop(v, n, at.off, upto - at.off, err);
	if (r < 0)
		return r;
	write_touch(v, n);
	*ret_upto = upto;
	return 0;
}

int write_punch(struct volume *v, struct node *n, uint64_t off, uint64_t len,
	struct pluri_err *err)
{
	const uint64_t end = off > PLURI_FILE_MAX || len > PLURI_FILE_MAX - off
				     ? PLURI_FILE_MAX
				     : off + len;
	int r = commit_broken(v->commit, err);

	while (r >= 0 && off < end) {
		(void)pthread_mutex_lock(&n->lock);
		while (n->flushing)
			(void)pthread_cond_wait(&n->idle, &n->lock);
		r = write_punch_step(
			v, n, (struct extent_span){off, end - off}, &off, err);
		(void)pthread_mutex_unlock(&n->lock);
		if (r >= 0 && off < end)
			trim_rest();
	}
	return r;
}

void write_accessed(struct volume *v, struct node *n)
{
	const int64_t now = clock_real_ns(v->clock);

	if (v->noatime || commit_broken(v->commit, NULL) < 0)
		return;
	(void)pthread_mutex_lock(&n->lock);
	if (n->known &&
		node_atime_due(n->atime_ns, n->mtime_ns, n->ctime_ns, now)) {
		n->atime_ns = now;
		write_mark(v, n);
	}
	(void)pthread_mutex_unlock(&n->lock);
}
