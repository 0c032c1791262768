/*
 * modelrun_crash.c - what a subtree may be after its daemon was killed.
 *
 * Names and attributes: those after some operation, not before the last one
 * that was synced; the one in flight may have been done. A file's bytes: each
 * as its last fsync left it, or as some operation after that did; zero, too,
 * behind where it ended at that fsync or has been cut since: of what is written
 * then, what lies behind may come first. Its size: one that it had since.
 *
 * Found by doing the operations again on a copy of the tree as it was at the
 * last crash: once to find where names agree, once for the bytes of files
 * there. A file is known by its birth: the operation after which it appeared.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/system/modelrun_run.h"

#define CRASH_LOOKED (8u << 20) /* of a file's bytes */
#define CRASH_TRIES 24u

struct crash_life { /* of a file in the copy */
	uint64_t handle; /* hash */
	uint64_t birth;
};

struct crash_file { /* of the mount */
	const char *path;
	uint64_t birth;
	uint64_t size, top; /* now, and looked at */
	uint64_t synced; /* its least since its fsync */
	uint64_t last; /* in the copy */
	bool fits; /* the size is one that it had */
	uint64_t odd; /* the byte that nobody wrote */
	uint8_t *now, *fine;
};

struct crash {
	struct model_worker *w;
	char copy[MODEL_PATH + 16];
	struct model_side side;
	struct model_result result;
	struct model_tree mount;
	struct crash_life *life;
	size_t lives;
	struct crash_file *file;
	size_t files;
	uint8_t *room;
	size_t synced; /* operations that must be there */
	const struct crash_file *tell; /* of whom to tell what was done */
	uint64_t told; /* its size then, and the byte */
};

static bool crash_syncs(const struct model_op *op)
{
	return op->kind == MODEL_REMOUNT ||
	       ((op->kind == MODEL_FSYNC || op->kind == MODEL_FSYNCDIR) &&
		       op->ret == 0);
}

/* --- who is who --- */

static uint64_t crash_handle(int dir, const char *path, int how)
{
	union {
		struct file_handle h;
		uint8_t room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u;
	uint64_t sum = 0;
	int mount;

	u.h.handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(dir, path, &u.h, &mount, how) < 0)
		return 0;
	for (unsigned i = 0; i < u.h.handle_bytes; i++)
		sum = model_hash(sum ^ u.h.f_handle[i]);
	return sum;
}

/* The birth of what has this handle; now, if it is new. */
static uint64_t crash_birth(struct crash *c, uint64_t handle, uint64_t now)
{
	if (handle == 0)
		return 0;
	for (size_t i = c->lives; i-- > 0;)
		if (c->life[i].handle == handle)
			return c->life[i].birth;
	c->life = realloc(c->life, (c->lives + 1) * sizeof(*c->life));
	if (!c->life)
		abort();
	c->life[c->lives++] = (struct crash_life){handle, now};
	return now;
}

/* What an operation may have touched: births of at most five files. */
static void crash_touched(struct crash *c, const struct model_op *op,
	uint64_t now, uint64_t ret[5])
{
	const int fd[2] = {c->side.fd[op->actor][op->slot],
		c->side.fd[op->actor][op->slot2]};
	char p[MODEL_PATH];

	ret[0] = crash_birth(
		c, crash_handle(c->side.base, model_path(op->p, p), 0), now);
	ret[1] = crash_birth(
		c, crash_handle(c->side.base, model_path(op->q, p), 0), now);
	ret[2] = crash_birth(c,
		crash_handle(
			c->side.base, model_path(op->p, p), AT_SYMLINK_FOLLOW),
		now);
	for (unsigned i = 0; i < 2; i++)
		ret[3 + i] = fd[i] < 0 ? 0
				       : crash_birth(c,
						 crash_handle(fd[i], "",
							 AT_EMPTY_PATH),
						 now);
}

/* --- doing it again --- */

