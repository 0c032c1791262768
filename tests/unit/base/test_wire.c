#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/wire.h"

static const uint8_t bytes[] = {
	1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x80};

static void wire__read__little_endian(void **state)
{
	struct wire_in w = {.p = bytes, .left = sizeof(bytes)};

	(void)state;
	assert_int_equal(wire_u8(&w), 1);
	assert_int_equal(wire_u16(&w), 0x0302);
	assert_int_equal(wire_u32(&w), 0x07060504);
	assert_int_equal(wire_u64(&w), UINT64_C(0x0f0e0d0c0b0a0908));
	assert_int_equal(wire_u8(&w), 0x80);
	assert_int_equal(w.left, 0);
	assert_true(wire_ok(&w));
}

static void wire__top_bits__unsigned(void **state)
{
	uint8_t ones[8];
	struct wire_in w = {.p = ones, .left = 8};

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	assert_true(wire_u64(&w) == UINT64_MAX);
	w = (struct wire_in){.p = ones, .left = 4};
	assert_true(wire_uint(&w, 4) == UINT32_MAX);
}

static void wire__short_at_every_length__bad_and_zero(void **state)
{
	uint8_t to[16];

	(void)state;
	for (size_t n = 0; n < sizeof(to); n++) {
		uint8_t *exact = malloc(n ? n : 1);
		struct wire_in w = {.p = exact, .left = n};

		assert_non_null(exact);
		memset(exact, 0xaa, n);
		memset(to, 0x55, sizeof(to));
		wire_take(&w, to, sizeof(to));
		assert_false(wire_ok(&w));
		for (size_t i = 0; i < sizeof(to); i++)
			assert_int_equal(to[i], 0);
		free(exact);
	}
}

static void wire__bad_once__bad_for_ever(void **state)
{
	struct wire_in w = {.p = bytes, .left = 3};

	(void)state;
	assert_int_equal(wire_u32(&w), 0);
	assert_false(wire_ok(&w));
	(void)wire_u8(&w);
	assert_false(wire_ok(&w));
}

static void wire__nothing_to_read__zero_length_is_fine(void **state)
{
	struct wire_in w = {0};

	(void)state;
	wire_take(&w, NULL, 0);
	wire_zero(&w, 0);
	assert_true(wire_ok(&w));
	assert_int_equal(wire_u8(&w), 0);
	assert_false(wire_ok(&w));
}

static void wire__reserved__zeros_pass_alone(void **state)
{
	uint8_t b[4] = {0};
	struct wire_in w = {.p = b, .left = sizeof(b)};

	(void)state;
	wire_zero(&w, 4);
	assert_true(wire_ok(&w));
	assert_int_equal(w.left, 0);
	for (size_t i = 0; i < sizeof(b); i++) {
		memset(b, 0, sizeof(b));
		b[i] = 1;
		w = (struct wire_in){.p = b, .left = sizeof(b)};
		wire_zero(&w, 4);
		assert_false(wire_ok(&w));
	}
	w = (struct wire_in){.p = b, .left = 2};
	wire_zero(&w, 3);
	assert_false(wire_ok(&w));
}

static void wire__written__reads_back(void **state)
{
	uint8_t b[15];
	struct wire_out o = {.p = b, .left = sizeof(b)};
	struct wire_in w = {.p = b, .left = sizeof(b)};

	(void)state;
	wire_put(&o, 0xfe, 1);
	wire_put(&o, 0xfedc, 2);
	wire_put(&o, 0xfedcba98, 4);
	wire_put(&o, UINT64_C(0xfedcba9876543210), 8);
	assert_false(o.bad);
	assert_int_equal(o.left, 0);
	assert_int_equal(b[14], 0xfe);
	assert_int_equal(wire_u8(&w), 0xfe);
	assert_int_equal(wire_u16(&w), 0xfedc);
	assert_int_equal(wire_u32(&w), 0xfedcba98);
	assert_true(wire_u64(&w) == UINT64_C(0xfedcba9876543210));
	assert_true(wire_ok(&w));
}

static void wire__no_room__nothing_written(void **state)
{
	uint8_t b[4] = {9, 9, 9, 9};
	struct wire_out o = {.p = b, .left = 3};

	(void)state;
	wire_put(&o, 1, 4);
	assert_true(o.bad);
	for (unsigned i = 0; i < sizeof(b); i++)
		assert_int_equal(b[i], 9);
	wire_put(&o, 1, 3);
	assert_true(o.bad);
	assert_int_equal(b[3], 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wire__read__little_endian),
		cmocka_unit_test(wire__top_bits__unsigned),
		cmocka_unit_test(wire__short_at_every_length__bad_and_zero),
		cmocka_unit_test(wire__bad_once__bad_for_ever),
		cmocka_unit_test(wire__nothing_to_read__zero_length_is_fine),
		cmocka_unit_test(wire__reserved__zeros_pass_alone),
		cmocka_unit_test(wire__written__reads_back),
		cmocka_unit_test(wire__no_room__nothing_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
