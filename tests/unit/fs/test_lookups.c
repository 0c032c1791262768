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

static struct trail_step note_at(struct trails *t, uint64_t ino, uint64_t off,
	uint64_t len, uint64_t now_ms)
{
	const struct trail_room room = {16 * MIB, 48 * MIB, now_ms};
	struct trail_step s;

	trail_note(t, ino, off, len, &room, &s);
	return s;
}

static struct trail_step note(
	struct trails *t, uint64_t ino, uint64_t off, uint64_t len)
{
	return note_at(t, ino, off, len, 7000);
}

/* Never the same twice, and in few steps. */
static void trail__sequential_somewhat_shuffled__window_grows(void **state)
{
	static const unsigned swap[] = {0, 2, 1, 3, 5, 4, 7, 6};
	struct trails *t = NULL;
	uint64_t upto = 0;
	unsigned steps = 0;

	(void)state;
	assert_int_equal(trails_new(&t, NULL), 0);
	for (unsigned i = 0; i < 64; i++) {
		const uint64_t at = (i / 8 * 8 + swap[i % 8]) * (MIB / 8);
		const struct trail_step s = note(t, 5, at, MIB / 8);

		assert_true(s.on);
		if (s.count == 0)
			continue;
		assert_int_equal(s.count, 1);
		assert_true(s.from == upto || (upto == 0 && s.from == MIB / 8));
		assert_true(s.upto > s.from && s.upto <= at + 17 * MIB);
		upto = s.upto;
		steps++;
	}
	assert_true(upto >= 16 * MIB);
	assert_true(steps <= 10);
	trails_free(t);
}

/* 1 MiB/s: 5 MiB ahead at most; ten times that after a pause: all of it. */
static void trail__slow_then_fast__ahead_by_seconds(void **state)
{
	struct trails *t = NULL;
	uint64_t upto = 0;
	uint64_t now = 1000;
	uint64_t at = 0;

	(void)state;
	assert_int_equal(trails_new(&t, NULL), 0);
	for (unsigned i = 0; i < 400; i++, at += MIB / 8) {
		const struct trail_step s = note_at(t, 5, at, MIB / 8, now);

		if (s.count > 0)
			upto = s.upto;
		assert_true(upto <= at + 6 * (uint64_t)MIB);
		now += 125;
	}
	assert_true(upto >= at + 2 * (uint64_t)MIB);
	now += 3600000;
	for (unsigned i = 0; i < 1600; i++, at += MIB / 8) {
		const struct trail_step s = note_at(t, 5, at, MIB / 8, now);

		if (s.count > 0)
			upto = s.upto;
		if (i == 0)
			assert_true(upto <= at + 6 * (uint64_t)MIB);
		now += 12;
	}
	assert_true(upto >= at + 12 * (uint64_t)MIB);
	trails_free(t);
}

/* Two requests of one stream, of which the later one comes first. */
static void trail__clock_a_little_behind__window_grows(void **state)
{
	struct trails *t = NULL;
	uint64_t upto = 0;

	(void)state;
	assert_int_equal(trails_new(&t, NULL), 0);
	for (unsigned i = 0; i < 64; i++) {
		const struct trail_step s = note_at(
			t, 5, i * (uint64_t)(MIB / 8), MIB / 8, i ? 998 : 1000);

		if (s.count > 0)
			upto = s.upto;
	}
	assert_true(upto >= 16 * (uint64_t)MIB);
	trails_free(t);
}

static void trail__random_reads__nothing_is_prefetched(void **state)
{
	struct trails *t = NULL;
	uint64_t x = 88172645463325252u;
	unsigned on = 0;

	(void)state;
	assert_int_equal(trails_new(&t, NULL), 0);
	for (unsigned i = 0; i < 4000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		on += note(t, 5, (x >> 46) * 4096, 4096).on;
	}
	assert_true(on < 40); /* of a GiB */
	trails_free(t);
}

static void trail__two_streams_of_one_file__both_are_on(void **state)
{
	struct trails *t = NULL;
	unsigned on = 0;

	(void)state;
	assert_int_equal(trails_new(&t, NULL), 0);
	for (unsigned i = 0; i < 10; i++) {
		on += note(t, 5, i * MIB, MIB).on;
		on += note(t, 5, 512 * MIB + i * MIB, MIB).on;
	}
	assert_int_equal(on, 19); /* but for the first in the middle */
	trails_free(t);
}

