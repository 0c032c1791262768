#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fs/acl.h"

/* One entry: tag, permissions, id. */
#define E(tag, perm, id) tag, 0, perm, 0, (id)&0xff, (id) >> 8 & 0xff, 0, 0
#define NONE 0xffff
#define HEAD 2, 0, 0, 0

static const uint8_t plain[] = {
	HEAD, E(1, 6, NONE), E(4, 4, NONE), E(0x20, 4, NONE)};
static const uint8_t rich[] = {HEAD, E(1, 7, NONE), E(2, 6, 1001),
	E(2, 5, 1000), E(4, 5, NONE), E(8, 7, 50), E(0x10, 6, NONE),
	E(0x20, 1, NONE)};

static struct pluri_span span(const void *data, size_t len)
{
	return (struct pluri_span){data, len};
}

static void check__lawful_lists__are_taken(void **state)
{
	(void)state;
	assert_int_equal(acl_check(span(plain, sizeof(plain))), 0);
	assert_int_equal(acl_check(span(rich, sizeof(rich))), 0);
	assert_int_equal(acl_check(span(plain, 4)), 0); /* none */
}

static void check__anything_else__einval(void **state)
{
	static const uint8_t no_mask[] = {HEAD, E(1, 7, NONE), E(2, 6, 9),
		E(4, 5, NONE), E(0x20, 1, NONE)};
	static const uint8_t twice[] = {HEAD, E(1, 7, NONE), E(1, 7, NONE),
		E(4, 5, NONE), E(0x20, 1, NONE)};
	static const uint8_t order[] = {
		HEAD, E(4, 5, NONE), E(1, 7, NONE), E(0x20, 1, NONE)};
	static const uint8_t perm[] = {
		HEAD, E(1, 8, NONE), E(4, 5, NONE), E(0x20, 1, NONE)};
	static const uint8_t tag[] = {HEAD, E(1, 7, NONE), E(4, 5, NONE),
		E(0x20, 1, NONE), E(0x40, 1, NONE)};
	static const uint8_t lacks[] = {HEAD, E(1, 7, NONE), E(4, 5, NONE)};
	static const uint8_t version[] = {1, 0, 0, 0};

	(void)state;
	assert_int_equal(acl_check(span(no_mask, sizeof(no_mask))), -EINVAL);
	assert_int_equal(acl_check(span(twice, sizeof(twice))), -EINVAL);
	assert_int_equal(acl_check(span(order, sizeof(order))), -EINVAL);
	assert_int_equal(acl_check(span(perm, sizeof(perm))), -EINVAL);
	assert_int_equal(acl_check(span(tag, sizeof(tag))), -EINVAL);
	assert_int_equal(acl_check(span(lacks, sizeof(lacks))), -EINVAL);
	assert_int_equal(acl_check(span(version, sizeof(version))), -EINVAL);
	for (size_t n = 0; n < sizeof(rich); n++)
		assert_int_equal(
			acl_check(span(rich, n)), n == 4 ? 0 : -EINVAL);
	assert_int_equal(acl_check(span(NULL, 0)), -EINVAL);
}

static void mode__from_a_list__mask_is_the_group(void **state)
{
	uint32_t mode = 0106000;

	(void)state;
	assert_false(acl_to_mode(span(plain, sizeof(plain)), &mode));
	assert_int_equal(mode, 0106644);
	assert_true(acl_to_mode(span(rich, sizeof(rich)), &mode));
	assert_int_equal(mode, 0106761);
}

static void mode__changed__list_follows(void **state)
{
	uint8_t list[sizeof(rich)];
	uint32_t mode = 0;

	(void)state;
	memcpy(list, rich, sizeof(rich));
	acl_follow_mode(list, sizeof(list), 0100);
	assert_true(acl_to_mode(span(list, sizeof(list)), &mode));
	assert_int_equal(mode, 0100);
	/* named entries and the owning group keep theirs, under the mask */
	assert_memory_equal(list + 12, rich + 12, 32);
}

static void create__under_a_default_list__bounded_by_both(void **state)
{
	uint8_t list[sizeof(rich)];
	uint32_t mode = 0100666;

	(void)state;
	memcpy(list, rich, sizeof(rich));
	assert_true(acl_create(list, sizeof(list), &mode));
	assert_int_equal(mode, 0100660);
	memcpy(list, plain, sizeof(plain));
	mode = 0100755;
	assert_false(acl_create(list, sizeof(plain), &mode));
	assert_int_equal(mode, 0100644);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check__lawful_lists__are_taken),
		cmocka_unit_test(check__anything_else__einval),
		cmocka_unit_test(mode__from_a_list__mask_is_the_group),
		cmocka_unit_test(mode__changed__list_follows),
		cmocka_unit_test(create__under_a_default_list__bounded_by_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
