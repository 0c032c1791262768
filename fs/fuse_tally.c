#include <errno.h>
#include <linux/fuse.h>
#include <time.h>

#include "fs/fuse_tally.h"

/* The request in hand; one for each of the library's threads. */
static _Thread_local struct {
	uint64_t since_ns;
	enum stats_kind kind;
	bool busy;
} fuse_tally_now;

static uint64_t fuse_tally_clock(void)
{
	struct timespec t = {0, 0};

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* STATS_KINDS: it has no answer. */
static enum stats_kind fuse_tally_name(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_LOOKUP:
		return STATS_LOOKUP;
	case FUSE_GETATTR:
		return STATS_GETATTR;
	case FUSE_SETATTR:
		return STATS_SETATTR;
	case FUSE_CREATE:
	case FUSE_TMPFILE:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_SYMLINK:
	case FUSE_LINK:
		return STATS_CREATE;
	case FUSE_UNLINK:
	case FUSE_RMDIR:
		return STATS_UNLINK;
	case FUSE_RENAME:
	case FUSE_RENAME2:
		return STATS_RENAME;
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
		return STATS_READDIR;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return STATS_KINDS;
	default:
		return STATS_OTHER;
	}
}

static enum stats_kind fuse_tally_kind(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_READ:
		return STATS_READ;
	case FUSE_WRITE:
		return STATS_WRITE;
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
		return STATS_FSYNC;
	case FUSE_SETXATTR:
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
	case FUSE_REMOVEXATTR:
		return STATS_XATTR;
	default:
		return fuse_tally_name(opcode);
	}
}

/* Ours, not the program's: it asked for nothing that cannot be. */
static bool fuse_tally_failed(int code)
{
	return code == EIO || code == ENOSPC || code == EROFS ||
	       code == ENOMEM || code == EDQUOT;
}

static uint64_t fuse_tally_bytes(
	enum stats_kind kind, const struct iovec *iov, int count)
{
	const struct fuse_out_header *head = iov[0].iov_base;
	const struct fuse_write_out *out;

	if (kind == STATS_READ && head->len >= sizeof(*head))
		return head->len - sizeof(*head);
	if (kind != STATS_WRITE || count < 2 || iov[1].iov_len < sizeof(*out))
		return 0;
	out = iov[1].iov_base;
	return out->size;
}

void fuse_tally_asked(struct stats *s, uint32_t opcode)
{
	const enum stats_kind kind = fuse_tally_kind(opcode);

	if (fuse_tally_now.busy)
		stats_ended(s, NULL);
	fuse_tally_now.busy = kind != STATS_KINDS;
	if (!fuse_tally_now.busy)
		return;
	fuse_tally_now.kind = kind;
	fuse_tally_now.since_ns = fuse_tally_clock();
	stats_began(s);
}

void fuse_tally_answered(struct stats *s, const struct iovec *iov, int count)
{
	const struct fuse_out_header *head = iov[0].iov_base;
	struct stats_request r = {.kind = fuse_tally_now.kind};

	if (!fuse_tally_now.busy || iov[0].iov_len < sizeof(*head) ||
		head->unique == 0)
		return;
	fuse_tally_now.busy = false;
	r.ns = fuse_tally_clock() - fuse_tally_now.since_ns;
	r.failed = fuse_tally_failed(-head->error);
	if (head->error == 0)
		r.bytes = fuse_tally_bytes(r.kind, iov, count);
	stats_ended(s, &r);
}
