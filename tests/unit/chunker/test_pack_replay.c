#include "tests/unit/chunker/sample_pack.h"

/* A file with a pack's first len bytes and junk after them. */
static int torn(const uint8_t *bytes, size_t len, size_t junk)
{
	const int fd = sample_file();
	uint8_t *noise = malloc(junk + 1);

	assert_non_null(noise);
	sample_noise(noise, junk, 1);
	assert_int_equal(pwrite(fd, bytes, len, 0), len);
	assert_int_equal(pwrite(fd, noise, junk, (off_t)len), junk);
	free(noise);
	return fd;
}

static void expect_file(int fd, const uint8_t *want, size_t want_len)
{
	size_t len;
	uint8_t *got = sample_slurp(fd, &len);

	assert_int_equal(len, want_len);
	assert_memory_equal(got, want, len);
	free(got);
}

static void replay__cut_after_any_chunk__as_if_closed_there(void **state)
{
	struct sample_pack whole;
	uint8_t *bytes;
	size_t len;

	(void)state;
	sample_pack_init(&whole, SAMPLE_CHUNKS);
	bytes = sample_slurp(whole.fd, &len);
	for (unsigned n = 0; n <= SAMPLE_CHUNKS; n++) {
		struct sample_pack want;
		struct pack_seal seal;
		uint8_t *closed;
		size_t closed_len;
		int fd;

		sample_pack_init(&want, n);
		closed = sample_slurp(want.fd, &closed_len);
		fd = torn(bytes, n < SAMPLE_CHUNKS ? want.end + 100 : len,
			n * 999);
		assert_int_equal(pack_replay(whole.keys, &whole.id, fd,
					 want.end, &seal, NULL),
			0);
		expect_file(fd, closed, closed_len);
		assert_int_equal(seal.bytes, want.seal.bytes);
		assert_true(seal.sum == want.seal.sum);
		(void)close(fd);
		free(closed);
		sample_pack_done(&want);
	}
	free(bytes);
	sample_pack_done(&whole);
}

static void replay__twice__same_file(void **state)
{
	struct sample_pack p;
	struct pack_seal seal;
	uint8_t *bytes;
	size_t len;

	(void)state;
	sample_pack_init(&p, SAMPLE_CHUNKS);
	bytes = sample_slurp(p.fd, &len);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(
			pack_replay(p.keys, &p.id, p.fd, p.end, &seal, NULL),
			0);
		expect_file(p.fd, bytes, len);
	}
	free(bytes);
	sample_pack_done(&p);
}

static void replay__crash_before_the_header__empty_pack(void **state)
{
	struct sample_pack none;
	struct pack_seal seal;
	uint8_t *want;
	size_t len;

	(void)state;
	sample_pack_init(&none, 0);
	want = sample_slurp(none.fd, &len);
	for (size_t n = 0; n < PACK_HEAD; n += 21) {
		const int fd = torn(want, n, 0);

		assert_int_equal(pack_replay(none.keys, &none.id, fd, PACK_HEAD,
					 &seal, NULL),
			0);
		expect_file(fd, want, len);
		(void)close(fd);
	}
	free(want);
	sample_pack_done(&none);
}

/* Replay bytes changed by a fault: refused, and the file left alone. */
static void expect_refused(const struct sample_pack *p, const uint8_t *bytes,
	size_t len, uint64_t end)
{
	const int fd = torn(bytes, len, 0);
	struct pack_seal seal;
	struct pluri_err err = {0};

	assert_int_equal(
		pack_replay(p->keys, &p->id, fd, end, &seal, &err), -EBADMSG);
	assert_int_equal(err.code, EBADMSG);
	expect_file(fd, bytes, len);
	(void)close(fd);
}

static void replay__any_byte_damaged__refused_and_untouched(void **state)
{
	struct sample_pack p;
	uint8_t *bytes;
	size_t len;

	(void)state;
	sample_pack_init(&p, 2);
	bytes = sample_slurp(p.fd, &len);
	for (size_t i = 0; i < p.end; i++) {
		bytes[i] ^= (uint8_t)(1u << i % 8);
		expect_refused(&p, bytes, len, p.end);
		bytes[i] ^= (uint8_t)(1u << i % 8);
	}
	free(bytes);
	sample_pack_done(&p);
}

static void replay__end_not_at_a_chunk__refused(void **state)
{
	struct sample_pack p;
	uint8_t *bytes;
	size_t len;

	(void)state;
	sample_pack_init(&p, 3);
	bytes = sample_slurp(p.fd, &len);
	expect_refused(&p, bytes, len, p.end + 1);
	expect_refused(&p, bytes, len, p.end - 1);
	expect_refused(&p, bytes, len, PACK_HEAD + 1);
	/* Between two frames of one chunk. */
	expect_refused(&p, bytes, len, p.place[2].off + p.place[2].frame[0]);
	/* A file that lost recorded bytes. */
	expect_refused(&p, bytes, p.end - 1, p.end);
	expect_refused(&p, bytes, 10, p.end);
	free(bytes);
	sample_pack_done(&p);
}

