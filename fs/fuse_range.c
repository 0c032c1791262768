#include <errno.h>
#include <unistd.h>

#include "fs/clone.h"
#include "fs/fuse_int.h"
#include "fs/seek.h"

/* Bytes that an answer can count. */
#define FUSE_COPY_MAX (UINT64_C(1) << 31)

/*
 * Asked for SEEK_DATA and SEEK_HOLE alone. Pages that the kernel has not
 * written back are holes to us, and it does not write them before it asks: a
 * fresh file would be copied as zeros. So with its write cache it has to find
 * an answer itself, which is that all bytes up to the size that it knows are
 * data. Having it write back first (FUSE_NOTIFY_INVAL_INODE) is no way: who
 * tells it waits where no signal reaches him, for other threads that may have
 * died.
 */
static void fuse_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
	struct fuse_file_info *fi)
{
	struct volume *v = fuse_volume(req);
	struct pluri_err err = {0};
	struct node *n = NULL;
	uint64_t at = 0;
	int r = -EINVAL;

	(void)fi;
	if (v->writeback) {
		(void)fuse_reply_err(req, ENOSYS);
		return;
	}
	if (whence == SEEK_DATA || whence == SEEK_HOLE)
		r = off < 0 ? -ENXIO : node_pin(v->nodes, ino, &n);
	if (r >= 0)
		r = seek_next(
			v, n, whence == SEEK_HOLE, (uint64_t)off, &at, &err);
	node_unpin(v->nodes, n);
	if (r < 0)
		fuse_answer_err(req, r, &err);
	else
		(void)fuse_reply_lseek(req, (off_t)at);
}

/* The kernel has written back both files, and judged offsets, flags and
 * overlaps; after EXDEV it copies the bytes itself. */
static void fuse_copy(fuse_req_t req, fuse_ino_t from, off_t from_off,
	struct fuse_file_info *from_fi, fuse_ino_t to, off_t to_off,
	struct fuse_file_info *to_fi, size_t len, int flags)
{
	struct volume *v = fuse_volume(req);
	struct clone_ask ask = {.from_off = (uint64_t)from_off,
		.to_off = (uint64_t)to_off,
		.len = len < FUSE_COPY_MAX ? len : FUSE_COPY_MAX};
	struct pluri_err err = {0};
	uint64_t done = 0;
	int r = flags ? -EINVAL : node_pin(v->nodes, from, &ask.from);

	(void)from_fi;
	(void)to_fi;
	if (r >= 0)
		r = node_pin(v->nodes, to, &ask.to);
	/* As with fallocate: nobody says whether to. */
	if (r >= 0 && fuse_req_ctx(req)->uid != 0)
		r = fuse_strip(req, to, &err);
	if (r >= 0)
		r = clone_range(v, &ask, &done, &err);
	node_unpin(v->nodes, ask.to);
	node_unpin(v->nodes, ask.from);
	if (r < 0)
		fuse_answer_err(req, r, &err);
	else
		(void)fuse_reply_write(req, done);
}

void fuse_ranges(struct fuse_lowlevel_ops *ops)
{
	ops->lseek = fuse_lseek;
	ops->copy_file_range = fuse_copy;
}
