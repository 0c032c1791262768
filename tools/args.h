/*
 * tools/args.h - what follows a verb on the command line.
 *
 * Pure but for messages: --help goes to standard output, complaints go to
 * standard error with the nearest known option.
 */
#ifndef PLURI_TOOLS_ARGS_H
#define PLURI_TOOLS_ARGS_H

#include <stdbool.h>

struct args_option {
	const char *name;  /* "--json" or "-f"; NULL ends a table */
	const char *value; /* what follows, for --help; NULL: a flag */
	const char *help;
	bool *flag;	   /* set when there, or */
	const char **text; /* given the value, borrowed from argv */
};
/* With both, flag is set, and text only if a value follows: behind "=", or as
 * the next word when that is a number. */

/* First in every verb's table; --help is known without. */
#define ARGS_JSON(p) { "--json", NULL, "answer as one JSON object", p, NULL }

struct args {
	const char *usage; /* "status VOLUME" */
	const char *about; /* one line or more, without a final newline */
	const struct args_option *options;
	const char **words; /* filled with the rest, in order */
	unsigned least, most;
};

/*
 * argv[0] is the verb. 0: go on. 1: help was asked for and shown, end with
 * exit status 0. -EINVAL: told; end with exit status 1.
 */
int args_parse(const struct args *a, int argc, char **argv);

#endif
