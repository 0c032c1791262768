/*
 * tools/show.h - answers on standard output, complaints on standard error.
 *
 * Text from outside (names, paths, messages) loses its control characters.
 */
#ifndef PLURI_TOOLS_SHOW_H
#define PLURI_TOOLS_SHOW_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

/* "pluri: story"; returns exit status 1. */
int show_fail(const struct pluri_err *err);

/* One line of text that may come from outside, cleaned, with its newline. */
void show_line(FILE *to, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The object as it is, sorted and indented. 0, or 1 when it cannot be. */
int show_json(const json_t *o);

/* Bytes of a line that a terminal may see, in place; returns s. */
char *show_clean(char *s);

/* A member's value; "", 0 and false when it is absent or of another kind. */
const char *show_text(const json_t *o, const char *key);
uint64_t show_uint(const json_t *o, const char *key);
/* "12.0 MiB"; to has TEXT_SIZE_MAX bytes. */
const char *show_size(const json_t *o, const char *key, char *to);

/* Aligned columns, printed at once. */
struct show_table {
	const char *const *heads; /* NULL ends; ">NAME": to the right */
	char **cells;
	size_t count;
	int failed; /* 0 or -ENOMEM */
};

void show_table_start(struct show_table *t, const char *const *heads);
void show_table_cell(struct show_table *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* A member as text: strings as they are, numbers, yes and no, "-" for null. */
void show_table_member(struct show_table *t, const json_t *o,
	const char *key);
void show_table_bytes(struct show_table *t, uint64_t bytes);
/* Print (nothing without rows) and free. 0, or 1 for lack of memory. */
int show_table_end(struct show_table *t);

#endif
