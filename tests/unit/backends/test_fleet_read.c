/* First good of several, hedges, verdicts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "backends/fleet_int.h"
#include "tests/unit/backends/fake.h"

#define LEN 100u
#define SOON_MS 300u /* passes soon, but not before all have been asked */

/* A read of one shard each from stores 0, 1 and 2. */
struct reading {
	struct fleet_source sources[3];
	struct fleet_read r;
	struct fleet_answer answers[3];
	int bad[3];
	struct pluri_err e;
	unsigned judged[3];
};

/* Good bytes are those of the fake from off 5 on. */
static int judge(void *arg, unsigned index, struct pluri_span bytes,
	struct pluri_err *err)
{
	struct reading *rd = arg;
	const uint8_t *b = bytes.data;

	assert_int_equal(bytes.len, LEN);
	rd->judged[index]++;
	for (unsigned i = 0; i < LEN; i++)
		if (b[i] != (uint8_t)((5 + i) * 7))
			return pluri_fail(err, EBADMSG, "byte %u is wrong", i);
	return 0;
}

static void prepare(
	struct reading *rd, unsigned need, uint32_t hedge_ms, uint64_t ms)
{
	memset(rd, 0, sizeof(*rd));
	for (unsigned i = 0; i < 3; i++)
		rd->sources[i] = (struct fleet_source){i, i, "k"};
	rd->r = (struct fleet_read){
		.sources = rd->sources,
		.n = 3,
		.need = need,
		.off = 5,
		.len = LEN,
		.deadline_ms = fake_soon(ms),
		.hedge_ms = hedge_ms,
		.judge = judge,
		.arg = rd,
	};
}

static int read_it(struct fake_scene *s, struct reading *rd, unsigned need,
	uint32_t hedge_ms, uint64_t ms)
{
	prepare(rd, need, hedge_ms, ms);
	return fleet_read(s->fleet, &rd->r, rd->answers, rd->bad, &rd->e);
}

static void drop(struct reading *rd)
{
	for (unsigned i = 0; i < 3; i++)
		free(rd->answers[i].bytes);
}

/* Three failures, so that a store is DOWN. */
static void bring_down(struct fake_scene *s, unsigned store)
{
	fake_say(&s->b[store], -EAGAIN, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fake_get(s, store, 5000, 0, NULL), -EAGAIN);
	assert_false(fake_health(s, store).up);
}

static void order__ranks__up_local_quick_stable(void **state)
{
	static const struct fleet_rank ranks[] = {
		{false, true, 1, 256},
		{true, false, 900, 256},
		{true, false, 0, 256},
		{true, false, 100, 256},
		{true, true, 5000, 9999},
		{true, false, 100, 256},
		{true, false, 0, 256},
		{true, false, 100, 512},
	};
	static const unsigned expected[] = {4, 2, 3, 5, 6, 7, 1, 0};
	unsigned order[8];

	(void)state;
	fleet_rank_order(ranks, 8, order);
	assert_memory_equal(order, expected, sizeof(expected));
	fleet_rank_order(ranks, 0, order);
}

static void read__all_well__only_the_first_asked(void **state)
{
	struct fake_scene *s = *state;
	struct reading rd;

	assert_int_equal(read_it(s, &rd, 1, 0, 5000), 0);
	assert_int_equal(rd.answers[0].source, 0);
	assert_int_equal(rd.answers[0].bytes[1], 6 * 7);
	assert_int_equal(fake_entered(&s->b[0]), 1);
	assert_int_equal(fake_entered(&s->b[1]), 0);
	drop(&rd);
}

static void read__need_two__two_good_ones(void **state)
{
	struct fake_scene *s = *state;
	struct reading rd;

	fake_say(&s->b[1], -EACCES, 0);
	assert_int_equal(read_it(s, &rd, 2, 0, 5000), 0);
	assert_int_equal(rd.answers[0].source, 0);
	assert_int_equal(rd.answers[1].source, 2);
	assert_int_equal(rd.bad[0], 0);
	assert_int_equal(rd.bad[1], -EACCES);
	drop(&rd);
}

