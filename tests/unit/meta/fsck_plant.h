/*
 * tests/unit/meta/fsck_plant.h - damage planted into a small volume, found, and
 * mended.
 */
#ifndef PLURI_TESTS_META_FSCK_PLANT_H
#define PLURI_TESTS_META_FSCK_PLANT_H

#include "tests/unit/meta/fsck_volume.h"

/* What no repair may touch: the bytes and names of what was not damaged. */
__attribute__((unused))
static uint64_t tree_print(struct storage *s)
{
	struct db_stmt *st = NULL;
	uint64_t sum = 7;

	assert_int_equal(meta_query(s->tx,
				 "SELECT e.ino * 7 + e.off * 3 + e.len * 5"
				 " + e.skip * 11 + e.chunk * 13 FROM extent e"
				 " WHERE e.ino <> 900 ORDER BY e.ino, e.off",
				 NULL, 0, &st, NULL),
		0);
	while (meta_step(s->tx, st, NULL) > 0)
		sum = sum * 31 + meta_u64(s->tx, st, 0);
	return sum;
}

struct plant {
	const char *sql;
	const char *codes; /* "!" before them: a repair leaves it */
};

__attribute__((unused))
static void plant_one(struct storage *s, const struct plant *p)
{
	const bool stays = p->codes[0] == '!';
	const char *const codes = p->codes + stays;
	struct seen seen;
	uint64_t before;

	(void)meta_end(s->tx, 0, NULL);
	assert_int_equal(meta_begin(s->meta, &s->tx, NULL), 0);
	storage_poke(s, p->sql);
	before = tree_print(s);
	check(s, false, &seen);
	if (strcmp(seen.codes, codes) != 0)
		fail_msg("%s: found %s instead of %s", p->sql, seen.codes,
			codes);
	assert_int_equal(seen.repaired, 0);
	repair_all(s);
	check(s, false, &seen);
	if ((seen.codes[0] != 0) != stays)
		fail_msg("%s: left %s", p->sql, seen.codes);
	if (stays)
		assert_string_equal(seen.codes, codes);
	if (!strstr(codes, "extent-") && !strstr(codes, "trim-overlap"))
		assert_int_equal(tree_print(s), before);
}

__attribute__((unused))
static void plant_all(void **state, const struct plant *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			assert_int_equal(fsck_open(state), 0);
		plant_one(*state, &p[i]);
		if (i + 1 < n)
			(void)storage_close(state);
	}
}
#define PLANT(list) plant_all(state, list, sizeof(list) / sizeof(*(list)))

#endif
