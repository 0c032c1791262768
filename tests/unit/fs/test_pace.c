/* Writers and clouds: when who waits how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "fs/pace.h"

#define MIB (UINT64_C(1) << 20)
#define MAX (512 * MIB)

/* A program that writes as fast as it may, in MiBs, and clouds that take
 * `rate`, in packs of 16 MiB. */
struct play {
	struct pace pace;
	struct pace_now now;
	uint64_t rate; /* bytes/s; 0: they are away */
	uint64_t budget; /* bytes that they could have taken */
	uint64_t written, longest_ms;
	unsigned walls; /* it met the bound itself */
};

static void play_begin(struct play *p, uint64_t rate)
{
	*p = (struct play){.pace = {.max = MAX}, .rate = rate};
	p->now = (struct pace_now){.ms = 1000, .moves = rate > 0};
}

static void play_pass(struct play *p, uint64_t ms)
{
	p->now.ms += ms;
	p->budget += p->rate * ms / 1000;
	while (p->budget >= 16 * MIB && p->now.pending >= 16 * MIB) {
		p->budget -= 16 * MIB;
		p->now.pending -= 16 * MIB;
		p->now.paid += 16 * MIB;
	}
	if (p->now.pending < 16 * MIB)
		p->budget = 0;
}

/* 0, or the failure. The disk takes a MiB in a ms. */
static int play_write(struct play *p)
{
	uint64_t ms = 0;
	uint64_t all = 0;
	int r;

	do {
		play_pass(p, ms);
		all += ms;
		r = pace_ask(&p->pace, &p->now, MIB, &ms);
		p->walls += r == -EAGAIN;
	} while (r == -EAGAIN && all < 600000);
	if (r < 0)
		return r;
	play_pass(p, ms + 1);
	all += ms;
	if (all > p->longest_ms)
		p->longest_ms = all;
	p->now.pending += MIB;
	p->written += MIB;
	return 0;
}

static void pace__little_waits__nobody_is_slowed(void **state)
{
	struct play p;

	(void)state;
	play_begin(&p, 0);
	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(play_write(&p), 0);
	assert_int_equal(p.longest_ms, 0);
	assert_int_equal(p.now.ms, 1000 + 256);
}

/* Ten times the bound goes through, at the clouds' pace, and no write is much
 * later than the others. */
static void pace__slow_clouds__writers_slow_down_smoothly(void **state)
{
	static const uint64_t rates[] = {2 * MIB, 20 * MIB, 200 * MIB};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct play p;
		uint64_t ms;

		play_begin(&p, rates[i]);
		while (p.written < 10 * MAX) {
			assert_int_equal(play_write(&p), 0);
		}
		assert_int_equal(p.walls, 0);
		ms = p.now.ms - 1000;
		/* the clouds were busy: all but the bound is with them */
		assert_in_range(
			p.written * 1000 / ms, rates[i], rates[i] * 12 / 10);
		/* a MiB, where its turn is, and the wait for one pack */
		assert_in_range(p.longest_ms, 1,
			3 * MIB * 1000 / rates[i] + 17 * MIB * 1000 / rates[i]);
	}
}

static void pace__clouds_away__full_speed_then_enospc_then_again(void **state)
{
	struct play p;
	int r = 0;

	(void)state;
	play_begin(&p, 0);
	while (r == 0)
		r = play_write(&p);
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(p.written, MAX + MIB);
	/* once for the patience, not once more for each */
	assert_in_range(p.now.ms - 1000 - p.written / MIB, PACE_PATIENCE_MS,
		PACE_PATIENCE_MS + 200);
	p.longest_ms = 0;
	assert_int_equal(play_write(&p), -ENOSPC);
	assert_int_equal(p.longest_ms, 0);

	p.rate = 100 * MIB;
	p.now.moves = true;
	assert_int_equal(play_write(&p), 0);
}

/* One that hiccups is no full disk. */
static void pace__away_for_a_moment__the_write_waits(void **state)
{
	struct play p;
	uint64_t ms = 0;

	(void)state;
	play_begin(&p, 0);
	p.now.pending = MAX + 1;
	for (unsigned i = 0; i < 3; i++) {
		for (uint64_t t = 0; t < PACE_PATIENCE_MS - 1000; t += 100) {
			assert_int_equal(
				pace_ask(&p.pace, &p.now, MIB, &ms), -EAGAIN);
			assert_in_range(ms, 1, 200);
			p.now.ms += 100;
		}
		p.now.moves = true;
		assert_int_equal(pace_ask(&p.pace, &p.now, MIB, &ms), -EAGAIN);
		p.now.moves = false;
	}
}

/* They are there and take nothing any more: from write to write it takes
 * longer, never quicker again, and nobody meets the bound soon. */
