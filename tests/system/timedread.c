/*
 * timedread FILE [ORIGINAL] - reads a file, past the kernel's cache, a request
 * at a time, and prints "VERDICT LONGEST_MS": right; the name of an errno;
 * wrong@OFFSET. Exit status: 0 right, 1 an error, 2 wrong bytes or too few.
 *
 * Without ORIGINAL any bytes are right.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"

#define READ_BLOCK (128u << 10)
#define READ_ALIGN 4096u
#define READ_BEAT_MS 20
#define READ_STEP_MS 500u

/*
 * A machine that lets nobody run, or someone who stops all processes, makes no
 * read slow: so this clock goes on by a step at most, each time it is looked
 * at, and a thread of its own looks often.
 */
static uint64_t read_now(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static uint64_t last, now;
	struct timespec t;
	uint64_t ms;

	(void)pthread_mutex_lock(&lock);
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
	now += ms - last < READ_STEP_MS ? ms - last : READ_STEP_MS;
	last = ms;
	ms = now;
	(void)pthread_mutex_unlock(&lock);
	return ms;
}

static void *read_beat(void *unused)
{
	const struct timespec beat = {.tv_nsec = READ_BEAT_MS * 1000000};

	(void)unused;
	for (;;) {
		(void)read_now();
		(void)nanosleep(&beat, NULL);
	}
	return NULL;
}

static uint64_t read_longest;

static void read_timed(uint64_t since)
{
	const uint64_t ms = read_now() - since;

	if (ms > read_longest)
		read_longest = ms;
}

static int read_end(int status, const char *verdict)
{
	(void)printf("%s %llu\n", verdict, (unsigned long long)read_longest);
	return status;
}

static int read_open(const char *path)
{
	const uint64_t start = read_now();
	int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);

	if (fd < 0 && errno == EINVAL)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	read_timed(start);
	if (fd >= 0)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return fd;
}

static int read_wrong(uint64_t at)
{
	char text[40];

	(void)snprintf(
		text, sizeof(text), "wrong@%llu", (unsigned long long)at);
	return read_end(2, text);
}

static int read_all(int fd, int orig, uint8_t *got, uint8_t *want)
{
	uint64_t at = 0;

	for (;;) {
		const uint64_t start = read_now();
		const ssize_t n = read(fd, got, READ_BLOCK);
		ssize_t m;

		read_timed(start);
		if (n < 0)
			return read_end(1, strerrorname_np(errno));
		if (orig >= 0) {
			m = pread(orig, want, READ_BLOCK, (off_t)at);
			if (m != n || memcmp(got, want, (size_t)n) != 0)
				return read_wrong(at);
		}
		if (n == 0)
			return read_end(0, "right");
		at += (uint64_t)n;
	}
}

int main(int argc, char **argv)
{
	pluri_auto_mem uint8_t *room =
		aligned_alloc(READ_ALIGN, 2 * READ_BLOCK);
	pthread_t beat;
	int orig = -1;
	int fd;

	if (argc < 2 || argc > 3 || !room) {
		(void)fprintf(stderr, "usage: timedread FILE [ORIGINAL]\n");
		return 2;
	}
	if (argc == 3) {
		orig = open(argv[2], O_RDONLY | O_CLOEXEC);
		if (orig < 0)
			return read_end(2, "no-original");
	}
	if (pthread_create(&beat, NULL, read_beat, NULL) != 0)
		return read_end(2, "no-thread");
	fd = read_open(argv[1]);
	if (fd < 0)
		return read_end(1, strerrorname_np(errno));
	return read_all(fd, orig, room, room + READ_BLOCK);
}
