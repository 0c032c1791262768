/*
 * modelrun_race.c - processes work on the same few names at once. There is no
 * telling what each call answers, only what must never be: a page that nobody
 * wrote there, an error of the wrong kind, a file that is lost, a name that a
 * listing leaves out or tells twice, a wrong count of links.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/system/modelrun_run.h"

#define RACE_PAGE 4096u
#define RACE_PAGES 24u /* of a file */
#define RACE_STABLE 150u /* names that nobody touches */
#define RACE_OWN 12u /* files that only their process moves */
#define RACE_MAGIC UINT64_C(0x72616365706c7572)

struct race {
	struct model_random random;
	int base;
	unsigned who;
	uint64_t next;
	unsigned own[RACE_OWN]; /* directory of each, and 1 */
	char why[MODEL_TEXT];
};

/* Its place in the file, who wrote it, and bytes that follow from these. */
struct race_page {
	uint64_t magic, page, tag, sum;
	uint8_t rest[RACE_PAGE - 32];
};

static void race_make(struct race_page *p, uint64_t page, uint64_t tag)
{
	p->magic = RACE_MAGIC;
	p->page = page;
	p->tag = tag;
	p->sum = model_hash(model_hash(page) ^ tag);
	model_fill(p->rest, 0, sizeof(p->rest), p->sum);
}

static bool race_fine(const struct race_page *p, uint64_t page)
{
	static const struct race_page zero;
	struct race_page want;

	if (p->magic == 0)
		return memcmp(p, &zero, sizeof(zero)) == 0;
	race_make(&want, page, p->tag);
	return memcmp(p, &want, sizeof(want)) == 0;
}

static const char *race_dir(unsigned n)
{
	static const char *const dirs[] = {"x", "y", "z", "x/s"};

	return dirs[n % 4];
}

static const char *race_name(struct race *r, char to[64])
{
	(void)snprintf(to, 64, "%s/%c",
		race_dir((unsigned)model_draw(&r->random, 4)),
		(char)('a' + model_draw(&r->random, 5)));
	return to;
}

static const char *race_own(const struct race *r, unsigned n, char to[64])
{
	(void)snprintf(
		to, 64, "%s/own%u.%u", race_dir(r->own[n] - 1), r->who, n);
	return to;
}

/* What races may answer. */
static void race_code(struct race *r, int64_t ret, const char *what)
{
	static const int fine[] = {0, ENOENT, EEXIST, ENOTDIR, EISDIR,
		ENOTEMPTY, EINVAL, ELOOP, EPERM, ENXIO, EMLINK};
	const int code = ret < 0 ? errno : 0;

	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		if (code == fine[i])
			return;
	(void)model_wrong(r->why, "%s: %s", what, strerror(code));
}

/* --- what they do --- */

static void race_write(struct race *r)
{
	static const int how[] = {0, 0, O_TRUNC, O_EXCL, O_DIRECT, O_APPEND};
	static struct race_page page[8] __attribute__((aligned(4096)));
	char p[64];
	const int flags = how[model_draw(&r->random, 6)];
	const uint64_t at = model_draw(&r->random, RACE_PAGES);
	const uint64_t n = 1 + model_draw(&r->random, 8);
	const int fd = openat(r->base, race_name(r, p),
		O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC |
			(flags & ~O_APPEND),
		0644);

	race_code(r, fd, "open");
	if (fd < 0)
		return;
	for (uint64_t i = 0; i < n; i++)
		race_make(&page[i], at + i, (uint64_t)r->who << 32 | r->next++);
	race_code(r, pwrite(fd, page, n * RACE_PAGE, (off_t)(at * RACE_PAGE)),
		"pwrite");
	if (model_draw(&r->random, 6) == 0)
		race_code(r,
			ftruncate(fd, (off_t)(RACE_PAGE * model_draw(&r->random,
								  RACE_PAGES))),
			"ftruncate");
	if (model_draw(&r->random, 12) == 0)
		race_code(r, fsync(fd), "fsync");
	(void)close(fd);
}

/*
 * A read beside a write may give the beginning of the old page and the end of
 * the new one: Linux locks neither against the other. That does not last; what
 * reads the same again is wrong.
 */
static bool race_stays(int fd, const struct race_page *page, uint64_t i)
{
	struct race_page again;

	return pread(fd, &again, RACE_PAGE, (off_t)(i * RACE_PAGE)) ==
		       (ssize_t)RACE_PAGE &&
	       memcmp(&again, page, sizeof(again)) == 0;
}

