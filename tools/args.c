#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#include "tools/args.h"

#define ARGS_OPTIONS_MAX 31u

static void args_help(const struct args *a)
{
	(void)printf("usage: pluri %s\n\n%s\n\noptions:\n", a->usage, a->about);
	for (const struct args_option *o = a->options; o->name; o++) {
		char left[40];

		(void)snprintf(left, sizeof(left), "%s %s", o->name,
			o->value ? o->value : "");
		(void)printf("  %-20s %s\n", left, o->help);
	}
	(void)printf("  %-20s %s\n", "--help", "show this");
}

static int args_wrong(const struct args *a, const char *what, const char *arg)
{
	(void)fprintf(stderr,
		"pluri: %s%s\nusage: pluri %s (--help says more)\n", what, arg,
		a->usage);
	return -EINVAL;
}

static int args_unknown(const struct args *a, const char *arg)
{
	const char *names[ARGS_OPTIONS_MAX + 1] = {NULL};
	const char *near;
	unsigned n = 0;

	for (; a->options[n].name && n < ARGS_OPTIONS_MAX; n++)
		names[n] = a->options[n].name;
	near = text_nearest(arg, names);
	if (near)
		(void)fprintf(stderr, "pluri: did you mean %s?\n", near);
	return args_wrong(a, "unknown option ", arg);
}

/* Is arg this option, and where does its value begin: -oX, --out=X, or NULL
 * for the next word? */
static bool args_match(
	const struct args_option *o, const char *arg, const char **ret_value)
{
	const size_t n = strlen(o->name);

	*ret_value = NULL;
	if (strncmp(arg, o->name, n) != 0)
		return false;
	if (arg[n] == 0)
		return true;
	if (!o->value || (n > 2 && arg[n] != '='))
		return false;
	*ret_value = arg + n + (arg[n] == '=');
	return true;
}

static bool args_number(const char *word)
{
	return word && *word && word[strspn(word, "0123456789.")] == 0;
}

/* Words taken from argv: 1 or 2, or -EINVAL. */
static int args_option(const struct args *a, char **argv)
{
	const struct args_option *o = a->options;
	const char *value = NULL;

	while (o->name && !args_match(o, argv[0], &value))
		o++;
	if (!o->name)
		return args_unknown(a, argv[0]);
	if (o->flag)
		*o->flag = true;
	if (!o->value || (o->flag && !value && !args_number(argv[1])))
		return 1;
	*o->text = value ? value : argv[1];
	if (!*o->text)
		return args_wrong(a, "a value is missing behind ", argv[0]);
	return value ? 1 : 2;
}

int args_parse(const struct args *a, int argc, char **argv)
{
	bool options = true;
	unsigned n = 0;
	int i = 1;

	while (i < argc) {
		int took = 1;

		if (options && strcmp(argv[i], "--help") == 0) {
			args_help(a);
			return 1;
		}
		if (options && strcmp(argv[i], "--") == 0)
			options = false;
		else if (options && argv[i][0] == '-' && argv[i][1])
			took = args_option(a, argv + i);
		else if (n < a->most)
			a->words[n++] = argv[i];
		else
			return args_wrong(a, "too many words: ", argv[i]);
		if (took < 0)
			return took;
		i += took;
	}
	if (n < a->least)
		return args_wrong(a, "something is missing", "");
	return 0;
}
