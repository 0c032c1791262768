/*
 * bench/bench_io.c - bytes that are never the same twice, and small files.
 *
 *   bench_io gen SEED BYTES            BYTES of noise to standard output
 *   bench_io make DIR COUNT BYTES SEED COUNT files: open, write, close; then
 *                                      fsync of DIR
 *   bench_io look DIR COUNT BYTES SEED read them back and compare every byte
 *
 * make and look print the seconds they took. Noise is a function of its seed,
 * so nothing need be kept to judge what is read.
 */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define IO_PIECE (1u << 20)

/* splitmix64: each word is a function of its place. */
static uint64_t io_word(uint64_t seed, uint64_t at)
{
	uint64_t z = seed * UINT64_C(0xd1342543de82ef95) +
		     at * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Noise [off, off + len), whole words. */
static void io_noise(uint64_t seed, uint64_t off, uint8_t *to, size_t len)
{
	for (size_t i = 0; i < len; i += 8) {
		const uint64_t w = io_word(seed, (off + i) / 8);

		memcpy(to + i, &w, len - i < 8 ? len - i : 8);
	}
}

static void io_write(int fd, const uint8_t *p, size_t len, const char *what)
{
	while (len > 0) {
		const ssize_t n = write(fd, p, len);

		if (n < 0)
			err(1, "writing %s", what);
		p += n;
		len -= (size_t)n;
	}
}

static uint64_t io_number(const char *s)
{
	char *end = NULL;
	const uint64_t n = strtoull(s, &end, 10);

	if (!*s || *end)
		errx(2, "%s: not a number", s);
	return n;
}

static double io_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void io_gen(uint64_t seed, uint64_t bytes)
{
	static uint8_t piece[IO_PIECE];

	for (uint64_t off = 0; off < bytes; off += IO_PIECE) {
		const uint64_t left = bytes - off;
		const size_t n = left < IO_PIECE ? (size_t)left : IO_PIECE;

		io_noise(seed, off, piece, n);
		io_write(STDOUT_FILENO, piece, n, "noise");
	}
}

/* Files of one directory, each with a seed of its own. */
struct files {
	int dir;
	uint64_t count, seed;
	size_t bytes;
	uint8_t *want, *got;
};

/* What file i holds. */
static void files_want(const struct files *f, uint64_t i)
{
	io_noise(f->seed * f->count + i + 1, 0, f->want, f->bytes);
}

static void files_make(const struct files *f)
{
	char name[32];

	for (uint64_t i = 0; i < f->count; i++) {
		int fd;

		(void)snprintf(
			name, sizeof(name), "f%07llu", (unsigned long long)i);
		files_want(f, i);
		fd = openat(f->dir, name, O_WRONLY | O_CREAT | O_EXCL, 0644);
		if (fd < 0)
			err(1, "making %s", name);
		io_write(fd, f->want, f->bytes, name);
		if (close(fd) < 0)
			err(1, "closing %s", name);
	}
	if (fsync(f->dir) < 0)
		err(1, "syncing the directory");
}

static void files_look(const struct files *f)
{
	char name[32];

	for (uint64_t i = 0; i < f->count; i++) {
		ssize_t n;
		int fd;

		(void)snprintf(
			name, sizeof(name), "f%07llu", (unsigned long long)i);
		fd = openat(f->dir, name, O_RDONLY);
		if (fd < 0)
			err(1, "opening %s", name);
		n = read(fd, f->got, f->bytes + 1);
		if (n < 0)
			err(1, "reading %s", name);
		files_want(f, i);
		if ((size_t)n != f->bytes ||
			memcmp(f->got, f->want, f->bytes) != 0)
			errx(1, "%s: not what was written", name);
		(void)close(fd);
	}
}

static void io_files(char **argv, void (*run)(const struct files *f))
{
	struct files f = {.count = io_number(argv[1]),
		.bytes = io_number(argv[2]),
		.seed = io_number(argv[3])};
	double start;

	f.dir = open(argv[0], O_RDONLY | O_DIRECTORY);
	if (f.dir < 0)
		err(1, "%s", argv[0]);
	f.want = malloc(f.bytes + 8);
	f.got = malloc(f.bytes + 8);
	if (!f.want || !f.got)
		err(1, "memory");
	start = io_now();
	run(&f);
	(void)printf("%.6f\n", io_now() - start);
	free(f.want);
	free(f.got);
	(void)close(f.dir);
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "gen") == 0)
		io_gen(io_number(argv[2]), io_number(argv[3]));
	else if (argc == 6 && strcmp(argv[1], "make") == 0)
		io_files(argv + 2, files_make);
	else if (argc == 6 && strcmp(argv[1], "look") == 0)
		io_files(argv + 2, files_look);
	else
		errx(2, "gen SEED BYTES | make|look DIR COUNT BYTES SEED");
	return 0;
}
