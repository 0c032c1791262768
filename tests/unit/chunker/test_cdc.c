#include <errno.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "base/wire.h"
#include "chunker/cdc.h"
#include "chunker/gear.h"

#include "tests/unit/chunker/sample.h"

#define STREAM (4u << 20)
#define CUTS_MAX 4096

static const struct cdc small = {1024, 4096, 16384};

static uint8_t *stream_new(uint64_t seed)
{
	uint8_t *p = malloc(STREAM);

	assert_non_null(p);
	sample_noise(p, STREAM, seed);
	return p;
}

/* All cut points of buf, the end included. */
static size_t cuts_of(const struct cdc *c, const uint8_t *buf, size_t len,
	size_t cuts[CUTS_MAX])
{
	size_t at = 0;
	size_t n = 0;

	while (at < len) {
		const size_t cut = cdc_cut(c, buf + at, len - at);

		at += cut ? cut : len - at;
		assert_true(n < CUTS_MAX);
		cuts[n++] = at;
	}
	return n;
}

static bool cuts_have(const size_t *cuts, size_t n, size_t at)
{
	for (size_t i = 0; i < n; i++)
		if (cuts[i] == at)
			return true;
	return false;
}

static void gear__derived_again__same_table(void **state)
{
	char text[13] = "plurifs gear";

	(void)state;
	for (unsigned b = 0; b < 256; b++) {
		uint8_t hash[32];
		struct wire_in w = {hash, sizeof(hash), false};

		text[12] = (char)b;
		assert_int_equal(EVP_Digest(text, sizeof(text), hash, NULL,
					 EVP_sha256(), NULL),
			1);
		assert_true(gear[b] == wire_u64(&w));
	}
}

/* The rule of FORMAT.md, written as plainly as it can be. */
static size_t cut_by_rule(const struct cdc *c, const uint8_t *p, size_t len)
{
	uint64_t h = 0;

	for (size_t n = c->min; n <= len && n <= c->max; n++) {
		const unsigned bits = (unsigned)__builtin_ctz(c->avg) +
				      (n <= c->avg ? 2 : -2u);
		uint64_t mask = 0;

		for (unsigned i = 0; i < bits; i++)
			mask |= UINT64_C(1) << (62 - 31 * i / bits);
		h = 2 * h + gear[p[n - 1]];
		if ((h & mask) == 0 || n == c->max)
			return n;
	}
	return 0;
}

static void cut__against_the_rule__same_cuts(void **state)
{
	uint8_t *p = stream_new(1);
	size_t at = 0;

	(void)state;
	while (at < STREAM) {
		const size_t cut = cdc_cut(&small, p + at, STREAM - at);

		assert_int_equal(cut, cut_by_rule(&small, p + at, STREAM - at));
		at += cut ? cut : STREAM - at;
	}
	free(p);
}

static void cut__fed_in_pieces__same_cut(void **state)
{
	uint8_t *p = stream_new(2);

	(void)state;
	for (size_t at = 0; at < 8 * (size_t)small.max; at += small.max) {
		const size_t whole = cdc_cut(&small, p + at, STREAM - at);

		assert_in_range(whole, small.min, small.max);
		for (size_t n = 0; n <= small.max; n++)
			assert_int_equal(cdc_cut(&small, p + at, n),
				n < whole ? 0 : whole);
	}
	free(p);
}

static void cut__random_stream__sizes_near_the_average(void **state)
{
	static size_t cuts[CUTS_MAX];
	uint8_t *p = stream_new(3);
	const size_t n = cuts_of(&small, p, STREAM, cuts);

	(void)state;
	for (size_t i = 1; i + 1 < n; i++)
		assert_in_range(cuts[i] - cuts[i - 1], small.min, small.max);
	assert_in_range(STREAM / n, small.avg * 3 / 4, small.avg * 3 / 2);
	free(p);
}

static void cut__equal_bytes__at_max(void **state)
{
	uint8_t *p = calloc(1, small.max);

	(void)state;
	assert_non_null(p);
	assert_int_equal(cdc_cut(&small, p, small.max - 1), 0);
	assert_int_equal(cdc_cut(&small, p, small.max), small.max);
	free(p);
}

static void cut__byte_inserted__only_nearby_chunks_differ(void **state)
{
	static size_t before[CUTS_MAX];
	static size_t after[CUTS_MAX];
	uint8_t *p = stream_new(4);
	uint8_t *q = malloc(STREAM + 1);
	const size_t at = STREAM / 2;
	size_t lost = 0;
	size_t n;
	size_t m;

	(void)state;
	assert_non_null(q);
	memcpy(q, p, at);
	q[at] = 0x5a;
	memcpy(q + at + 1, p + at, STREAM - at);
	n = cuts_of(&small, p, STREAM, before);
	m = cuts_of(&small, q, STREAM + 1, after);
	for (size_t i = 0; i < n; i++)
		lost += !cuts_have(
			after, m, before[i] <= at ? before[i] : before[i] + 1);
	assert_true(n > 500);
	assert_in_range(lost, 0, 20);
	free(p);
	free(q);
}

static void cut__fixed__always_at_max(void **state)
{
	const struct cdc fixed = {4096, 4096, 4096};
	uint8_t *p = stream_new(5);

	(void)state;
	assert_int_equal(cdc_cut(&fixed, p, 4095), 0);
	for (size_t at = 0; at + 4096 <= STREAM; at += 4096)
		assert_int_equal(cdc_cut(&fixed, p + at, STREAM - at), 4096);
	free(p);
}

static void check__bad_parameters__refused(void **state)
{
	static const struct cdc bad[] = {
		{0, 0, 0},
		{63, 64, 128},
		{64, 63, 128},
		{256, 128, 512},
		{64, 256, 128},
		{64, 96, 128},
		{64, 128, PLURI_CHUNK_MAX + 1},
		{64, 1u << 31, UINT32_MAX},
	};
	struct pluri_err err = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err.text[0] = 0;
		assert_int_equal(cdc_check(&bad[i], &err), -EINVAL);
		assert_true(err.text[0] != 0);
	}
	assert_int_equal(cdc_check(&cdc_default, NULL), 0);
	assert_int_equal(cdc_check(&cdc_fixed, NULL), 0);
	assert_int_equal(cdc_check(&small, NULL), 0);
	assert_int_equal(
		cdc_check(&(struct cdc){64, PLURI_CHUNK_MAX, PLURI_CHUNK_MAX},
			NULL),
		0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gear__derived_again__same_table),
		cmocka_unit_test(cut__against_the_rule__same_cuts),
		cmocka_unit_test(cut__fed_in_pieces__same_cut),
		cmocka_unit_test(cut__random_stream__sizes_near_the_average),
		cmocka_unit_test(cut__equal_bytes__at_max),
		cmocka_unit_test(cut__byte_inserted__only_nearby_chunks_differ),
		cmocka_unit_test(cut__fixed__always_at_max),
		cmocka_unit_test(check__bad_parameters__refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
