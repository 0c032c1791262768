/*
 * modelrun_keep.c - sequences on disk, and what stays of one that failed:
 * beside TRACE its first tree (TRACE.base), why (TRACE.why), and after a crash
 * the tree that was found (TRACE.found).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/system/modelrun_run.h"

#define KEEP_LINES 40u /* of why, told again at last */

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

/* Where the trace would be kept. */
void model_keep_begin(struct model_place *at, uint64_t seed)
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(at->trace, sizeof(at->trace),
		"%s/plurifs-model-%llu.trace", tmp ? tmp : "/tmp",
		(unsigned long long)seed);
	(void)snprintf(at->why, sizeof(at->why), "%s.why", at->trace);
	(void)unlink(at->why);
	(void)setenv("MODEL_WHY", at->why, 1); /* events tell, too */
}

void model_say(const struct model_place *at, const char *fmt, ...)
{
	FILE *out = fopen(at->why, "ae");
	va_list ap;

	(void)printf("# ");
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)printf("\n");
	if (!out)
		return;
	va_start(ap, fmt);
	(void)vfprintf(out, fmt, ap);
	va_end(ap);
	(void)fprintf(out, "\n");
	(void)fclose(out);
}

static void keep_tree(
	const struct model_worker *w, const char *tree, const char *suffix)
{
	char to[MODEL_PATH + 16];

	(void)snprintf(to, sizeof(to), "%s%s", w->at->trace, suffix);
	if (strcmp(tree, to) != 0) /* a replay of what is kept there */
		(void)model_tree_copy(tree, to);
}

void model_keep(
	const struct model_worker *w, const struct model_op *op, size_t n)
{
	(void)model_trace_save(w->at->trace, op, n);
	keep_tree(w, w->base, ".base");
	if (n > 0 && op[n - 1].kind == MODEL_KILL)
		keep_tree(w, w->mount, ".found");
	model_say(w->at, "kept; again: TRACE=%s model.sh", w->at->trace);
}

/* The last lines of it, for whoever sees nothing but the end. */
void model_keep_tell(const struct model_place *at)
{
	FILE *in = fopen(at->why, "re");
	char line[MODEL_TEXT * 2];
	unsigned lines = 0;

	if (!in)
		return;
	while (fgets(line, sizeof(line), in))
		lines++;
	rewind(in);
	(void)printf("# why, all of it in %s:\n", at->why);
	for (; fgets(line, sizeof(line), in); lines--)
		if (lines <= KEEP_LINES)
			(void)printf("#   %s", line);
	(void)fclose(in);
}
