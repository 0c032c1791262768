/*
 * tests/system/conform_calls.h - calls that take a path, as a table: what they
 * need to find there, and what they need to be allowed.
 */
#ifndef PLURI_TESTS_SYSTEM_CONFORM_CALLS_H
#define PLURI_TESTS_SYSTEM_CONFORM_CALLS_H

#include "conform.h"

#define CALL_MAKES 1u  /* the name; fails when it is there */
#define CALL_TAKES 2u  /* the name away */
#define CALL_FOLLOWS 4u /* a symbolic link at the end */
#define CALL_WRITES (CALL_MAKES | CALL_TAKES) /* the directory */

/* The cwd holds "src", a file that all may write, for link and rename. */
struct conform_call {
	const char *name;
	int (*run)(const char *path);
	unsigned flags;
	enum conform_kind kind; /* of what has to be there, or comes to be */
};

/* Ended by {NULL}. */
extern const struct conform_call conform_calls[];

/* Brings "src" back if it is away. */
void conform_calls_src(void);

#endif
