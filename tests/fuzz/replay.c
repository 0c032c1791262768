/*
 * tests/fuzz/replay.c - runs a fuzz target over files, without a fuzzer.
 *
 *   fuzz_TARGET FILE-OR-DIRECTORY...
 *
 * Each file as it is; a small one also cut at every length and with every bit
 * flipped, one at a time, unless a fuzzer found it (its name is a digest): that
 * has tried them. Fails when there was no file at all, so that a lost corpus is
 * noticed.
 */
#include <dirent.h>
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

#define REPLAY_MAX (1u << 20) /* bytes of a file */
#define REPLAY_DIGEST 40u /* characters of such a name */
#define REPLAY_MUTATE 1024u /* larger files run only as they are */

/* The input stands in memory of exactly its size, so that ASan sees the end. */
static void replay_one(const uint8_t *data, size_t len)
{
	uint8_t *p = malloc(len ? len : 1);

	if (!p)
		err(1, "replay");
	memcpy(p, data, len);
	(void)LLVMFuzzerTestOneInput(p, len);
	free(p);
}

static void replay_mutated(uint8_t *data, size_t len)
{
	for (size_t n = 0; n < len; n++)
		replay_one(data, n);
	for (size_t bit = 0; bit < 8 * len; bit++) {
		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		replay_one(data, len);
		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static int replay_is_found(const char *path)
{
	const char *name = strrchr(path, '/');

	name = name ? name + 1 : path;
	return strlen(name) == REPLAY_DIGEST &&
	       strspn(name, "0123456789abcdef") == REPLAY_DIGEST;
}

static void replay_file(const char *path)
{
	uint8_t *data = malloc(REPLAY_MAX);
	FILE *f = fopen(path, "re");
	size_t len;

	if (!f || !data)
		err(1, "%s", path);
	len = fread(data, 1, REPLAY_MAX, f);
	if (ferror(f) || !feof(f))
		errx(1, "%s: unreadable, or above %u bytes", path, REPLAY_MAX);
	(void)fclose(f);
	replay_one(data, len);
	if (len <= REPLAY_MUTATE && !replay_is_found(path))
		replay_mutated(data, len);
	free(data);
}

static unsigned replay_dir(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	char name[4096];
	unsigned n = 0;

	if (!d)
		err(1, "%s", path);
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		replay_file(name);
		n++;
	}
	(void)closedir(d);
	return n;
}

int main(int argc, char **argv)
{
	unsigned n = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;

		if (stat(argv[i], &st) < 0)
			err(1, "%s", argv[i]);
		if (S_ISDIR(st.st_mode)) {
			n += replay_dir(argv[i]);
		} else {
			replay_file(argv[i]);
			n++;
		}
	}
	(void)printf("%u files\n", n);
	return n ? 0 : 1;
}
