/* Work in the background gives way to programs: in the queue of a store. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "backends/fleet_int.h"
#include "tests/unit/backends/fake.h"

/* --- who asks ------------------------------------------------------------- */

static int enough(void *arg)
{
	return fake_soon(0) > *(uint64_t *)arg;
}

/* A program's read of store 0; patient for 10 s, whatever its deadline is. */
static int program_reads(struct fake_scene *s)
{
	const struct fleet_source source = {.key = "k"};
	uint64_t patience = fake_soon(10000);
	const struct fleet_read r = {
		.sources = &source,
		.n = 1,
		.need = 1,
		.len = 10,
		.deadline_ms = fake_soon(8000),
		.stop = enough,
		.stop_arg = &patience,
	};
	struct fleet_answer answer = {0};
	const int code = fleet_read(s->fleet, &r, &answer, NULL, NULL);

	free(answer.bytes);
	return code;
}

struct asker {
	struct fake_scene *s;
	pthread_t thread;
	bool put;
	unsigned flags;
	unsigned ms; /* 0: 20 s */
	size_t bytes;
	int (*stop)(void *arg);
	uint64_t until_ms; /* for stop */
	int code;
};

static void *asker_main(void *arg)
{
	struct asker *a = arg;
	struct pluri_room room = {calloc(1, a->bytes), a->bytes, 0};
	const uint64_t deadline_ms = fake_soon(a->ms ? a->ms : 20000);

	if (a->put)
		a->code = fleet_put_one(a->s->fleet, 0, "k",
			(struct pluri_span){room.data, a->bytes}, deadline_ms,
			0, NULL);
	else
		a->code = fleet_get(a->s->fleet,
			&(struct fleet_at){.key = "k",
				.deadline_ms = deadline_ms,
				.flags = a->flags,
				.stop = a->stop,
				.stop_arg = a},
			0, &room, NULL, NULL);
	free(room.data);
	return NULL;
}

/* n of them, as a is. */
static void ask(struct asker *a, unsigned n)
{
	const struct asker as = a[0];

	for (unsigned i = 0; i < n; i++) {
		a[i] = as;
		assert_int_equal(
			pthread_create(&a[i].thread, NULL, asker_main, &a[i]),
			0);
	}
}

static void answered(struct asker *a, unsigned n, int code)
{
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(pthread_join(a[i].thread, NULL), 0);
		assert_int_equal(a[i].code, code);
	}
}

/* --- the rules ------------------------------------------------------------ */

static void background__wants_all_places__last_one_is_left(void **state)
{
	struct fake_scene *s = *state;
	struct asker back[8] = {
		{.s = s, .flags = FLEET_BACKGROUND, .bytes = 8}};
	struct asker fore = {.s = s, .bytes = 8};

	fake_hold(&s->b[0], true);
	ask(back, 8);
	fake_await_entered(&s->b[0], 3);
	fake_await_queued(s, 5);
	assert_int_equal(fake_entered(&s->b[0]), 3);
	ask(&fore, 1);
	fake_await_entered(&s->b[0], 4);
	fake_await_queued(s, 5);
	fake_hold(&s->b[0], false);
	answered(back, 8, 0);
	answered(&fore, 1, 0);
}

static void bound(struct fake_scene *s, uint64_t bandwidth)
{
	fleet_limit(
		s->fleet, 0, &(struct fleet_limits){.bandwidth = bandwidth});
}

/* 350 bytes at one a second: the next of them begins six minutes later. */
static void bandwidth__used_up_by_background__read_does_not_wait(void **state)
{
	struct fake_scene *s = *state;
	struct asker back[2] = {
		{.s = s, .flags = FLEET_BACKGROUND, .bytes = 350}};

	bound(s, 1);
	ask(back, 2);
	fake_await_entered(&s->b[0], 1);
	fake_await_queued(s, 1);
	assert_int_equal(program_reads(s), 0);
	assert_int_equal(fake_entered(&s->b[0]), 2);
	fake_await_queued(s, 1);
	bound(s, 0);
	answered(back, 2, 0);
}

struct reader {
	struct fake_scene *s;
	pthread_t thread;
	bool over; /* atomically */
	unsigned reads;
};

static void *reader_main(void *arg)
{
	struct reader *r = arg;

	while (!__atomic_load_n(&r->over, __ATOMIC_ACQUIRE))
		r->reads += program_reads(r->s) == 0;
	return NULL;
}

