#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/retry.h"

/* Draws the 32 bits of *arg, again and again. */
static void draw(void *arg, void *to, size_t n)
{
	assert_int_equal(n, sizeof(uint32_t));
	memcpy(to, arg, n);
}

static uint64_t pause_drawn(uint32_t drawn, unsigned attempt, uint32_t first_ms,
	uint64_t retry_after_ms)
{
	const struct clock c = {.random = draw, .arg = &drawn};

	return retry_pause_ms(&c, attempt, first_ms, retry_after_ms);
}

static void may__each_code__only_what_passes(void **state)
{
	static const int never[] = {0, -ENOENT, -EACCES, -EBADMSG, -ENOSPC,
		-EEXIST, -ESTALE, -EINVAL, -ENOTSUP, -ECANCELED, -EIO, -ENODEV};

	(void)state;
	assert_true(retry_may(-EAGAIN));
	assert_true(retry_may(-ETIMEDOUT));
	assert_true(retry_may(-EBUSY));
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		assert_false(retry_may(never[i]));
}

static void pause__any_draw__between_half_and_whole(void **state)
{
	(void)state;
	for (uint32_t drawn = 0; drawn < 1000; drawn++)
		assert_in_range(
			pause_drawn(drawn * 4294967, 1, 100, 0), 50, 100);
	assert_int_equal(pause_drawn(0, 1, 100, 0), 50);
	assert_int_equal(pause_drawn(50, 1, 100, 0), 100);
}

static void pause__next_attempts__doubles_to_10_s(void **state)
{
	(void)state;
	assert_int_equal(pause_drawn(0, 2, 100, 0), 100);
	assert_int_equal(pause_drawn(0, 3, 100, 0), 200);
	assert_int_equal(pause_drawn(0, 7, 100, 0), 3200);
	assert_int_equal(pause_drawn(0, 8, 100, 0), 5000);
	assert_int_equal(pause_drawn(0, 4000000000u, 100, 0), 5000);
	assert_int_equal(pause_drawn(0, 1, UINT32_MAX, 0), 5000);
	assert_int_equal(pause_drawn(5000, 9, 100, 0), 10000);
}

static void pause__other_side_asks__honoured_up_to_60_s(void **state)
{
	(void)state;
	assert_int_equal(pause_drawn(0, 1, 100, 7000), 7000);
	assert_int_equal(pause_drawn(0, 1, 100, 10), 50);
	assert_int_equal(pause_drawn(0, 1, 100, UINT64_MAX), 60000);
}

static void pause__first_of_zero__sound(void **state)
{
	(void)state;
	assert_in_range(pause_drawn(12345, 1, 0, 0), 0, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(may__each_code__only_what_passes),
		cmocka_unit_test(pause__any_draw__between_half_and_whole),
		cmocka_unit_test(pause__next_attempts__doubles_to_10_s),
		cmocka_unit_test(pause__other_side_asks__honoured_up_to_60_s),
		cmocka_unit_test(pause__first_of_zero__sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
