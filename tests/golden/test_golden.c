/*
 * The code still writes and reads what was written once. First argument: the
 * directory of the golden files; second: docs/FORMAT.md, whose hex dump must
 * be that of pack.bin.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/golden/golden.h"

#define FILE_MAX 65536

struct golden {
	const char *dir;
	const char *format;
	struct keys *keys;
};

static size_t slurp(
	const struct golden *g, const char *name, uint8_t to[FILE_MAX])
{
	char path[4096];
	size_t len;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", g->dir, name);
	f = fopen(path, "re");
	assert_non_null(f);
	len = fread(to, 1, FILE_MAX, f);
	(void)fclose(f);
	return len;
}

static void expect_same(
	const struct golden *g, const char *name, const void *made, size_t len)
{
	static uint8_t want[FILE_MAX];

	assert_int_equal(slurp(g, name, want), len);
	assert_memory_equal(made, want, len);
}

static void pack_and_shard__made_again__same_bytes(void **state)
{
	static uint8_t object[FILE_MAX];
	const struct golden *g = *state;
	const int fd = memfd_create("pack", MFD_CLOEXEC);
	struct pack_seal seal = {0};

	assert_int_equal(golden_pack(g->keys, fd, &seal), 0);
	assert_true(seal.bytes < FILE_MAX - SHARD_HEAD);
	assert_int_equal(
		pread(fd, object + SHARD_HEAD, seal.bytes, 0), seal.bytes);
	golden_shard(g->keys, &seal, 1, object);
	expect_same(g, "pack.bin", object + SHARD_HEAD, seal.bytes);
	expect_same(g, "shard.bin", object, SHARD_HEAD + seal.bytes);
	(void)close(fd);
}

static void descriptor__made_again__same_bytes(void **state)
{
	const struct golden *g = *state;
	const struct pluri_id salt = golden_id(0xc0);
	uint8_t d[DESCRIPTOR_BYTES];

	assert_int_equal(
		descriptor_encode(g->keys, &golden_descriptor, &salt, d), 0);
	expect_same(g, "descriptor.bin", d, sizeof(d));
}

static void cuts__of_the_stream__same_points(void **state)
{
	static char text[FILE_MAX];
	const struct golden *g = *state;
	uint8_t *p = malloc(GOLDEN_STREAM);
	size_t len = 0;

	assert_non_null(p);
	golden_stream(p);
	for (size_t at = 0; at < GOLDEN_STREAM;) {
		const size_t cut =
			cdc_cut(&golden_cdc, p + at, GOLDEN_STREAM - at);

		at += cut ? cut : GOLDEN_STREAM - at;
		len += (size_t)snprintf(
			text + len, FILE_MAX - len, "%zu\n", at);
	}
	expect_same(g, "cuts.txt", text, len);
	free(p);
}

struct memory {
	const uint8_t *p;
	size_t len;
};

static int read_memory(
	void *arg, uint64_t off, void *to, size_t len, struct pluri_err *err)
{
	const struct memory *m = arg;

	if (off > m->len || len > m->len - off)
		return pluri_fail(err, EBADMSG, "beyond the end");
	memcpy(to, m->p + off, len);
	return 0;
}

/* Every frame of a chunk, opened and compared: 0 or the first failure. */
static int read_chunk(const struct golden *g, const uint8_t *bytes, size_t len,
	const struct pack_entry *e, const uint8_t *plain)
{
	static uint8_t out[FRAME_PLAIN];
	struct frame_at at = {g->keys, golden_id(0xb0), e->off};

	for (uint32_t i = 0; i < e->frames; i++) {
		const struct frame_id want = {e->id, e->plain, i, e->frames};
		const struct pluri_span span = {bytes + at.off, len - at.off};
		struct pluri_room room = {out, sizeof(out), 0};
		struct frame_head h;
		int r = frame_open(&at, span, &want, &room, NULL);

		if (r < 0)
			return r;
		assert_memory_equal(out, plain + i * FRAME_PLAIN, room.len);
		assert_int_equal(frame_peek(&at, span, &h, NULL), 0);
		at.off += h.stored + FRAME_OVERHEAD;
	}
	return 0;
}

/* Everything a reader of a pack does: 0 or the first failure. */
static int read_pack(const struct golden *g, const uint8_t *bytes, size_t len)
{
	const struct pluri_id id = golden_id(0xb0);
	struct memory m = {bytes, len};
	const struct pack_source src = {read_memory, &m, len};
	pluri_auto_mem struct pack_entry *entries = NULL;
	uint32_t count = 0;
	int r;

	r = pack_head_check(bytes, keys_volume(g->keys), &id, NULL);
	if (r == 0)
		r = pack_index(g->keys, &id, &src, &entries, &count, NULL);
	if (r < 0)
		return r;
	assert_int_equal(count, GOLDEN_CHUNKS);
	for (uint32_t i = 0; r == 0 && i < count; i++) {
		size_t plain_len;
		uint8_t *plain = golden_plain(i, &plain_len);

		assert_int_equal(entries[i].plain, plain_len);
		r = read_chunk(g, bytes, len, &entries[i], plain);
		free(plain);
	}
	return r;
}

