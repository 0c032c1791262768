/* truncate, ftruncate, fallocate: sizes, limits, and what lies between. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "conform.h"

static const off_t sizes_table[] = {0, 1, 2, 511, 512, 513, 4095, 4096, 4097,
	65535, 65536, 65537, 131071, 131072, 131073, 1048575, 1048576, 1048577,
	5000000};

#define SIZES (sizeof(sizes_table) / sizeof(*sizes_table))

/* Are all bytes in [from, to) of fd this one? */
static bool sizes_all(int fd, off_t from, off_t to, char c)
{
	static char buf[65536];

	while (from < to) {
		ssize_t n = pread(fd, buf,
			to - from < (off_t)sizeof(buf) ? (size_t)(to - from)
						       : sizeof(buf),
			from);

		if (n <= 0)
			return false;
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != c)
				return false;
		from += n;
	}
	return true;
}

/* From each size to each: bytes stay, zeros come, and none comes back. */
static void sizes_pair(int fd, off_t a, off_t b, bool by_name)
{
	static char full[65536];
	const off_t kept = a < b ? a : b;
	struct stat st;

	ABOUT("%s from %lld to %lld", by_name ? "truncate" : "ftruncate",
		(long long)a, (long long)b);
	GOOD(ftruncate(fd, 0));
	memset(full, 'x', sizeof(full));
	for (off_t n = 0; n < a; n += (off_t)sizeof(full))
		(void)!pwrite(fd, full,
			a - n < (off_t)sizeof(full) ? (size_t)(a - n)
						    : sizeof(full),
			n);
	GOOD(by_name ? truncate("x", b) : ftruncate(fd, b));
	GOOD(fstat(fd, &st));
	SAME(st.st_size, b);
	TRUE(sizes_all(fd, 0, kept, 'x'));
	TRUE(sizes_all(fd, kept, b, 0));
	GOOD(ftruncate(fd, kept + 10));
	TRUE(sizes_all(fd, kept, kept + 10, 0));
	SAME(pread(fd, full, 1, kept + 10), 0);
}

static void sizes_truncate(void)
{
	const int fd = open("x", O_CREAT | O_RDWR, 0644);

	for (unsigned i = 0; i < SIZES; i++)
		for (unsigned j = 0; j < SIZES; j += 1 + (i > 12))
			sizes_pair(fd, sizes_table[i], sizes_table[j],
				(i + j) % 2);
	GOOD(close(fd));
}

static void sizes_kinds(void)
{
	static const int codes[CONFORM_KINDS] = {
		0, EISDIR, EINVAL, EINVAL, ENOENT, EINVAL, EINVAL};

	for (enum conform_kind k = 0; k < CONFORM_KINDS; k++) {
		ABOUT("truncate of a %s", conform_kind(k));
		conform_make(k, "x", 0777, CONFORM_OWNER);
		CODE(truncate("x", 5), codes[k]);
		conform_as(CONFORM_OTHER);
		CODE(truncate("x", 6), codes[k]);
		conform_as(CONFORM_ROOT);
		CODE(truncate("x", -1), EINVAL);
		CODE(truncate("x", LLONG_MIN), EINVAL);
		conform_wipe("x");
	}
	conform_fill("x", "text");
	ABOUT("sizes that cannot be");
	CODE(truncate("x", LLONG_MAX), EFBIG);
	TRUE(conform_holds("x", "text"));
	conform_wipe("x");
}

static int sizes_limited(const char *name)
{
	const struct rlimit limit = {10000, 10000};
	int fd = open(name, O_RDWR);

	(void)signal(SIGXFSZ, SIG_IGN);
	(void)setrlimit(RLIMIT_FSIZE, &limit);
	if (ftruncate(fd, 10001) == 0 || errno != EFBIG)
		return 1;
	if (truncate(name, 10001) == 0 || errno != EFBIG)
		return 2;
	if (pwrite(fd, "x", 1, 10000) != -1 || errno != EFBIG)
		return 3;
	if (pwrite(fd, "1234567890", 10, 9995) != 5)
		return 4;
	if (fallocate(fd, 0, 0, 10001) == 0 || errno != EFBIG)
		return 5;
	if (lseek(fd, 0, SEEK_END) != 10000)
		return 6;
	return ftruncate(fd, 10000) == 0 ? 0 : 7;
}

static void sizes_limits(void)
{
	int fd;

	ABOUT("RLIMIT_FSIZE");
	conform_fill("x", "text");
	SAME(conform_fork(sizes_limited, "x"), 0);
	ABOUT("writes beyond what can be");
	fd = open("x", O_RDWR);
	/* FUSE's limit is all that the type holds, and the kernel asks it */
	if (!conform_fuse()) {
		CODE(pwrite(fd, "x", 1, LLONG_MAX - 10), EFBIG);
		CODE(lseek(fd, LLONG_MAX, SEEK_SET) < 0 ? -1 : 0, EINVAL);
	}
	CODE(pwrite(fd, "xx", 2, LLONG_MAX), EINVAL);
	CODE(fallocate(fd, 0, LLONG_MAX - 5, 100), EFBIG);
	SAME(conform_stat("x").st_size, 10000);
	GOOD(close(fd));
	conform_wipe("x");
}

