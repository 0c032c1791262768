/*
 * tests/unit/meta/bed.h - a database in a directory of its own, for one test.
 */
#ifndef PLURI_TEST_META_BED_H
#define PLURI_TEST_META_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "meta/meta.h"
#include "meta/tree.h"

#define BED_NOW 1000000007 /* ns; any time does */

struct bed {
	char dir[64];
	char path[96]; /* of the database */
	struct meta *m;
	struct meta_tx *tx; /* the open bracket, else NULL */
	struct pluri_err err;
};

/* cmocka fixtures: *state is a struct bed with a new, open volume. */
int bed_setup(void **state);
int bed_teardown(void **state);

/* Brackets; both fail the test when they fail. */
struct meta_tx *bed_begin(struct bed *b);
void bed_end(struct bed *b);
void bed_undo(struct bed *b); /* ends it with -ECANCELED */

/* Close without commit and open again. */
void bed_reopen(struct bed *b);

struct tree_name bed_name(const char *s);

/* A new inode with that mode; its number. */
uint64_t bed_make(struct bed *b, uint64_t dir, const char *name,
	uint32_t mode);
struct tree_attr bed_get(struct bed *b, uint64_t ino);

#endif