static void crash_do(struct crash *c, const struct model_op *op)
{
	if (op->ret == -EOPNOTSUPP && op->kind == MODEL_FALLOCATE)
		return;
	model_do(&c->side, op, &c->result);
}

static int crash_begin(struct crash *c)
{
	struct model_tree t = {0};
	char why[MODEL_TEXT] = "";

	c->lives = 0;
	if (model_tree_copy(c->w->base, c->copy) < 0)
		return -EIO;
	model_side_init(
		&c->side, open(c->copy, O_PATH | O_DIRECTORY | O_CLOEXEC));
	if (c->side.base < 0 || model_tree_scan(c->copy, &t, why) < 0)
		return -EIO;
	/* births before all operations: from 1, by the order of paths */
	for (size_t i = 0; i < t.n; i++)
		(void)crash_birth(c,
			crash_handle(c->side.base, t.entry[i].path, 0), i + 1);
	model_tree_free(&t);
	return 0;
}

static void crash_finish(struct crash *c)
{
	model_side_close(&c->side);
	if (c->side.base >= 0)
		(void)close(c->side.base);
	c->side.base = -1;
}

static uint64_t crash_number(size_t i)
{
	return i + 1000000; /* births of operations */
}

/* --- bytes --- */

static void crash_load(struct crash *c, struct crash_file *f)
{
	char full[MODEL_PATH * 3];
	int fd;

	f->top = f->size < CRASH_LOOKED ? f->size : CRASH_LOOKED;
	f->now = calloc(1, f->top + 1);
	f->fine = calloc(1, f->top + 1);
	(void)snprintf(full, sizeof(full), "%s/%s", c->w->mount, f->path);
	fd = open(full, O_RDONLY | O_NOATIME | O_CLOEXEC);
	if (!f->now || !f->fine || fd < 0 || pread(fd, f->now, f->top, 0) < 0)
		f->size = UINT64_MAX; /* never fits */
	(void)close(fd);
}

/* As the copy has it now: by its birth, any descriptor or name will do. */
static bool crash_look(
	struct crash *c, const struct model_op *op, unsigned by, uint64_t *size)
{
	const uint8_t slot = by == 3 ? op->slot : op->slot2;
	char path[64];
	char p[MODEL_PATH];
	struct stat st;
	ssize_t n = -1;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d",
		c->side.fd[op->actor][slot]);
	if (by < 3)
		(void)model_path(by == 1 ? op->q : op->p, p);
	fd = by < 3 ? openat(c->side.base, p, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
		    : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		memset(c->room, 0, CRASH_LOOKED);
		n = pread(fd, c->room, CRASH_LOOKED, 0);
		*size = (uint64_t)st.st_size;
	}
	(void)close(fd);
	return n >= 0;
}

/* One state that it had; whole: earlier ones do not count any more. */
static void crash_allow(
	struct crash *c, struct crash_file *f, uint64_t size, bool whole)
{
	uint64_t top = f->top;

	if (whole) {
		memset(f->fine, 0, f->top);
		f->fits = false;
		f->synced = size;
	}
	if (size < f->synced)
		f->synced = size;
	/* a write may be taken in parts */
	f->fits = f->fits || f->size == size ||
		  (size > f->last && f->size > f->last && f->size < size);
	f->last = size;
	if (top > size)
		top = size;
	for (uint64_t i = 0; i < top; i++)
		f->fine[i] |= c->room[i] == f->now[i];
}

/* What happened to a file that is wrong. */
static void crash_history(
	struct crash *c, const struct model_op *op, uint64_t n, uint64_t size)
{
	const uint64_t now = size << 8 | c->room[c->tell->odd];
	char text[MODEL_TEXT];

	if (c->told == now)
		return;
	c->told = now;

	model_tell(op, text);
	model_say(c->w->at, "  %llu: byte %llu is %02x of %llu: %s",
		(unsigned long long)n, (unsigned long long)c->tell->odd,
		c->room[c->tell->odd], (unsigned long long)size, text);
}

