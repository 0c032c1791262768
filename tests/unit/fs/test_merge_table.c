/* Which regions are looked at, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "fs/merge_table.h"

#define QUIET 10000u

static struct merge_table *table_new(void)
{
	struct merge_table *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	return t;
}

static struct merge_at at(uint64_t ino, uint64_t region)
{
	return (struct merge_at){ino, region};
}

static void notes(
	struct merge_table *t, struct merge_at a, unsigned n, uint64_t now)
{
	for (unsigned i = 0; i < n; i++)
		merge_table_note(t, a, now);
}

/* The next one is (ino, region). */
static void next_is(struct merge_table *t, struct merge_at after, uint64_t now,
	struct merge_at want)
{
	struct merge_at got = {0};

	assert_true(merge_table_next(t, after, now, QUIET, &got));
	assert_int_equal(got.ino, want.ino);
	assert_int_equal(got.region, want.region);
}

static void none(struct merge_table *t, uint64_t now)
{
	struct merge_at got = {0};

	assert_false(merge_table_next(t, at(0, 0), now, QUIET, &got));
	assert_int_equal(merge_table_due(t, now, QUIET), 0);
}

static void next__few_notes_or_not_quiet__not_due(void **state)
{
	struct merge_table *t = table_new();

	(void)state;
	notes(t, at(1, 1), MERGE_NOTES - 1, 1000);
	none(t, 1000 + QUIET);
	notes(t, at(1, 1), 1, 5000);
	none(t, 5000 + QUIET - 1);
	assert_int_equal(merge_table_due(t, 5000 + QUIET, QUIET), 1);
	next_is(t, at(0, 0), 5000 + QUIET, at(1, 1));
	none(t, 5000 + QUIET); /* taken */
	free(t);
}

static void next__several__by_file_and_offset_round_about(void **state)
{
	struct merge_table *t = table_new();

	(void)state;
	notes(t, at(2, 7), MERGE_NOTES, 1);
	notes(t, at(1, 9), MERGE_NOTES, 1);
	notes(t, at(2, 3), MERGE_NOTES, 1);
	next_is(t, at(1, 9), 1 + QUIET, at(2, 3));
	next_is(t, at(2, 3), 1 + QUIET, at(2, 7));
	next_is(t, at(2, 7), 1 + QUIET, at(1, 9));
	none(t, 1 + QUIET);
	free(t);
}

static void found__by_the_scan__due_at_once_but_not_while_written(void **state)
{
	struct merge_table *t = table_new();

	(void)state;
	merge_table_found(t, at(1, 0), 50000);
	next_is(t, at(0, 0), 50000, at(1, 0));
	merge_table_ended(t, at(1, 0), 50000, MERGE_NOTHING);
	notes(t, at(1, 0), 1, 60000);
	merge_table_found(t, at(1, 0), 60001);
	none(t, 60001);
	next_is(t, at(0, 0), 60000 + QUIET, at(1, 0));
	free(t);
}

/* Ever longer, and from the beginning when it was left alone long enough. */
static void ended__again_and_again__ever_later(void **state)
{
	struct merge_table *t = table_new();
	uint64_t now = 1000000;
	uint64_t wait = MERGE_WAIT_MIN_MS;

	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		notes(t, at(5, 5), MERGE_NOTES, now - QUIET);
		next_is(t, at(0, 0), now, at(5, 5));
		merge_table_ended(t, at(5, 5), now, MERGE_COPIED);
		notes(t, at(5, 5), MERGE_NOTES, now);
		none(t, now + 10 * MERGE_WAIT_MAX_MS); /* while it waits */
		merge_table_ended(
			t, at(5, 5), now, i % 2 ? MERGE_DONE : MERGE_VAIN);
		none(t, now + wait - 1);
		assert_int_equal(merge_table_due(t, now + wait, QUIET), 1);
		now += wait;
		wait = 2 * wait < MERGE_WAIT_MAX_MS ? 2 * wait
						    : MERGE_WAIT_MAX_MS;
	}
	assert_int_equal(wait, MERGE_WAIT_MAX_MS);
	now += 20ull * MERGE_WAIT_MAX_MS;
	notes(t, at(5, 5), MERGE_NOTES, now - QUIET);
	next_is(t, at(0, 0), now, at(5, 5));
	merge_table_ended(t, at(5, 5), now, MERGE_VAIN);
	assert_int_equal(merge_table_due(t, now + MERGE_WAIT_MIN_MS, QUIET), 1);
	free(t);
}

