#include <errno.h>
#include <stdlib.h>

#include "chunker/encode.h"

#include "tests/unit/chunker/sample.h"

/* Undo every frame and compare with what went in. */
static void expect_round_trip(const struct encoded *e, const uint8_t *plain)
{
	static uint8_t out[FRAME_PLAIN];
	size_t at = 0;

	for (uint32_t i = 0; i < e->frames; i++) {
		const struct encoded_frame *f = &e->frame[i];

		assert_int_equal(
			encode_undo(f->zstd,
				(struct pluri_span){f->data, f->stored},
				f->plain, out),
			0);
		assert_memory_equal(out, plain + at, f->plain);
		at += f->plain;
	}
	assert_int_equal(at, e->plain);
}

static void encode__every_kind_of_size__round_trip(void **state)
{
	static const size_t sizes[] = {1, 2, 15, 16, 17, 1000, FRAME_PLAIN - 1,
		FRAME_PLAIN, FRAME_PLAIN + 1, 5 * FRAME_PLAIN + 7,
		PLURI_CHUNK_MAX};
	struct keys *k = sample_keys(1, 1);
	uint8_t *noise = malloc(PLURI_CHUNK_MAX);
	uint8_t *zeros = calloc(1, PLURI_CHUNK_MAX);

	(void)state;
	assert_true(noise && zeros);
	sample_noise(noise, PLURI_CHUNK_MAX, 1);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (unsigned way = 0; way < 4; way++) {
			const uint8_t *p = way & 1 ? noise : zeros;
			struct encoded *e =
				sample_chunk(k, p, sizes[i], way & 2);

			assert_int_equal(e->frames,
				(sizes[i] + FRAME_PLAIN - 1) / FRAME_PLAIN);
			expect_round_trip(e, p);
			encoded_free(e);
		}
	free(noise);
	free(zeros);
	keys_free(k);
}

static void encode__incompressible__stays_in_the_callers_span(void **state)
{
	static uint8_t noise[3 * FRAME_PLAIN];
	struct keys *k = sample_keys(1, 1);
	struct encoded *e;

	(void)state;
	sample_noise(noise, sizeof(noise), 2);
	e = sample_chunk(k, noise, sizeof(noise), true);
	for (uint32_t i = 0; i < 3; i++) {
		assert_false(e->frame[i].zstd);
		assert_ptr_equal(e->frame[i].data, noise + i * FRAME_PLAIN);
		assert_int_equal(e->frame[i].stored, FRAME_PLAIN);
	}
	encoded_free(e);
	keys_free(k);
}

static void encode__first_frame_did_not_pay__every_eighth_tried(void **state)
{
	uint8_t *p = calloc(17, FRAME_PLAIN);
	struct keys *k = sample_keys(1, 1);
	struct encoded *e;

	(void)state;
	assert_non_null(p);
	sample_noise(p, FRAME_PLAIN, 3);
	e = sample_chunk(k, p, 17 * FRAME_PLAIN, true);
	for (uint32_t i = 0; i < 17; i++)
		assert_int_equal(e->frame[i].zstd, i == 8 || i == 16);
	expect_round_trip(e, p);
	encoded_free(e);
	free(p);
	keys_free(k);
}

/* A little of everything, always the same for one i. */
static size_t mixture(uint8_t *p, unsigned i)
{
	static const size_t sizes[] = {
		4096, 100, FRAME_PLAIN, 3 * FRAME_PLAIN + 5, 50000};
	const size_t len = sizes[i % 5];

	sample_noise(p, len, i);
	for (size_t at = 0; at < len; at++)
		if (i % 3 == 0 || (i % 3 == 1 && at % 7))
			p[at] = (uint8_t)(p[at] % (2 + i % 11));
	return len;
}

