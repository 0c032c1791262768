/*
 * kill_check DIR LOGDIR - is DIR what a mount may look like whose daemon died
 * while killer worked in it?
 *
 * Names: those after some operation, not before the last sync of the thread.
 * A file: each byte of its last synced state, or of a write after that to that
 * very place; zero only where a hole was or could be. Its size: one that it
 * had, not before its last sync. Reading it never fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/system/kill_log.h"

#define CHECK_ROOM (KILL_FILE_MAX + 1)

struct check {
	uint32_t thread;
	char dir[4096];
	struct kill_rec *rec;
	size_t n;
	uint32_t at[KILL_NAMES]; /* files by name, after some operation */
	bool there[KILL_NAMES]; /* in the directory now */
	uint32_t judged[KILL_NAMES]; /* the file it was last taken for */
	bool fits[KILL_NAMES];
	char why[512]; /* it does not */
	uint8_t now[CHECK_ROOM], whole[CHECK_ROOM], fine[CHECK_ROOM];
};

static uint64_t check_bytes, check_files, check_tail;

static int check_load(struct check *c, const char *logs)
{
	char path[4200];
	struct stat st;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/t%u", logs, c->thread);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	c->n = (size_t)st.st_size / sizeof(c->rec[0]);
	c->rec = malloc((size_t)st.st_size + 1);
	if (!c->rec || read(fd, c->rec, (size_t)st.st_size) != st.st_size)
		return -1;
	(void)close(fd);
	return 0;
}

/* --- one file ------------------------------------------------------------- */

struct check_file {
	uint32_t file;
	size_t synced; /* records before this one are whole */
	uint64_t size, whole;
};

static void check_write(const struct kill_rec *w, uint8_t *to)
{
	for (uint64_t i = 0; i < w->len; i++)
		to[w->off + i] = kill_byte(w, w->off + i);
}

/* The last synced state. */
static void check_replay(struct check *c, struct check_file *f)
{
	f->synced = 0;
	f->whole = 0;
	for (size_t i = 0; i < c->n; i++)
		if (c->rec[i].op == KILL_SYNC && c->rec[i].file == f->file)
			f->synced = i;
	memset(c->whole, 0, CHECK_ROOM);
	for (size_t i = 0; i < f->synced; i++) {
		const struct kill_rec *r = &c->rec[i];

		if (r->file != f->file)
			continue;
		if (r->op == KILL_WRITE) {
			check_write(r, c->whole);
			if (r->off + r->len > f->whole)
				f->whole = r->off + r->len;
		} else if (r->op == KILL_TRUNCATE) {
			memset(c->whole + r->off, 0, CHECK_ROOM - r->off);
			f->whole = r->off;
		}
	}
}

static bool check_size(const struct check *c, const struct check_file *f)
{
	uint64_t size = f->whole;
	bool fits = size == f->size;

	for (size_t i = f->synced; i < c->n; i++) {
		const struct kill_rec *r = &c->rec[i];

		if (r->file != f->file)
			continue;
		if (r->op == KILL_TRUNCATE)
			size = r->off;
		/* one write may be taken in parts */
		if (r->op == KILL_WRITE && r->off + r->len > size) {
			fits = fits || (f->size >= r->off && f->size > size &&
					       f->size <= r->off + r->len);
			size = r->off + r->len;
		}
		fits = fits || size == f->size;
	}
	return fits;
}

/* Mark what a write after the sync may have left. */
static void check_later(
	struct check *c, const struct check_file *f, const struct kill_rec *r)
{
	uint64_t from = r->off;
	uint64_t to = r->op == KILL_WRITE ? r->off + r->len : CHECK_ROOM;

	if (to > f->size)
		to = f->size;
	for (uint64_t p = from; p < to; p++)
		if (c->now[p] == (r->op == KILL_WRITE ? kill_byte(r, p) : 0))
			c->fine[p] = 1;
}

static int64_t check_wrong(struct check *c, const struct check_file *f)
{
	for (uint64_t p = 0; p < f->size; p++)
		c->fine[p] = p < f->whole ? c->now[p] == c->whole[p]
					  : c->now[p] == 0;
	for (size_t i = f->synced; i < c->n; i++)
		if (c->rec[i].file == f->file &&
			(c->rec[i].op == KILL_WRITE ||
				c->rec[i].op == KILL_TRUNCATE))
			check_later(c, f, &c->rec[i]);
	for (uint64_t p = 0; p < f->size; p++)
		if (!c->fine[p])
			return (int64_t)p;
	return -1;
}

