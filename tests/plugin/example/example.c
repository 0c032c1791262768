/*
 * pluri-example.so - how to add a cloud to plurifs without touching it.
 *
 * The "cloud" is one file: a log of records, a header and then key and bytes.
 * A record's header is written after its bytes are on disk, so a torn record
 * was never there. Every call locks the file and reads what others appended,
 * which makes puts visible and PLURI_PUT_NEW atomic between processes. Space
 * is never given back: this is an example, not a place for your photographs.
 *
 * Built against the installed headers alone; links nothing of plurifs.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include <plurifs/backend.h>

#define MAGIC 0x45584d50u
#define GONE UINT64_MAX
#define OBJECT_MAX (UINT64_C(1) << 30)
#define PIECE 65536u
#define PAGE 500u

struct record {
	uint32_t magic, deleted;
	uint64_t size; /* of the object */
	char key[PLURI_OBJECT_KEY_MAX + 8];
};

struct entry {
	char key[PLURI_OBJECT_KEY_MAX + 8];
	uint64_t at, size; /* at GONE: deleted */
};

struct pluri_backend {
	int fd;
	pthread_mutex_t lock; /* guards what follows, and the file's lock */
	uint64_t end; /* records before it are in the index */
	struct entry *index; /* sorted by key */
	size_t n;
};

static int judge(
	const struct pluri_call *c, const char *key, struct pluri_err *err)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyz"
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/";
	const size_t n = key ? strlen(key) : 0;
	struct timespec t;

	for (const char *p = key; p; p = strchr(p, '/')) {
		p += p != key;
		if (*p == '/' || *p == 0 || strcmp(p, ".") == 0 ||
			strcmp(p, "..") == 0 || strncmp(p, "./", 2) == 0 ||
			strncmp(p, "../", 3) == 0)
			return pluri_fail(err, EINVAL, "example: bad key");
	}
	if (n > PLURI_OBJECT_KEY_MAX || (n && strspn(key, letters) != n))
		return pluri_fail(err, EINVAL, "example: bad key");
	if (c->cancel && __atomic_load_n(c->cancel, __ATOMIC_ACQUIRE))
		return pluri_fail(err, ECANCELED, "stopped by the caller");
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	if (c->deadline_ms &&
		(uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 >=
			c->deadline_ms)
		return pluri_fail(err, ETIMEDOUT, "the deadline passed");
	return 0;
}