static void replay__frames_swapped__refused(void **state)
{
	struct sample_pack p;
	uint8_t *bytes;
	uint8_t *two;
	size_t len;
	uint32_t n;

	(void)state;
	sample_pack_init(&p, 3);
	bytes = sample_slurp(p.fd, &len);
	n = p.place[2].frame[0];
	assert_int_equal(n, p.place[2].frame[1]);
	two = bytes + p.place[2].off;
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t b = two[i];

		two[i] = two[n + i];
		two[n + i] = b;
	}
	expect_refused(&p, bytes, len, p.end);
	free(bytes);
	sample_pack_done(&p);
}

/* Two frames of one chunk, authentic where they stand, in this order. */
static int forged(
	const struct sample_pack *p, const uint32_t order[2], uint64_t *ret_end)
{
	static uint8_t plain[2 * FRAME_PLAIN];
	static uint8_t sealed[FRAME_STORED_MAX];
	struct encoded *e = sample_chunk(p->keys, plain, sizeof(plain), true);
	struct sealer *s = NULL;
	const int fd = sample_file();
	uint8_t head[PACK_HEAD];
	uint64_t off = PACK_HEAD;

	pack_head_encode(keys_volume(p->keys), &p->id, head);
	assert_int_equal(pwrite(fd, head, PACK_HEAD, 0), PACK_HEAD);
	assert_int_equal(sealer_new(p->keys, &p->id, &s, NULL), 0);
	for (unsigned i = 0; i < 2; i++) {
		const struct encoded_frame *f = &e->frame[order[i]];
		const struct frame_id id = {e->id, e->plain, order[i], 2};
		const size_t len = f->stored + FRAME_OVERHEAD;

		assert_int_equal(
			frame_seal(s, p->keys, &p->id, off, &id, f, sealed), 0);
		assert_int_equal(pwrite(fd, sealed, len, (off_t)off), len);
		off += len;
	}
	*ret_end = off;
	sealer_free(s);
	encoded_free(e);
	return fd;
}

static void replay__frames_sealed_out_of_turn__refused(void **state)
{
	static const uint32_t orders[3][2] = {{0, 1}, {1, 0}, {0, 0}};
	struct sample_pack p = {
		.keys = sample_keys(1, 1), .id = sample_id(100)};
	struct pack_seal seal;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		uint64_t end;
		const int fd = forged(&p, orders[i], &end);

		assert_int_equal(
			pack_replay(p.keys, &p.id, fd, end, &seal, NULL),
			i == 0 ? 0 : -EBADMSG);
		(void)close(fd);
	}
	keys_free(p.keys);
}

static void replay__of_another_pack_or_key__refused(void **state)
{
	struct sample_pack p;
	struct sample_pack other;
	uint8_t *bytes;
	size_t len;

	(void)state;
	sample_pack_init(&p, 2);
	bytes = sample_slurp(p.fd, &len);
	other = p;
	other.id.b[0] ^= 1;
	expect_refused(&other, bytes, len, p.end);
	expect_refused(&other, bytes, len, PACK_HEAD);
	other = p;
	other.keys = sample_keys(2, 1);
	expect_refused(&other, bytes, len, p.end);
	keys_free(other.keys);
	free(bytes);
	sample_pack_done(&p);
}

static void verify__whole__authentic(void **state)
{
	struct sample_pack p;

	(void)state;
	sample_pack_init(&p, SAMPLE_CHUNKS);
	assert_int_equal(
		pack_verify(p.keys, &p.id, p.fd, p.seal.bytes, NULL), 0);
	sample_pack_done(&p);
}

/* Also where no frame is read on the way to an index. */
static void verify__any_byte_damaged__refused(void **state)
{
	struct sample_pack p;
	uint8_t *bytes;
	size_t len;

	(void)state;
	sample_pack_init(&p, SAMPLE_CHUNKS);
	bytes = sample_slurp(p.fd, &len);
	for (size_t at = 0; at < len; at += at < 512 ? 1 : len / 97 + 1) {
		const uint8_t bad = bytes[at] ^ 0x10;

		assert_int_equal(pwrite(p.fd, &bad, 1, (off_t)at), 1);
		assert_int_equal(
			pack_verify(p.keys, &p.id, p.fd, len, NULL), -EBADMSG);
		assert_int_equal(pwrite(p.fd, &bytes[at], 1, (off_t)at), 1);
	}
	assert_int_equal(
		pack_verify(p.keys, &p.id, p.fd, len - 1, NULL), -EBADMSG);
	free(bytes);
	sample_pack_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			replay__cut_after_any_chunk__as_if_closed_there),
		cmocka_unit_test(replay__twice__same_file),
		cmocka_unit_test(replay__crash_before_the_header__empty_pack),
		cmocka_unit_test(
			replay__any_byte_damaged__refused_and_untouched),
		cmocka_unit_test(replay__end_not_at_a_chunk__refused),
		cmocka_unit_test(replay__frames_swapped__refused),
		cmocka_unit_test(replay__frames_sealed_out_of_turn__refused),
		cmocka_unit_test(replay__of_another_pack_or_key__refused),
		cmocka_unit_test(verify__whole__authentic),
		cmocka_unit_test(verify__any_byte_damaged__refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