/* What it was used for before shows nowhere, be it a failure. */
static void encode__with_a_used_kit__same_bytes(void **state)
{
	uint8_t *p = malloc(4 * FRAME_PLAIN);
	uint8_t *out = malloc(FRAME_PLAIN);
	struct encode_kit *kit = encode_kit_new();
	const struct pluri_digest id = {{0}};

	(void)state;
	assert_true(p && out && kit);
	for (unsigned i = 0; i < 120; i++) {
		const struct encode_options o = {true, 1 + (int)(i % 4) * 3};
		const size_t len = mixture(p, i);
		const struct pluri_span s = {p, len};
		struct encoded *a = NULL;
		struct encoded *b = NULL;

		assert_int_equal(encode_chunk(&o, &id, s, &a, NULL), 0);
		assert_int_equal(
			encode_chunk_with(kit, &o, &id, s, &b, NULL), 0);
		assert_int_equal(a->frames, b->frames);
		for (uint32_t f = 0; f < a->frames; f++) {
			const struct pluri_span x = {
				b->frame[f].data, b->frame[f].stored};

			assert_int_equal(
				a->frame[f].stored, b->frame[f].stored);
			assert_memory_equal(a->frame[f].data, x.data, x.len);
			if (b->frame[f].zstd) /* cut short */
				assert_int_equal(
					encode_undo_with(kit, true,
						(struct pluri_span){
							x.data, x.len / 2},
						b->frame[f].plain, out),
					-EBADMSG);
			assert_int_equal(encode_undo_with(kit, b->frame[f].zstd,
						 x, b->frame[f].plain, out),
				0);
			assert_memory_equal(
				out, p + f * FRAME_PLAIN, b->frame[f].plain);
		}
		encoded_free(a);
		encoded_free(b);
	}
	encode_kit_free(kit);
	free(out);
	free(p);
}

static void encode__saves_less_than_a_sixteenth__not_compressed(void **state)
{
	static uint8_t p[FRAME_PLAIN];
	struct keys *k = sample_keys(1, 1);
	struct encoded *e;

	(void)state;
	sample_noise(p, sizeof(p), 4);
	memset(p, 0, sizeof(p) / 32);
	e = sample_chunk(k, p, sizeof(p), true);
	assert_false(e->frame[0].zstd);
	encoded_free(e);
	memset(p, 0, sizeof(p) / 8);
	e = sample_chunk(k, p, sizeof(p), true);
	assert_true(e->frame[0].zstd);
	assert_in_range(e->frame[0].stored, 1, FRAME_PLAIN / 16 * 15);
	encoded_free(e);
	keys_free(k);
}

static void encode__bad_size_or_level__refused(void **state)
{
	const struct encode_options fine = {true, 3};
	const struct encode_options low = {true, 0};
	const struct encode_options high = {true, 20};
	const struct pluri_digest id = {{0}};
	uint8_t *p = calloc(1, PLURI_CHUNK_MAX + 1);
	struct pluri_span big = {p, PLURI_CHUNK_MAX + 1};
	struct encoded *e = NULL;
	struct pluri_err err;

	(void)state;
	assert_non_null(p);
	assert_int_equal(
		encode_chunk(&fine, &id, (struct pluri_span){p, 0}, &e, &err),
		-EINVAL);
	assert_int_equal(encode_chunk(&fine, &id, big, &e, &err), -EINVAL);
	big.len = 1;
	assert_int_equal(encode_chunk(&low, &id, big, &e, &err), -EINVAL);
	assert_int_equal(encode_chunk(&high, &id, big, &e, &err), -EINVAL);
	assert_null(e);
	encoded_free(NULL);
	free(p);
}

static void undo__not_exactly_the_plain_bytes__refused(void **state)
{
	static uint8_t p[4096];
	uint8_t out[4097];
	struct keys *k = sample_keys(1, 1);
	struct encoded *e = sample_chunk(k, p, sizeof(p), true);
	struct pluri_span s = {e->frame[0].data, e->frame[0].stored};

	(void)state;
	assert_true(e->frame[0].zstd);
	assert_int_equal(encode_undo(true, s, 4095, out), -EBADMSG);
	assert_int_equal(encode_undo(true, s, 4097, out), -EBADMSG);
	assert_int_equal(encode_undo(false, s, 4096, out), -EBADMSG);
	while (s.len-- > 0)
		assert_int_equal(encode_undo(true, s, 4096, out), -EBADMSG);
	encoded_free(e);
	keys_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encode__every_kind_of_size__round_trip),
		cmocka_unit_test(
			encode__incompressible__stays_in_the_callers_span),
		cmocka_unit_test(
			encode__first_frame_did_not_pay__every_eighth_tried),
		cmocka_unit_test(encode__with_a_used_kit__same_bytes),
		cmocka_unit_test(
			encode__saves_less_than_a_sixteenth__not_compressed),
		cmocka_unit_test(encode__bad_size_or_level__refused),
		cmocka_unit_test(undo__not_exactly_the_plain_bytes__refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
