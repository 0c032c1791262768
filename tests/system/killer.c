/*
 * killer DIR LOGDIR SEED MS - load on a mount whose daemon is about to die.
 *
 * Each thread works in DIR/tN with files of its own, and logs to LOGDIR/tN
 * what it does (kill_log.h) until the daemon is gone or MS are over. 0: ended
 * by either; 1: an operation failed in another way. LOGDIR/begun is there once
 * all of them work, so that a death before, which is a failure, can be waited
 * out.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/system/kill_log.h"

#define KILLER_MOMENT_MS 100u
#define KILLER_BUDGET (96u << 20) /* bytes that one thread writes */

struct killer_file {
	uint32_t file; /* 0: the name is free */
	uint64_t size;
};

struct killer {
	uint32_t thread;
	uint64_t seed;
	int dir, log;
	uint32_t files, versions;
	uint64_t written;
	struct killer_file at[KILL_NAMES];
	uint8_t data[1u << 20];
};

static atomic_bool killer_failed;
static uint64_t killer_until; /* monotonic, ms */

static uint64_t killer_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t killer_draw(struct killer *k, uint64_t below)
{
	k->seed += UINT64_C(0x9e3779b97f4a7c15);
	return kill_mix(k->seed) % below;
}

static int killer_note(struct killer *k, struct kill_rec *rec)
{
	rec->thread = k->thread;
	if (write(k->log, rec, sizeof(*rec)) == (ssize_t)sizeof(*rec))
		return 0;
	perror("killer: its own log");
	killer_failed = true;
	return -1;
}

