#include <signal.h>
#include <sys/resource.h>

#include "tests/unit/chunker/sample_pack.h"

/* Files of this process may not grow beyond so many bytes: like a full disk. */
static void limit_files(rlim_t most)
{
	struct rlimit l;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &l), 0);
	l.rlim_cur = most;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

/* Every chunk of a pack's bytes, read back frame by frame. */
static void expect_chunk(
	const struct sample_pack *p, unsigned chunk, const uint8_t *bytes)
{
	static uint8_t plain[3 * FRAME_PLAIN];
	static uint8_t out[FRAME_PLAIN];
	const size_t size = sample_sizes[chunk];
	const uint32_t n = (uint32_t)((size + FRAME_PLAIN - 1) / FRAME_PLAIN);
	struct frame_at at = {p->keys, p->id, p->place[chunk].off};

	sample_plain(chunk, plain);
	for (uint32_t i = 0; i < n; i++) {
		const struct frame_id want = {
			p->name[chunk], (uint32_t)size, i, n};
		const size_t len = p->place[chunk].frame[i];
		struct pluri_room room = {out, sizeof(out), 0};

		assert_int_equal(
			frame_open(&at,
				(struct pluri_span){bytes + at.off, len}, &want,
				&room, NULL),
			0);
		assert_memory_equal(out, plain + i * FRAME_PLAIN, room.len);
		at.off += len;
	}
	assert_int_equal(at.off, p->place[chunk].off + p->place[chunk].bytes);
}

static void pack__written__every_chunk_reads_back(void **state)
{
	struct sample_pack p;
	uint8_t *bytes;
	size_t len;

	(void)state;
	sample_pack_init(&p, SAMPLE_CHUNKS);
	bytes = sample_slurp(p.fd, &len);
	assert_int_equal(len, p.seal.bytes);
	assert_true(p.seal.sum == digest_sum((struct pluri_span){bytes, len}));
	assert_int_equal(
		pack_head_check(bytes, keys_volume(p.keys), &p.id, NULL), 0);
	assert_int_equal(p.place[0].off, PACK_HEAD);
	for (unsigned i = 0; i < SAMPLE_CHUNKS; i++)
		expect_chunk(&p, i, bytes);
	free(bytes);
	sample_pack_done(&p);
}

static void pack__seen_by_a_provider__nothing_repeats(void **state)
{
	static uint8_t zeros[4096];
	struct keys *k = sample_keys(1, 1);
	struct encoded *e = sample_chunk(k, zeros, sizeof(zeros), false);
	const struct pluri_id id = sample_id(1);
	struct pack_place at[2];
	struct pack_writer *w = NULL;
	const int fd = sample_file();
	uint8_t *bytes;
	size_t len;

	(void)state;
	assert_int_equal(pack_create(k, &id, fd, &w, NULL), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pack_append(w, e, &at[i], NULL), 0);
	bytes = sample_slurp(fd, &len);
	assert_memory_not_equal(bytes + at[0].off, bytes + at[1].off, 16);
	for (size_t i = PACK_HEAD; i + 32 <= len; i++) {
		assert_memory_not_equal(bytes + i, e->id.b, 8);
		assert_memory_not_equal(bytes + i, zeros, 8);
	}
	free(bytes);
	pack_writer_free(w);
	encoded_free(e);
	(void)close(fd);
	keys_free(k);
}

static void create__file_not_empty__refused(void **state)
{
	struct keys *k = sample_keys(1, 1);
	const struct pluri_id id = sample_id(1);
	struct pack_writer *w = NULL;
	const int fd = sample_file();

	(void)state;
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(pack_create(k, &id, fd, &w, NULL), -EEXIST);
	assert_null(w);
	(void)close(fd);
	keys_free(k);
}

