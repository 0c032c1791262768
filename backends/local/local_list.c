#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/call.h"
#include "backends/key.h"

#include "backends/local/local.h"

/*
 * Depth first in byte order of whole keys: in a directory, a directory's name
 * counts with its slash ("a.b" < "a/b"). A directory is read in batches of the
 * names that come next, so that memory is bounded whatever it holds.
 */
#define LIST_BATCH LOCAL_PAGE_KEYS

struct list {
	struct pluri_backend *b;
	struct pluri_call *call;
	const char *prefix;
	struct pluri_page *page;
	char after[PLURI_OBJECT_KEY_MAX + 1]; /* keys up to it are told */
	char path[PLURI_OBJECT_KEY_MAX + 258]; /* of the current directory */
	unsigned told;
	bool full;
};

/* The names of one directory that come next, each with '/' if it is one. */
struct list_batch {
	char *names[2 * LIST_BATCH];
	unsigned n;
	bool more; /* some were dropped */
};

static void list_batch_free(struct list_batch *s)
{
	for (unsigned i = 0; s && i < s->n; i++)
		free(s->names[i]);
	free(s);
}

static int list_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list_batch_trim(struct list_batch *s)
{
	qsort(s->names, s->n, sizeof(s->names[0]), list_order);
	while (s->n > LIST_BATCH) {
		free(s->names[--s->n]);
		s->more = true;
	}
}

/* Can this name, at the end of l->path, be or hold a key still to be told? */
static bool list_wanted(struct list *l, size_t at, const char *name)
{
	const size_t n = at + strlen(name);
	const size_t want = strlen(l->prefix);
	bool key;

	if (n > sizeof(l->path) - 1)
		return false;
	memcpy(l->path + at, name, n - at + 1);
	key = l->path[n - 1] != '/';
	if (key)
		return key_lawful(l->path) && strcmp(l->path, l->after) > 0 &&
		       strncmp(l->path, l->prefix, want) == 0;
	l->path[n - 1] = 0;
	if (!key_lawful(l->path))
		return false;
	l->path[n - 1] = '/';
	if (strncmp(l->path, l->prefix, n < want ? n : want) != 0)
		return false;
	return strncmp(l->after, l->path, n) == 0 ||
	       strcmp(l->path, l->after) > 0;
}

/* 'f', 'd', or 0 for what is neither file nor directory, or gone. */
static char list_kind(int fd, const struct dirent *e)
{
	struct stat st;

	if (e->d_type == DT_REG || e->d_type == DT_DIR)
		return e->d_type == DT_REG ? 'f' : 'd';
	if (e->d_type != DT_UNKNOWN ||
		fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (S_ISDIR(st.st_mode))
		return 'd';
	return S_ISREG(st.st_mode) ? 'f' : 0;
}

static int list_add(struct list *l, size_t at, struct list_batch *s,
	const char *last, const char *name)
{
	if (strcmp(name, last) <= 0 || !list_wanted(l, at, name))
		return 0;
	s->names[s->n] = strdup(name);
	if (!s->names[s->n])
		return -ENOMEM;
	if (++s->n == 2 * LIST_BATCH)
		list_batch_trim(s);
	return 0;
}

/* Fill the batch with the names behind `last`. */
static int list_read(struct list *l, DIR *d, size_t at, struct list_batch *s,
	const char *last, struct pluri_err *err)
{
	char name[258];
	struct dirent *e;
	char kind;
	int r = 0;

	for (unsigned seen = 0; r == 0; seen++) {
		errno = 0;
		e = readdir(d);
		if (!e && errno)
			return local_fail(l->b, errno, "listing", l->path, err);
		if (!e)
			break;
		if (seen % 1024 == 0)
			r = call_check(l->call, err);
		kind = r == 0 ? list_kind(dirfd(d), e) : 0;
		if (kind == 0)
			continue;
		(void)snprintf(name, sizeof(name), "%s%s", e->d_name,
			kind == 'd' ? "/" : "");
		if (list_add(l, at, s, last, name) < 0)
			return pluri_fail(err, ENOMEM, "out of memory");
	}
	list_batch_trim(s);
	return r;
}

static int list_tell(
	struct list *l, int dir, const char *name, struct pluri_err *err)
{
	struct stat st;
	int r;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT)
			return 0;
		return local_fail(l->b, errno, "looking at", l->path, err);
	}
	if (l->told == LOCAL_PAGE_KEYS) {
		l->full = true;
		return 0;
	}
	r = l->page->each(l->page->arg, l->path, (uint64_t)st.st_size);
	if (r != 0)
		return pluri_fail(err, r < 0 ? -r : r, "listing was stopped");
	l->told++;
	memcpy(l->after, l->path, strlen(l->path) + 1);
	return 0;
}