static void read__bad_bytes__next_one_and_blame(void **state)
{
	struct fake_scene *s = *state;
	struct reading rd;

	s->b[0].spoil = 1;
	assert_int_equal(read_it(s, &rd, 1, 0, 5000), 0);
	assert_int_equal(rd.answers[0].source, 1);
	assert_int_equal(rd.bad[0], -EBADMSG);
	assert_int_equal(rd.judged[0], 1);
	assert_int_equal(fake_health(s, 0).class, FLEET_CORRUPT);
	assert_string_equal(fake_health(s, 0).text, "byte 0 is wrong");
	assert_int_equal(fake_health(s, 1).class, FLEET_OK);
	drop(&rd);
}

static void read__short_answer__bad_without_judging(void **state)
{
	struct fake_scene *s = *state;
	struct reading rd;

	s->b[0].size = 104;
	assert_int_equal(read_it(s, &rd, 1, 0, 5000), 0);
	assert_int_equal(rd.bad[0], -EBADMSG);
	assert_int_equal(rd.judged[0], 0);
	drop(&rd);
}

static void read__all_bad_or_missing__ebadmsg(void **state)
{
	struct fake_scene *s = *state;
	struct reading rd;

	s->b[0].spoil = 1;
	s->b[1].size = 0;
	fake_say(&s->b[2], -ENOENT, 0);
	assert_int_equal(read_it(s, &rd, 1, 0, 5000), -EBADMSG);
	assert_int_equal(rd.bad[0], -EBADMSG);
	assert_int_equal(rd.bad[1], -EBADMSG);
	assert_int_equal(rd.bad[2], -ENOENT);
	assert_null(rd.answers[0].bytes);
	assert_string_equal(rd.e.text,
		"0 of 1 sources are good: nas: byte 0 is wrong; "
		"aws: k: 0 bytes from 5 on, wanted 100; gcs: fake answers -2");
}

static void read__one_unreachable__eio_with_all_stories(void **state)
{
	struct fake_scene *s = *state;
	struct reading rd;

	fake_say(&s->b[0], -ENOENT, 0);
	fake_say(&s->b[1], -EAGAIN, 0);
	assert_int_equal(read_it(s, &rd, 2, 0, 5000), -EIO);
	assert_int_equal(rd.bad[1], -EAGAIN);
	assert_int_equal(rd.bad[2], 0);
	assert_string_equal(rd.e.text,
		"1 of 2 sources are good: nas: fake answers -2; "
		"aws: fake answers -11");
}

static bool has_witness(struct fake_scene *s, unsigned store)
{
	struct fleet_store *f = fleet_store_of(s->fleet, store);
	bool has;

	(void)pthread_mutex_lock(&f->lock);
	has = f->witness;
	(void)pthread_mutex_unlock(&f->lock);
	fleet_pool_unref(f);
	return has;
}

/* Two asked in vain at one store: one goes on to show how slow it is. */
static void read__source_hangs__hedge_wins_and_one_cancelled(void **state)
{
	struct fake_scene *s = *state;
	struct reading rd;

	/* So well known that it needs no sample */
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fake_get(s, 0, 5000, 0, NULL), 0);
	fake_hold(&s->b[0], true);
	prepare(&rd, 1, 20, 5000);
	rd.sources[1].store = 0;
	rd.sources[2].store = 1;
	assert_int_equal(
		fleet_read(s->fleet, &rd.r, rd.answers, rd.bad, &rd.e), 0);
	assert_int_equal(rd.answers[0].source, 2);
	assert_int_equal(rd.bad[0], 0);
	/* Still held: it comes back only because it was cancelled */
	fake_await_left(&s->b[0], 4);
	while (fake_health(s, 0).in_flight > 1)
		(void)sched_yield();
	assert_int_equal(fake_health(s, 0).class, FLEET_OK);
	assert_int_equal(fake_health(s, 0).hedges, 1);
	assert_int_equal(fake_health(s, 0).hedges_won, 0);
	assert_int_equal(fake_health(s, 1).hedges, 1);
	assert_int_equal(fake_health(s, 1).hedges_won, 1);
	assert_true(has_witness(s, 0));
	fake_hold(&s->b[0], false);
	while (fake_health(s, 0).in_flight > 0)
		(void)sched_yield();
	assert_true(fake_health(s, 0).latency_us > 2000);
	assert_true(fake_health(s, 0).gets_us > 10000);
	assert_int_equal(fake_health(s, 0).bytes_in, 3 * 8 + LEN);
	drop(&rd);
}

