/*
 * modelrun_shrink.c - sequences on disk, and fewer operations that fail alike.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/system/modelrun.h"

#define SHRINK_SECONDS 90

int model_trace_save(const char *path, const struct model_op *op, size_t n)
{
	const int fd =
		open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	const size_t len = n * sizeof(*op);
	const bool whole = fd >= 0 && write(fd, op, len) == (ssize_t)len;

	if (fd >= 0)
		(void)close(fd);
	return whole ? 0 : -EIO;
}

int model_trace_load(const char *path, struct model_op **ret, size_t *ret_n)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct model_op *op = NULL;
	struct stat st;
	int r = -EIO;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	op = malloc((size_t)st.st_size + 1);
	if (op && read(fd, op, (size_t)st.st_size) == (ssize_t)st.st_size)
		r = 0;
	(void)close(fd);
	if (r < 0) {
		free(op);
		return r;
	}
	*ret = op;
	*ret_n = (size_t)st.st_size / sizeof(*op);
	return 0;
}

struct shrink {
	struct model_worker *w;
	struct model_op *op, *try;
	size_t n;
	time_t until;
	char why[MODEL_TEXT];
};

/* Alike but for the figures. */
static bool shrink_alike(const char *a, const char *b)
{
	static const char *const any = "0123456789abcdef";

	while (*a && *b) {
		a += strspn(a, any);
		b += strspn(b, any);
		if (*a != *b)
			return false;
		a += *a != 0;
		b += *b != 0;
	}
	return *a == *b;
}

/* Without op[from, from + len), does it still fail? Then be rid of them. */
static bool shrink_without(struct shrink *s, size_t from, size_t len)
{
	char why[MODEL_TEXT];
	const size_t rest = s->n - from - len;

	memcpy(s->try, s->op, from * sizeof(*s->op));
	memcpy(s->try + from, s->op + from + len, rest * sizeof(*s->op));
	if (model_replay(s->w, s->try, s->n - len, why) != 1 ||
		!(len == 0 || shrink_alike(why, s->why)))
		return false;
	s->n -= len;
	memcpy(s->op, s->try, s->n * sizeof(*s->op));
	memcpy(s->why, why, sizeof(s->why));
	return true;
}

static void shrink_all(struct shrink *s)
{
	for (size_t len = s->n / 2; len > 0 && time(NULL) < s->until;) {
		bool less = false;

		/* from the end: the last ones matter */
		for (size_t at = s->n; at > 0 && time(NULL) < s->until;) {
			const size_t step = len < at ? len : at;

			at -= step;
			less = shrink_without(s, at, step) || less;
		}
		if (len == 1 && !less)
			break;
		len = len > 1 ? len / 2 : 1;
	}
}

static void shrink_tell(const struct shrink *s)
{
	char text[MODEL_TEXT];

	for (size_t i = 0; i < s->n; i++) {
		model_tell(&s->op[i], text);
		(void)printf("#   %s\n", text);
	}
	(void)printf("# %s\n", s->why);
}

static void shrink_keep(struct model_worker *w, uint64_t seed,
	const struct model_op *op, size_t n)
{
	char path[MODEL_PATH];
	char base[MODEL_PATH + 16];
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(path, sizeof(path), "%s/plurifs-model-%llu.trace",
		tmp ? tmp : "/tmp", (unsigned long long)seed);
	(void)snprintf(base, sizeof(base), "%s.base", path);
	(void)model_trace_save(path, op, n);
	(void)model_tree_copy(w->base, base);
	(void)printf("# kept; again: TRACE=%s model.sh\n", path);
}

void model_keep(struct model_worker *w, uint64_t seed)
{
	shrink_keep(w, seed, w->op, w->ops);
}

void model_shrink(struct model_worker *w, uint64_t seed)
{
	struct shrink s = {.w = w, .n = w->ops, .until = time(NULL)};

	s.until += SHRINK_SECONDS;
	s.op = malloc((s.n + 1) * sizeof(*s.op));
	s.try = malloc((s.n + 1) * sizeof(*s.op));
	if (!s.op || !s.try)
		abort();
	memcpy(s.op, w->op, s.n * sizeof(*s.op));
	if (shrink_without(&s, s.n, 0)) {
		shrink_all(&s);
		(void)printf(
			"# fails alone, of %zu operations these do:\n", w->ops);
		shrink_tell(&s);
	} else {
		(void)printf("# does not fail alone\n");
	}
	shrink_keep(w, seed, s.op, s.n);
	free(s.op);
	free(s.try);
}