static void crash_after(struct crash *c, const struct model_op *op, uint64_t n)
{
	const bool sync =
		(op->kind == MODEL_FSYNC || op->kind == MODEL_FDATASYNC) &&
		op->ret == 0;
	uint64_t birth[5];
	uint64_t size = 0;

	crash_touched(c, op, n, birth);
	for (size_t i = 0; i < 5 * c->files; i++) {
		const unsigned by = (unsigned)(i / c->files);
		struct crash_file *f = &c->file[i % c->files];

		if (!birth[by] || f->birth != birth[by] ||
			!crash_look(c, op, by, &size))
			continue;
		if (c->tell == f)
			crash_history(c, op, n, size);
		crash_allow(c, f, size, sync && by == 3);
	}
}

static bool crash_judge(struct crash_file *f, char why[])
{
	if (!f->fits)
		return model_wrong(why, "%s: %lld bytes, was synced with %llu",
			f->path, (long long)f->size,
			(unsigned long long)f->synced);
	for (uint64_t i = 0; i < f->top; i++)
		if (!f->fine[i] && (f->now[i] || i < f->synced)) {
			f->odd = i;
			return model_wrong(why,
				"%s: byte %llu is %02x; %llu bytes, was synced "
				"with %llu",
				f->path, (unsigned long long)i, f->now[i],
				(unsigned long long)f->size,
				(unsigned long long)f->synced);
		}
	return true;
}

/* All files are whole at the start, and at each remount. */
static void crash_whole(struct crash *c)
{
	const struct model_op op = {.kind = MODEL_OPEN};
	struct model_tree t = {0};
	char why[MODEL_TEXT] = "";
	uint64_t size = 0;

	(void)op;
	if (model_tree_scan(c->copy, &t, why) < 0)
		abort();
	for (size_t i = 0; i < t.n; i++) {
		const struct model_entry *e = &t.entry[i];
		const uint64_t birth = crash_birth(
			c, crash_handle(c->side.base, e->path, 0), 0);
		const int fd = S_ISREG(e->st.st_mode)
				       ? openat(c->side.base, e->path, O_RDONLY)
				       : -1;

		if (fd < 0)
			continue;
		memset(c->room, 0, CRASH_LOOKED);
		size = (uint64_t)e->st.st_size;
		if (pread(fd, c->room, CRASH_LOOKED, 0) < 0)
			abort();
		(void)close(fd);
		for (size_t j = 0; j < c->files; j++)
			if (c->file[j].birth == birth)
				crash_allow(c, &c->file[j], size, true);
	}
	model_tree_free(&t);
}

static int crash_pass(struct crash *c)
{
	struct crash again = *c;

	again.life = NULL;
	(void)snprintf(again.copy, sizeof(again.copy), "%s.bytes", c->w->base);
	if (crash_begin(&again) < 0)
		return -EIO;
	crash_whole(&again);
	for (size_t i = 0; i < c->w->ops; i++) {
		crash_do(&again, &c->w->op[i]);
		if (c->w->op[i].kind == MODEL_REMOUNT)
			crash_whole(&again);
		else
			crash_after(&again, &c->w->op[i], crash_number(i));
	}
	crash_finish(&again);
	free(again.life);
	return 0;
}

/* The bytes of c->file, whose births are known. */
static bool crash_bytes(struct crash *c, char why[])
{
	bool fine = true;

	for (size_t i = 0; i < c->files; i++)
		crash_load(c, &c->file[i]);
	if (crash_pass(c) < 0)
		return model_wrong(why, "no copy of the tree");
	c->tell = NULL;
	for (size_t i = 0; i < c->files && fine; i++) {
		fine = crash_judge(&c->file[i], why);
		c->tell = &c->file[i];
	}
	if (!fine)
		(void)crash_pass(c);
	c->tell = NULL;
	for (size_t i = 0; i < c->files; i++) {
		free(c->file[i].now);
		free(c->file[i].fine);
	}
	return fine;
}

