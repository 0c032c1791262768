#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "backends/key.h"

static void key__lawful_ones__are_taken(void **state)
{
	static const char *const keys[] = {
		"a", "a/b", "A-Z_0.9/x", "...", "a/.b/..c", "-", ".tmp/x"};

	(void)state;
	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_int_equal(key_check(keys[i], NULL), 0);
}

static void key__unlawful_ones__are_refused(void **state)
{
	static const char *const keys[] = {"", "/", "/a", "a/", "a//b", ".",
		"..", "../a", "a/../b", "a/.", "a b", "a~", "a\n", "\xc3\xa9"};

	(void)state;
	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_int_equal(key_check(keys[i], NULL), -EINVAL);
}

static void key__432_bytes__is_the_longest(void **state)
{
	char key[PLURI_OBJECT_KEY_MAX + 2];

	(void)state;
	memset(key, 'k', sizeof(key));
	key[PLURI_OBJECT_KEY_MAX + 1] = 0;
	assert_int_equal(key_check(key, NULL), -EINVAL);
	assert_int_equal(key_check_prefix(key, NULL), -EINVAL);
	key[PLURI_OBJECT_KEY_MAX] = 0;
	assert_int_equal(key_check(key, NULL), 0);
	assert_int_equal(key_check_prefix(key, NULL), 0);
}

static void prefix__of_a_key__is_taken(void **state)
{
	(void)state;
	assert_int_equal(key_check_prefix("", NULL), 0);
	assert_int_equal(key_check_prefix("a/", NULL), 0);
	assert_int_equal(key_check_prefix("a/.", NULL), 0);
	assert_int_equal(key_check_prefix("a//", NULL), -EINVAL);
	assert_int_equal(key_check_prefix("../", NULL), -EINVAL);
	assert_int_equal(key_check_prefix("a?", NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key__lawful_ones__are_taken),
		cmocka_unit_test(key__unlawful_ones__are_refused),
		cmocka_unit_test(key__432_bytes__is_the_longest),
		cmocka_unit_test(prefix__of_a_key__is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
