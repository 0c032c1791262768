/*
 * bench/bench_posix.c - names and attributes, one kind of call in a loop.
 *
 *   bench_posix [-t THREADS] [-s] [-p PREFIX] [-f FIRST] [-b BYTES] [-d]
 *               [-r SAMPLE] OP DIR COUNT
 *
 * Prints the calls per second of OP, done COUNT times in DIR:
 *
 *   create mkdir symlink  make PREFIXnnnnnnn; create closes it as well, after
 *                         writing BYTES (default 0)
 *   link                  lnnnnnnn to PREFIXnnnnnnn
 *   rename                PREFIXnnnnnnn to gnnnnnnn
 *   unlink rmdir          remove PREFIXnnnnnnn
 *   chmod stat            by name
 *   getattr               of files held open by O_PATH: statx that may not be
 *                         answered by the kernel's cache, one call a file
 *   list listplus         read DIR; listplus asks for each entry's attributes
 *                         as it comes, like ls -l. COUNT is what must be
 *                         there; 0 takes what there is
 *
 * -t: COUNT is shared by THREADS, each in a directory of its own, DIR/tN, made
 * beforehand; with -s all in DIR. -f: nnnnnnn starts at FIRST. -d: spread over
 * directories of 100, ten to a directory, made as they are needed. -r: only
 * SAMPLE of them, here and there: with -d, directory by directory.
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define POSIX_THREADS_MAX 64u
#define POSIX_BYTES_MAX 65536u
#define POSIX_LEAF 100u
#define POSIX_STRIDE UINT64_C(7368787) /* prime: visits every file once */

struct job {
	const char *dir, *prefix;
	uint64_t first, count;
	uint64_t sample; /* 0: all of them, in the order of making */
	size_t bytes;
	unsigned threads;
	bool shared, deep;
};

/* One thread's share. */
struct part {
	const struct job *job;
	void (*call)(struct part *p, uint64_t i);
	int fd;
	uint64_t first, count;
	int *held; /* getattr's files */
	pthread_barrier_t *start;
	pthread_t thread;
};

static double posix_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void posix_name(
	const struct job *j, const char *prefix, uint64_t i, char to[64])
{
	const unsigned n = (unsigned)i;

	if (j->deep)
		(void)snprintf(to, 64, "%u/%u/%u/%u/%s%07u", n / 100000,
			n / 10000 % 10, n / 1000 % 10, n / 100 % 10, prefix, n);
	else
		(void)snprintf(to, 64, "%s%07u", prefix, n);
}

/* The directories above a file, in front of its first. */
static void posix_parents(int fd, char *name)
{
	for (char *s = strchr(name, '/'); s; s = strchr(s + 1, '/')) {
		*s = 0;
		if (mkdirat(fd, name, 0755) < 0 && errno != EEXIST)
			err(1, "mkdir %s", name);
		*s = '/';
	}
}

static void posix_create(struct part *p, uint64_t i)
{
	static const uint8_t zero[POSIX_BYTES_MAX];
	uint8_t bytes[512];
	char name[64];
	int fd;

	posix_name(p->job, p->job->prefix, i, name);
	if (p->job->deep && i % POSIX_LEAF == 0)
		posix_parents(p->fd, name);
	fd = openat(p->fd, name, O_WRONLY | O_CREAT | O_EXCL, 0644);
	if (fd < 0)
		err(1, "create %s", name);
	if (p->job->bytes > 0) {
		const size_t n = p->job->bytes;

		memset(bytes, 0, sizeof(bytes));
		memcpy(bytes, name, sizeof(name)); /* no two are alike */
		if (write(fd, n <= sizeof(bytes) ? bytes : zero, n) !=
			(ssize_t)n)
			err(1, "write %s", name);
	}
	if (close(fd) < 0)
		err(1, "close %s", name);
}

static void posix_mkdir(struct part *p, uint64_t i)
{
	char name[64];

	posix_name(p->job, p->job->prefix, i, name);
	if (mkdirat(p->fd, name, 0755) < 0)
		err(1, "mkdir %s", name);
}

