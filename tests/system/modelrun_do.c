/*
 * modelrun_do.c - one operation on one side: descriptors and names.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <dirent.h>
#include <unistd.h>

#include "tests/system/modelrun.h"

static int64_t do_code(int64_t r)
{
	return r < 0 ? -errno : r;
}

void model_side_init(struct model_side *s, int base)
{
	s->base = base;
	for (unsigned a = 0; a < MODEL_ACTORS; a++)
		for (unsigned i = 0; i < MODEL_SLOTS; i++)
			s->fd[a][i] = -1;
}

void model_side_close(struct model_side *s)
{
	for (unsigned a = 0; a < MODEL_ACTORS; a++)
		for (unsigned i = 0; i < MODEL_SLOTS; i++) {
			if (s->fd[a][i] >= 0)
				(void)close(s->fd[a][i]);
			s->fd[a][i] = -1;
		}
}

int model_slot(const struct model_side *s, const struct model_op *op)
{
	return s->fd[op->actor][op->slot];
}

static int64_t do_keep(
	struct model_side *s, const struct model_op *op, int fd, int flags)
{
	int *slot = &s->fd[op->actor][op->slot];

	if (fd < 0)
		return -errno;
	if (*slot >= 0)
		(void)close(*slot);
	*slot = fd;
	s->flags[op->actor][op->slot] = flags;
	return 0;
}

static int64_t do_open(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	char p[MODEL_PATH];
	int flags = (int)op->flags;

	(void)r;
	if (flags & O_APPEND)
		flags &= ~O_DIRECT; /* an end is not aligned */
	return do_keep(s, op,
		openat(s->base, model_path(op->p, p), flags | O_CLOEXEC,
			op->mode & 07777),
		flags);
}

static int64_t do_tmpfile(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	char p[MODEL_PATH];

	(void)r;
	return do_keep(s, op,
		openat(s->base, model_path(op->p, p),
			O_TMPFILE | O_RDWR | O_CLOEXEC |
				(op->flags & 1 ? O_EXCL : 0),
			op->mode & 07777),
		O_RDWR);
}

static int64_t do_linkfd(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	char p[MODEL_PATH];
	char self[64];

	(void)r;
	(void)snprintf(
		self, sizeof(self), "/proc/self/fd/%d", model_slot(s, op));
	if (model_slot(s, op) < 0)
		return -EBADF;
	return do_code(linkat(AT_FDCWD, self, s->base, model_path(op->p, p),
		AT_SYMLINK_FOLLOW));
}

static int64_t do_close(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	int *slot = &s->fd[op->actor][op->slot];
	const int fd = *slot;

	(void)r;
	*slot = -1;
	return fd < 0 ? -EBADF : do_code(close(fd));
}

/* As fcntl may: appending comes and goes. */
static int64_t do_setfl(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	const int *flags = &s->flags[op->actor][op->slot];
	const int fd = model_slot(s, op);

	(void)r;
	if (fd >= 0 && (*flags & O_DIRECT))
		return 0;
	return do_code(fcntl(
		fd, F_SETFL, O_NONBLOCK | (op->flags & 1 ? O_APPEND : 0)));
}

static int64_t do_stat(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	char p[MODEL_PATH];
	struct stat st;
	const int how = op->kind == MODEL_LSTAT ? AT_SYMLINK_NOFOLLOW : 0;

	(void)r;
	return do_code(fstatat(s->base, model_path(op->p, p), &st, how));
}

static int64_t do_fstat(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	struct stat st;

	(void)r;
	return do_code(fstat(model_slot(s, op), &st));
}

static int64_t do_access(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	char p[MODEL_PATH];

	(void)r;
	return do_code(faccessat(
		s->base, model_path(op->p, p), (int)(op->tag % 8), AT_EACCESS));
}

static int64_t do_statfs(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	struct statvfs v;

	(void)op;
	(void)r;
	if (fstatvfs(s->base, &v) < 0)
		return -errno;
	return v.f_bsize > 0 && v.f_namemax == 255 && v.f_bavail <= v.f_bfree &&
			       v.f_bfree <= v.f_blocks && v.f_ffree <= v.f_files
		       ? 0
		       : 1;
}

static int64_t do_name(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	const mode_t mode = op->mode & 07777;
	char p[MODEL_PATH];
	char q[MODEL_PATH];

	(void)r;
	(void)model_path(op->p, p);
	(void)model_path(op->q, q);
	switch (op->kind) {
	case MODEL_MKDIR:
		return do_code(mkdirat(s->base, p, mode));
	case MODEL_RMDIR:
		return do_code(unlinkat(s->base, p, AT_REMOVEDIR));
	case MODEL_UNLINK:
		return do_code(unlinkat(s->base, p, 0));
	case MODEL_RENAME:
		return do_code(renameat2(s->base, p, s->base, q,
			op->flags == 1	 ? RENAME_NOREPLACE
			: op->flags == 2 ? RENAME_EXCHANGE
					 : 0));
	default:
		return do_code(linkat(s->base, p, s->base, q,
			op->flags & 1 ? AT_SYMLINK_FOLLOW : 0));
	}
}