static void pace__clouds_stall__writers_slow_down_smoothly(void **state)
{
	static const uint64_t before[] = {0, 2 * MIB, 100 * MIB};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		uint64_t last = UINT32_MAX;
		uint64_t from;
		struct play p;

		play_begin(&p, before[i]);
		p.now.moves = true;
		while (p.written < (before[i] ? 4 * MAX : MAX / 2))
			assert_int_equal(play_write(&p), 0);
		p.rate = 0;
		from = p.now.ms;
		while (p.now.ms - from < 90000) {
			p.longest_ms = 0;
			assert_int_equal(play_write(&p), 0);
			assert_true(p.longest_ms + 1 >= last / 2 ||
				    last == UINT32_MAX);
			assert_true(p.longest_ms <= 5 * last + 400);
			last = p.longest_ms;
		}
		assert_int_equal(p.walls, 0);
		p.rate = 100 * MIB; /* and they are quick again, soon */
		from = p.now.ms;
		while (p.now.ms - from < 60000)
			assert_int_equal(play_write(&p), 0);
		assert_true(p.longest_ms <= PACE_PAUSE_MAX_MS);
		from = p.written;
		for (uint64_t ms = p.now.ms; p.now.ms - ms < 10000;)
			assert_int_equal(play_write(&p), 0);
		assert_true(p.written - from >= 800 * MIB);
	}
}

/* Nobody asked for long: it says nothing of how quick they are. */
static void pace__idle_for_long__not_taken_for_slow(void **state)
{
	struct play p;

	(void)state;
	play_begin(&p, 100 * MIB);
	while (p.written < 4 * MAX)
		assert_int_equal(play_write(&p), 0);
	for (unsigned i = 0; i < 5; i++) {
		play_pass(&p, 3600000);
		p.longest_ms = 0;
		for (uint64_t n = 0; n < MAX; n += MIB)
			assert_int_equal(play_write(&p), 0);
		assert_true(p.longest_ms < 500);
	}
}

/* It went on between two questions, to which the answer was no by chance. */
static void pace__packs_are_paid_now_and_then__no_enospc(void **state)
{
	struct play p;
	uint64_t ms = 0;

	(void)state;
	play_begin(&p, 0);
	p.now.pending = MAX + 1;
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(pace_ask(&p.pace, &p.now, MIB, &ms), -EAGAIN);
		p.now.ms += PACE_PATIENCE_MS + 1000;
		p.now.paid += MIB;
	}
	assert_int_equal(pace_ask(&p.pace, &p.now, MIB, &ms), -EAGAIN);
	p.now.ms += PACE_PATIENCE_MS;
	assert_int_equal(pace_ask(&p.pace, &p.now, MIB, &ms), -ENOSPC);
}

/* A lock file does not wait for a stream's bytes. */
static void pace__few_bytes__hardly_wait(void **state)
{
	struct play p;
	uint64_t few = 0;
	uint64_t many = 0;

	(void)state;
	play_begin(&p, 10 * MIB);
	while (p.written < 4 * MAX)
		assert_int_equal(play_write(&p), 0);
	p.now.pending = MAX * 3 / 4;
	p.now.ms += 1000;
	assert_int_equal(pace_ask(&p.pace, &p.now, 4096, &few), 0);
	assert_true(few <= 1);
	assert_int_equal(pace_ask(&p.pace, &p.now, MIB, &many), 0);
	assert_true(many >= 40);
}

/* Each waits behind the others, or together they would be as fast as before. */
static void pace__many_writers__share_the_pace(void **state)
{
	struct play p;
	uint64_t first = 0;
	uint64_t last = 0;

	(void)state;
	play_begin(&p, 100 * MIB);
	while (p.written < 4 * MAX)
		assert_int_equal(play_write(&p), 0);
	p.now.pending = MAX * 3 / 4;
	p.now.ms += 1000;
	assert_int_equal(pace_ask(&p.pace, &p.now, MIB, &first), 0);
	for (unsigned i = 0; i < 63; i++)
		assert_int_equal(pace_ask(&p.pace, &p.now, MIB, &last), 0);
	assert_true(first <= 15);
	assert_in_range(last, 64 * first / 2, PACE_PAUSE_MAX_MS);
}

/* A stream's requests all ask at once; who writes a little meanwhile does not
 * come after them. But of those who write little each does, as above. */
static void pace__few_bytes_beside_a_stream__not_behind_it(void **state)
{
	struct play p;
	uint64_t few = 0;
	uint64_t last = 0;

	(void)state;
	play_begin(&p, 10 * MIB);
	while (p.written < 4 * MAX)
		assert_int_equal(play_write(&p), 0);
	p.now.pending = MAX * 3 / 4;
	p.now.ms += 1000;
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(pace_ask(&p.pace, &p.now, MIB, &last), 0);
	assert_true(last >= 64 * 40);
	assert_int_equal(pace_ask(&p.pace, &p.now, PACE_FEW, &few), 0);
	assert_true(few <= 10);
	for (unsigned i = 0; i < 16 * 64; i++)
		assert_int_equal(pace_ask(&p.pace, &p.now, PACE_FEW, &last), 0);
	assert_true(last >= 64 * 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pace__little_waits__nobody_is_slowed),
		cmocka_unit_test(pace__slow_clouds__writers_slow_down_smoothly),
		cmocka_unit_test(
			pace__clouds_away__full_speed_then_enospc_then_again),
		cmocka_unit_test(pace__away_for_a_moment__the_write_waits),
		cmocka_unit_test(
			pace__clouds_stall__writers_slow_down_smoothly),
		cmocka_unit_test(pace__idle_for_long__not_taken_for_slow),
		cmocka_unit_test(pace__packs_are_paid_now_and_then__no_enospc),
		cmocka_unit_test(pace__few_bytes__hardly_wait),
		cmocka_unit_test(pace__many_writers__share_the_pace),
		cmocka_unit_test(
			pace__few_bytes_beside_a_stream__not_behind_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