static void posix_symlink(struct part *p, uint64_t i)
{
	char name[64];

	posix_name(p->job, p->job->prefix, i, name);
	if (symlinkat("some/where/else", p->fd, name) < 0)
		err(1, "symlink %s", name);
}

static void posix_link(struct part *p, uint64_t i)
{
	char from[64], to[64];

	posix_name(p->job, p->job->prefix, i, from);
	posix_name(p->job, "l", i, to);
	if (linkat(p->fd, from, p->fd, to, 0) < 0)
		err(1, "link %s", from);
}

static void posix_rename(struct part *p, uint64_t i)
{
	char from[64], to[64];

	posix_name(p->job, p->job->prefix, i, from);
	posix_name(p->job, "g", i, to);
	if (renameat(p->fd, from, p->fd, to) < 0)
		err(1, "rename %s", from);
}

static void posix_unlink(struct part *p, uint64_t i)
{
	char name[64];

	posix_name(p->job, p->job->prefix, i, name);
	if (unlinkat(p->fd, name, 0) < 0)
		err(1, "unlink %s", name);
}

static void posix_rmdir(struct part *p, uint64_t i)
{
	char name[64];

	posix_name(p->job, p->job->prefix, i, name);
	if (unlinkat(p->fd, name, AT_REMOVEDIR) < 0)
		err(1, "rmdir %s", name);
}

static void posix_chmod(struct part *p, uint64_t i)
{
	char name[64];

	posix_name(p->job, p->job->prefix, i, name);
	if (fchmodat(p->fd, name, 0600, 0) < 0)
		err(1, "chmod %s", name);
}

