/* What is read ahead gives way to what is waited for, until somebody waits. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/backends/reads.h"

/* Start it as the n-th in the queue. */
static void start_queued(struct reads *r, unsigned n)
{
	reads_start(r);
	fake_await_queued(r->s, n);
}

static void limit(struct fake_scene *s, uint32_t connections, uint64_t bytes)
{
	fleet_limit(s->fleet, 0,
		&(struct fleet_limits){
			.connections = connections, .bandwidth = bytes});
}

/* So many calls are trusted to the store from now on. */
static void window(struct fake_scene *s, uint32_t calls)
{
	struct fleet_store *store = fleet_store_of(s->fleet, 0);

	(void)pthread_mutex_lock(&store->lock);
	store->window.parts = calls * 256;
	(void)pthread_cond_broadcast(&store->more);
	(void)pthread_mutex_unlock(&store->lock);
	fleet_pool_unref(store);
}

/* --- the order ------------------------------------------------------------ */

/* With one connection, which X has: these come, one after the other. */
static void order(struct fake_scene *s, struct reads *r, unsigned n)
{
	limit(s, 1, 0);
	fake_hold(&s->b[0], true);
	reads_start(&r[0]);
	fake_await_entered(&s->b[0], 1);
	for (unsigned i = 1; i < n; i++)
		start_queued(&r[i], i);
}

static void order_is(
	struct fake_scene *s, struct reads *r, unsigned n, const char *trace)
{
	fake_hold(&s->b[0], false);
	reads_all_end(r, n);
	assert_string_equal(s->b[0].trace, trace);
}

static void waited__behind_queued_ahead__overtakes_them(void **state)
{
	struct fake_scene *s = *state;
	struct reads r[5] = {READS_WAITED(s, 'X'), READS_AHEAD(s, 'A'),
		READS_AHEAD(s, 'B'), READS_WAITED(s, 'W'),
		READS_WAITED(s, 'V')};

	order(s, r, 5);
	order_is(s, r, 5, "XWVAB");
}

/* The background has its turns, as ever where only one call may run. */
static void ahead__behind_queued_background__overtakes_it(void **state)
{
	struct fake_scene *s = *state;
	struct reads r[6] = {READS_BEHIND(s, 'X'), READS_BEHIND(s, 'P'),
		READS_BEHIND(s, 'Q'), READS_AHEAD(s, 'A'), READS_AHEAD(s, 'B'),
		READS_WAITED(s, 'W')};

	order(s, r, 6);
	order_is(s, r, 6, "XWPAQB");
}

static void ahead__becomes_waited_for__overtakes_the_others(void **state)
{
	struct fake_scene *s = *state;
	struct reads r[5] = {READS_WAITED(s, 'X'), READS_AHEAD(s, 'A'),
		READS_AHEAD(s, 'B'), READS_AHEAD(s, 'C'), READS_WAITED(s, 'W')};

	order(s, r, 5);
	wish_tell(&r[2].wish);
	reads_await_waited(s, false, 2);
	order_is(s, r, 5, "XWBAC");
}

/* Somebody came before it was asked for. */
static void ahead__waited_for_from_the_start__overtakes(void **state)
{
	struct fake_scene *s = *state;
	struct reads r[3] = {
		READS_WAITED(s, 'X'), READS_AHEAD(s, 'A'), READS_AHEAD(s, 'B')};

	r[2].told = true;
	order(s, r, 3);
	order_is(s, r, 3, "XBA");
}

/* Seven times its bytes have gone before it: that is enough. */
static void ahead__overtaken_without_end__has_its_turn(void **state)
{
	struct fake_scene *s = *state;
	struct reads r[12] = {READS_WAITED(s, 'X'),
		{.s = s, .letter = 'A', .ahead = true, .bytes = 10}};

	for (unsigned i = 2; i < 12; i++)
		r[i] = (struct reads){.s = s, .letter = 'W', .bytes = 10};
	order(s, r, 12);
	order_is(s, r, 12, "XWWWWWWWAWWW");
}

/* --- places --------------------------------------------------------------- */