/* Is it gone within a moment? */
static bool killer_dead(const struct killer *k)
{
	const uint64_t until = killer_now() + KILLER_MOMENT_MS;
	struct statx st;
	int r;

	do
		r = statx(k->dir, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC,
			STATX_BASIC_STATS, &st);
	while (r == 0 && killer_now() < until);
	return r < 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

/*
 * A daemon that died is what this is about; all else is a finding. A write
 * that was under way then may be told as EIO by the kernel.
 */
static int killer_bad(struct killer *k, const char *what)
{
	const int e = errno;

	if (e == ENOTCONN || e == ECONNABORTED || (e == EIO && killer_dead(k)))
		return -1;
	(void)fprintf(stderr, "killer: thread %u: %s: %s\n", k->thread, what,
		strerror(e));
	killer_failed = true;
	return -1;
}

static const char *killer_name(uint32_t name, char to[16])
{
	(void)snprintf(to, 16, "f%u", name);
	return to;
}

static int killer_open(struct killer *k, uint32_t name, int flags)
{
	char path[16];
	const int fd = openat(
		k->dir, killer_name(name, path), flags | O_CLOEXEC, 0644);

	return fd < 0 ? killer_bad(k, "open") : fd;
}

static int killer_write(
	struct killer *k, int fd, struct killer_file *f, uint64_t off)
{
	const bool large = killer_draw(k, 12) == 0;
	struct kill_rec rec = {.op = KILL_WRITE, .file = f->file, .off = off};
	ssize_t n;

	rec.len = 1 + killer_draw(k, large ? sizeof(k->data) : 20000);
	if (off + rec.len > KILL_FILE_MAX)
		rec.len = KILL_FILE_MAX - off;
	rec.version = ++k->versions;
	for (uint64_t i = 0; i < rec.len; i++)
		k->data[i] = kill_byte(&(struct kill_rec){.file = f->file,
					       .version = rec.version,
					       .thread = k->thread},
			off + i);
	if (killer_note(k, &rec) < 0)
		return -1;
	n = pwrite(fd, k->data, rec.len, (off_t)off);
	if (n != (ssize_t)rec.len) {
		errno = n < 0 ? errno : EIO;
		return killer_bad(k, "write");
	}
	if (f->size < off + rec.len)
		f->size = off + rec.len;
	k->written += rec.len;
	return 0;
}

static int killer_truncate(struct killer *k, int fd, struct killer_file *f)
{
	struct kill_rec rec = {.op = KILL_TRUNCATE, .file = f->file};

	rec.off = killer_draw(k, f->size + 5000);
	if (rec.off > KILL_FILE_MAX)
		rec.off = KILL_FILE_MAX;
	if (killer_note(k, &rec) < 0)
		return -1;
	if (ftruncate(fd, (off_t)rec.off) < 0)
		return killer_bad(k, "truncate");
	f->size = rec.off;
	return 0;
}

static int killer_sync(struct killer *k, int fd, uint32_t file)
{
	struct kill_rec rec = {.op = KILL_SYNC, .file = file};

	if ((killer_draw(k, 2) ? fsync(fd) : fdatasync(fd)) < 0)
		return killer_bad(k, "fsync");
	return killer_note(k, &rec);
}

static int killer_sync_dir(struct killer *k)
{
	struct kill_rec rec = {.op = KILL_SYNCDIR};

	if (fsync(k->dir) < 0)
		return killer_bad(k, "fsync of a directory");
	return killer_note(k, &rec);
}

/* One thing done to an open file. */
static int killer_touch(struct killer *k, int fd, struct killer_file *f)
{
	const uint64_t end = f->size < KILL_FILE_MAX ? f->size : 0;

	switch (killer_draw(k, 8)) {
	case 0:
		return killer_truncate(k, fd, f);
	case 1: /* a hole */
		if (end + 70000 < KILL_FILE_MAX)
			return killer_write(
				k, fd, f, end + killer_draw(k, 70000));
		return 0;
	case 2:
	case 3:
		return killer_write(k, fd, f, killer_draw(k, end + 1));
	case 4:
		return killer_sync(k, fd, f->file);
	default:
		return killer_write(k, fd, f, end);
	}
}

static int killer_work(struct killer *k, uint32_t name)
{
	const int fd = killer_open(k, name, O_RDWR);
	const uint64_t times = 1 + killer_draw(k, 6);
	int r = fd < 0 ? -1 : 0;

	for (uint64_t i = 0; r == 0 && i < times; i++)
		r = killer_touch(k, fd, &k->at[name]);
	if (fd >= 0 && close(fd) < 0 && r == 0)
		r = killer_bad(k, "close");
	return r;
}

static int killer_create(struct killer *k, uint32_t name)
{
	struct kill_rec rec = {.op = KILL_CREATE, .name = name};
	int fd;

	rec.file = ++k->files;
	if (killer_note(k, &rec) < 0)
		return -1;
	fd = killer_open(k, name, O_RDWR | O_CREAT | O_EXCL);
	if (fd < 0)
		return -1;
	k->at[name] = (struct killer_file){.file = rec.file};
	if (close(fd) < 0)
		return killer_bad(k, "close");
	return killer_work(k, name);
}

static int killer_rename(struct killer *k, uint32_t from, uint32_t to)
{
	struct kill_rec rec = {.op = KILL_RENAME, .name = from, .name2 = to};
	char a[16];
	char b[16];

	if (from == to || !k->at[from].file)
		return 0;
	if (killer_note(k, &rec) < 0)
		return -1;
	if (renameat(k->dir, killer_name(from, a), k->dir, killer_name(to, b)) <
		0)
		return killer_bad(k, "rename");
	k->at[to] = k->at[from];
	k->at[from].file = 0;
	return 0;
}

static int killer_unlink(struct killer *k, uint32_t name)
{
	struct kill_rec rec = {.op = KILL_UNLINK, .name = name};
	char a[16];

	if (killer_note(k, &rec) < 0)
		return -1;
	if (unlinkat(k->dir, killer_name(name, a), 0) < 0)
		return killer_bad(k, "unlink");
	k->at[name].file = 0;
	return 0;
}

/* As editors and databases save: written aside, synced, renamed over. */
static int killer_replace(struct killer *k, uint32_t name)
{
	const uint32_t aside = 0;
	int r = 0;
	int fd;

	if (k->at[aside].file)
		r = killer_unlink(k, aside);
	if (r == 0)
		r = killer_create(k, aside);
	if (r < 0)
		return r;
	fd = killer_open(k, aside, O_RDONLY);
	if (fd < 0)
		return -1;
	r = killer_sync(k, fd, k->at[aside].file);
	(void)close(fd);
	if (r == 0)
		r = killer_rename(k, aside, name);
	return r == 0 ? killer_sync_dir(k) : r;
}

static int killer_step(struct killer *k)
{
	const uint32_t name = 1 + (uint32_t)killer_draw(k, KILL_NAMES - 1);

	if (k->written > KILLER_BUDGET)
		return -1;
	if (!k->at[name].file)
		return killer_create(k, name);
	switch (killer_draw(k, 16)) {
	case 0:
		return killer_rename(
			k, name, 1 + (uint32_t)killer_draw(k, KILL_NAMES - 1));
	case 1:
		return killer_unlink(k, name);
	case 2:
		return killer_sync_dir(k);
	case 3:
	case 4:
		return killer_replace(k, name);
	default:
		return killer_work(k, name);
	}
}

static void *killer_thread(void *arg)
{
	struct killer *k = arg;

	while (killer_now() < killer_until && k->files < KILL_FILES_MAX - 2 &&
		killer_step(k) == 0)
		;
	return NULL;
}

static int killer_start(struct killer *k, const char *dir, const char *logs)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/t%u", logs, k->thread);
	k->log = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	(void)snprintf(path, sizeof(path), "%s/t%u", dir, k->thread);
	if (mkdir(path, 0755) < 0)
		return -1;
	k->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return k->log < 0 || k->dir < 0 || fsync(k->dir) < 0 ? -1 : 0;
}

static int killer_begun(const char *logs)
{
	char path[4096];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/begun", logs);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 ? -1 : close(fd);
}

int main(int argc, char **argv)
{
	static struct killer k[KILL_THREADS];
	pthread_t thread[KILL_THREADS];

	if (argc != 5) {
		(void)fprintf(stderr, "usage: killer DIR LOGDIR SEED MS\n");
		return 2;
	}
	killer_until = killer_now() + strtoull(argv[4], NULL, 10);
	for (uint32_t i = 0; i < KILL_THREADS; i++) {
		k[i].thread = i;
		k[i].seed = strtoull(argv[3], NULL, 10) * 8 + i;
		if (killer_start(&k[i], argv[1], argv[2]) < 0) {
			perror("killer: starting");
			return 1;
		}
	}
	for (uint32_t i = 0; i < KILL_THREADS; i++)
		if (pthread_create(&thread[i], NULL, killer_thread, &k[i]))
			return 1;
	if (killer_begun(argv[2]) < 0) {
		perror("killer: telling that it has begun");
		return 1;
	}
	for (uint32_t i = 0; i < KILL_THREADS; i++)
		(void)pthread_join(thread[i], NULL);
	return killer_failed;
}