static int after_a_while(void *arg)
{
	const struct asker *a = arg;

	return fake_soon(0) > a->until_ms;
}

/* Four readers, 10 bytes each at 1000 a second: they would take it all. */
static void bandwidth__reads_without_end__background_has_a_share(void **state)
{
	struct fake_scene *s = *state;
	struct asker back[4] = {{.s = s,
		.flags = FLEET_BACKGROUND,
		.bytes = 8,
		.stop = after_a_while,
		.until_ms = fake_soon(10000)}};
	struct reader r[4];

	bound(s, 1000);
	for (unsigned i = 0; i < 4; i++) {
		r[i] = (struct reader){.s = s};
		assert_int_equal(
			pthread_create(&r[i].thread, NULL, reader_main, &r[i]),
			0);
	}
	fake_await_left(&s->b[0], 30);
	ask(back, 4);
	for (unsigned i = 0; i < 4; i++)
		(void)pthread_join(back[i].thread, NULL);
	for (unsigned i = 0; i < 4; i++) {
		__atomic_store_n(&r[i].over, true, __ATOMIC_RELEASE);
		(void)pthread_join(r[i].thread, NULL);
	}
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(back[i].code, 0);
}

/* Reads, moves and uploads whose time would be over before their turn. */
static void bandwidth__holds_calls_back__their_time_does_not_run(void **state)
{
	struct fake_scene *s = *state;
	struct asker first[2] = {
		{.s = s, .bytes = 350}, {.s = s, .bytes = 350, .put = true}};
	struct asker held[3] = {
		{.s = s, .bytes = 8, .ms = 1000},
		{.s = s, .bytes = 8, .ms = 1000, .flags = FLEET_BACKGROUND},
		{.s = s, .bytes = 8, .ms = 1000, .put = true},
	};

	bound(s, 1);
	for (unsigned i = 0; i < 2; i++) {
		ask(&first[i], 1);
		answered(&first[i], 1, 0);
	}
	for (unsigned i = 0; i < 3; i++)
		ask(&held[i], 1);
	fake_await_queued(s, 3);
	fake_hold(&s->b[1], true);
	assert_int_equal(fake_get(s, 1, 1100, 0, NULL), -ETIMEDOUT);
	fake_hold(&s->b[1], false);
	fake_await_queued(s, 3);
	bound(s, 0);
	for (unsigned i = 0; i < 3; i++)
		answered(&held[i], 1, 0);
	assert_int_equal(s->b[0].overdue, 0);
}

/* Not so when the store is in trouble. */
static void bandwidth__holds_back_from_a_marked_store__time_runs(void **state)
{
	struct fake_scene *s = *state;
	struct asker first = {.s = s, .bytes = 350};
	struct asker held = {.s = s,
		.bytes = 8,
		.ms = 300,
		.stop = after_a_while,
		.until_ms = fake_soon(10000)};

	bound(s, 1);
	ask(&first, 1);
	answered(&first, 1, 0);
	ask(&held, 1);
	fake_await_queued(s, 1);
	fleet_mark(s->fleet, 0, FLEET_FOREIGN, "of another volume");
	answered(&held, 1, -ETIMEDOUT);
}

/* What the watch does; it comes when it likes. */
static void sweep(struct fake_scene *s)
{
	struct fleet_store *store = fleet_store_of(s->fleet, 0);
	struct fleet_op *tell = NULL;

	(void)fleet_queue_sweep(store, &tell);
	assert_null(tell);
	fleet_pool_unref(store);
}

/* A get of 20 s that has waited for its turn as long. */
static void hold_back(struct fake_scene *s, struct asker *held)
{
	struct fleet_store *store = fleet_store_of(s->fleet, 0);
	struct asker first = {.s = s, .bytes = 350};

	*held = (struct asker){.s = s, .bytes = 8};
	bound(s, 1);
	ask(&first, 1);
	answered(&first, 1, 0);
	ask(held, 1);
	fake_await_queued(s, 1);
	(void)pthread_mutex_lock(&store->lock);
	TAILQ_FIRST(&store->queue)->deadline_ms = fake_soon(0);
	(void)pthread_mutex_unlock(&store->lock);
	fleet_pool_unref(store);
	sweep(s);
	fake_await_queued(s, 1);
}

static int del(struct fake_scene *s, unsigned flags)
{
	return fleet_del(s->fleet, 0, "k", fake_soon(10000), flags, NULL);
}