static void read__no_hedge__waits_for_the_first(void **state)
{
	struct fake_scene *s = *state;
	struct reading rd;

	fake_hold(&s->b[0], true);
	assert_int_equal(read_it(s, &rd, 1, 0, SOON_MS), -ETIMEDOUT);
	assert_int_equal(fake_entered(&s->b[1]), 0);
	assert_int_equal(rd.bad[0], -ETIMEDOUT);
	assert_non_null(strstr(rd.e.text, "nas: get of k: no answer within"));
}

static void read__all_hang__etimedout_at_deadline(void **state)
{
	struct fake_scene *s = *state;
	struct reading rd;
	uint64_t end;

	for (unsigned i = 0; i < 3; i++) {
		s->b[i].heeds = false;
		fake_hold(&s->b[i], true);
	}
	end = fake_soon(SOON_MS);
	assert_int_equal(read_it(s, &rd, 2, 10, SOON_MS), -ETIMEDOUT);
	assert_true(fake_soon(0) < end + 5000);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(rd.bad[i], -ETIMEDOUT);
}

static void read__store_down__asked_last(void **state)
{
	struct fake_scene *s = *state;
	struct reading rd;

	bring_down(s, 0);
	assert_int_equal(read_it(s, &rd, 1, 0, 5000), 0);
	assert_int_equal(rd.answers[0].source, 1);
	assert_int_equal(fake_entered(&s->b[0]), 3);
	drop(&rd);
}

static void read__only_a_down_store_left__last_resort(void **state)
{
	struct fake_scene *s = *state;
	struct reading rd;

	bring_down(s, 0);
	fake_say(&s->b[1], -ENOENT, 0);
	fake_say(&s->b[2], -EAGAIN, 0);
	assert_int_equal(read_it(s, &rd, 1, 0, 5000), 0);
	assert_int_equal(rd.answers[0].source, 0);
	assert_true(fake_health(s, 0).up);
	drop(&rd);
}

static void read__hedge_time_but_rest_down__not_asked(void **state)
{
	struct fake_scene *s = *state;
	struct reading rd;

	bring_down(s, 1);
	bring_down(s, 2);
	fake_hold(&s->b[0], true);
	assert_int_equal(read_it(s, &rd, 1, 5, 60), -ETIMEDOUT);
	assert_int_equal(fake_entered(&s->b[1]), 3);
}

static void read__marked_or_removed__not_asked(void **state)
{
	struct fake_scene *s = *state;
	struct reading rd;

	fleet_mark(s->fleet, 0, FLEET_FOREIGN, "not ours");
	fleet_remove(s->fleet, 1);
	assert_int_equal(read_it(s, &rd, 2, 0, 5000), -EIO);
	assert_int_equal(rd.bad[0], -EAGAIN);
	assert_int_equal(rd.bad[1], -EAGAIN);
	assert_int_equal(fake_entered(&s->b[0]), 0);
	assert_non_null(strstr(rd.e.text, "store 1: not in use now"));
	assert_non_null(strstr(rd.e.text, "nas: barred"));
}

static void read__local_store__asked_first(void **state)
{
	struct fake_scene *s = *state;
	struct pluri_backend b;
	struct reading rd;

	fleet_remove(s->fleet, 2);
	fake_init(&b);
	b.caps = PLURI_CAP_LOCAL;
	assert_int_equal(
		fleet_add(s->fleet, 2, "disk", &fake_ops, &b, NULL), 0);
	assert_int_equal(read_it(s, &rd, 1, 0, 5000), 0);
	assert_int_equal(rd.answers[0].source, 2);
	drop(&rd);
	fleet_remove(s->fleet, 2);
}

/* Says stop when it is asked for the last time. */
static int count_down(void *arg)
{
	unsigned *left = arg;

	assert_int_not_equal(*left, 0); /* never asked again */
	return --*left == 0;
}

