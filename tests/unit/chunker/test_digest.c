#include <stdlib.h>

#include "base/text.h"
#include "chunker/digest.h"

#include "tests/unit/chunker/sample.h"

static void chunk__same_bytes__same_name_under_one_key(void **state)
{
	struct keys *a = sample_keys(1, 1);
	struct keys *b = sample_keys(2, 1);
	struct pluri_digest d[3];

	(void)state;
	assert_int_equal(
		digest_chunk(a, (struct pluri_span){"x", 1}, &d[0]), 0);
	assert_int_equal(
		digest_chunk(a, (struct pluri_span){"x", 1}, &d[1]), 0);
	assert_int_equal(
		digest_chunk(b, (struct pluri_span){"x", 1}, &d[2]), 0);
	assert_memory_equal(&d[0], &d[1], sizeof(d[0]));
	assert_memory_not_equal(&d[0], &d[2], sizeof(d[0]));
	assert_int_equal(
		digest_chunk(a, (struct pluri_span){"y", 1}, &d[1]), 0);
	assert_memory_not_equal(&d[0], &d[1], sizeof(d[0]));
	keys_free(a);
	keys_free(b);
}

static void sum__known_input__known_sum(void **state)
{
	(void)state;
	/* XXH3-64 of nothing, seed 0: published with the algorithm. */
	assert_true(digest_sum((struct pluri_span){"", 0}) ==
		    UINT64_C(0x2d06800538d394c2));
}

static void run__any_pieces__same_sum(void **state)
{
	static uint8_t data[5000];
	struct digest_run *d = digest_run_new();

	(void)state;
	assert_non_null(d);
	sample_noise(data, sizeof(data), 9);
	for (size_t at = 0, n = 0; at < sizeof(data); at += n) {
		n = at % 7 * 31;
		n = n < sizeof(data) - at ? n + 1 : sizeof(data) - at;
		digest_run_add(d, (struct pluri_span){data + at, n});
		assert_true(digest_run_sum(d) ==
			    digest_sum((struct pluri_span){data, at + n}));
	}
	digest_run_free(d);
	digest_run_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunk__same_bytes__same_name_under_one_key),
		cmocka_unit_test(sum__known_input__known_sum),
		cmocka_unit_test(run__any_pieces__same_sum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