/* The last of four places is left. */
static void places__all_wanted_by_ahead__waited_goes_beside(void **state)
{
	struct fake_scene *s = *state;
	struct reads ahead[8];
	struct reads w = READS_WAITED(s, 'W');

	fake_hold(&s->b[0], true);
	for (unsigned i = 0; i < 8; i++) {
		ahead[i] = (struct reads)READS_AHEAD(s, 'A');
		reads_start(&ahead[i]);
	}
	fake_await_entered(&s->b[0], 3);
	fake_await_queued(s, 5);
	reads_start(&w);
	fake_await_entered(&s->b[0], 4);
	fake_await_queued(s, 5);
	assert_string_equal(s->b[0].trace, "AAAW");
	fake_hold(&s->b[0], false);
	reads_end(&w, 0);
	reads_all_end(ahead, 8);
}

/* It throttled once, so it is not trusted with all of its places. */
static void places__window_full_of_ahead__waited_goes_beside(void **state)
{
	struct fake_scene *s = *state;
	struct reads r[4];

	window(s, 2);
	fake_hold(&s->b[0], true);
	for (unsigned i = 0; i < 4; i++) {
		r[i] = (struct reads){
			.s = s, .letter = i < 3 ? 'A' : 'W', .ahead = i < 3};
		reads_start(&r[i]);
		fake_await_entered(&s->b[0], i < 2 ? i + 1 : i);
		fake_await_queued(s, i < 2 ? 0 : 1);
	}
	assert_string_equal(s->b[0].trace, "AAW");
	fake_hold(&s->b[0], false);
	reads_all_end(r, 4);
}

/* ... and one that is waited for by now does, too. */
static void places__bounded__one_is_left_for_who_waits(void **state)
{
	struct fake_scene *s = *state;
	struct reads ahead[3];

	limit(s, 2, 0);
	fake_hold(&s->b[0], true);
	for (unsigned i = 0; i < 3; i++) {
		ahead[i] = (struct reads){
			.s = s, .letter = (char)('A' + (int)i), .ahead = true};
		reads_start(&ahead[i]);
		fake_await_entered(&s->b[0], 1);
		fake_await_queued(s, i);
	}
	assert_int_equal(fake_entered(&s->b[0]), 1);
	wish_tell(&ahead[2].wish);
	fake_await_entered(&s->b[0], 2);
	assert_string_equal(s->b[0].trace, "AC");
	fake_hold(&s->b[0], false);
	reads_all_end(ahead, 3);
}

/* It was running when somebody came: now it is that which may always run. */
static void places__running_ahead_waited_for__counts_as_that(void **state)
{
	struct fake_scene *s = *state;
	struct fleet_store *store = fleet_store_of(s->fleet, 0);
	struct reads a = READS_AHEAD(s, 'A');

	fake_hold(&s->b[0], true);
	reads_start(&a);
	fake_await_entered(&s->b[0], 1);
	wish_tell(&a.wish);
	reads_await_waited(s, true, 1);
	assert_int_equal(store->running_of[FLEET_AHEAD], 0);
	fake_hold(&s->b[0], false);
	reads_end(&a, 0);
	reads_await_waited(s, true, 0);
	fleet_pool_unref(store);
}

/* --- bandwidth ------------------------------------------------------------ */

/* 350 bytes at one a second: the next ahead begins six minutes later. */
static void bandwidth_taken(struct fake_scene *s, struct reads *a, unsigned n)
{
	limit(s, 0, 1);
	for (unsigned i = 0; i < n; i++) {
		a[i] = (struct reads){.s = s,
			.letter = (char)('A' + (int)i),
			.ahead = true,
			.bytes = 350};
		reads_start(&a[i]);
		fake_await_entered(&s->b[0], 1);
		fake_await_queued(s, i);
	}
}

static void bandwidth__taken_by_ahead__waited_does_not_wait(void **state)
{
	struct fake_scene *s = *state;
	struct reads w = READS_WAITED(s, 'W');
	struct reads a[4];

	bandwidth_taken(s, a, 4);
	reads_start(&w);
	reads_end(&w, 0);
	assert_string_equal(s->b[0].trace, "AW");
	limit(s, 0, 0);
	reads_all_end(a, 4);
}

static void bandwidth__ahead_becomes_waited_for__goes_at_once(void **state)
{
	struct fake_scene *s = *state;
	struct reads a[4];

	bandwidth_taken(s, a, 4);
	wish_tell(&a[2].wish);
	reads_end(&a[2], 0);
	assert_string_equal(s->b[0].trace, "AC");
	limit(s, 0, 0);
	reads_end(&a[0], 0);
	reads_end(&a[1], 0);
	reads_end(&a[3], 0);
}