/* Another call is told to come back in half a second. */
static void bandwidth__throttled_meanwhile__held_back_get_lives(void **state)
{
	struct fake_scene *s = *state;
	struct asker held;

	hold_back(s, &held);
	s->b[0].retry_after_ms = 500;
	fake_say(&s->b[0], -EBUSY, 1);
	assert_int_equal(del(s, 0), -EBUSY);
	assert_false(fake_health(s, 0).up);
	sweep(s);
	fake_await_queued(s, 1);
	fake_clock_move(&s->clock, 500);
	bound(s, 0);
	answered(&held, 1, 0);
}

/* What is down has the call's time, from then on, to come back. */
static void bandwidth__down_meanwhile__held_back_get_has_its_time(void **state)
{
	struct fake_scene *s = *state;
	struct asker held;

	hold_back(s, &held);
	fake_say(&s->b[0], -EIO, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(del(s, 0), -EIO);
	assert_false(fake_health(s, 0).up);
	sweep(s);
	fake_await_queued(s, 1);
	assert_int_equal(del(s, FLEET_BARE), 0);
	bound(s, 0);
	answered(&held, 1, 0);
}

static void hurry__holds_a_get_back__its_time_runs(void **state)
{
	struct fake_scene *s = *state;
	struct asker held;

	hold_back(s, &held);
	fleet_hurry(s->fleet);
	answered(&held, 1, -ETIMEDOUT);
}

/* It is an upload's turn, but that may not begin for some minutes. */
static void turns__one_connection_and_bandwidth__reads_go_on(void **state)
{
	const struct fleet_limits limits = {
		.connections = 1, .bandwidth = 1000};
	struct fake_scene *s = *state;
	struct asker put[2] = {{.s = s, .bytes = 350000, .put = true}};

	fleet_limit(s->fleet, 0, &limits);
	ask(put, 2);
	fake_await_entered(&s->b[0], 1);
	fake_await_queued(s, 1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(program_reads(s), 0);
	fake_await_queued(s, 1);
	bound(s, 0);
	answered(put, 2, 0);
}

static void bandwidth__below_the_usual_pace__attempts_have_longer(void **state)
{
	struct fake_scene *s = *state;
	struct fleet_store *store = fleet_store_of(s->fleet, 0);
	const uint64_t usual = fleet_span_ms(s->fleet, store, 5000000);

	bound(s, 1u << 20);
	assert_int_equal(fleet_span_ms(s->fleet, store, 5000000), usual);
	bound(s, 50000);
	assert_int_equal(fleet_span_ms(s->fleet, store, 5000000),
		fleet_span_ms(s->fleet, store, 0) + 100000);
	fleet_pool_unref(store);
}

static int at_once(void *arg)
{
	(void)arg;
	return 1;
}

static void get__told_to_stop__ends_before_its_store_answers(void **state)
{
	struct fake_scene *s = *state;
	const uint64_t start = fake_soon(0);
	struct asker a = {.s = s, .bytes = 8, .stop = at_once};

	fake_hold(&s->b[0], true);
	ask(&a, 1);
	answered(&a, 1, -ECANCELED);
	assert_true(fake_soon(0) < start + 5000);
	fake_hold(&s->b[0], false);
	/* In a pause between two attempts, too */
	fake_say(&s->b[0], -EAGAIN, 0);
	a.flags = FLEET_RETRY;
	ask(&a, 1);
	answered(&a, 1, -ECANCELED);
	assert_true(fake_soon(0) < start + 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_scene_test(background__wants_all_places__last_one_is_left),
		fake_scene_test(
			bandwidth__used_up_by_background__read_does_not_wait),
		fake_scene_test(
			bandwidth__reads_without_end__background_has_a_share),
		fake_scene_test(
			bandwidth__holds_calls_back__their_time_does_not_run),
		fake_scene_test(
			bandwidth__holds_back_from_a_marked_store__time_runs),
		fake_scene_test(
			bandwidth__throttled_meanwhile__held_back_get_lives),
		fake_scene_test(
			bandwidth__down_meanwhile__held_back_get_has_its_time),
		fake_scene_test(hurry__holds_a_get_back__its_time_runs),
		fake_scene_test(
			turns__one_connection_and_bandwidth__reads_go_on),
		fake_scene_test(
			bandwidth__below_the_usual_pace__attempts_have_longer),
		fake_scene_test(
			get__told_to_stop__ends_before_its_store_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
