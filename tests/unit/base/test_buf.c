#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static void buf__fresh__empty_text(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	assert_null(b.data);
	assert_string_equal(buf_text(&b), "");
	buf_free(&b);
	buf_free(&b);
}

static void buf__zero_filled__holds_nothing(void **state)
{
	struct buf b = {0};

	(void)state;
	assert_int_equal(buf_add(&b, "x", 1), -EOVERFLOW);
	assert_int_equal(buf_add(&b, NULL, 0), 0);
	assert_string_equal(buf_text(&b), "");
	buf_free(&b);
}

static void buf__at_its_ceiling__refuses_and_keeps(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 5);
	assert_int_equal(buf_str(&b, "12345"), 0);
	assert_int_equal(buf_str(&b, "6"), -EOVERFLOW);
	assert_int_equal(buf_fmt(&b, "%d", 7), -EOVERFLOW);
	assert_int_equal(buf_add(&b, "x", SIZE_MAX), -EOVERFLOW);
	assert_int_equal(buf_add(&b, "", 0), 0);
	assert_int_equal(b.len, 5);
	assert_string_equal(buf_text(&b), "12345");
	assert_true(b.cap <= b.max + 1);
	buf_free(&b);
	assert_int_equal(b.max, 5);
}

static void buf__without_a_ceiling__enormous_wish_fails(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, SIZE_MAX);
	assert_int_equal(buf_str(&b, "abc"), 0);
	assert_int_equal(buf_reserve(&b, SIZE_MAX - 3), -ENOMEM);
	assert_int_equal(buf_reserve(&b, SIZE_MAX / 2 + 1), -ENOMEM);
	assert_string_equal(buf_text(&b), "abc");
	buf_free(&b);
}

static void buf__grown_by_bytes__same_bytes(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100000);
	for (unsigned i = 0; i < 100000; i++) {
		const uint8_t c = (uint8_t)(i * 7);

		assert_int_equal(buf_add(&b, &c, 1), 0);
		assert_int_equal(b.data[b.len], 0);
	}
	for (unsigned i = 0; i < 100000; i++)
		assert_int_equal(b.data[i], (uint8_t)(i * 7));
	buf_free(&b);
}

static void buf__formatted__appended(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	assert_int_equal(buf_fmt(&b, "%s", ""), 0);
	assert_int_equal(buf_fmt(&b, "a=%d", 12), 0);
	assert_int_equal(buf_fmt(&b, ";%0200d", 3), 0);
	assert_int_equal(b.len, 205);
	assert_memory_equal(b.data, "a=12;000", 8);
	assert_string_equal(buf_text(&b) + 203, "03");
	buf_free(&b);
}

static void buf__cleared__reused(void **state)
{
	struct buf b;
	const uint8_t *was;

	(void)state;
	buf_init(&b, 1000);
	assert_int_equal(buf_str(&b, "hello"), 0);
	was = b.data;
	buf_clear(&b);
	assert_string_equal(buf_text(&b), "");
	assert_int_equal(buf_str(&b, "you"), 0);
	assert_string_equal(buf_text(&b), "you");
	assert_ptr_equal(b.data, was);
	buf_free(&b);
}

static void buf__reserved__adds_without_moving(void **state)
{
	struct buf b;
	const uint8_t *was;

	(void)state;
	buf_init(&b, 5000);
	assert_int_equal(buf_reserve(&b, 5000), 0);
	assert_int_equal(b.len, 0);
	was = b.data;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(buf_str(&b, "12345"), 0);
	assert_ptr_equal(b.data, was);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buf__fresh__empty_text),
		cmocka_unit_test(buf__zero_filled__holds_nothing),
		cmocka_unit_test(buf__at_its_ceiling__refuses_and_keeps),
		cmocka_unit_test(buf__without_a_ceiling__enormous_wish_fails),
		cmocka_unit_test(buf__grown_by_bytes__same_bytes),
		cmocka_unit_test(buf__formatted__appended),
		cmocka_unit_test(buf__cleared__reused),
		cmocka_unit_test(buf__reserved__adds_without_moving),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