static int list_dir(struct list *l, int fd, size_t at, struct pluri_err *err);

static int list_enter(struct list *l, int dir, const char *name, size_t at,
	struct pluri_err *err)
{
	char part[258];
	int fd;

	(void)snprintf(part, sizeof(part), "%.*s", (int)strlen(name) - 1, name);
	fd = openat(dir, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return local_fail(l->b, errno, "opening", l->path, err);
	return list_dir(l, fd, at, err);
}

static int list_batch_run(struct list *l, int fd, size_t at,
	const struct list_batch *s, struct pluri_err *err)
{
	int r = 0;

	for (unsigned i = 0; i < s->n && r == 0 && !l->full; i++) {
		const size_t n = strlen(s->names[i]);

		r = call_check(l->call, err);
		if (r < 0)
			break;
		memcpy(l->path + at, s->names[i], n + 1);
		if (s->names[i][n - 1] == '/')
			r = list_enter(l, fd, s->names[i], at + n, err);
		else
			r = list_tell(l, fd, s->names[i], err);
	}
	return r;
}

/* Everything below fd, which it closes; l->path[0..at) is its path. The depth
 * is bounded by the length of a lawful key. */
static int list_dir(struct list *l, int fd, size_t at, struct pluri_err *err)
{
	char last[258] = "";
	struct list_batch *s;
	bool more = true;
	DIR *d;
	int r = 0;

	d = fdopendir(fd);
	if (!d) {
		r = local_fail(l->b, errno, "opening", l->path, err);
		(void)close(fd);
		return r;
	}
	while (more && r == 0 && !l->full) {
		s = calloc(1, sizeof(*s));
		if (!s) {
			r = pluri_fail(err, ENOMEM, "out of memory");
			break;
		}
		rewinddir(d);
		r = list_read(l, d, at, s, last, err);
		if (r == 0)
			r = list_batch_run(l, fd, at, s, err);
		more = s->more;
		if (more)
			(void)snprintf(
				last, sizeof(last), "%s", s->names[s->n - 1]);
		list_batch_free(s);
	}
	(void)closedir(d);
	return r;
}

int local_list(struct pluri_backend *b, struct pluri_call *call,
	const char *prefix, struct pluri_page *page, struct pluri_err *err)
{
	struct list l = {.b = b, .call = call, .prefix = prefix, .page = page};
	int fd;
	int r;

	r = key_check_prefix(prefix, err);
	if (r == 0)
		r = call_check(call, err);
	if (r < 0)
		return r;
	if (memchr(page->token, 0, sizeof(page->token)) == NULL ||
		(page->token[0] && !key_lawful(page->token)))
		return pluri_fail(
			err, EINVAL, "%s: not a token of this store", b->root);
	memcpy(l.after, page->token, strlen(page->token) + 1);
	fd = local_root(b, err);
	if (fd < 0)
		return fd;
	r = list_dir(&l, fd, 0, err);
	if (r < 0)
		return r;
	(void)snprintf(
		page->token, sizeof(page->token), "%s", l.full ? l.after : "");
	return 0;
}
