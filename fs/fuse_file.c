#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/fuse_int.h"
#include "fs/fuse_wire.h"
#include "fs/node.h"
#include "fs/repack.h"
#include "fs/xattr.h"

#define FUSE_GROUPS_MAX 256

/*
 * The kernel opens and closes files by itself: ENOSYS tells it that the daemon
 * has nothing to do there. Requests then carry the inode alone; a file that is
 * open stays looked up, which is what keeps it from being reaped. What the
 * kernel caches of a file it keeps.
 */
static void fuse_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	(void)fuse_reply_err(req, ENOSYS);
}

static int fuse_interrupted(void *req)
{
	return fuse_req_interrupted(req);
}

static uint64_t fuse_signals(const char *status, const char *field)
{
	const char *at = strstr(status, field);

	return at ? strtoull(at + strlen(field), NULL, 16) : 0;
}

/* Is a signal on its way that ends the thread, and that nobody catches? */
static bool fuse_dying(const char *status)
{
	static const int harmless[] = {SIGCHLD, SIGCONT, SIGURG, SIGWINCH,
		SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};
	uint64_t deadly = fuse_signals(status, "\nSigPnd:\t") |
			  fuse_signals(status, "\nShdPnd:\t");

	deadly &= ~(fuse_signals(status, "\nSigBlk:\t") |
		    fuse_signals(status, "\nSigIgn:\t") |
		    fuse_signals(status, "\nSigCgt:\t"));
	for (size_t i = 0; i < sizeof(harmless) / sizeof(*harmless); i++)
		deadly &= ~(UINT64_C(1) << (harmless[i] - 1));
	return deadly != 0;
}

/*
 * The kernel tells of any signal. Only a deadly one ends a read or a write: one
 * that is caught would have them fail with EINTR, which programs do not expect
 * of files (and a page fault cannot tell), and with a timer's signals no slow
 * read would ever come to its end.
 */
static int fuse_killed(void *arg)
{
	fuse_req_t req = arg;
	char path[40];
	char status[4096];
	ssize_t n;
	int fd;

	if (!fuse_req_interrupted(req))
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/status",
		(int)fuse_req_ctx(req)->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 1; /* of another namespace: the signal is all we know */
	n = read(fd, status, sizeof(status) - 1);
	(void)close(fd);
	status[n > 0 ? n : 0] = '\0';
	return n <= 0 || fuse_dying(status);
}

static void fuse_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	const struct read_ask ask = {
		.ahead = true, .stop = fuse_killed, .arg = req};
	struct volume *v = fuse_volume(req);
	struct pluri_err err = {0};
	struct read_view *got = NULL;
	const struct iovec *part;
	struct node *n = NULL;
	unsigned parts = 0;
	int r = node_pin(v->nodes, ino, &n);

	repack_yield(v);
	if (r >= 0)
		r = read_view(v, n, &ask,
			(struct extent_span){(uint64_t)off, size}, &got, &err);
	if (r >= 0 && !(fi->flags & O_NOATIME))
		write_accessed(v, n);
	node_unpin(v->nodes, n);
	if (r < 0) {
		fuse_answer_err(req, r, &err);
		return;
	}
	part = read_view_parts(got, &parts);
	(void)fuse_reply_iov(req, part, (int)parts);
	read_view_free(got);
}

bool fuse_member(void *arg, uint32_t gid)
{
	fuse_req_t req = arg;
	const struct fuse_ctx *who = fuse_req_ctx(req);
	gid_t list[FUSE_GROUPS_MAX];
	int n;

	if (who->uid == 0 || who->gid == gid)
		return true;
	n = fuse_req_getgroups(req, FUSE_GROUPS_MAX, list);
	for (int i = 0; i < n && i < FUSE_GROUPS_MAX; i++)
		if (list[i] == gid)
			return true;
	return n > FUSE_GROUPS_MAX; /* nobody knows: nothing is taken away */
}

/* The kernel cannot know that the mode has changed under a write. */
int fuse_strip(fuse_req_t req, fuse_ino_t ino, struct pluri_err *err)
{
	const struct xattr_who who = fuse_who(req);
	const int r = xattr_strip(fuse_volume(req), ino, &who, err);

	if (r > 0)
		fuse_stale(req, ino);
	return r;
}

static int fuse_leaves(void *arg)
{
	struct fuse *f = fuse_req_userdata(arg);

	return atomic_load(&f->drains) || fuse_session_exited(f->se);
}

static void fuse_write(fuse_req_t req, fuse_ino_t ino, const char *buf,
	size_t size, off_t off, struct fuse_file_info *fi)
{
	const struct write_ask ask = {.off = (uint64_t)off,
		.data = {buf, size},
		.stop = fuse_killed,
		.leaves = fuse_leaves,
		.arg = req};
	struct volume *v = fuse_volume(req);
	struct pluri_err err = {0};
	struct node *n = NULL;
	int r = node_pin(v->nodes, ino, &n);

	(void)fi;
	repack_yield(v);
	if (r >= 0 && fuse_wire_kills())
		r = fuse_strip(req, ino, &err);
	if (r >= 0)
		r = write_bytes(v, n, &ask, &err);
	node_unpin(v->nodes, n);
	if (r < 0)
		fuse_answer_err(req, r, &err);
	else
		(void)fuse_reply_write(req, size);
}

static void fuse_fsync(
	fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct volume *v = fuse_volume(req);
	struct pluri_err err = {0};
	struct node *n = NULL;
	int r = node_pin(v->nodes, ino, &n);

	(void)datasync;
	(void)fi;
	if (r >= 0)
		r = write_sync(v, n, fuse_interrupted, req, &err);
	node_unpin(v->nodes, n);
	fuse_answer_err(req, r, &err);
}

static void fuse_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
	off_t len, struct fuse_file_info *fi)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
	struct volume *v = fuse_volume(req);
	struct node *n = NULL;
	struct pluri_err err = {0};
	int r;

	(void)fi;
	if (mode & ~(punch | FALLOC_FL_KEEP_SIZE)) {
		fuse_answer_err(req, -EOPNOTSUPP, NULL);
		return;
	}
	r = node_pin(v->nodes, ino, &n);
	/* Nobody says whether to: as for a write of a user's. */
	if (r >= 0 && fuse_req_ctx(req)->uid != 0)
		r = fuse_strip(req, ino, &err);
	if (r >= 0 && (mode & punch))
		r = write_punch(v, n, (uint64_t)off, (uint64_t)len, &err);
	if (r >= 0)
		r = write_grow(v, n,
			mode & FALLOC_FL_KEEP_SIZE
				? 0
				: (uint64_t)off + (uint64_t)len,
			&err);
	node_unpin(v->nodes, n);
	fuse_answer_err(req, r, &err);
}

void fuse_files(struct fuse_lowlevel_ops *ops)
{
	ops->open = fuse_open;
	ops->read = fuse_read;
	ops->write = fuse_write;
	/* No flush and no release: at close() what was written goes on its
	 * way, and fsync is who waits. */
	ops->fsync = fuse_fsync;
	ops->fallocate = fuse_fallocate;
}