static void read__stopped_while_waiting__ecanceled_all_ended(void **state)
{
	struct fake_scene *s = *state;
	const uint64_t start = fake_soon(0);
	struct reading rd;
	unsigned left = 4;

	for (unsigned i = 0; i < 3; i++)
		fake_hold(&s->b[i], true);
	prepare(&rd, 2, 0, 60000);
	rd.r.stop = count_down;
	rd.r.stop_arg = &left;
	assert_int_equal(fleet_read(s->fleet, &rd.r, rd.answers, rd.bad, &rd.e),
		-ECANCELED);
	assert_int_equal(rd.e.code, ECANCELED);
	assert_int_equal(left, 0);
	/* three waits, of which an early answer may cut one short */
	assert_in_range(fake_soon(0) - start, 150, 5000);
	assert_int_equal(rd.bad[0], 0);
	for (unsigned i = 0; i < 2; i++) {
		fake_await_left(&s->b[i], fake_entered(&s->b[i]));
		assert_null(rd.answers[i].bytes);
		while (fake_health(s, i).in_flight > 0)
			(void)sched_yield();
		assert_int_equal(fake_health(s, i).class, FLEET_OK);
	}
	assert_int_equal(fake_entered(&s->b[2]), 0);
}

static void read__stop_not_said__as_without(void **state)
{
	struct fake_scene *s = *state;
	unsigned left = 1000;
	struct reading rd;

	fake_say(&s->b[0], -EAGAIN, 0);
	prepare(&rd, 1, 0, 5000);
	rd.r.stop = count_down;
	rd.r.stop_arg = &left;
	assert_int_equal(
		fleet_read(s->fleet, &rd.r, rd.answers, rd.bad, &rd.e), 0);
	assert_int_equal(rd.answers[0].source, 1);
	drop(&rd);
}

/* bad[] tells who may still answer: a caller asks again by it. */
static void read__refused_or_unreachable__told_apart(void **state)
{
	struct fake_scene *s = *state;
	struct reading rd;

	fake_say(&s->b[0], -EACCES, 0);
	fake_say(&s->b[1], -EBUSY, 0);
	s->b[2].spoil = 1;
	assert_int_equal(read_it(s, &rd, 1, 0, 5000), -EIO);
	assert_int_equal(rd.bad[0], -EACCES);
	assert_int_equal(rd.bad[1], -EBUSY);
	assert_int_equal(rd.bad[2], -EBADMSG);
}

/* One good answer of two: nobody else is left who could give the other. */
static void read__too_few_good_and_all_reached__ebadmsg(void **state)
{
	struct fake_scene *s = *state;
	struct reading rd;

	s->b[0].spoil = 1;
	fake_say(&s->b[2], -ENOENT, 0);
	assert_int_equal(read_it(s, &rd, 2, 0, 5000), -EBADMSG);
	assert_int_equal(rd.bad[1], 0);
}

static void read__senseless__einval(void **state)
{
	struct fake_scene *s = *state;
	struct reading rd;

	assert_int_equal(read_it(s, &rd, 0, 0, 5000), -EINVAL);
	assert_int_equal(read_it(s, &rd, 4, 0, 5000), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_scene_test(order__ranks__up_local_quick_stable),
		fake_scene_test(read__all_well__only_the_first_asked),
		fake_scene_test(read__need_two__two_good_ones),
		fake_scene_test(read__bad_bytes__next_one_and_blame),
		fake_scene_test(read__short_answer__bad_without_judging),
		fake_scene_test(read__all_bad_or_missing__ebadmsg),
		fake_scene_test(read__one_unreachable__eio_with_all_stories),
		fake_scene_test(
			read__source_hangs__hedge_wins_and_one_cancelled),
		fake_scene_test(read__no_hedge__waits_for_the_first),
		fake_scene_test(read__all_hang__etimedout_at_deadline),
		fake_scene_test(read__store_down__asked_last),
		fake_scene_test(read__only_a_down_store_left__last_resort),
		fake_scene_test(read__hedge_time_but_rest_down__not_asked),
		fake_scene_test(read__marked_or_removed__not_asked),
		fake_scene_test(read__local_store__asked_first),
		fake_scene_test(
			read__stopped_while_waiting__ecanceled_all_ended),
		fake_scene_test(read__stop_not_said__as_without),
		fake_scene_test(read__refused_or_unreachable__told_apart),
		fake_scene_test(read__too_few_good_and_all_reached__ebadmsg),
		fake_scene_test(read__senseless__einval),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
