#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/call.h"
#include "backends/key.h"

#include "backends/local/local.h"

static int local_class(int e)
{
	switch (e) {
	case ENOSPC:
	case EDQUOT:
		return ENOSPC;
	case EACCES:
	case EPERM:
	case EROFS:
		return EACCES;
	case EIO:
	case EUCLEAN:
	case ELOOP:
		return EBADMSG;
	case EISDIR:
	case ENOTDIR:
	case ENAMETOOLONG:
	case EFBIG:
		return EINVAL;
	default:
		return EAGAIN;
	}
}

static const char *local_advice(int e)
{
	switch (e) {
	case EIO:
	case EUCLEAN:
		return ": the medium or its filesystem is damaged";
	case ELOOP:
		return ": symbolic links are not followed";
	case EISDIR:
	case ENOTDIR:
		return ": a directory cannot hold both \"x\" and \"x/y\"";
	case ENAMETOOLONG:
		return ": a part of a key may have 255 bytes in a directory";
	default:
		return "";
	}
}

int local_fail(const struct pluri_backend *b, int e, const char *what,
	const char *key, struct pluri_err *err)
{
	return pluri_fail(err, local_class(e), "%.200s: %s %.100s: %s%s",
		b->root, what, key, strerror(e), local_advice(e));
}

int local_sync(int fd)
{
	if (fsync(fd) == 0)
		return 0;
	/* some network filesystems cannot sync directories and need not */
	return errno == EINVAL || errno == ENOTSUP ? 0 : -errno;
}

int local_root(struct pluri_backend *b, struct pluri_err *err)
{
	const int how = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	int fd = open(b->root, how);

	/* only once: a root that was there and is gone was not dropped by us */
	if (fd < 0 && errno == ENOENT && b->create &&
		!__atomic_load_n(&b->used, __ATOMIC_ACQUIRE)) {
		if (mkdir(b->root, 0700) < 0 && errno != EEXIST)
			return pluri_fail(err, EAGAIN,
				"%s: directory is missing and cannot be made: "
				"%s",
				b->root, strerror(errno));
		fd = open(b->root, how);
	}
	if (fd >= 0) {
		__atomic_store_n(&b->used, 1, __ATOMIC_RELEASE);
		return fd;
	}
	if (errno == ENOENT || errno == ENOTDIR)
		return pluri_fail(err, EAGAIN,
			"%s: directory is missing: is the disk mounted?",
			b->root);
	return local_fail(b, errno, "opening", "the directory", err);
}

