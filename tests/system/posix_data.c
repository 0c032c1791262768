/*
 * posix_data DIR - bytes: written, appended, cut, punched, mapped, locked, by
 * one process or two.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "posix.h"

#define MIB (1u << 20)
#define APPENDS 2000u

static uint8_t block[4 * MIB];
static uint8_t back[4 * MIB];

static void fill(uint64_t seed)
{
	for (size_t i = 0; i < sizeof(block); i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		block[i] = (uint8_t)(seed >> 56);
	}
}

static off_t size(const char *name)
{
	struct stat st = {0};

	WANT(stat(name, &st) == 0);
	return st.st_size;
}

/* Are len bytes at off what p says, or zeros when p is NULL? */
static int are(int fd, off_t off, const uint8_t *p, size_t len)
{
	if (pread(fd, back, len, off) != (ssize_t)len)
		return 0;
	for (size_t i = 0; i < len; i++)
		if (back[i] != (p ? p[i] : 0))
			return 0;
	return 1;
}

static int write_anywhere(void)
{
	const int fd = open("f", O_RDWR | O_CREAT | O_EXCL, 0644);
	struct iovec v[2] = {{block, 10}, {block + 100, 20}};

	fill(1);
	WANT(fd >= 0 && size("f") == 0);
	WANT(write(fd, block, 3 * MIB) == 3 * MIB);
	WANT(are(fd, 0, block, 3 * MIB) && size("f") == 3 * MIB);
	WANT(pwrite(fd, "middle", 6, 1234567) == 6);
	memcpy(block + 1234567, "middle", 6);
	WANT(pwrite(fd, "x", 1, 10 * MIB) == 1 && size("f") == 10 * MIB + 1);
	WANT(are(fd, 0, block, 3 * MIB));
	WANT(are(fd, 3 * MIB, NULL, 4 * MIB));
	WANT(read(fd, back, 10) == 10 &&
		lseek(fd, 0, SEEK_CUR) == 3 * MIB + 10);
	WANT(pread(fd, back, 10, 11 * MIB) == 0);
	WANT(pwritev(fd, v, 2, 5 * MIB) == 30);
	WANT(are(fd, 5 * MIB, block, 10) &&
		are(fd, 5 * MIB + 10, block + 100, 20));
	WANT(fsync(fd) == 0 && are(fd, 0, block, 3 * MIB));
	WANT(write(fd, "", 0) == 0);
	WANT(close(fd) == 0);
	WANT_ERR(open("f", O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST);
	return 0;
}

static int truncate_both_ways(void)
{
	const int fd = open("f", O_RDWR | O_CREAT, 0644);

	fill(2);
	WANT(write(fd, block, 2 * MIB) == 2 * MIB && fsync(fd) == 0);
	WANT(ftruncate(fd, 1500001) == 0 && size("f") == 1500001);
	WANT(are(fd, 0, block, 1500001) && pread(fd, back, 9, 1500001) == 0);
	WANT(truncate("f", 3 * MIB) == 0 && size("f") == 3 * MIB);
	WANT(are(fd, 0, block, 1500001));
	WANT(are(fd, 1500001, NULL, 3 * MIB - 1500001));
	WANT(ftruncate(fd, 0) == 0 && size("f") == 0);
	WANT(ftruncate(fd, 100) == 0 && are(fd, 0, NULL, 100));
	WANT(pwrite(fd, "end", 3, 200) == 3 && are(fd, 100, NULL, 100));
	WANT(ftruncate(fd, (off_t)1 << 40) == 0 && size("f") == (off_t)1 << 40);
	WANT(pread(fd, back, 100, ((off_t)1 << 40) - 50) == 50);
	WANT_ERR(ftruncate(fd, -1), EINVAL);
	WANT(close(fd) == 0);
	WANT(open("f", O_WRONLY | O_TRUNC) >= 0 && size("f") == 0);
	return 0;
}

static int space(void)
{
	const int fd = open("f", O_RDWR | O_CREAT, 0644);
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	struct statvfs v;
	struct stat st;

	fill(3);
	WANT(write(fd, block, 3 * MIB) == 3 * MIB && fsync(fd) == 0);
	WANT(fallocate(fd, punch, 1000001, 700000) == 0);
	memset(block + 1000001, 0, 700000);
	WANT(are(fd, 0, block, 3 * MIB) && size("f") == 3 * MIB);
	WANT(fallocate(fd, FALLOC_FL_ZERO_RANGE, 2 * MIB, 2 * MIB) == 0);
	memset(block + 2 * MIB, 0, 2 * MIB);
	WANT(size("f") == 4 * MIB && are(fd, 0, block, 4 * MIB));
	WANT(fallocate(fd, FALLOC_FL_KEEP_SIZE, 4 * MIB, MIB) == 0);
	WANT(size("f") == 4 * MIB);
	WANT(fallocate(fd, 0, 4 * MIB, MIB) == 0 && size("f") == 5 * MIB);
	WANT(are(fd, 4 * MIB, NULL, MIB) && are(fd, 0, block, 4 * MIB));
	WANT(fallocate(fd, punch, 4 * MIB, 9 * MIB) == 0);
	WANT(size("f") == 5 * MIB);
	WANT(posix_fallocate(fd, 5 * MIB, 10) == 0 &&
		size("f") == 5 * MIB + 10);
	WANT(lseek(fd, 0, SEEK_END) == 5 * MIB + 10);
	WANT(lseek(fd, -10, SEEK_END) == 5 * MIB);
	WANT_ERR(lseek(fd, -1, SEEK_SET), EINVAL);
	/* whatever it says of holes: data is not called one */
	WANT(lseek(fd, 0, SEEK_DATA) == 0);
	WANT(lseek(fd, 0, SEEK_HOLE) >= 1000001);
	WANT_ERR(lseek(fd, 6 * MIB, SEEK_DATA), ENXIO);
	WANT(fsync(fd) == 0 && fstat(fd, &st) == 0 && st.st_blocks > 0);
	WANT(statvfs(".", &v) == 0 && v.f_namemax == 255 && v.f_bsize > 0 &&
		v.f_blocks > 0 && v.f_bavail <= v.f_bfree);
	return close(fd);
}

static int syncs(void)
{
	const int fd = open("f", O_RDWR | O_CREAT | O_DSYNC, 0644);
	const int dir = open(".", O_RDONLY | O_DIRECTORY);

	WANT(fd >= 0 && dir >= 0);
	WANT(write(fd, "synced", 6) == 6);
	WANT(fdatasync(fd) == 0 && fsync(fd) == 0 && fsync(dir) == 0);
	WANT(fdatasync(dir) == 0 && syncfs(fd) == 0);
	WANT(unlink("f") == 0 && fsync(fd) == 0 && fsync(dir) == 0);
	WANT(close(fd) == 0 && close(dir) == 0);
	return 0;
}

static int maps(void)
{
	const int fd = open("f", O_RDWR | O_CREAT, 0644);
	uint8_t *p, *q;

	fill(4);
	WANT(write(fd, block, 2 * MIB) == 2 * MIB);
	p = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	WANT(p != MAP_FAILED);
	if (p == MAP_FAILED)
		return -1;
	WANT(memcmp(p, block, 2 * MIB) == 0);
	for (size_t i = 0; i < 2 * MIB; i += 4001)
		p[i] = block[i] = (uint8_t)~block[i];
	WANT(msync(p, 2 * MIB, MS_SYNC) == 0);
	WANT(are(fd, 0, block, 2 * MIB));
	WANT(pwrite(fd, "written", 7, 54321) == 7);
	WANT(memcmp(p + 54321, "written", 7) == 0);
	memcpy(block + 54321, "written", 7);
	q = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	WANT(q != MAP_FAILED);
	memset(q, 0, 4096);
	p[2 * MIB - 1] = block[2 * MIB - 1] = 'z';
	WANT(munmap(q, MIB) == 0 && munmap(p, 2 * MIB) == 0);
	WANT(close(fd) == 0);
	p = mmap(NULL, 2 * MIB, PROT_READ, MAP_PRIVATE, open("f", O_RDONLY), 0);
	WANT(p != MAP_FAILED && memcmp(p, block, 2 * MIB) == 0);
	return munmap(p, 2 * MIB);
}

/* --- two processes ------------------------------------------------------- */

static void append_lines(char who)
{
	const int fd = open("log", O_WRONLY | O_APPEND | O_CREAT, 0644);
	char line[64];

	for (unsigned n = 0; n < APPENDS; n++) {
		const int len = snprintf(line, sizeof(line), "%c %u\n", who, n);

		if (write(fd, line, (size_t)len) != len)
			_exit(1);
	}
	_exit(fd < 0);
}

static int appenders(void)
{
	unsigned next[2] = {0, 0};
	int status = 1;
	char line[64];
	FILE *f;

	for (char who = 'a'; who <= 'b'; who++)
		if (fork() == 0)
			append_lines(who);
	WANT(wait(&status) > 0 && status == 0);
	WANT(wait(&status) > 0 && status == 0);
	f = fopen("log", "r");
	WANT(f != NULL);
	while (f && fgets(line, sizeof(line), f)) {
		const unsigned who = (unsigned)(line[0] - 'a');

		WANT(who < 2);
		WANT(strtoul(line + 1, NULL, 10) == next[who % 2]++);
		if (posix_wrong > 5)
			break;
	}
	WANT(next[0] == APPENDS && next[1] == APPENDS);
	return f ? fclose(f) : -1;
}

/* A child tries a lock that we hold; then waits for it. */
static int locked(int kind)
{
	int hold[2];
	int status = 1;
	char c = 0;
	pid_t pid;
	int fd = open("lock", O_RDWR | O_CREAT, 0644);
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	WANT(pipe(hold) == 0);
	WANT((kind ? fcntl(fd, F_SETLK, &whole) : flock(fd, LOCK_EX)) == 0);
	pid = fork();
	if (pid == 0) {
		(void)close(fd);
		fd = open("lock", O_RDWR);
		c = (kind ? fcntl(fd, F_SETLK, &whole)
			  : flock(fd, LOCK_EX | LOCK_NB)) < 0
			    ? 'r'
			    : 'g';
		(void)!write(hold[1], &c, 1);
		_exit((kind ? fcntl(fd, F_SETLKW, &whole)
			    : flock(fd, LOCK_EX)) < 0);
	}
	WANT(read(hold[0], &c, 1) == 1 && c == 'r'); /* refused */
	WANT(waitpid(pid, &status, WNOHANG) == 0); /* and waits */
	WANT(close(fd) == 0); /* gives it up */
	WANT(waitpid(pid, &status, 0) == pid && status == 0);
	return 0;
}

static int flocks(void)
{
	return locked(0);
}

static int record_locks(void)
{
	return locked(1);
}

/* Two handles, one file: each sees at once what the other wrote. */
static int two_handles(void)
{
	const int a = open("f", O_RDWR | O_CREAT, 0644);
	const int b = open("f", O_RDWR);
	const int c = open("f", O_RDONLY | O_DIRECT);
	uint8_t *page = aligned_alloc(4096, 8192);

	fill(5);
	for (off_t i = 0; i < 64; i++) {
		const off_t at = i * 40961 % (2 * MIB);

		WANT(pwrite(a, block + at, 5000, at) == 5000);
		WANT(are(b, at, block + at, 5000));
		if (c >= 0 && size("f") >= at / 4096 * 4096 + 4096) {
			const off_t p = (at + 4095) / 4096 * 4096;
			const size_t n = (size_t)(at + 5000 - p);

			WANT(pread(c, page, 4096, p) >=
				(ssize_t)(n > 4096 ? 4096 : n));
			WANT(memcmp(page, block + p, n > 4096 ? 4096 : n) == 0);
		}
	}
	WANT(ftruncate(b, 10) == 0);
	WANT(pread(a, back, 100, 0) == 10);
	free(page);
	(void)close(c);
	return close(a) + close(b);
}

int main(int argc, char **argv)
{
	static const struct posix_case cases[] = {
		{"written anywhere", write_anywhere},
		{"truncated both ways", truncate_both_ways},
		{"punched, zeroed, kept; statfs, lseek", space},
		{"fsync, fdatasync, of directories, too", syncs},
		{"mapped and shared", maps},
		{"two processes append, no line is lost", appenders},
		{"flock between two processes", flocks},
		{"record locks between two processes", record_locks},
		{"two handles see each other's bytes", two_handles},
		{NULL, NULL},
	};

	return argc == 2 ? posix_main(argv[1], cases) : 2;
}
