#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/args.h"

#define WORDS_MAX 8

static bool json;
static bool fore;
static const char *opts;
static const char *out;
static bool watch;
static const char *seconds;
static const char *words[2];

/* Run a line of words through a verb with one or two words. */
static int parse(const char *line)
{
	const struct args_option options[] = {ARGS_JSON(&json),
		{"-f", NULL, "stay", &fore, NULL},
		{"-o", "OPTS", "options", NULL, &opts},
		{"--out", "FILE", "file", NULL, &out},
		{"--watch", "[SECONDS]", "again", &watch, &seconds},
		{NULL, NULL, NULL, NULL, NULL}};
	const struct args a = {"verb A [B]", "About.", options, words, 1, 2};
	static char text[128];
	char *argv[WORDS_MAX + 1] = {NULL};
	char *rest = text;
	int argc = 0;

	json = fore = watch = false;
	opts = out = seconds = words[0] = words[1] = NULL;
	strcpy(text, line);
	while (argc < WORDS_MAX && (argv[argc] = strsep(&rest, " ")) != NULL)
		argc++;
	return args_parse(&a, argc, argv);
}

static void parse__options_among_words__all_taken(void **state)
{
	(void)state;
	assert_int_equal(parse("verb --json a -f b --out x"), 0);
	assert_true(json && fore);
	assert_string_equal(words[0], "a");
	assert_string_equal(words[1], "b");
	assert_string_equal(out, "x");
	assert_null(opts);
}

static void parse__value_in_the_same_word__taken(void **state)
{
	(void)state;
	assert_int_equal(parse("verb a -oro,dev --out=y=z"), 0);
	assert_string_equal(opts, "ro,dev");
	assert_string_equal(out, "y=z");
	assert_int_equal(parse("verb a -o ro"), 0);
	assert_string_equal(opts, "ro");
}

static void parse__behind_two_dashes__words_only(void **state)
{
	(void)state;
	assert_int_equal(parse("verb -- --json -f"), 0);
	assert_false(json || fore);
	assert_string_equal(words[0], "--json");
	assert_int_equal(parse("verb -"), 0);
	assert_string_equal(words[0], "-");
}

static void parse__wrong_line__refused(void **state)
{
	(void)state;
	assert_int_equal(parse("verb"), -EINVAL);
	assert_int_equal(parse("verb a b c"), -EINVAL);
	assert_int_equal(parse("verb a --jsn"), -EINVAL);
	assert_int_equal(parse("verb a --json=1"), -EINVAL);
	assert_int_equal(parse("verb a --output x"), -EINVAL);
	assert_int_equal(parse("verb a -o"), -EINVAL);
}

static void parse__help__wins(void **state)
{
	int keep;
	int r;

	(void)state;
	/* What it says must not stand among the results. */
	assert_int_equal(fflush(stdout), 0);
	keep = dup(STDOUT_FILENO);
	assert_int_equal(dup2(STDERR_FILENO, STDOUT_FILENO), STDOUT_FILENO);
	r = parse("verb --help");
	assert_int_equal(fflush(stdout), 0);
	assert_int_equal(dup2(keep, STDOUT_FILENO), STDOUT_FILENO);
	assert_int_equal(close(keep), 0);
	assert_int_equal(r, 1);
}

static void parse__optional_value__a_number_alone_is_taken(void **state)
{
	(void)state;
	assert_int_equal(parse("verb --watch a"), 0);
	assert_true(watch);
	assert_null(seconds);
	assert_string_equal(words[0], "a");
	assert_int_equal(parse("verb a --watch"), 0);
	assert_true(watch);
	assert_null(seconds);
	assert_int_equal(parse("verb a --watch 0.5 b"), 0);
	assert_string_equal(seconds, "0.5");
	assert_string_equal(words[1], "b");
	assert_int_equal(parse("verb --watch=5x a"), 0);
	assert_string_equal(seconds, "5x");
	assert_int_equal(parse("verb --watch --json a"), 0);
	assert_true(watch && json);
	assert_int_equal(parse("verb a"), 0);
	assert_false(watch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			parse__optional_value__a_number_alone_is_taken),
		cmocka_unit_test(parse__options_among_words__all_taken),
		cmocka_unit_test(parse__value_in_the_same_word__taken),
		cmocka_unit_test(parse__behind_two_dashes__words_only),
		cmocka_unit_test(parse__wrong_line__refused),
		cmocka_unit_test(parse__help__wins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