/* A linked directory is no authority for what is missing below it. */
static int local_no_directory(int dir, const char *part, int e)
{
	struct stat st;

	if (e == ENOTDIR && fstatat(dir, part, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISLNK(st.st_mode))
		return -ELOOP;
	return -e;
}

/* One directory down; closes dir. -errno. */
static int local_step(int dir, const char *part, bool make)
{
	const int how = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(dir, part, how);
	int r = 0;

	if (fd < 0 && errno == ENOENT && make) {
		if (mkdirat(dir, part, 0700) < 0 && errno != EEXIST)
			r = -errno;
		else
			fd = openat(dir, part, how);
	}
	if (r == 0 && fd < 0)
		r = local_no_directory(dir, part, errno);
	/* also when it was there: its maker may not have synced it yet */
	if (r == 0 && make)
		r = local_sync(dir);
	(void)close(dir);
	if (r < 0 && fd >= 0)
		(void)close(fd);
	return r < 0 ? r : fd;
}

int local_parent(struct pluri_backend *b, const char *key, bool make,
	const char **ret_leaf, struct pluri_err *err)
{
	char part[PLURI_OBJECT_KEY_MAX + 1];
	const char *p = key;
	int fd;

	fd = local_root(b, err);
	for (const char *s; fd >= 0 && (s = strchr(p, '/')); p = s + 1) {
		memcpy(part, p, (size_t)(s - p));
		part[s - p] = 0;
		fd = local_step(fd, part, make);
		if (fd == -ENOENT || (fd == -ENOTDIR && !make))
			return -ENOENT;
		if (fd < 0)
			return local_fail(b, -fd, "directory of", key, err);
	}
	if (fd >= 0)
		*ret_leaf = p;
	return fd;
}

static int local_absent(
	const struct pluri_backend *b, const char *key, struct pluri_err *err)
{
	return pluri_fail(
		err, ENOENT, "%s: there is no object %.200s", b->root, key);
}

/* The object's descriptor and size. */
static int local_object(struct pluri_backend *b, const char *key,
	uint64_t *ret_size, struct pluri_err *err)
{
	const char *leaf = NULL;
	struct stat st = {0};
	int dir;
	int fd;
	int e;

	dir = local_parent(b, key, false, &leaf, err);
	if (dir == -ENOENT)
		return local_absent(b, key, err);
	if (dir < 0)
		return dir;
	/* non-blocking: a FIFO planted there must not hold us */
	fd = openat(dir, leaf, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	e = fd < 0 || fstat(fd, &st) < 0 ? errno : 0;
	(void)close(dir);
	if (e == 0 && S_ISREG(st.st_mode)) {
		*ret_size = (uint64_t)st.st_size;
		return fd;
	}
	if (fd >= 0)
		(void)close(fd);
	if (e == ENOENT || (e == 0 && S_ISDIR(st.st_mode)))
		return local_absent(b, key, err);
	if (e == 0)
		return pluri_fail(err, EBADMSG, "%s/%s: is not a regular file",
			b->root, key);
	return local_fail(b, e, "opening", key, err);
}

/* Exactly to.len bytes from off. */
static int local_read(const struct pluri_backend *b,
	const struct pluri_call *call, const char *key, int fd, uint64_t off,
	struct pluri_room to, struct pluri_err *err)
{
	size_t done = 0;
	int r;

	while (done < to.len) {
		const size_t left = to.len - done;
		ssize_t n;

		r = call_check(call, err);
		if (r < 0)
			return r;
		n = pread(fd, (uint8_t *)to.data + done,
			left < CALL_PIECE_BYTES ? left : CALL_PIECE_BYTES,
			(off_t)(off + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return local_fail(b, errno, "reading", key, err);
		if (n == 0)
			return pluri_fail(err, EBADMSG,
				"object %s shrank while it was read", key);
		done += (size_t)n;
	}
	return 0;
}

static int local_get(struct pluri_backend *b, struct pluri_call *call,
	const char *key, uint64_t off, struct pluri_room *into,
	uint64_t *ret_size, struct pluri_err *err)
{
	uint64_t size = 0;
	size_t len = 0;
	int fd;
	int r;

	r = key_check(key, err);
	if (r == 0)
		r = call_check(call, err);
	if (r < 0)
		return r;
	fd = local_object(b, key, &size, err);
	if (fd < 0)
		return fd;
	if (off < size)
		len = size - off < into->cap ? (size_t)(size - off) : into->cap;
	r = local_read(b, call, key, fd, off,
		(struct pluri_room){.data = into->data, .len = len}, err);
	(void)close(fd);
	if (r < 0)
		return r;
	into->len = len;
	if (ret_size)
		*ret_size = size;
	return 0;
}

static int local_del(struct pluri_backend *b, struct pluri_call *call,
	const char *key, struct pluri_err *err)
{
	const char *leaf = NULL;
	int dir;
	int r;

	r = key_check(key, err);
	if (r == 0)
		r = call_check(call, err);
	if (r < 0)
		return r;
	dir = local_parent(b, key, false, &leaf, err);
	if (dir == -ENOENT)
		return 0;
	if (dir < 0)
		return dir;
	r = unlinkat(dir, leaf, 0) < 0 ? -errno : local_sync(dir);
	(void)close(dir);
	if (r == -ENOENT || r == -EISDIR)
		return 0;
	return r < 0 ? local_fail(b, -r, "deleting", key, err) : 0;
}

static int local_flag(const struct pluri_host *host, const char *name,
	bool *ret, struct pluri_err *err)
{
	const char *v = host->option(host->ctx, name);

	if (v && strcmp(v, "yes") != 0 && strcmp(v, "no") != 0)
		return pluri_fail(
			err, EINVAL, "%s = %.64s: write yes or no", name, v);
	*ret = v && strcmp(v, "yes") == 0;
	return 0;
}

static int local_open(const struct pluri_host *host, const char *url,
	struct pluri_backend **ret, struct pluri_err *err)
{
	struct pluri_backend *b;
	bool create = false;
	int r;

	if (strncmp(url, "file://", 7) == 0)
		url += 7;
	if (url[0] != '/')
		return pluri_fail(err, EINVAL,
			"url = %.200s: write the absolute path of a directory",
			url);
	if (strlen(url) >= PATH_MAX)
		return pluri_fail(
			err, EINVAL, "url: a path of %zu bytes", strlen(url));
	r = local_flag(host, "create", &create, err);
	if (r < 0)
		return r;
	b = calloc(1, sizeof(*b));
	if (!b)
		return pluri_fail(err, ENOMEM, "out of memory");
	b->create = create;
	memcpy(b->root, url, strlen(url) + 1);
	for (size_t n = strlen(url); n > 1 && b->root[n - 1] == '/'; n--)
		b->root[n - 1] = 0;
	*ret = b;
	return 0;
}

static void local_close(struct pluri_backend *b)
{
	free(b);
}

static void local_limits(
	const struct pluri_backend *b, struct pluri_limits *ret)
{
	(void)b;
	*ret = (struct pluri_limits){
		.caps = PLURI_CAP_RANGE | PLURI_CAP_NEW | PLURI_CAP_VISIBLE |
			PLURI_CAP_SORTED | PLURI_CAP_LOCAL,
		.object_max = LOCAL_OBJECT_MAX,
		.concurrency = LOCAL_CONCURRENCY,
		.list_page = LOCAL_PAGE_KEYS,
	};
}

PLURI_EXPORT const struct pluri_backend_ops *pluri_backend_entry(void)
{
	static const struct pluri_backend_ops ops = {
		.abi = PLURI_BACKEND_ABI,
		.size = sizeof(ops),
		.name = "local",
		.open = local_open,
		.close = local_close,
		.limits = local_limits,
		.put = local_put,
		.get = local_get,
		.del = local_del,
		.list = local_list,
	};

	return &ops;
}
