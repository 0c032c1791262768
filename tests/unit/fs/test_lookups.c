#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fs/lookups.h"
#include "fs/trail.h"

#define INOS 5000u
#define MIB (UINT64_C(1) << 20)

/* --- lookups -------------------------------------------------------------- */

static void lookups__random_ups_and_downs__as_counted(void **state)
{
	struct lookups l = {0};
	uint32_t count[INOS] = {0};
	uint32_t x = 12345;

	(void)state;
	for (unsigned i = 0; i < 400000; i++) {
		bool gone = false;
		uint32_t ino;

		x = x * 1664525u + 1013904223u;
		/* mostly up at first, mostly down at last */
		ino = x >> 8 & 4095;
		if ((x >> 24) + i / 2000 < 250) {
			assert_int_equal(lookups_add(&l, ino + 1), 0);
			count[ino]++;
		} else {
			const uint32_t less = (x >> 20 & 3) + 1;
			const bool last = lookups_sub(&l, ino + 1, less, &gone);

			assert_int_equal(
				last, count[ino] > 0 && count[ino] <= less);
			count[ino] -= less < count[ino] ? less : count[ino];
		}
	}
	for (uint32_t i = 0; i < INOS; i++)
		assert_int_equal(lookups_has(&l, i + 1), count[i] > 0);
	lookups_free(&l);
}

static void lookups__lost_its_name__told_at_the_last(void **state)
{
	struct lookups l = {0};
	bool gone = false;

	(void)state;
	lookups_set_gone(&l, 7, true); /* unknown: nothing happens */
	assert_false(lookups_has(&l, 7));
	assert_int_equal(lookups_add(&l, 7), 0);
	assert_int_equal(lookups_add(&l, 7), 0);
	lookups_set_gone(&l, 7, true);
	assert_true(lookups_gone(&l, 7));
	assert_false(lookups_sub(&l, 7, 1, &gone));
	assert_true(lookups_sub(&l, 7, 1, &gone));
	assert_true(gone);
	assert_int_equal(lookups_add(&l, 7), 0);
	assert_true(lookups_sub(&l, 7, 9, &gone));
	assert_false(gone);
	lookups_free(&l);
}

static void lookups__a_million_and_none__gives_memory_back(void **state)
{
	struct lookups l = {0};
	bool gone;

	(void)state;
	for (uint64_t i = 1; i <= 1000000; i++)
		assert_int_equal(lookups_add(&l, i), 0);
	assert_true(l.cap * sizeof(*l.slot) <= 32 * MIB);
	for (uint64_t i = 1; i <= 1000000; i++)
		assert_true(lookups_sub(&l, i, 1, &gone));
	assert_int_equal(l.used, 0);
	assert_true(l.cap <= 1024);
	lookups_free(&l);
}

/* --- trails --------------------------------------------------------------- */

/* Reads of 128 KiB, in this order; returns how far it was prefetched. */
static uint64_t run(
	struct trails *t, uint64_t ino, const unsigned *piece, unsigned n)
{
	uint64_t upto = 0;

	for (unsigned i = 0; i < n; i++) {
		struct trail_step s;

		trail_note(t, ino, piece[i] * (MIB / 8), MIB / 8, MIB, 16 * MIB,
			&s);
		if (s.from < s.upto) {
			assert_true(s.from >= upto); /* never twice */
			upto = s.upto;
		}
	}
	return upto;
}

static void trail__sequential_somewhat_shuffled__window_grows(void **state)
{
	static const unsigned piece[] = {0, 2, 1, 3, 5, 4, 7, 6, 8, 10, 9};
	struct trails *t = NULL;

	(void)state;
	assert_int_equal(trails_new(&t, NULL), 0);
	assert_true(run(t, 5, piece, 11) >= 16 * MIB);
	trails_free(t);
}

static void trail__random_reads__nothing_is_prefetched(void **state)
{
	static const unsigned piece[] = {100, 700, 30, 9000, 400, 62, 4000};
	struct trails *t = NULL;

	(void)state;
	assert_int_equal(trails_new(&t, NULL), 0);
	assert_int_equal(run(t, 5, piece, 7), 0);
	trails_free(t);
}

static void trail__two_streams_of_one_file__both_are_on(void **state)
{
	struct trails *t = NULL;
	unsigned on = 0;

	(void)state;
	assert_int_equal(trails_new(&t, NULL), 0);
	for (unsigned i = 0; i < 10; i++) {
		struct trail_step s;

		trail_note(t, 5, i * MIB, MIB, MIB, 4 * MIB, &s);
		on += s.on;
		trail_note(t, 5, 512 * MIB + i * MIB, MIB, MIB, 4 * MIB, &s);
		on += s.on;
	}
	assert_int_equal(on, 19); /* but for the first in the middle */
	trails_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lookups__random_ups_and_downs__as_counted),
		cmocka_unit_test(lookups__lost_its_name__told_at_the_last),
		cmocka_unit_test(
			lookups__a_million_and_none__gives_memory_back),
		cmocka_unit_test(
			trail__sequential_somewhat_shuffled__window_grows),
		cmocka_unit_test(trail__random_reads__nothing_is_prefetched),
		cmocka_unit_test(trail__two_streams_of_one_file__both_are_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