/* A writer whose second append met a full disk after `room` more bytes. */
static struct pack_writer *append_fails(
	const struct keys *k, const struct pluri_id *id, int fd, uint64_t room)
{
	struct pack_writer *w = NULL;
	struct pluri_digest name;
	struct pack_place at;
	uint64_t end;

	assert_int_equal(pack_create(k, id, fd, &w, NULL), 0);
	assert_int_equal(sample_append(k, w, 0, &at, &name), 0);
	end = pack_bytes(w);
	limit_files(end + room);
	memset(&at, 7, sizeof(at));
	assert_int_equal(sample_append(k, w, 2, &at, &name), -EFBIG);
	assert_int_equal(at.bytes, 0x07070707); /* untouched */
	limit_files(RLIM_INFINITY);
	assert_int_equal(pack_bytes(w), end);
	return w;
}

static void append__disk_full__closes_as_if_never_tried(void **state)
{
	static const uint64_t rooms[] = {0, 1, 96, 150};
	struct sample_pack one;
	uint8_t *want;
	size_t want_len;

	(void)state;
	sample_pack_init(&one, 1);
	want = sample_slurp(one.fd, &want_len);
	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		const int fd = sample_file();
		struct pack_writer *w =
			append_fails(one.keys, &one.id, fd, rooms[i]);
		struct pluri_digest name;
		struct pack_place at;
		struct pack_seal seal;
		uint8_t *got;
		size_t len;

		assert_int_equal(
			sample_append(one.keys, w, 3, &at, &name), -EIO);
		assert_int_equal(pack_close(w, &seal, NULL), 0);
		got = sample_slurp(fd, &len);
		assert_int_equal(len, want_len);
		assert_memory_equal(got, want, len);
		assert_int_equal(seal.bytes, one.seal.bytes);
		assert_true(seal.sum == one.seal.sum);
		free(got);
		pack_writer_free(w);
		(void)close(fd);
	}
	free(want);
	sample_pack_done(&one);
}

static void close__disk_full__may_be_repeated(void **state)
{
	struct keys *k = sample_keys(1, 1);
	const struct pluri_id id = sample_id(100);
	struct pack_writer *w = NULL;
	const int fd = sample_file();
	struct pluri_digest name;
	struct pack_place at;
	struct pack_seal seal[2];
	uint8_t *got;
	size_t len;

	(void)state;
	assert_int_equal(pack_create(k, &id, fd, &w, NULL), 0);
	assert_int_equal(sample_append(k, w, 0, &at, &name), 0);
	limit_files(pack_bytes(w) + 20);
	assert_int_equal(pack_close(w, &seal[0], NULL), -EFBIG);
	limit_files(RLIM_INFINITY);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pack_close(w, &seal[i], NULL), 0);
	got = sample_slurp(fd, &len);
	assert_int_equal(len, seal[0].bytes);
	assert_true(seal[0].sum == digest_sum((struct pluri_span){got, len}));
	assert_true(seal[0].sum == seal[1].sum);
	assert_int_equal(sample_append(k, w, 0, &at, &name), -EIO);
	free(got);
	pack_writer_free(w);
	(void)close(fd);
	keys_free(k);
}

static void create__disk_full__fails_whole(void **state)
{
	struct keys *k = sample_keys(1, 1);
	const struct pluri_id id = sample_id(100);
	struct pack_writer *w = NULL;
	struct pluri_err err;
	const int fd = sample_file();

	(void)state;
	limit_files(10);
	assert_int_equal(pack_create(k, &id, fd, &w, &err), -EFBIG);
	limit_files(RLIM_INFINITY);
	assert_null(w);
	pack_writer_free(NULL);
	(void)close(fd);
	keys_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pack__written__every_chunk_reads_back),
		cmocka_unit_test(pack__seen_by_a_provider__nothing_repeats),
		cmocka_unit_test(create__file_not_empty__refused),
		cmocka_unit_test(append__disk_full__closes_as_if_never_tried),
		cmocka_unit_test(close__disk_full__may_be_repeated),
		cmocka_unit_test(create__disk_full__fails_whole),
	};

	/* EFBIG instead of death. */
	(void)signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