static void pack__read__all_chunks(void **state)
{
	static uint8_t bytes[FILE_MAX];
	const size_t len = slurp(*state, "pack.bin", bytes);

	assert_int_equal(read_pack(*state, bytes, len), 0);
}

static void pack__malformed__refused(void **state)
{
	static const char *const names[] = {"pack-bad-version.bin",
		"pack-bad-flags.bin", "pack-bad-frame.bin", "pack-bad-foot.bin",
		"pack-bad-cut.bin"};
	static uint8_t bytes[FILE_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const size_t len = slurp(*state, names[i], bytes);

		assert_int_equal(read_pack(*state, bytes, len), -EBADMSG);
	}
}

static void shard__read__its_header(void **state)
{
	static uint8_t bytes[FILE_MAX];
	const size_t len = slurp(*state, "shard.bin", bytes);
	struct shard_head h;

	assert_int_equal(shard_head_decode(bytes, &h, NULL), 0);
	assert_int_equal(h.body_bytes, len - SHARD_HEAD);
	assert_true(
		h.body_sum == digest_sum((struct pluri_span){
				      bytes + SHARD_HEAD, len - SHARD_HEAD}));
	assert_int_equal(h.index, 1);
	(void)slurp(*state, "shard-bad-sum.bin", bytes);
	assert_int_equal(shard_head_decode(bytes, &h, NULL), -EBADMSG);
	(void)slurp(*state, "shard-bad-index.bin", bytes);
	assert_int_equal(shard_head_decode(bytes, &h, NULL), -EBADMSG);
}

static int read_descriptor(
	const struct golden *g, const char *name, struct descriptor *ret)
{
	static uint8_t bytes[FILE_MAX];
	const size_t len = slurp(g, name, bytes);

	return descriptor_decode(
		g->keys, (struct pluri_span){bytes, len}, ret, NULL, NULL);
}

static void descriptor__read__what_was_said(void **state)
{
	struct descriptor d;

	assert_int_equal(read_descriptor(*state, "descriptor.bin", &d), 0);
	assert_string_equal(d.volume, "photos");
	assert_string_equal(d.store, "nas");
	assert_int_equal(d.created_ns, golden_descriptor.created_ns);
	assert_int_equal(
		read_descriptor(*state, "descriptor-bad-magic.bin", NULL),
		-EBADMSG);
	assert_int_equal(
		read_descriptor(*state, "descriptor-bad-sum.bin", NULL),
		-EBADMSG);
	assert_int_equal(
		read_descriptor(*state, "descriptor-bad-cut.bin", NULL),
		-EBADMSG);
}

/* Bytes of a line "0000: 00 01 .."; 0: the line is no part of a dump. */
static size_t dump_line(const char *line, size_t at, uint8_t to[16])
{
	unsigned off;
	size_t n = 0;
	int used = 0;

	if (sscanf(line, "%4x:%n", &off, &used) != 1 || used != 5 || off != at)
		return 0;
	for (const char *p = line + used; n < 16; p += 3, n++) {
		unsigned b;

		if (p[0] != ' ' || p[1] == ' ' || sscanf(p, " %2x", &b) != 1)
			break;
		to[n] = (uint8_t)b;
	}
	return n;
}

static void format__hex_dump__is_the_golden_pack(void **state)
{
	static uint8_t want[FILE_MAX];
	const struct golden *g = *state;
	const size_t len = slurp(g, "pack.bin", want);
	FILE *f = fopen(g->format, "re");
	char line[512];
	size_t at = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		uint8_t b[16];
		const size_t n = dump_line(line, at, b);

		assert_true(at + n <= len);
		assert_memory_equal(b, want + at, n);
		at += n;
	}
	(void)fclose(f);
	assert_int_equal(at, len);
}

int main(int argc, char **argv)
{
	struct golden g = {0};
	int failed;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(
			pack_and_shard__made_again__same_bytes, &g),
		cmocka_unit_test_prestate(
			descriptor__made_again__same_bytes, &g),
		cmocka_unit_test_prestate(cuts__of_the_stream__same_points, &g),
		cmocka_unit_test_prestate(pack__read__all_chunks, &g),
		cmocka_unit_test_prestate(pack__malformed__refused, &g),
		cmocka_unit_test_prestate(shard__read__its_header, &g),
		cmocka_unit_test_prestate(descriptor__read__what_was_said, &g),
		cmocka_unit_test_prestate(
			format__hex_dump__is_the_golden_pack, &g),
	};

	if (argc != 3 || golden_keys(&g.keys) < 0) {
		(void)fprintf(stderr, "usage: test_golden DIR FORMAT.md\n");
		return 1;
	}
	g.dir = argv[1];
	g.format = argv[2];
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	keys_free(g.keys);
	return failed;
}