static size_t seek_key(const struct pluri_backend *b, const char *key)
{
	size_t lo = 0;

	for (size_t hi = b->n; lo < hi;) {
		const size_t mid = (lo + hi) / 2;

		if (strcmp(b->index[mid].key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct entry *find(const struct pluri_backend *b, const char *key)
{
	const size_t i = seek_key(b, key);

	if (i == b->n || strcmp(b->index[i].key, key) != 0 ||
		b->index[i].at == GONE)
		return NULL;
	return &b->index[i];
}

static int learn(struct pluri_backend *b, const struct record *r)
{
	size_t i = seek_key(b, r->key);
	struct entry *p;

	if (i == b->n || strcmp(b->index[i].key, r->key) != 0) {
		p = realloc(b->index, (b->n + 1) * sizeof(*p));
		if (!p)
			return -ENOMEM;
		b->index = p;
		memmove(p + i + 1, p + i, (b->n++ - i) * sizeof(*p));
		memcpy(p[i].key, r->key, sizeof(r->key));
	}
	b->index[i].at = r->deleted ? GONE : b->end + sizeof(*r);
	b->index[i].size = r->size;
	b->end += sizeof(*r) + r->size;
	return 0;
}

static void leave(struct pluri_backend *b)
{
	(void)flock(b->fd, LOCK_UN);
	(void)pthread_mutex_unlock(&b->lock);
}

/* Alone with the file, its index up to date; leave() when 0. */
static int enter(struct pluri_backend *b, struct pluri_err *err)
{
	struct record r;
	int e = 0;

	(void)pthread_mutex_lock(&b->lock);
	if (flock(b->fd, LOCK_EX) < 0)
		e = -errno;
	while (e == 0 &&
		pread(b->fd, &r, sizeof(r), (off_t)b->end) ==
			(ssize_t)sizeof(r) &&
		r.magic == MAGIC && r.size <= OBJECT_MAX &&
		memchr(r.key, 0, sizeof(r.key)))
		e = learn(b, &r);
	if (e == 0)
		return 0;
	leave(b);
	return pluri_fail(err, EAGAIN, "example: %s", strerror(-e));
}

/* Bytes first, the header when they are on disk. */
static int append(struct pluri_backend *b, struct pluri_call *call,
	struct record *r, const struct pluri_body *body, struct pluri_err *err)
{
	uint8_t piece[PIECE];
	int e = 0;

	/* leftovers of a failed put must not look like a header one day */
	if (ftruncate(b->fd, (off_t)b->end) < 0)
		e = pluri_fail(err, ENOSPC, "example: %s", strerror(errno));
	for (uint64_t off = 0; off < r->size && e == 0; off += PIECE) {
		const size_t n =
			r->size - off < PIECE ? (size_t)(r->size - off) : PIECE;

		e = body->read(body->arg, off, piece, n, err);
		if (e < 0)
			return e;
		e = judge(call, NULL, err);
		if (e == 0 && pwrite(b->fd, piece, n,
				      (off_t)(b->end + sizeof(*r) + off)) !=
				      (ssize_t)n)
			e = pluri_fail(err, ENOSPC, "example: short write");
	}
	if (e == 0 && (fsync(b->fd) < 0 ||
			      pwrite(b->fd, r, sizeof(*r), (off_t)b->end) !=
				      (ssize_t)sizeof(*r) ||
			      fsync(b->fd) < 0))
		e = pluri_fail(err, ENOSPC, "example: %s", strerror(errno));
	if (e == 0 && learn(b, r) < 0)
		e = pluri_fail(err, EAGAIN, "example: out of memory");
	return e;
}

static int put(struct pluri_backend *b, struct pluri_call *call,
	const char *key, const struct pluri_body *body, uint32_t flags,
	struct pluri_err *err)
{
	struct record r = {.magic = MAGIC, .size = body->size};
	int e = judge(call, key, err);

	if (e < 0)
		return e;
	if (flags & ~PLURI_PUT_NEW)
		return pluri_fail(err, ENOTSUP, "example: flags %#x", flags);
	if (body->size > OBJECT_MAX)
		return pluri_fail(err, EINVAL, "example: above 1 GiB");
	memcpy(r.key, key, strlen(key) + 1);
	e = enter(b, err);
	if (e < 0)
		return e;
	e = flags & PLURI_PUT_NEW && find(b, key)
		    ? pluri_fail(err, EEXIST, "example: %s is there", key)
		    : append(b, call, &r, body, err);
	leave(b);
	return e;
}

static int get(struct pluri_backend *b, struct pluri_call *call,
	const char *key, uint64_t off, struct pluri_room *into,
	uint64_t *ret_size, struct pluri_err *err)
{
	struct entry found = {.at = GONE};
	const struct entry *p;
	size_t len = 0;
	int e = judge(call, key, err);

	if (e == 0)
		e = enter(b, err);
	if (e < 0)
		return e;
	p = find(b, key);
	if (p)
		found = *p;
	leave(b); /* records never change: reading needs no lock */
	if (found.at == GONE)
		return pluri_fail(err, ENOENT, "example: no %s", key);
	if (off < found.size)
		len = found.size - off < into->cap ? (size_t)(found.size - off)
						   : into->cap;
	for (size_t done = 0; done < len;) {
		const ssize_t n = pread(b->fd, (char *)into->data + done,
			len - done, (off_t)(found.at + off + done));

		if (n <= 0)
			return pluri_fail(err, EBADMSG, "example: cut short");
		done += (size_t)n;
	}
	into->len = len;
	if (ret_size)
		*ret_size = found.size;
	return 0;
}

static int del(struct pluri_backend *b, struct pluri_call *call,
	const char *key, struct pluri_err *err)
{
	struct record r = {.magic = MAGIC, .deleted = 1};
	int e = judge(call, key, err);

	if (e == 0)
		e = enter(b, err);
	if (e < 0)
		return e;
	memcpy(r.key, key, strlen(key) + 1);
	if (find(b, key))
		e = append(b, call, &r, NULL, err);
	leave(b);
	return e;
}

/* One key at a time, so that each() may call us; GONE ones are stepped over. */
static bool next(struct pluri_backend *b, const char *prefix,
	struct pluri_page *page, struct entry *ret)
{
	const bool begun = strcmp(page->token, prefix) >= 0;
	size_t i = seek_key(b, begun ? page->token : prefix);

	for (; i < b->n; i++) {
		if (strncmp(b->index[i].key, prefix, strlen(prefix)) != 0)
			return false;
		if (b->index[i].at == GONE ||
			strcmp(b->index[i].key, page->token) == 0)
			continue;
		*ret = b->index[i];
		return true;
	}
	return false;
}

static int list(struct pluri_backend *b, struct pluri_call *call,
	const char *prefix, struct pluri_page *page, struct pluri_err *err)
{
	struct pluri_page at = *page;
	struct entry found;
	bool more = true;
	int e = 0;

	if (strstr(prefix, "//") || prefix[0] == '/')
		return pluri_fail(err, EINVAL, "example: bad prefix");
	for (unsigned told = 0; more && told <= PAGE; told++) {
		e = judge(call, NULL, err);
		if (e == 0)
			e = enter(b, err);
		if (e < 0)
			return e;
		more = next(b, prefix, &at, &found);
		leave(b);
		if (!more || told == PAGE)
			break;
		e = page->each(page->arg, found.key, found.size);
		if (e != 0)
			return pluri_fail(err, e < 0 ? -e : e, "stopped");
		memcpy(at.token, found.key, sizeof(found.key));
	}
	if (!more)
		at.token[0] = 0;
	memcpy(page->token, at.token, sizeof(at.token));
	return 0;
}

static int open_file(const struct pluri_host *host, const char *url,
	struct pluri_backend **ret, struct pluri_err *err)
{
	struct pluri_backend *b;

	host->debug(host->ctx, "example: opening");
	if (strncmp(url, "example:/", 9) != 0)
		return pluri_fail(err, EINVAL, "url: write example:/FILE");
	b = calloc(1, sizeof(*b));
	if (!b)
		return pluri_fail(err, ENOMEM, "out of memory");
	b->fd = open(url + 8, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (b->fd < 0) {
		free(b);
		return pluri_fail(err, EINVAL, "%s: %s", url, strerror(errno));
	}
	(void)pthread_mutex_init(&b->lock, NULL);
	*ret = b;
	return 0;
}

static void close_file(struct pluri_backend *b)
{
	if (!b)
		return;
	(void)close(b->fd);
	free(b->index);
	free(b);
}

static void limits(const struct pluri_backend *b, struct pluri_limits *ret)
{
	(void)b;
	*ret = (struct pluri_limits){.object_max = OBJECT_MAX,
		.concurrency = 4,
		.list_page = PAGE,
		.caps = PLURI_CAP_RANGE | PLURI_CAP_NEW | PLURI_CAP_VISIBLE |
			PLURI_CAP_SORTED | PLURI_CAP_LOCAL};
}

/* The ways to be refused, for plurifs's own tests. */
#ifdef BAD_ABI
#define ABI (PLURI_BACKEND_ABI + 1)
#else
#define ABI PLURI_BACKEND_ABI
#endif
#ifdef SHORT
#define SIZE offsetof(struct pluri_backend_ops, list)
#else
#define SIZE sizeof(struct pluri_backend_ops)
#endif
#ifdef NO_SYMBOL
#define pluri_backend_entry pluri_backend_exit
PLURI_EXPORT const struct pluri_backend_ops *pluri_backend_exit(void);
#endif

PLURI_EXPORT const struct pluri_backend_ops *pluri_backend_entry(void)
{
	static const struct pluri_backend_ops ops = {.abi = ABI,
		.size = SIZE,
		.name = "example",
		.open = open_file,
		.close = close_file,
		.limits = limits,
		.put = put,
		.get = get,
		.del = del,
		.list = list};

	return &ops;
}
