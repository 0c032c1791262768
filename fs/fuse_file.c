#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/fuse_int.h"
#include "fs/node.h"

static struct fuse_file *fuse_file_of(const struct fuse_file_info *fi)
{
	return (struct fuse_file *)(uintptr_t)fi->fh;
}

static int fuse_file_new(
	struct volume *v, uint64_t ino, struct fuse_file_info *fi)
{
	struct fuse_file *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	r = node_pin(v->nodes, ino, &f->node);
	if (r < 0) {
		free(f);
		return r;
	}
	fi->fh = (uintptr_t)f;
	fi->keep_cache = 1;
	return 0;
}

static void fuse_file_free(struct volume *v, struct fuse_file *f)
{
	node_unpin(v->nodes, f->node);
	free(f);
}

static void fuse_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct volume *v = fuse_volume(req);
	struct tree_attr a = {.size = 0};
	struct pluri_err err = {0};
	int r = fuse_file_new(v, ino, fi);

	if (r >= 0 && (fi->flags & O_TRUNC)) {
		r = write_setattr(v, fuse_file_of(fi)->node, TREE_SET_SIZE,
			clock_real_ns(v->clock), &a, &err);
		if (r < 0)
			fuse_file_free(v, fuse_file_of(fi));
	}
	if (r < 0)
		fuse_answer_err(req, r, &err);
	else if (fuse_reply_open(req, fi) < 0)
		fuse_file_free(v, fuse_file_of(fi)); /* never opened */
}

static void fuse_create(fuse_req_t req, fuse_ino_t dir, const char *name,
	mode_t mode, struct fuse_file_info *fi)
{
	struct volume *v = fuse_volume(req);
	const struct fuse_ctx *who = fuse_req_ctx(req);
	struct tree_attr a = {.mode = S_IFREG | (mode & 07777),
		.uid = who->uid,
		.gid = who->gid};
	struct fuse_entry_param e;
	struct pluri_err err = {0};
	int r = names_make(v, dir, name, NULL, &a, &err);

	if (r >= 0)
		r = fuse_file_new(v, a.ino, fi);
	if (r < 0) {
		fuse_answer_err(req, r, &err);
		return;
	}
	r = node_looked_up(v->nodes, a.ino);
	if (r < 0) {
		fuse_file_free(v, fuse_file_of(fi));
		fuse_answer_err(req, r, NULL);
		return;
	}
	fuse_entry_fill(&a, &e);
	if (fuse_reply_create(req, &e, fi) < 0) {
		fuse_file_free(v, fuse_file_of(fi));
		node_forget(v->nodes, a.ino, 1);
	}
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
	struct fuse_file *f = fuse_file_of(fi);
	const struct read_ask ask = {
		.trail = &f->trail, .stop = fuse_killed, .arg = req};
	struct pluri_err err = {0};
	struct pluri_room to = {.data = malloc(size), .cap = size};
	int r = -ENOMEM;

	(void)ino;
	if (to.data)
		r = read_bytes(fuse_volume(req), f->node, &ask, (uint64_t)off,
			&to, &err);
	if (r < 0)
		fuse_answer_err(req, r, &err);
	else
		(void)fuse_reply_buf(req, to.data, to.len);
	free(to.data);
}

static void fuse_write(fuse_req_t req, fuse_ino_t ino, const char *buf,
	size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fuse_file *f = fuse_file_of(fi);
	const struct write_ask ask = {.off = (uint64_t)off,
		.data = {buf, size},
		.stop = fuse_killed,
		.arg = req};
	struct pluri_err err = {0};
	const int r = write_bytes(fuse_volume(req), f->node, &ask, &err);

	(void)ino;
	if (r < 0)
		fuse_answer_err(req, r, &err);
	else
		(void)fuse_reply_write(req, size);
}

static void fuse_release(
	fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct volume *v = fuse_volume(req);

	(void)ino;
	fuse_file_free(v, fuse_file_of(fi));
	fuse_answer_err(req, 0, NULL);
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

/* Grow the file to `end` if it is shorter. */
static int fuse_grow(
	struct volume *v, struct node *n, uint64_t end, struct pluri_err *err)
{
	struct tree_attr a = {.size = end};
	uint64_t size = 0;
	int r;

	(void)pthread_mutex_lock(&n->lock);
	r = node_know(v, n, err);
	size = n->size;
	(void)pthread_mutex_unlock(&n->lock);
	if (r < 0 || size >= end)
		return r;
	return write_setattr(
		v, n, TREE_SET_SIZE, clock_real_ns(v->clock), &a, err);
}

static void fuse_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
	off_t len, struct fuse_file_info *fi)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
	struct volume *v = fuse_volume(req);
	struct node *n = fuse_file_of(fi)->node;
	struct pluri_err err = {0};
	int r = 0;

	(void)ino;
	if (mode & ~(punch | FALLOC_FL_KEEP_SIZE)) {
		fuse_answer_err(req, -EOPNOTSUPP, NULL);
		return;
	}
	if (mode & punch)
		r = write_punch(v, n, (uint64_t)off, (uint64_t)len, &err);
	if (r >= 0 && !(mode & FALLOC_FL_KEEP_SIZE))
		r = fuse_grow(v, n, (uint64_t)off + (uint64_t)len, &err);
	fuse_answer_err(req, r, &err);
}

void fuse_files(struct fuse_lowlevel_ops *ops)
{
	ops->open = fuse_open;
	ops->create = fuse_create;
	ops->read = fuse_read;
	ops->write = fuse_write;
	/* No flush: at close() what was written goes on its way, and fsync is
	 * who waits. The kernel is told so once, and asks no more. */
	ops->release = fuse_release;
	ops->fsync = fuse_fsync;
	ops->fallocate = fuse_fallocate;
}