static int64_t do_symlink(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	char target[MODEL_PATH * 4];
	char p[MODEL_PATH];

	(void)r;
	target[sizeof(target) - 1] = 0;
	model_target(op, target);
	return do_code(symlinkat(target, s->base, model_path(op->p, p)));
}

static int64_t do_readlink(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	const size_t room = op->flags ? 5000 : op->tag % 20 + 1;
	char p[MODEL_PATH];
	const ssize_t n = readlinkat(
		s->base, model_path(op->p, p), (char *)r->bytes, room);

	r->len = n > 0 ? (size_t)n : 0;
	return do_code(n);
}

/* Devices are such that nobody serves. */
static int64_t do_mknod(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	static const mode_t types[] = {
		S_IFIFO, S_IFIFO, S_IFSOCK, S_IFREG, 0, S_IFCHR, S_IFBLK};
	char p[MODEL_PATH];

	(void)r;
	return do_code(mknodat(s->base, model_path(op->p, p),
		types[op->flags % 7] | (op->mode & 07777), makedev(250, 77)));
}

static int do_by_name(const void *a, const void *b)
{
	const char *const *x = a;
	const char *const *y = b;

	return strcmp(*x, *y);
}

/* Sorted: "name type inode-as-lstat-says". */
static int64_t do_readdir(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	char p[MODEL_PATH];
	const int fd = openat(s->base, model_path(op->p, p),
		O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	char *line[512];
	struct dirent *e;
	struct stat st;
	size_t n = 0;

	if (!dir)
		return -errno;
	while (n < 512 && (errno = 0, e = readdir(dir))) {
		const bool own = strcmp(e->d_name, ".") != 0 &&
				 strcmp(e->d_name, "..") != 0;
		const int looked = fstatat(
			dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW);

		if (asprintf(&line[n++], "%s %d %d\n", e->d_name, e->d_type,
			    own && looked == 0 && st.st_ino != e->d_ino) < 0)
			abort();
	}
	s->broken = errno;
	(void)closedir(dir);
	qsort(line, n, sizeof(line[0]), do_by_name);
	for (size_t i = 0; i < n; i++) {
		const size_t len = strlen(line[i]);

		memcpy(r->bytes + r->len, line[i], len);
		r->len += len;
		free(line[i]);
	}
	return s->broken ? -s->broken : (int64_t)n;
}

static int64_t do_fsyncdir(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	char p[MODEL_PATH];
	const int fd = openat(s->base, model_path(op->p, p),
		O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int64_t ret;

	(void)r;
	if (fd < 0)
		return -errno;
	ret = do_code(fsync(fd));
	(void)close(fd);
	return ret;
}

static int64_t do_nothing(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	(void)op;
	(void)r;
	model_side_close(s);
	return 0;
}

static model_do_fn *do_find(uint32_t kind)
{
	static model_do_fn *const table[MODEL_KINDS] = {
		[MODEL_OPEN] = do_open,
		[MODEL_TMPFILE] = do_tmpfile,
		[MODEL_LINKFD] = do_linkfd,
		[MODEL_CLOSE] = do_close,
		[MODEL_SETFL] = do_setfl,
		[MODEL_LSTAT] = do_stat,
		[MODEL_STAT] = do_stat,
		[MODEL_FSTAT] = do_fstat,
		[MODEL_ACCESS] = do_access,
		[MODEL_STATFS] = do_statfs,
		[MODEL_MKDIR] = do_name,
		[MODEL_RMDIR] = do_name,
		[MODEL_UNLINK] = do_name,
		[MODEL_RENAME] = do_name,
		[MODEL_LINK] = do_name,
		[MODEL_SYMLINK] = do_symlink,
		[MODEL_READLINK] = do_readlink,
		[MODEL_MKNOD] = do_mknod,
		[MODEL_READDIR] = do_readdir,
		[MODEL_FSYNCDIR] = do_fsyncdir,
		[MODEL_REMOUNT] = do_nothing,
	};
	model_do_fn *fn = table[kind];

	if (!fn)
		fn = model_do_data(kind);
	return fn ? fn : model_do_attr(kind);
}

/* Users but the first have no rights over files of others. */
void model_do(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	model_do_fn *fn = do_find(op->kind);

	r->len = 0;
	r->ret = 0;
	if (!fn)
		return; /* an event */
	(void)umask(op->mode >> 16);
	if (op->who) {
		(void)setfsgid(1001);
		(void)setfsuid(1000 + op->who);
	}
	r->ret = fn(s, op, r);
	if (op->who) {
		(void)setfsuid(0);
		(void)setfsgid(0);
	}
}