static int check_read(struct check *c, uint32_t name, uint64_t *ret_size)
{
	char path[4200];
	ssize_t n = 0;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/f%u", c->dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	*ret_size = 0;
	while (fd >= 0 && *ret_size < CHECK_ROOM &&
		(n = read(fd, c->now + *ret_size, CHECK_ROOM - *ret_size)) > 0)
		*ret_size += (uint64_t)n;
	if (fd < 0 || n < 0) {
		(void)snprintf(c->why, sizeof(c->why), "%.200s: %s", path,
			strerror(errno));
		return -1;
	}
	(void)close(fd);
	return 0;
}

static bool check_file(struct check *c, uint32_t name, uint32_t file)
{
	struct check_file f = {.file = file};
	int64_t wrong;

	if (check_read(c, name, &f.size) < 0)
		return false;
	check_replay(c, &f);
	check_files++;
	check_bytes += f.size;
	if (!check_size(c, &f)) {
		(void)snprintf(c->why, sizeof(c->why),
			"t%u/f%u (file %u): %llu bytes long, synced at record "
			"%zu of %zu with %llu",
			c->thread, name, file, (unsigned long long)f.size,
			f.synced, c->n, (unsigned long long)f.whole);
		return false;
	}
	wrong = check_wrong(c, &f);
	if (wrong < 0)
		return true;
	(void)snprintf(c->why, sizeof(c->why),
		"t%u/f%u (file %u, %llu bytes, synced at record %zu of %zu "
		"with %llu): byte %lld is %02x, was synced as %02x",
		c->thread, name, file, (unsigned long long)f.size, f.synced,
		c->n, (unsigned long long)f.whole, (long long)wrong,
		c->now[wrong], c->whole[wrong]);
	return false;
}

/* --- names ---------------------------------------------------------------- */

static void check_step(struct check *c, const struct kill_rec *r)
{
	if (r->op == KILL_CREATE)
		c->at[r->name] = r->file;
	if (r->op == KILL_UNLINK)
		c->at[r->name] = 0;
	if (r->op == KILL_RENAME) {
		c->at[r->name2] = c->at[r->name];
		c->at[r->name] = 0;
	}
}

/* Is the directory as after the operations so far? */
static bool check_state(struct check *c)
{
	for (uint32_t i = 0; i < KILL_NAMES; i++)
		if (c->there[i] != (c->at[i] != 0)) {
			(void)snprintf(c->why, sizeof(c->why),
				"t%u/f%u is%s there", c->thread, i,
				c->there[i] ? "" : " not");
			return false;
		}
	for (uint32_t i = 0; i < KILL_NAMES; i++) {
		if (!c->there[i])
			continue;
		if (c->judged[i] != c->at[i]) {
			c->judged[i] = c->at[i];
			c->fits[i] = check_file(c, i, c->at[i]);
		}
		if (!c->fits[i])
			return false;
	}
	return true;
}

static void check_look(struct check *c)
{
	char path[4200];
	struct stat st;

	for (uint32_t i = 0; i < KILL_NAMES; i++) {
		(void)snprintf(path, sizeof(path), "%s/f%u", c->dir, i);
		c->there[i] = stat(path, &st) == 0;
	}
}

static bool check_thread(struct check *c, const char *logs)
{
	size_t synced = 0;

	if (check_load(c, logs) < 0) {
		(void)snprintf(c->why, sizeof(c->why), "log of thread %u: %s",
			c->thread, strerror(errno));
		return false;
	}
	check_look(c);
	for (size_t i = 0; i < c->n; i++)
		if (c->rec[i].op == KILL_SYNC || c->rec[i].op == KILL_SYNCDIR)
			synced = i + 1;
	for (size_t i = 0; i < synced; i++)
		check_step(c, &c->rec[i]);
	check_tail += c->n - synced;
	if (check_state(c))
		return true;
	for (size_t i = synced; i < c->n; i++) {
		check_step(c, &c->rec[i]);
		if (check_state(c))
			return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	static struct check c;
	int bad = 0;

	if (argc != 3) {
		(void)fprintf(stderr, "usage: kill_check DIR LOGDIR\n");
		return 2;
	}
	for (uint32_t i = 0; i < KILL_THREADS; i++) {
		memset(&c, 0, sizeof(c));
		c.thread = i;
		(void)snprintf(c.dir, sizeof(c.dir), "%s/t%u", argv[1], i);
		if (!check_thread(&c, argv[2])) {
			(void)printf("# thread %u: %s\n", i, c.why);
			bad = 1;
		}
		free(c.rec);
	}
	(void)printf("# %llu files, %llu bytes, %llu records not synced\n",
		(unsigned long long)check_files,
		(unsigned long long)check_bytes,
		(unsigned long long)check_tail);
	return bad;
}