static void ended__in_vain__due_again_without_a_note(void **state)
{
	struct merge_table *t = table_new();

	(void)state;
	merge_table_found(t, at(1, 0), 1);
	next_is(t, at(0, 0), 1, at(1, 0));
	merge_table_ended(t, at(1, 0), 1, MERGE_VAIN);
	next_is(t, at(0, 0), 1 + MERGE_WAIT_MIN_MS, at(1, 0));
	merge_table_ended(t, at(1, 0), 30000, MERGE_BUSY);
	none(t, 30000 + QUIET - 1);
	next_is(t, at(0, 0), 100000, at(1, 0));
	free(t);
}

/* Many files with one small write each do not push out one with many. */
static void note__a_flood_of_others__those_with_many_stay(void **state)
{
	struct merge_table *t = table_new();

	(void)state;
	notes(t, at(1, 1), MERGE_NOTES, 1);
	for (uint64_t i = 2; i < 100000; i++)
		merge_table_note(t, at(i, 0), i);
	assert_false(t->missed);
	next_is(t, at(0, 0), 200000, at(1, 1));
	free(t);
}

static void note__more_regions_than_room__missed_is_told(void **state)
{
	struct merge_table *t = table_new();
	const unsigned all = MERGE_SETS * MERGE_WAYS;

	(void)state;
	for (unsigned i = 0; i < all / 4; i++)
		notes(t, at(7, i), MERGE_NOTES, 1);
	assert_false(t->missed);
	assert_int_equal(merge_table_due(t, 1 + QUIET, QUIET), all / 4);
	for (unsigned i = 0; i < 2 * all; i++)
		notes(t, at(7, i), MERGE_NOTES, 1);
	assert_true(t->missed);
	assert_true(merge_table_due(t, 1 + QUIET, QUIET) > all * 9 / 10);
	free(t);
}

/* Of one of its ranges there is a copy; another could not be read. */
static void ended__failed_beside_a_copy__that_is_waited_for(void **state)
{
	struct merge_table *t = table_new();
	const uint64_t late = 1 + QUIET + MERGE_WAIT_MAX_MS;

	(void)state;
	notes(t, at(1, 1), MERGE_NOTES, 1);
	next_is(t, at(0, 0), 1 + QUIET, at(1, 1));
	merge_table_ended(t, at(1, 1), 1 + QUIET, MERGE_COPIED);
	merge_table_ended(t, at(1, 1), 1 + QUIET, MERGE_FAILED);
	none(t, late);
	merge_table_ended(t, at(1, 1), late, MERGE_DONE);
	next_is(t, at(0, 0), late + MERGE_WAIT_MAX_MS, at(1, 1));
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(next__few_notes_or_not_quiet__not_due),
		cmocka_unit_test(next__several__by_file_and_offset_round_about),
		cmocka_unit_test(
			found__by_the_scan__due_at_once_but_not_while_written),
		cmocka_unit_test(ended__again_and_again__ever_later),
		cmocka_unit_test(ended__in_vain__due_again_without_a_note),
		cmocka_unit_test(note__a_flood_of_others__those_with_many_stay),
		cmocka_unit_test(note__more_regions_than_room__missed_is_told),
		cmocka_unit_test(
			ended__failed_beside_a_copy__that_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