/* --- fallocate ----------------------------------------------------------- */

static void sizes_fallocate(void)
{
	const int fd = open("x", O_CREAT | O_RDWR, 0644);

	for (unsigned i = 0; i < SIZES; i++)
		for (unsigned j = 1; j < SIZES; j++) {
			const off_t at = sizes_table[i];
			const off_t len = sizes_table[j];
			const off_t end = at + len > 7 ? at + len : 7;

			ABOUT("fallocate %lld+%lld", (long long)at,
				(long long)len);
			GOOD(ftruncate(fd, 0));
			SAME(pwrite(fd, "xxxxxxx", 7, 0), 7);
			GOOD(fallocate(fd, FALLOC_FL_KEEP_SIZE, at, len));
			SAME(conform_stat("x").st_size, 7);
			SAME(posix_fallocate(fd, at, len), 0);
			SAME(conform_stat("x").st_size, end);
			TRUE(sizes_all(fd, 0, 7, 'x'));
			TRUE(sizes_all(fd, 7, end, 0));
		}
	SAME(posix_fallocate(fd, -1, 10), EINVAL);
	SAME(posix_fallocate(fd, 0, -1), EINVAL);
	SAME(posix_fallocate(fd, 0, 0), EINVAL);
	CODE(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10), EOPNOTSUPP);
	CODE(fallocate(fd, 1 << 20, 0, 10), EOPNOTSUPP);
	GOOD(close(fd));
}

static void sizes_punch(void)
{
	static char full[200000];
	const int fd = open("x", O_CREAT | O_RDWR, 0644);
	const off_t size = (off_t)sizeof(full);

	memset(full, 'x', sizeof(full));
	for (unsigned i = 0; i < SIZES - 4; i++)
		for (unsigned j = 1; j < SIZES; j++) {
			const off_t at = sizes_table[i];
			off_t end = at + sizes_table[j];

			ABOUT("punch %lld to %lld", (long long)at,
				(long long)end);
			SAME(pwrite(fd, full, sizeof(full), 0), size);
			GOOD(fallocate(fd,
				FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
				sizes_table[j]));
			SAME(conform_stat("x").st_size, size);
			end = end < size ? end : size;
			TRUE(sizes_all(fd, 0, at, 'x'));
			TRUE(sizes_all(fd, at, end, 0));
			TRUE(sizes_all(fd, end, size, 'x'));
		}
	GOOD(close(fd));
}

/* Blocks follow what was written, and holes have none. */
static void sizes_blocks(void)
{
	static char full[1 << 20];
	const int fd = open("x", O_CREAT | O_RDWR, 0644);
	struct stat st;

	ABOUT("blocks and holes");
	memset(full, 'x', sizeof(full));
	GOOD(ftruncate(fd, 1 << 30));
	GOOD(fstat(fd, &st));
	TRUE(st.st_blocks < 1000);
	/* With FUSE's write cache only the kernel knows what is data, and says
	 * that all is. */
	if (!conform_fuse()) {
		CODE(lseek(fd, 0, SEEK_DATA), ENXIO);
		SAME(lseek(fd, 0, SEEK_HOLE), 0);
	}
	SAME(pwrite(fd, full, sizeof(full), 512 << 20), 1 << 20);
	GOOD(fsync(fd));
	GOOD(close(open("x", O_WRONLY)));
	GOOD(fstat(fd, &st));
	TRUE(st.st_blocks >= 2048 && st.st_blocks < 4096);
	if (!conform_fuse()) {
		SAME(lseek(fd, 0, SEEK_DATA), 512 << 20);
		SAME(lseek(fd, 512 << 20, SEEK_HOLE), 513 << 20);
	}
	SAME(lseek(fd, 512 << 20, SEEK_DATA), 512 << 20);
	GOOD(ftruncate(fd, 0));
	GOOD(fsync(fd));
	GOOD(fstat(fd, &st));
	SAME(st.st_blocks, 0);
	GOOD(close(fd));
	GOOD(mkdir("d", 0755));
	for (enum conform_kind k = CONFORM_FIFO; k < CONFORM_KINDS; k++) {
		ABOUT("the size of a %s", conform_kind(k));
		conform_make(k, "y", 0644, CONFORM_ROOT);
		SAME(conform_stat("y").st_size, k == CONFORM_LNK ? 6 : 0);
		SAME(conform_stat("y").st_blocks, 0);
		conform_wipe("y");
	}
}

const struct conform_group conform_sizes[] = {
	{"sizes from each to each", sizes_truncate},
	{"sizes of what has none", sizes_kinds},
	{"sizes that are too large", sizes_limits},
	{"sizes that are allocated", sizes_fallocate},
	{"sizes with holes punched", sizes_punch},
	{"sizes and blocks", sizes_blocks},
	{NULL, NULL},
};