static void trail__many_streams__share_the_room(void **state)
{
	uint64_t upto[12] = {0};
	struct trails *t = NULL;

	(void)state;
	assert_int_equal(trails_new(&t, NULL), 0);
	for (unsigned i = 0; i < 32 * 8; i++)
		for (unsigned f = 0; f < 12; f++) {
			const uint64_t at = i * (uint64_t)(MIB / 8);
			const struct trail_step s = note(t, 5 + f, at, MIB / 8);

			if (s.count > 0)
				upto[f] = s.upto;
			if (i > 8)
				assert_true(upto[f] <= at + 5 * MIB);
		}
	for (unsigned f = 0; f < 12; f++)
		assert_true(upto[f] >= 34 * MIB);
	trails_free(t);
}

static void trail__backward__prefetched_down_to_the_begin(void **state)
{
	struct trails *t = NULL;
	uint64_t down = 0;

	(void)state;
	assert_int_equal(trails_new(&t, NULL), 0);
	for (uint64_t at = 64 * MIB; at > 0; at -= MIB / 16) {
		const struct trail_step s = note(t, 5, at - MIB / 16, MIB / 16);

		assert_int_equal(s.on, at <= 64 * MIB - 2 * (MIB / 16));
		if (s.count == 0)
			continue;
		assert_true(down == 0 || s.upto == down);
		assert_true(s.from < s.upto && s.upto <= at - MIB / 16);
		assert_true(s.upto - s.from <= 16 * MIB);
		down = s.from;
	}
	assert_int_equal(down, 0);
	trails_free(t);
}

/* Three that take turns: forward in wide strides, backward likewise, and in
 * narrow ones. */
static void trail__strides_taking_turns__each_is_seen(void **state)
{
	struct trails *t = NULL;
	uint64_t far = 0;
	uint64_t back = UINT64_MAX;

	(void)state;
	assert_int_equal(trails_new(&t, NULL), 0);
	for (unsigned i = 0; i < 40; i++) {
		const uint64_t at = 7000 + i * (3 * (uint64_t)MIB + 4096);
		const uint64_t down = 400 * MIB - i * (2 * (uint64_t)MIB);
		struct trail_step s = note(t, 5, at, 8192);

		assert_int_equal(s.on, i >= 2);
		assert_true(s.count <= 16);
		if (s.count > 0) {
			assert_int_equal(s.stride, 3 * MIB + 4096);
			assert_int_equal(s.upto - s.from, 8192);
			assert_int_equal((s.from - at) % s.stride, 0);
			assert_true(s.from > far);
			far = s.from + (s.count - 1) * s.stride;
		}
		s = note(t, 5, down, 4096);
		assert_int_equal(s.on, i >= 2);
		if (s.count > 0) {
			assert_int_equal(s.stride, -(int64_t)(2 * MIB));
			assert_true(s.from < back);
			back = s.from - (s.count - 1) * (uint64_t)-s.stride;
		}
		s = note(t, 5, 600 * MIB + i * 65536, 4096);
		assert_int_equal(s.on, i >= 2);
		assert_true(s.count == 0 || s.from > 600 * MIB + i * 65536);
	}
	assert_true(far > 7000 + 45 * (3 * (uint64_t)MIB + 4096));
	assert_true(back < 320 * MIB);
	trails_free(t);
}

static void trail__wide_strides_down_to_the_begin__none_before_it(void **state)
{
	struct trails *t = NULL;

	(void)state;
	assert_int_equal(trails_new(&t, NULL), 0);
	for (unsigned i = 0; i < 10; i++) {
		const uint64_t at = (9 - i) * (uint64_t)(2 * MIB) + 5000;
		const struct trail_step s = note(t, 5, at, 4096);

		if (s.count > 0)
			assert_true(s.from >= (s.count - 1) * 2 * MIB + 5000);
		if (s.count > 0)
			assert_true(s.from < at);
	}
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
		cmocka_unit_test(trail__slow_then_fast__ahead_by_seconds),
		cmocka_unit_test(trail__clock_a_little_behind__window_grows),
		cmocka_unit_test(trail__random_reads__nothing_is_prefetched),
		cmocka_unit_test(trail__two_streams_of_one_file__both_are_on),
		cmocka_unit_test(trail__many_streams__share_the_room),
		cmocka_unit_test(trail__backward__prefetched_down_to_the_begin),
		cmocka_unit_test(trail__strides_taking_turns__each_is_seen),
		cmocka_unit_test(
			trail__wide_strides_down_to_the_begin__none_before_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
