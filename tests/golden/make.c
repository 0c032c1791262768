/*
 * tests/golden/make.c - wrote the golden files, once.
 *
 *   make DIR
 *
 * The files are format: what stands in clouds today. A change of the code that
 * needs this program run again is a change of the format, and needs a new
 * version number and new files beside the old ones, which stay readable.
 * Existing files are therefore never overwritten.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/golden/golden.h"

static int make_open(const char *name)
{
	const int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0)
		err(1, "%s", name);
	return fd;
}

static void make_file(const char *name, const void *data, size_t len)
{
	const int fd = make_open(name);

	if (write(fd, data, len) != (ssize_t)len || close(fd) < 0)
		err(1, "%s", name);
}

/* The same bytes, one of them changed. */
static void make_broken(const char *name, const uint8_t *data, size_t len,
	size_t at, uint8_t value)
{
	uint8_t *p = malloc(len);

	if (!p)
		err(1, "%s", name);
	memcpy(p, data, len);
	p[at] = value;
	make_file(name, p, len);
	free(p);
}

static void make_pack_and_shard(const struct keys *keys)
{
	const int fd = make_open("pack.bin");
	struct pack_seal seal;
	uint8_t *p;

	if (golden_pack(keys, fd, &seal) < 0)
		errx(1, "pack.bin: cannot be made");
	p = calloc(1, SHARD_HEAD + seal.bytes);
	if (!p || pread(fd, p + SHARD_HEAD, seal.bytes, 0) < 0)
		err(1, "pack.bin");
	(void)close(fd);
	make_broken("pack-bad-version.bin", p + SHARD_HEAD, seal.bytes, 8, 2);
	make_broken("pack-bad-flags.bin", p + SHARD_HEAD, seal.bytes, 10, 1);
	make_broken("pack-bad-frame.bin", p + SHARD_HEAD, seal.bytes, 170, 0);
	make_broken("pack-bad-foot.bin", p + SHARD_HEAD, seal.bytes,
		seal.bytes - 1, 0);
	make_file("pack-bad-cut.bin", p + SHARD_HEAD, seal.bytes - 1);
	golden_shard(keys, &seal, 1, p);
	make_file("shard.bin", p, SHARD_HEAD + seal.bytes);
	make_broken("shard-bad-sum.bin", p, SHARD_HEAD, 127, 0);
	golden_shard(keys, &seal, 2, p);
	make_file("shard-bad-index.bin", p, SHARD_HEAD);
	free(p);
}

static void make_descriptor(const struct keys *keys)
{
	const struct pluri_id salt = golden_id(0xc0);
	uint8_t d[DESCRIPTOR_BYTES];

	if (descriptor_encode(keys, &golden_descriptor, &salt, d) < 0)
		errx(1, "descriptor.bin: cannot be made");
	make_file("descriptor.bin", d, sizeof(d));
	make_broken("descriptor-bad-magic.bin", d, sizeof(d), 0, 'p');
	make_broken("descriptor-bad-sum.bin", d, sizeof(d), 100, 0);
	make_file("descriptor-bad-cut.bin", d, sizeof(d) - 1);
}

static void make_cuts(void)
{
	uint8_t *p = malloc(GOLDEN_STREAM);
	FILE *f = fdopen(make_open("cuts.txt"), "w");

	if (!p || !f)
		err(1, "cuts.txt");
	golden_stream(p);
	for (size_t at = 0; at < GOLDEN_STREAM;) {
		const size_t cut =
			cdc_cut(&golden_cdc, p + at, GOLDEN_STREAM - at);

		at += cut ? cut : GOLDEN_STREAM - at;
		(void)fprintf(f, "%zu\n", at);
	}
	if (fclose(f) != 0)
		err(1, "cuts.txt");
	free(p);
}

int main(int argc, char **argv)
{
	pluri_auto(keys) keys = NULL;

	if (argc != 2 || chdir(argv[1]) < 0)
		errx(1, "usage: make DIR");
	if (golden_keys(&keys) < 0)
		errx(1, "keys cannot be made");
	make_pack_and_shard(keys);
	make_descriptor(keys);
	make_cuts();
	return 0;
}