/* --- names --- */

/* Where names agree: the files there, if they are not those tried before. */
static bool crash_here(struct crash *c, uint64_t now)
{
	struct crash_file *file = calloc(c->mount.n + 1, sizeof(*file));
	size_t n = 0;
	bool other = false;

	if (!file)
		abort();
	for (size_t i = 0; i < c->mount.n; i++) {
		const struct model_entry *e = &c->mount.entry[i];

		if (!S_ISREG(e->st.st_mode))
			continue;
		file[n].path = e->path;
		file[n].size = (uint64_t)e->st.st_size;
		file[n].birth = crash_birth(
			c, crash_handle(c->side.base, e->path, 0), now);
		other = other || !c->file || c->file[n].birth != file[n].birth;
		n++;
	}
	other = other || !c->file;
	free(c->file);
	c->file = file;
	c->files = n;
	return other;
}

static bool crash_try(struct crash *c, size_t done, char why[])
{
	struct model_tree t = {0};
	char other[MODEL_TEXT] = "";
	bool fine;

	if (model_tree_scan(c->copy, &t, other) < 0)
		return model_wrong(why, "%s", other);
	fine = model_tree_alike(&t, &c->mount, false, other);
	model_tree_free(&t);
	why[0] = 0;
	if (!fine)
		return model_wrong(why, "%s", other);
	if (!crash_here(c, crash_number(done)))
		return model_wrong(why, "bytes, as told before");
	return crash_bytes(c, why);
}

/* As things went, while none fits: each new complaint. */
static void crash_tell(FILE *out, const struct crash *c, size_t done,
	const char *now, char last[])
{
	if (strcmp(now, last) == 0)
		return;
	(void)snprintf(last, MODEL_TEXT, "%s", now);
	(void)fprintf(out, "after %zu of %zu (synced %zu): %s\n", done,
		c->w->ops, c->synced, now);
}

static bool crash_names(struct crash *c, char why[])
{
	char now[MODEL_TEXT] = "";
	char *told = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&told, &len);
	char last[MODEL_TEXT] = "";
	uint64_t birth[5];
	bool fine = false;

	for (size_t i = 0; i <= c->w->ops && !fine; i++) {
		now[0] = 0;
		if (i >= c->synced) {
			fine = crash_try(c, i, now);
			crash_tell(out, c, i, now, last);
		}
		if (i == c->w->ops || fine)
			break;
		crash_do(c, &c->w->op[i]);
		crash_touched(c, &c->w->op[i], crash_number(i), birth);
	}
	(void)fclose(out);
	for (char *at = told; !fine && *at;) {
		char *const end = strchr(at, '\n');

		*end = 0;
		model_say(c->w->at, "%s", at);
		at = end + 1;
	}
	free(told);
	return fine || model_wrong(why, "as after no operation: %s", now);
}

bool model_crash_check(struct model_worker *w, char why[])
{
	struct crash c = {.w = w};
	bool fine = false;

	why[0] = 0;
	(void)snprintf(c.copy, sizeof(c.copy), "%s.names", w->base);
	for (size_t i = 0; i < w->ops; i++)
		if (crash_syncs(&w->op[i]))
			c.synced = i + 1;
	c.room = malloc(CRASH_LOOKED);
	if (!c.room ||
		posix_memalign((void **)&c.result.bytes, 4096, MODEL_BUFFER))
		abort();
	if (model_tree_scan(w->mount, &c.mount, why) == 0 &&
		crash_begin(&c) == 0)
		fine = crash_names(&c, why);
	crash_finish(&c);
	model_tree_free(&c.mount);
	free(c.life);
	free(c.file);
	free(c.room);
	free(c.result.bytes);
	return fine;
}
