#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/own.h"

struct thing {
	int *freed;
};

static void thing_free(struct thing *t)
{
	if (t)
		(*t->freed)++;
}
PLURI_OWN(thing);

static void fail__told__code_and_story(void **state)
{
	struct pluri_err err = {0};

	(void)state;
	assert_int_equal(pluri_fail(&err, EBADMSG, "pack %d", 7), -EBADMSG);
	assert_int_equal(err.code, EBADMSG);
	assert_string_equal(err.text, "pack 7");
	assert_int_equal(pluri_fail(&err, EIO, "later"), -EIO);
	assert_string_equal(err.text, "later");
}

static void fail__nobody_listens__code_alone(void **state)
{
	(void)state;
	assert_int_equal(pluri_fail(NULL, ENOSPC, "%s", "full"), -ENOSPC);
}

static void fail__story_too_long__cut_and_ended(void **state)
{
	struct pluri_err err;

	(void)state;
	memset(&err, 0x55, sizeof(err));
	assert_int_equal(pluri_fail(&err, EIO, "%01000d", 1), -EIO);
	assert_int_equal(strlen(err.text), PLURI_ERR_TEXT - 1);
}

static void where__story_told__put_in_front(void **state)
{
	struct pluri_err err = {0};

	(void)state;
	(void)pluri_fail(&err, ENOENT, "no such object");
	assert_int_equal(pluri_where(&err, "store %s", "nas"), -ENOENT);
	assert_int_equal(err.code, ENOENT);
	assert_string_equal(err.text, "store nas: no such object");
}

static void where__too_long__cut_and_ended(void **state)
{
	struct pluri_err err = {0};

	(void)state;
	(void)pluri_fail(&err, EIO, "%0500d", 1);
	assert_int_equal(pluri_where(&err, "%0500d", 2), -EIO);
	assert_int_equal(strlen(err.text), PLURI_ERR_TEXT - 1);
	assert_memory_equal(err.text + 499, "2: 0", 4);
	assert_int_equal(pluri_where(&err, "%0600d", 3), -EIO);
	assert_int_equal(strlen(err.text), PLURI_ERR_TEXT - 1);
}

static void where__nobody_listens__no_crash(void **state)
{
	(void)state;
	assert_int_equal(pluri_where(NULL, "store %s", "nas"), 0);
}

static void auto__scope_ends__freed_once(void **state)
{
	int freed = 0;
	struct thing t = {.freed = &freed};

	(void)state;
	{
		pluri_auto(thing) own = &t;
		pluri_auto(thing) none = NULL;

		assert_non_null(own);
		assert_null(none);
	}
	assert_int_equal(freed, 1);
}

static void steal__handed_on__not_freed(void **state)
{
	int freed = 0;
	struct thing t = {.freed = &freed};
	struct thing *taken = NULL;

	(void)state;
	{
		pluri_auto(thing) own = &t;

		taken = pluri_steal(own);
		assert_null(own);
	}
	assert_ptr_equal(taken, &t);
	assert_int_equal(freed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fail__told__code_and_story),
		cmocka_unit_test(fail__nobody_listens__code_alone),
		cmocka_unit_test(fail__story_too_long__cut_and_ended),
		cmocka_unit_test(where__story_told__put_in_front),
		cmocka_unit_test(where__too_long__cut_and_ended),
		cmocka_unit_test(where__nobody_listens__no_crash),
		cmocka_unit_test(auto__scope_ends__freed_once),
		cmocka_unit_test(steal__handed_on__not_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
