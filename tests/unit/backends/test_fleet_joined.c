/* Prefetches where there are few places, and readers that join them late. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/backends/reads.h"

#define LOAD_MS 3000u

static void limit(struct fake_scene *s, uint32_t connections)
{
	fleet_limit(s->fleet, 0,
		&(struct fleet_limits){.connections = connections});
}

/* The first has one of two connections: does the second get the other? */
static void beside(struct fake_scene *s, struct reads *first)
{
	struct reads ahead = READS_AHEAD(s, 'A');

	limit(s, 2);
	fake_hold(&s->b[0], true);
	reads_start(first);
	fake_await_entered(&s->b[0], 1);
	reads_start(&ahead);
	fake_await_entered(&s->b[0], 2);
	fake_hold(&s->b[0], false);
	reads_end(first, 0);
	reads_end(&ahead, 0);
}

static void places__all_but_one_for_the_rest__ahead_has_it(void **state)
{
	struct reads r = READS_BEHIND(*state, 'P');

	beside(*state, &r);
}

static void places__one_waited_for_runs__ahead_beside_it(void **state)
{
	struct reads r = READS_WAITED(*state, 'X');

	beside(*state, &r);
}

/* A store is ranked by what is known of it: this one is far. */
static void far(struct fake_scene *s, unsigned store)
{
	struct fleet_store *f = fleet_store_of(s->fleet, store);

	(void)pthread_mutex_lock(&f->lock);
	for (unsigned i = 0; i < 3; i++)
		fleet_speed_got(&f->speed, &(struct fleet_get){8, 1},
			UINT64_C(3600000000), false, clock_mono_ms(f->clock));
	(void)pthread_mutex_unlock(&f->lock);
	fleet_pool_unref(f);
}

/* The time passes in which a get of another store is not answered. */
static void pass(struct fake_scene *s, unsigned ms)
{
	fake_hold(&s->b[2], true);
	assert_int_equal(fake_get(s, 2, ms, 0, NULL), -ETIMEDOUT);
	fake_hold(&s->b[2], false);
}

/* As if the store answered others all the time. */
static void answers_until(struct fake_scene *s, uint64_t until_ms)
{
	struct fleet_store *f = fleet_store_of(s->fleet, 0);

	while (fleet_now_ms() < until_ms) {
		(void)pthread_mutex_lock(&f->lock);
		f->said_ms = fleet_now_ms();
		(void)pthread_mutex_unlock(&f->lock);
		(void)sched_yield();
	}
	fleet_pool_unref(f);
}

/* Its store hangs as somebody comes; the other one is asked in time. */
static void joined__held_back_beyond_its_time__has_it_anew(void **state)
{
	struct fake_scene *s = *state;
	struct reads x = READS_WAITED(s, 'X');
	struct reads a = {.s = s,
		.letter = 'A',
		.ahead = true,
		.stores = 2,
		.hedge_ms = 50,
		.time_ms = LOAD_MS};
	const uint64_t end = fake_soon(LOAD_MS + 200);

	far(s, 1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fake_get(s, 0, 5000, 0, NULL), 0);
	limit(s, 1);
	fake_hold(&s->b[0], true);
	reads_start(&x);
	fake_await_entered(&s->b[0], 4);
	reads_start(&a);
	fake_await_queued(s, 1);
	answers_until(s, end);
	wish_tell(&a.wish);
	reads_end(&a, 0);
	assert_int_equal(a.answered, 1);
	fake_hold(&s->b[0], false);
	reads_end(&x, 0);
}

/* No other store is asked for what waits for our sake; then one is. */
static void hedge__held_back_as_ahead__not_before_waited_for(void **state)
{
	struct fake_scene *s = *state;
	struct reads r[2] = {READS_WAITED(s, 'X'), {.s = s,
							   .letter = 'A',
							   .ahead = true,
							   .stores = 2,
							   .hedge_ms = 50}};

	far(s, 1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fake_get(s, 0, 5000, 0, NULL), 0);
	limit(s, 1);
	fake_hold(&s->b[0], true);
	reads_start(&r[0]);
	fake_await_entered(&s->b[0], 4);
	reads_start(&r[1]);
	fake_await_queued(s, 1);
	pass(s, 400);
	assert_int_equal(fake_entered(&s->b[1]), 0);
	wish_tell(&r[1].wish);
	reads_end(&r[1], 0);
	assert_int_equal(r[1].answered, 1);
	assert_string_equal(s->b[0].trace, "gggX");
	fake_hold(&s->b[0], false);
	reads_end(&r[0], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_scene_test(places__all_but_one_for_the_rest__ahead_has_it),
		fake_scene_test(places__one_waited_for_runs__ahead_beside_it),
		fake_scene_test(joined__held_back_beyond_its_time__has_it_anew),
		fake_scene_test(
			hedge__held_back_as_ahead__not_before_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