static void posix_stat(struct part *p, uint64_t i)
{
	struct stat st;
	char name[64];

	posix_name(p->job, p->job->prefix, i, name);
	if (fstatat(p->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		err(1, "stat %s", name);
}

static void posix_hold(struct part *p)
{
	char name[64];

	p->held = calloc(p->count, sizeof(*p->held));
	if (!p->held)
		err(1, "memory");
	for (uint64_t i = 0; i < p->count; i++) {
		posix_name(p->job, p->job->prefix, p->first + i, name);
		p->held[i] = openat(p->fd, name, O_PATH);
		if (p->held[i] < 0)
			err(1, "open %s", name);
	}
}

static void posix_getattr(struct part *p, uint64_t i)
{
	struct statx sx;

	if (statx(p->held[i - p->first], "",
		    AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS,
		    &sx) < 0)
		err(1, "statx");
}

static uint64_t posix_list(const char *dir, bool plus)
{
	uint64_t n = 0;
	DIR *d = opendir(dir);
	struct dirent *e;
	struct stat st;

	if (!d)
		err(1, "%s", dir);
	while (errno = 0, (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		n++;
		if (plus && fstatat(dirfd(d), e->d_name, &st,
				    AT_SYMLINK_NOFOLLOW) < 0)
			err(1, "stat %s", e->d_name);
	}
	if (errno)
		err(1, "reading %s", dir);
	(void)closedir(d);
	return n;
}

/* The i-th of a sample. */
static uint64_t posix_pick(const struct job *j, uint64_t i)
{
	const uint64_t leaf = j->deep ? POSIX_LEAF : 1;

	if (!j->sample)
		return i;
	return (i / leaf * POSIX_STRIDE * leaf + i % leaf) % j->count;
}

static void *posix_run(void *arg)
{
	struct part *p = arg;
	const struct job *j = p->job;
	const uint64_t n = j->sample ? j->sample : p->count;

	(void)pthread_barrier_wait(p->start);
	for (uint64_t i = 0; i < n; i++)
		p->call(p, p->first + posix_pick(j, i));
	return NULL;
}

static int posix_dir(const struct job *j, unsigned thread)
{
	char path[4096];
	int fd;

	if (j->threads == 1 || j->shared) {
		(void)snprintf(path, sizeof(path), "%s", j->dir);
	} else {
		(void)snprintf(path, sizeof(path), "%s/t%u", j->dir, thread);
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			err(1, "mkdir %s", path);
	}
	fd = open(path, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

/* Seconds from the start of all threads to the end of the last. */
static double posix_all(
	const struct job *j, void (*call)(struct part *p, uint64_t i))
{
	struct part parts[POSIX_THREADS_MAX] = {0};
	pthread_barrier_t start;
	double begun;

	(void)pthread_barrier_init(&start, NULL, j->threads + 1);
	for (unsigned t = 0; t < j->threads; t++) {
		const uint64_t share = j->count / j->threads;

		parts[t] = (struct part){.job = j,
			.call = call,
			.fd = posix_dir(j, t),
			.first = j->first + share * t,
			.count = share,
			.start = &start};
		if (call == posix_getattr)
			posix_hold(&parts[t]);
		if (pthread_create(
			    &parts[t].thread, NULL, posix_run, &parts[t]) != 0)
			errx(1, "no thread");
	}
	(void)pthread_barrier_wait(&start);
	begun = posix_now();
	for (unsigned t = 0; t < j->threads; t++)
		(void)pthread_join(parts[t].thread, NULL);
	begun = posix_now() - begun;
	for (unsigned t = 0; t < j->threads; t++)
		free(parts[t].held); /* what it held goes with the process */
	return begun;
}

static uint64_t posix_number(const char *s, uint64_t max)
{
	char *end = NULL;
	const uint64_t n = strtoull(s, &end, 10);

	if (!*s || *end || n > max)
		errx(2, "%s: not a number up to %llu", s,
			(unsigned long long)max);
	return n;
}

static void posix_listing(const struct job *j, bool plus)
{
	const double begun = posix_now();
	const uint64_t n = posix_list(j->dir, plus);

	if (j->count && n != j->count)
		errx(1, "%s: %llu entries instead of %llu", j->dir,
			(unsigned long long)n, (unsigned long long)j->count);
	(void)printf("%.3f\n", (double)n / (posix_now() - begun));
}

static uint64_t posix_calls(const struct job *j)
{
	return j->sample ? j->sample : j->count / j->threads * j->threads;
}

static void posix_loop(const struct job *j, const char *op)
{
	static const struct {
		const char *name;
		void (*call)(struct part *p, uint64_t i);
	} ops[] = {{"create", posix_create}, {"mkdir", posix_mkdir},
		{"symlink", posix_symlink}, {"link", posix_link},
		{"rename", posix_rename}, {"unlink", posix_unlink},
		{"rmdir", posix_rmdir}, {"chmod", posix_chmod},
		{"stat", posix_stat}, {"getattr", posix_getattr}};

	for (unsigned i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
		if (strcmp(op, ops[i].name) != 0)
			continue;
		(void)printf("%.3f\n",
			(double)posix_calls(j) / posix_all(j, ops[i].call));
		return;
	}
	errx(2, "%s: no such work", op);
}

static void posix_option(struct job *j, int c)
{
	switch (c) {
	case 't':
		j->threads = (unsigned)posix_number(optarg, POSIX_THREADS_MAX);
		break;
	case 's':
		j->shared = true;
		break;
	case 'p':
		j->prefix = optarg;
		break;
	case 'f':
		j->first = posix_number(optarg, 9999999);
		break;
	case 'b':
		j->bytes = (size_t)posix_number(optarg, POSIX_BYTES_MAX);
		break;
	case 'd':
		j->deep = true;
		break;
	case 'r':
		j->sample = posix_number(optarg, 10000000);
		break;
	default:
		errx(2, "see the top of bench_posix.c");
	}
}

int main(int argc, char **argv)
{
	struct job j = {.prefix = "f", .threads = 1};
	int c;

	while ((c = getopt(argc, argv, "t:sp:f:b:dr:")) != -1)
		posix_option(&j, c);
	if (argc - optind != 3 || j.threads == 0 || strlen(j.prefix) > 8 ||
		(j.sample && j.threads > 1))
		errx(2, "[options] OP DIR COUNT");
	j.dir = argv[optind + 1];
	j.count = posix_number(argv[optind + 2], 10000000);
	if (strcmp(argv[optind], "list") == 0)
		posix_listing(&j, false);
	else if (strcmp(argv[optind], "listplus") == 0)
		posix_listing(&j, true);
	else
		posix_loop(&j, argv[optind]);
	return 0;
}
