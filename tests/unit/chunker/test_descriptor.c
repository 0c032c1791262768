#include <errno.h>

#include "base/wire.h"
#include "chunker/descriptor.h"

#include "tests/unit/chunker/sample.h"

static const struct descriptor photos = {"photos", "aws", 1790000000123456789};

static void encode_sample(const struct keys *k, uint8_t to[DESCRIPTOR_BYTES])
{
	const struct pluri_id salt = sample_id(200);

	assert_int_equal(descriptor_encode(k, &photos, &salt, to), 0);
}

static int decode(const struct keys *k, const uint8_t *bytes, size_t len,
	struct pluri_id *volume)
{
	struct descriptor d = {.created_ns = 5};
	struct pluri_err err = {0};
	const int r = descriptor_decode(
		k, (struct pluri_span){bytes, len}, &d, volume, &err);

	assert_int_equal(err.code, -r);
	assert_true(r == 0 || d.created_ns == 5);
	return r;
}

static void descriptor__ours__reads_back(void **state)
{
	struct keys *k = sample_keys(1, 1);
	struct descriptor d = photos;
	const struct pluri_id salt = sample_id(200);
	uint8_t bytes[DESCRIPTOR_BYTES];
	struct descriptor back;
	struct pluri_id volume;

	(void)state;
	memset(d.store, 's', PLURI_NAME_MAX);
	assert_int_equal(descriptor_encode(k, &d, &salt, bytes), 0);
	assert_int_equal(
		descriptor_decode(k, (struct pluri_span){bytes, sizeof(bytes)},
			&back, &volume, NULL),
		0);
	assert_string_equal(back.volume, "photos");
	assert_string_equal(back.store, d.store);
	assert_int_equal(back.created_ns, d.created_ns);
	assert_memory_equal(&volume, keys_volume(k), sizeof(volume));
	assert_int_equal(
		descriptor_decode(k, (struct pluri_span){bytes, sizeof(bytes)},
			NULL, NULL, NULL),
		0);
	keys_free(k);
}

static void descriptor__seen_by_a_provider__no_names(void **state)
{
	struct keys *k = sample_keys(1, 1);
	uint8_t bytes[DESCRIPTOR_BYTES];

	(void)state;
	encode_sample(k, bytes);
	assert_null(memmem(bytes, sizeof(bytes), "photos", 6));
	assert_null(memmem(bytes, sizeof(bytes), "aws", 3));
	keys_free(k);
}

static void descriptor__another_volume_or_key__told_apart(void **state)
{
	struct keys *k = sample_keys(1, 1);
	struct keys *volume = sample_keys(1, 2);
	struct keys *key = sample_keys(2, 1);
	struct pluri_id found = {{0}};
	uint8_t bytes[DESCRIPTOR_BYTES];

	(void)state;
	encode_sample(k, bytes);
	assert_int_equal(decode(k, bytes, sizeof(bytes), NULL), 0);
	assert_int_equal(decode(volume, bytes, sizeof(bytes), &found), -EEXIST);
	assert_memory_equal(&found, keys_volume(k), sizeof(found));
	assert_int_equal(decode(key, bytes, sizeof(bytes), NULL), -EACCES);
	keys_free(k);
	keys_free(volume);
	keys_free(key);
}

static void descriptor__damaged_or_cut__refused(void **state)
{
	struct keys *k = sample_keys(1, 1);
	uint8_t bytes[DESCRIPTOR_BYTES + 1] = {0};

	(void)state;
	encode_sample(k, bytes);
	for (unsigned bit = 0; bit < 8 * DESCRIPTOR_BYTES; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(
			decode(k, bytes, DESCRIPTOR_BYTES, NULL), -EBADMSG);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t n = 0; n < DESCRIPTOR_BYTES; n++)
		assert_int_equal(decode(k, bytes, n, NULL), -EBADMSG);
	assert_int_equal(decode(k, bytes, sizeof(bytes), NULL), -EBADMSG);
	keys_free(k);
}

/* Someone who has no key, but can compute a checksum. */
static void descriptor__forged_with_a_right_sum__refused(void **state)
{
	struct keys *k = sample_keys(1, 1);
	uint8_t bytes[DESCRIPTOR_BYTES];

	(void)state;
	for (unsigned i = 8; i < DESCRIPTOR_BYTES - 8; i++) {
		struct wire_out w = {bytes + 248, 8, false};
		int r;

		encode_sample(k, bytes);
		bytes[i] ^= 1;
		wire_put(&w, digest_sum((struct pluri_span){bytes, 248}), 8);
		r = decode(k, bytes, sizeof(bytes), NULL);
		if (i < 16)
			assert_int_equal(r, -EBADMSG);
		else
			assert_int_equal(r, i < 32 ? -EEXIST : -EACCES);
	}
	keys_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(descriptor__ours__reads_back),
		cmocka_unit_test(descriptor__seen_by_a_provider__no_names),
		cmocka_unit_test(descriptor__another_volume_or_key__told_apart),
		cmocka_unit_test(descriptor__damaged_or_cut__refused),
		cmocka_unit_test(descriptor__forged_with_a_right_sum__refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