/* Others that wait have used theirs up; what it had as ahead is still its. */
static void bandwidth__turn_as_ahead_comes__waited_for_keeps_it(void **state)
{
	struct fake_scene *s = *state;
	struct fleet_store *store = fleet_store_of(s->fleet, 0);
	struct reads w = {.s = s, .letter = 'W', .bytes = 350};
	struct reads a = READS_AHEAD(s, 'A');
	uint64_t ready_us;

	limit(s, 0, 1);
	reads_start(&w);
	reads_end(&w, 0);
	start_queued(&a, 1);
	wish_tell(&a.wish);
	reads_await_waited(s, false, 1);
	(void)pthread_mutex_lock(&store->lock);
	ready_us = store->down[FLEET_WAITED].ready_us;
	store->down[FLEET_AHEAD].ready_us = 1;
	(void)pthread_mutex_unlock(&store->lock);
	limit(s, 0, 1); /* look again */
	reads_end(&a, 0);
	/* ... and nobody else has to wait for it */
	assert_int_equal(store->down[FLEET_WAITED].ready_us, ready_us);
	fleet_pool_unref(store);
}

/* Four readers, 10 bytes each at 1000 a second: they would take it all. */
static void bandwidth__reads_without_end__others_have_a_share(void **state)
{
	struct fake_scene *s = *state;
	struct reads w[4];
	struct reads a[6];

	limit(s, 0, 1000);
	for (unsigned i = 0; i < 4; i++) {
		w[i] = (struct reads){
			.s = s, .letter = 'W', .bytes = 10, .endless = true};
		reads_start(&w[i]);
	}
	fake_await_left(&s->b[0], 30);
	for (unsigned i = 0; i < 6; i++) {
		a[i] = (struct reads){.s = s,
			.letter = 'A',
			.ahead = i % 2 == 0,
			.background = i % 2 == 1};
		reads_start(&a[i]);
	}
	reads_all_end(a, 6);
	for (unsigned i = 0; i < 4; i++)
		__atomic_store_n(&w[i].over, true, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < 4; i++) {
		(void)pthread_join(w[i].thread, NULL);
		wish_fini(&w[i].wish);
	}
}

/* --- time ----------------------------------------------------------------- */

/* Its own time, as if all of it had passed; then the watch comes. said: the
 * store has just answered somebody else. */
static void outlive(struct fake_scene *s, bool said)
{
	struct fleet_store *store = fleet_store_of(s->fleet, 0);
	struct fleet_op *tell = NULL;

	(void)pthread_mutex_lock(&store->lock);
	TAILQ_FIRST(&store->queue)->deadline_ms = fake_soon(0);
	store->said_ms = said ? fake_soon(0) : 0;
	(void)pthread_mutex_unlock(&store->lock);
	(void)fleet_queue_sweep(store, &tell);
	assert_null(tell);
	fleet_pool_unref(store);
}

static void time__held_back_as_ahead__does_not_run(void **state)
{
	struct fake_scene *s = *state;
	struct fleet_store *store = fleet_store_of(s->fleet, 0);
	struct reads r[2] = {READS_WAITED(s, 'X'), READS_AHEAD(s, 'A')};
	uint64_t due;

	window(s, 1);
	fake_hold(&s->b[0], true);
	reads_start(&r[0]);
	fake_await_entered(&s->b[0], 1);
	start_queued(&r[1], 1);
	outlive(s, true);
	fake_await_queued(s, 1);
	window(s, 2);
	fake_await_entered(&s->b[0], 2);
	(void)pthread_mutex_lock(&store->lock);
	due = TAILQ_LAST(&store->running, fleet_ops)->deadline_ms;
	(void)pthread_mutex_unlock(&store->lock);
	fleet_pool_unref(store);
	assert_true(due <= fake_soon(10500));
	order_is(s, r, 2, "XA");
	assert_int_equal(s->b[0].overdue, 0);
	assert_int_equal(fake_health(s, 0).errors, 0);
}

