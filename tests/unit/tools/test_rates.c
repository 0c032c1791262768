/* What two answers of "stats" say of the time between them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tools/ask.h"
#include "tools/rates.h"

/* JSON with ' for ". */
static json_t *said(const char *quoted)
{
	char *text = strdup(quoted);
	json_t *o;

	assert_non_null(text);
	for (char *p = text; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	o = json_loads(text, 0, NULL);
	free(text);
	assert_non_null(o);
	return o;
}

static void base__same_daemon__kept(void **state)
{
	ask_auto_json a = said("{'daemon':{'since_us':7,'uptime_us':1000000}}");
	ask_auto_json b = said("{'daemon':{'since_us':7,'uptime_us':3500000}}");

	(void)state;
	assert_ptr_equal(rates_base(a, b), a);
	assert_true(rates_seconds(a, b) == 2.5);
	assert_true(rates_seconds(NULL, b) == 3.5);
	assert_true(rates_seconds(b, b) > 0);
	assert_null(rates_base(NULL, b));
}

static void base__another_daemon__none(void **state)
{
	ask_auto_json a = said("{'daemon':{'since_us':7,'uptime_us':9000000}}");
	ask_auto_json b = said("{'daemon':{'since_us':8,'uptime_us':9500000}}");
	ask_auto_json c = said("{'daemon':{'since_us':7,'uptime_us':500000}}");

	(void)state;
	assert_null(rates_base(a, b));
	assert_null(rates_base(a, c)); /* the same moment, by a wrong clock */
}

static void more__grown__the_difference(void **state)
{
	ask_auto_json a = said("{'gets_total':5,'same':3}");
	ask_auto_json b = said("{'gets_total':12,'same':3,'new':4}");

	(void)state;
	assert_int_equal(rates_more(a, b, "gets_total"), 7);
	assert_int_equal(rates_more(a, b, "same"), 0);
	assert_int_equal(rates_more(a, b, "new"), 4);
	assert_int_equal(rates_more(NULL, b, "gets_total"), 12);
	assert_int_equal(rates_more(a, NULL, "gets_total"), 0);
}

static void more__began_anew__never_negative(void **state)
{
	ask_auto_json a = said("{'gets_total':9007199254740993}");
	ask_auto_json b = said("{'gets_total':2}");
	ask_auto_json odd = said("{'gets_total':-4}");

	(void)state;
	assert_int_equal(rates_more(a, b, "gets_total"), 2);
	assert_int_equal(rates_more(b, odd, "gets_total"), 0);
	assert_int_equal(rates_more(odd, b, "gets_total"), 2);
}

static void quantile__of_what_came_between__alone(void **state)
{
	ask_auto_json a = said("{'1024':1000,'4':10}");
	ask_auto_json b = said("{'1024':1001,'4':109}");
	ask_auto_json anew = said("{'8':3}");

	(void)state;
	assert_int_equal(rates_quantile(a, b, 500), 4);
	assert_int_equal(rates_quantile(a, b, 990), 4);
	assert_int_equal(rates_quantile(a, b, 999), 1024);
	assert_int_equal(rates_quantile(NULL, b, 500), 1024);
	assert_int_equal(rates_quantile(a, a, 500), 0);
	assert_int_equal(rates_quantile(a, anew, 500), 8);
	assert_int_equal(rates_quantile(a, NULL, 500), 0);
}

static void named__one_of_several__found(void **state)
{
	ask_auto_json all = said("[{'name':'a','n':1},{'name':'b','n':2}]");

	(void)state;
	assert_int_equal(rates_more(NULL, rates_named(all, "b"), "n"), 2);
	assert_null(rates_named(all, "c"));
	assert_null(rates_named(NULL, "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base__same_daemon__kept),
		cmocka_unit_test(base__another_daemon__none),
		cmocka_unit_test(more__grown__the_difference),
		cmocka_unit_test(more__began_anew__never_negative),
		cmocka_unit_test(quantile__of_what_came_between__alone),
		cmocka_unit_test(named__one_of_several__found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