static void race_read_fd(struct race *r, int fd, const char *name)
{
	struct race_page page;
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	if (st.st_size % RACE_PAGE)
		(void)model_wrong(
			r->why, "%s: %lld bytes", name, (long long)st.st_size);
	for (uint64_t i = 0; i < RACE_PAGES + 8; i++) {
		const ssize_t n =
			pread(fd, &page, RACE_PAGE, (off_t)(i * RACE_PAGE));

		if (n < 0)
			race_code(r, n, "pread");
		if (n == (ssize_t)RACE_PAGE && !race_fine(&page, i) &&
			race_stays(fd, &page, i))
			(void)model_wrong(r->why,
				"%s: page %llu is nobody's: %llx %llx %llx",
				name, (unsigned long long)i,
				(unsigned long long)page.magic,
				(unsigned long long)page.page,
				(unsigned long long)page.tag);
	}
}

static void race_read(struct race *r)
{
	char p[64];
	const int fd = openat(r->base, race_name(r, p),
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	race_code(r, fd, "open to read");
	if (fd < 0)
		return;
	race_read_fd(r, fd, p);
	(void)close(fd);
}

static void race_names(struct race *r)
{
	static const unsigned how[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
	char p[64];
	char q[64];

	(void)race_name(r, p);
	(void)race_name(r, q);
	switch (model_draw(&r->random, 8)) {
	case 0:
		race_code(r, linkat(r->base, p, r->base, q, 0), "link");
		break;
	case 1:
		race_code(r, symlinkat("b", r->base, p), "symlink");
		break;
	case 2:
		race_code(r, mkdirat(r->base, p, 0755), "mkdir");
		break;
	case 3:
		race_code(r, unlinkat(r->base, p, AT_REMOVEDIR), "rmdir");
		break;
	case 4:
		race_code(r, unlinkat(r->base, p, 0), "unlink");
		break;
	default:
		race_code(r,
			renameat2(r->base, p, r->base, q,
				how[model_draw(&r->random, 4)]),
			"rename");
	}
}

/* A file of one's own is where one left it, whatever others do. */
static void race_mine(struct race *r)
{
	const unsigned n = (unsigned)model_draw(&r->random, RACE_OWN);
	const unsigned to = 1 + (unsigned)model_draw(&r->random, 4);
	char p[64];
	char q[64];
	int fd;

	if (!r->own[n]) {
		r->own[n] = to;
		fd = openat(r->base, race_own(r, n, p),
			O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd < 0 || write(fd, p, 8) != 8)
			(void)model_wrong(
				r->why, "making %s: %s", p, strerror(errno));
		(void)close(fd);
		return;
	}
	(void)race_own(r, n, p);
	r->own[n] = to;
	(void)race_own(r, n, q);
	if (renameat(r->base, p, r->base, q) < 0)
		(void)model_wrong(
			r->why, "%s to %s: %s", p, q, strerror(errno));
	if (faccessat(r->base, q, F_OK, 0) < 0)
		(void)model_wrong(r->why, "%s is lost", q);
	if (strcmp(p, q) != 0 && faccessat(r->base, p, F_OK, 0) == 0)
		(void)model_wrong(r->why, "%s is still there", p);
}

/* Names come and go around those that stay. */
static void race_list(struct race *r)
{
	uint8_t seen[RACE_STABLE] = {0};
	const int fd = openat(r->base, "stable", O_RDONLY | O_DIRECTORY);
	DIR *dir = fdopendir(fd);
	struct dirent *e;
	char p[64];
	unsigned n;

	while (dir && (e = readdir(dir))) {
		if (sscanf(e->d_name, "stays%u", &n) == 1 && n < RACE_STABLE)
			seen[n]++;
		if (model_draw(&r->random, 40) != 0)
			continue;
		(void)snprintf(p, sizeof(p), "stable/%u.%u", r->who,
			(unsigned)model_draw(&r->random, 50));
		if (unlinkat(r->base, p, 0) < 0)
			race_code(r, mkdirat(r->base, p, 0700), "mkdir");
		(void)unlinkat(r->base, p, AT_REMOVEDIR);
		(void)mknodat(r->base, p, S_IFREG | 0600, 0);
	}
	for (n = 0; dir && n < RACE_STABLE; n++)
		if (seen[n] != 1)
			(void)model_wrong(r->why,
				"stable/stays%u: listed %u "
				"times",
				n, seen[n]);
	if (!dir)
		(void)model_wrong(r->why, "opendir: %s", strerror(errno));
	else
		(void)closedir(dir);
}

static void race_work(struct race *r, uint64_t steps)
{
	while (steps-- > 0 && !r->why[0]) {
		const uint64_t n = model_draw(&r->random, 100);

		if (n < 30)
			race_write(r);
		else if (n < 45)
			race_read(r);
		else if (n < 85)
			race_names(r);
		else if (n < 98)
			race_mine(r);
		else
			race_list(r);
	}
	for (unsigned n = 0; n < RACE_OWN; n++) {
		char p[64];

		if (r->own[n] &&
			faccessat(r->base, race_own(r, n, p), F_OK, 0) < 0)
			(void)model_wrong(r->why, "%s is lost at last", p);
	}
}

/* --- before and after --- */

static int race_begin(const struct model_place *at, char dir[MODEL_PATH])
{
	static const char *const made[] = {
		"", "/x", "/y", "/z", "/x/s", "/stable"};
	char p[MODEL_PATH + 64];
	char gone[MODEL_PATH + 64];

	(void)snprintf(dir, MODEL_PATH, "%s/race", at->mount);
	(void)snprintf(gone, sizeof(gone), "rm -rf '%s'", dir);
	if (system(gone) != 0)
		return -EIO;
	for (unsigned i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		(void)snprintf(p, sizeof(p), "%s%s", dir, made[i]);
		if (mkdir(p, 0755) < 0)
			return -errno;
	}
	for (unsigned i = 0; i < RACE_STABLE; i++) {
		(void)snprintf(p, sizeof(p), "%s/stable/stays%u", dir, i);
		if (mknod(p, S_IFREG | 0644, 0) < 0)
			return -errno;
	}
	return 0;
}

/* Each file has as many names as it says, and pages of its own. */
static bool race_judge(const char *dir, const struct model_tree *t, char why[])
{
	struct race r = {.base = -1};
	char p[MODEL_PATH * 3];
	int fd;

	for (size_t i = 0; i < t->n; i++) {
		const struct model_entry *e = &t->entry[i];
		nlink_t links = S_ISDIR(e->st.st_mode) ? 2 : 0;
		const size_t len = strlen(e->path);

		for (size_t j = 0; j < t->n; j++)
			links +=
				S_ISDIR(e->st.st_mode)
					? S_ISDIR(t->entry[j].st.st_mode) &&
						  !strncmp(t->entry[j].path,
							  e->path, len) &&
						  t->entry[j].path[len] ==
							  '/' &&
						  !strchr(t->entry[j].path +
								  len + 1,
							  '/')
					: t->entry[j].st.st_ino == e->st.st_ino;
		if (strcmp(e->path, ".") != 0 && links != e->st.st_nlink)
			return model_wrong(why, "%s: %lu links, %lu names",
				e->path, (unsigned long)e->st.st_nlink,
				(unsigned long)links);
		if (!S_ISREG(e->st.st_mode) || strchr(e->path, '.') ||
			strncmp(e->path, "stable", 6) == 0)
			continue;
		(void)snprintf(p, sizeof(p), "%s/%s", dir, e->path);
		fd = open(p, O_RDONLY | O_CLOEXEC);
		race_read_fd(&r, fd, e->path);
		(void)close(fd);
		if (r.why[0])
			return model_wrong(why, "%s", r.why);
	}
	return true;
}

static bool race_end(const char *dir, char why[])
{
	struct model_tree t = {0};
	const bool fine =
		model_tree_scan(dir, &t, why) == 0 && race_judge(dir, &t, why);

	model_tree_free(&t);
	return fine;
}

static void race_child(const char *dir, struct race *r, uint64_t steps, int to)
{
	ssize_t n;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	r->base = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	race_work(r, steps);
	n = write(to, r->why, sizeof(r->why));
	_exit(n != (ssize_t)sizeof(r->why));
}

bool model_race(const struct model_place *at, unsigned procs, uint64_t seed,
	uint64_t steps, char why[])
{
	char dir[MODEL_PATH];
	char told[MODEL_TEXT];
	int pipes[2];
	int status;

	why[0] = 0;
	if (race_begin(at, dir) < 0 || pipe2(pipes, O_CLOEXEC) < 0)
		return model_wrong(why, "beginning: %s", strerror(errno));
	(void)fflush(stdout);
	for (unsigned i = 0; i < procs; i++) {
		struct race r = {.who = i, .random = {model_hash(seed + i)}};

		if (fork() == 0)
			race_child(dir, &r, steps, pipes[1]);
	}
	(void)close(pipes[1]);
	while (read(pipes[0], told, sizeof(told)) == (ssize_t)sizeof(told))
		if (told[0])
			(void)model_wrong(why, "%s", told);
	(void)close(pipes[0]);
	for (unsigned i = 0; i < procs; i++)
		(void)wait(&status);
	return !why[0] && race_end(dir, why);
}