/* From when somebody waits it has its time, no more and no less. */
static void time__waited_for_at_last__runs_from_then(void **state)
{
	struct fake_scene *s = *state;
	struct fleet_store *store = fleet_store_of(s->fleet, 0);
	struct reads r[2] = {READS_WAITED(s, 'X'), READS_AHEAD(s, 'A')};
	uint64_t from;
	uint64_t due;

	order(s, r, 2);
	outlive(s, true);
	(void)pthread_mutex_lock(&store->lock);
	store->said_ms -= 5000; /* that long ago */
	(void)pthread_mutex_unlock(&store->lock);
	from = fake_soon(0);
	wish_tell(&r[1].wish);
	reads_await_waited(s, false, 1);
	(void)pthread_mutex_lock(&store->lock);
	due = TAILQ_FIRST(&store->queue)->deadline_ms;
	(void)pthread_mutex_unlock(&store->lock);
	assert_true(due >= from + 10000 && due <= fake_soon(10100));
	outlive(s, true);
	reads_end(&r[1], -EIO);
	fake_hold(&s->b[0], false);
	reads_end(&r[0], 0);
	fleet_pool_unref(store);
}

/* A store that answers nobody: its time is over, but that proves nothing. */
static void time__store_is_silent__runs(void **state)
{
	struct fake_scene *s = *state;
	struct reads r[2] = {READS_WAITED(s, 'X'), READS_AHEAD(s, 'A')};

	order(s, r, 2);
	outlive(s, false);
	reads_end(&r[1], -EIO);
	assert_int_equal(fake_health(s, 0).errors, 0);
	fake_hold(&s->b[0], false);
	reads_end(&r[0], 0);
}

static void time__store_answers__noted_unless_given_up(void **state)
{
	struct fake_scene *s = *state;
	struct fleet_store *store = fleet_store_of(s->fleet, 0);
	const uint64_t began = fake_soon(0);

	fake_say(&s->b[0], -EAGAIN, 1);
	assert_int_equal(fake_get(s, 0, 5000, 0, NULL), -EAGAIN);
	assert_int_equal(store->said_ms, 0);
	assert_int_equal(fake_get(s, 0, 5000, 0, NULL), 0);
	assert_true(store->said_ms >= began);
	fleet_pool_unref(store);
}

/* Nor is one in trouble waited for. */
static void time__store_goes_down__runs(void **state)
{
	struct fake_scene *s = *state;
	struct fleet_store *store = fleet_store_of(s->fleet, 0);
	struct reads r[2] = {READS_WAITED(s, 'X'), READS_AHEAD(s, 'A')};
	struct fleet_op *tell = NULL;

	order(s, r, 2);
	fleet_mark(s->fleet, 0, FLEET_FOREIGN, "of another volume");
	(void)pthread_mutex_lock(&store->lock);
	store->said_ms = fake_soon(0);
	store->pulse.trouble_ms -= 11000;
	TAILQ_FIRST(&store->queue)->deadline_ms -= 11000;
	(void)pthread_mutex_unlock(&store->lock);
	(void)fleet_queue_sweep(store, &tell);
	reads_end(&r[1], -EIO);
	fake_hold(&s->b[0], false);
	reads_end(&r[0], 0);
	fleet_pool_unref(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_scene_test(waited__behind_queued_ahead__overtakes_them),
		fake_scene_test(ahead__behind_queued_background__overtakes_it),
		fake_scene_test(
			ahead__becomes_waited_for__overtakes_the_others),
		fake_scene_test(ahead__waited_for_from_the_start__overtakes),
		fake_scene_test(ahead__overtaken_without_end__has_its_turn),
		fake_scene_test(
			places__all_wanted_by_ahead__waited_goes_beside),
		fake_scene_test(
			places__window_full_of_ahead__waited_goes_beside),
		fake_scene_test(places__bounded__one_is_left_for_who_waits),
		fake_scene_test(
			places__running_ahead_waited_for__counts_as_that),
		fake_scene_test(
			bandwidth__taken_by_ahead__waited_does_not_wait),
		fake_scene_test(
			bandwidth__ahead_becomes_waited_for__goes_at_once),
		fake_scene_test(
			bandwidth__turn_as_ahead_comes__waited_for_keeps_it),
		fake_scene_test(
			bandwidth__reads_without_end__others_have_a_share),
		fake_scene_test(time__held_back_as_ahead__does_not_run),
		fake_scene_test(time__waited_for_at_last__runs_from_then),
		fake_scene_test(time__store_is_silent__runs),
		fake_scene_test(time__store_answers__noted_unless_given_up),
		fake_scene_test(time__store_goes_down__runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
