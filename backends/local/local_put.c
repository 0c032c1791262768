#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/call.h"
#include "backends/key.h"
#include "base/own.h"

#include "backends/local/local.h"

/* A put under way: where its bytes are until they get their name. */
struct put {
	struct pluri_backend *b;
	struct pluri_call *call;
	const char *key;
	int dir; /* the directory of temporaries */
	int fd;
	char name[32]; /* in dir; "": it has none */
};

#define PUT_FD_PATH 32

/* What linkat() follows to an open file. */
static const char *put_fd_path(const struct put *p, char to[PUT_FD_PATH])
{
	(void)snprintf(to, PUT_FD_PATH, "/proc/self/fd/%d", p->fd);
	return to;
}

static void put_remove_stale(int dir, const char *name, time_t now)
{
	struct stat st;

	if (name[0] == '.' || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (st.st_mtime + LOCAL_TMP_STALE_S < now)
		(void)unlinkat(dir, name, 0);
}

/*
 * Once per instance. Age is judged by the clock that stamped the file just
 * made there: a file server's may differ from ours. Failing is harmless.
 */
static void put_sweep(struct put *p)
{
	struct stat st;
	DIR *d;
	int fd;

	if (__atomic_exchange_n(&p->b->swept, 1, __ATOMIC_ACQ_REL) ||
		fstat(p->fd, &st) < 0)
		return;
	fd = openat(p->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	for (struct dirent *e; (e = readdir(d));)
		put_remove_stale(p->dir, e->d_name, st.st_mtime);
	(void)closedir(d);
}

static int put_draw(struct put *p, struct pluri_err *err)
{
	uint64_t chance;

	if (getrandom(&chance, sizeof(chance), 0) != sizeof(chance))
		return local_fail(p->b, errno, "naming", LOCAL_TMP, err);
	(void)snprintf(p->name, sizeof(p->name), "put-%016llx",
		(unsigned long long)chance);
	return 0;
}

/*
 * A file without a name goes with whoever made it, however he ends. Not every
 * filesystem has such files; and they get their name by way of /proc.
 */
static bool put_open_nameless(struct put *p)
{
	char path[PUT_FD_PATH];

	if (__atomic_load_n(&p->b->named, __ATOMIC_ACQUIRE))
		return false;
	p->fd = openat(p->dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	if (p->fd >= 0 && access(put_fd_path(p, path), F_OK) == 0)
		return true;
	if (p->fd >= 0)
		(void)close(p->fd);
	p->fd = -1;
	return false;
}

static int put_open(struct put *p, struct pluri_err *err)
{
	int r;

	if (put_open_nameless(p))
		return 0;
	r = put_draw(p, err);
	if (r < 0)
		return r;
	p->fd = openat(p->dir, p->name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return p->fd < 0 ? local_fail(p->b, errno, "making a file for", p->key,
				   err)
			 : 0;
}

static int put_begin(struct put *p, struct pluri_err *err)
{
	int root;
	int e;

	root = local_root(p->b, err);
	if (root < 0)
		return root;
	if (mkdirat(root, LOCAL_TMP, 0700) == 0 || errno == EEXIST)
		p->dir = openat(root, LOCAL_TMP,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	e = errno;
	(void)close(root);
	if (p->dir < 0)
		return local_fail(p->b, e, "opening", LOCAL_TMP, err);
	e = put_open(p, err);
	if (e == 0)
		put_sweep(p);
	return e;
}

static int put_write(
	struct put *p, const uint8_t *data, size_t len, struct pluri_err *err)
{
	while (len > 0) {
		const ssize_t n = write(p->fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return local_fail(p->b, errno, "writing", p->key, err);
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int put_bytes(
	struct put *p, const struct pluri_body *body, struct pluri_err *err)
{
	const size_t piece = body->size < CALL_PIECE_BYTES ? (size_t)body->size
							   : CALL_PIECE_BYTES;
	pluri_auto_mem uint8_t *room = malloc(piece + 1);
	int r = 0;

	if (!room)
		return pluri_fail(err, ENOMEM, "out of memory");
	for (uint64_t off = 0; off < body->size && r == 0;) {
		const uint64_t left = body->size - off;
		const size_t n = left < piece ? (size_t)left : piece;

		r = call_check(p->call, err);
		if (r == 0)
			r = call_body(body, off, room, n, err);
		if (r == 0)
			r = put_write(p, room, n, err);
		off += n;
	}
	if (r == 0)
		r = call_check(p->call, err);
	if (r == 0 && fsync(p->fd) < 0)
		r = local_fail(p->b, errno, "syncing", p->key, err);
	/* Whoever reads it soon reads the local pack: these pages would only
	 * push others out of memory, once for each copy. */
	(void)posix_fadvise(p->fd, 0, 0, POSIX_FADV_DONTNEED);
	return r;
}

/* A name for what has none: -errno. Where that cannot be had after all, the
 * next put makes its file with a name. */
static int put_link(struct put *p, int dir, const char *name)
{
	char path[PUT_FD_PATH];
	int e;

	/* Some filesystems (btrfs, long) record nothing of a file that has no
	 * name when it is synced: once more, with one. */
	if (linkat(AT_FDCWD, put_fd_path(p, path), dir, name,
		    AT_SYMLINK_FOLLOW) == 0)
		return fsync(p->fd) < 0 ? -errno : 0;
	e = errno;
	if (e == EEXIST || e == ENOSPC || e == EDQUOT || e == EIO || e == EROFS)
		return -e;
	__atomic_store_n(&p->b->named, 1, __ATOMIC_RELEASE);
	return -EAGAIN;
}

/* Give the bytes their name, if nobody has it. -errno. */
static int put_name_new(struct put *p, int parent, const char *leaf)
{
	if (!p->name[0])
		return put_link(p, parent, leaf);
	if (renameat2(p->dir, p->name, parent, leaf, RENAME_NOREPLACE) == 0) {
		p->name[0] = 0;
		return 0;
	}
	if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP)
		return -errno;
	/* a filesystem without that rename, such as NFS, links instead */
	return linkat(p->dir, p->name, parent, leaf, 0) < 0 ? -errno : 0;
}

static int put_name_any(struct put *p, int parent, const char *leaf)
{
	int r = 0;

	if (!p->name[0]) { /* nothing else takes the place of another */
		r = put_draw(p, NULL);
		if (r == 0)
			r = put_link(p, p->dir, p->name);
	}
	if (r < 0)
		return r;
	if (renameat(p->dir, p->name, parent, leaf) < 0)
		return -errno;
	p->name[0] = 0;
	return 0;
}

static int put_name(struct put *p, uint32_t flags, struct pluri_err *err)
{
	const char *leaf = NULL;
	int parent;
	int r;

	parent = local_parent(p->b, p->key, true, &leaf, err);
	if (parent == -ENOENT)
		return pluri_fail(err, EAGAIN,
			"%s: the directory of %s went away", p->b->root,
			p->key);
	if (parent < 0)
		return parent;
	r = flags & PLURI_PUT_NEW ? put_name_new(p, parent, leaf)
				  : put_name_any(p, parent, leaf);
	if (r == 0)
		r = local_sync(parent);
	(void)close(parent);
	if (r == -EEXIST)
		return pluri_fail(err, EEXIST, "%s: object %s is there already",
			p->b->root, p->key);
	return r < 0 ? local_fail(p->b, -r, "naming", p->key, err) : 0;
}

/* A put whose name is taken need not move its bytes first. */
static int put_look(
	struct pluri_backend *b, const char *key, struct pluri_err *err)
{
	const char *leaf = NULL;
	struct stat st;
	int dir;
	int r;

	dir = local_parent(b, key, false, &leaf, err);
	if (dir == -ENOENT)
		return 0;
	if (dir < 0)
		return dir;
	r = fstatat(dir, leaf, &st, AT_SYMLINK_NOFOLLOW);
	(void)close(dir);
	if (r == 0 && S_ISREG(st.st_mode))
		return pluri_fail(err, EEXIST, "%s: object %s is there already",
			b->root, key);
	return 0;
}

static int put_run(struct put *p, const struct pluri_body *body, uint32_t flags,
	struct pluri_err *err)
{
	int r;

	r = put_begin(p, err);
	if (r == 0)
		r = put_bytes(p, body, err);
	if (r == 0)
		r = put_name(p, flags, err);
	if (p->dir >= 0 && p->name[0])
		(void)unlinkat(p->dir, p->name, 0);
	if (p->fd >= 0)
		(void)close(p->fd);
	if (p->dir >= 0)
		(void)close(p->dir);
	return r;
}

int local_put(struct pluri_backend *b, struct pluri_call *call, const char *key,
	const struct pluri_body *body, uint32_t flags, struct pluri_err *err)
{
	struct put p = {.b = b, .call = call, .key = key, .dir = -1, .fd = -1};
	int r;

	r = key_check(key, err);
	if (r < 0)
		return r;
	if (flags & ~PLURI_PUT_NEW)
		return pluri_fail(err, ENOTSUP, "local: put flags %#x", flags);
	if (body->size > LOCAL_OBJECT_MAX)
		return pluri_fail(err, EINVAL, "local: an object of %llu bytes",
			(unsigned long long)body->size);
	r = call_check(call, err);
	if (r == 0 && flags & PLURI_PUT_NEW)
		r = put_look(b, key, err);
	return r < 0 ? r : put_run(&p, body, flags, err);
}
