#include <errno.h>

#include "base/text.h"
#include "chunker/seal.h"

#include "tests/unit/chunker/sample.h"

#define TEXT "what the provider must not read"
#define TEXT_LEN (sizeof(TEXT) - 1)
#define SEALED (TEXT_LEN + SEAL_TAG)

static const struct pluri_span aad = {"aad", 3};
static const struct pluri_span text = {TEXT, TEXT_LEN};

static struct sealer *sealer_of(uint8_t master, uint8_t pack)
{
	const struct pluri_id id = sample_id(pack);
	struct keys *k = sample_keys(master, 1);
	struct sealer *s = NULL;

	assert_int_equal(sealer_new(k, &id, &s, NULL), 0);
	keys_free(k);
	return s;
}

static void sealer__both_ways_mixed__opens_what_it_sealed(void **state)
{
	struct sealer *s = sealer_of(1, 1);
	uint8_t a[SEALED];
	uint8_t b[SEALED];
	uint8_t again[TEXT_LEN];

	(void)state;
	for (uint64_t off = 0; off < 100; off++) {
		assert_int_equal(
			sealer_seal(s, SEAL_BODY, off, aad, text, a), 0);
		assert_int_equal(
			sealer_seal(s, SEAL_HEAD, off, aad, text, b), 0);
		assert_memory_not_equal(a, b, SEALED);
		assert_int_equal(sealer_open(s, SEAL_BODY, off, aad,
					 (struct pluri_span){a, SEALED}, again),
			0);
		assert_memory_equal(again, TEXT, TEXT_LEN);
	}
	sealer_free(s);
}

static void sealer__same_place_again__same_bytes(void **state)
{
	struct sealer *s = sealer_of(1, 1);
	struct sealer *t = sealer_of(1, 1);
	uint8_t a[SEALED];
	uint8_t b[SEALED];
	uint8_t in_place[SEALED] = TEXT;

	(void)state;
	assert_int_equal(sealer_seal(s, SEAL_BODY, 77, aad, text, a), 0);
	assert_int_equal(sealer_seal(t, SEAL_BODY, 77, aad, text, b), 0);
	assert_memory_equal(a, b, SEALED);
	assert_int_equal(
		sealer_seal(s, SEAL_BODY, 77, aad,
			(struct pluri_span){in_place, TEXT_LEN}, in_place),
		0);
	assert_memory_equal(a, in_place, SEALED);
	sealer_free(s);
	sealer_free(t);
}

static int open_with(struct sealer *s, enum seal_domain d, uint64_t off,
	struct pluri_span with, const uint8_t *sealed)
{
	uint8_t to[TEXT_LEN];

	return sealer_open(
		s, d, off, with, (struct pluri_span){sealed, SEALED}, to);
}

static void open__anything_else_than_sealed__refused(void **state)
{
	struct sealer *s = sealer_of(1, 1);
	struct sealer *other_pack = sealer_of(1, 2);
	struct sealer *other_key = sealer_of(2, 1);
	const struct pluri_span lie = {"aae", 3};
	uint8_t a[SEALED];

	(void)state;
	assert_int_equal(sealer_seal(s, SEAL_BODY, 64, aad, text, a), 0);
	assert_int_equal(open_with(s, SEAL_BODY, 64, aad, a), 0);
	assert_int_equal(open_with(s, SEAL_HEAD, 64, aad, a), -EBADMSG);
	assert_int_equal(open_with(s, SEAL_BODY, 65, aad, a), -EBADMSG);
	assert_int_equal(
		open_with(s, SEAL_BODY, 64 + (1ull << 32), aad, a), -EBADMSG);
	assert_int_equal(open_with(s, SEAL_BODY, 64, lie, a), -EBADMSG);
	assert_int_equal(
		open_with(other_pack, SEAL_BODY, 64, aad, a), -EBADMSG);
	assert_int_equal(open_with(other_key, SEAL_BODY, 64, aad, a), -EBADMSG);
	sealer_free(s);
	sealer_free(other_pack);
	sealer_free(other_key);
}

static void open__bit_flipped_or_cut__refused_and_wiped(void **state)
{
	static const uint8_t zeros[TEXT_LEN];
	struct sealer *s = sealer_of(1, 1);
	uint8_t to[TEXT_LEN];
	uint8_t a[SEALED];

	(void)state;
	assert_int_equal(sealer_seal(s, SEAL_BODY, 64, aad, text, a), 0);
	for (unsigned bit = 0; bit < 8 * SEALED; bit++) {
		a[bit / 8] ^= (uint8_t)(1u << bit % 8);
		memset(to, 1, sizeof(to));
		assert_int_equal(sealer_open(s, SEAL_BODY, 64, aad,
					 (struct pluri_span){a, SEALED}, to),
			-EBADMSG);
		assert_memory_equal(to, zeros, sizeof(to));
		a[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t n = 0; n < SEALED; n++)
		assert_int_equal(sealer_open(s, SEAL_BODY, 64, aad,
					 (struct pluri_span){a, n}, to),
			-EBADMSG);
	assert_int_equal(open_with(s, SEAL_BODY, 64, aad, a), 0);
	sealer_free(s);
}

static void seal__empty__opens(void **state)
{
	struct sealer *s = sealer_of(1, 1);
	uint8_t a[SEAL_TAG];
	uint8_t to[1];

	(void)state;
	assert_int_equal(sealer_seal(s, SEAL_INDEX, 64, aad,
				 (struct pluri_span){"", 0}, a),
		0);
	assert_int_equal(sealer_open(s, SEAL_INDEX, 64, aad,
				 (struct pluri_span){a, sizeof(a)}, to),
		0);
	a[0] ^= 1;
	assert_int_equal(sealer_open(s, SEAL_INDEX, 64, aad,
				 (struct pluri_span){a, sizeof(a)}, to),
		-EBADMSG);
	sealer_free(s);
	sealer_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sealer__both_ways_mixed__opens_what_it_sealed),
		cmocka_unit_test(sealer__same_place_again__same_bytes),
		cmocka_unit_test(open__anything_else_than_sealed__refused),
		cmocka_unit_test(open__bit_flipped_or_cut__refused_and_wiped),
		cmocka_unit_test(seal__empty__opens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
