/* Who gets how much: reads among stores, calls within one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "backends/fleet_int.h"
#include "tests/unit/backends/fake.h"

#define PATIENCE_MS 500u

static unsigned gets_of(struct fake_scene *s, unsigned store)
{
	return (unsigned)fake_health(s, store).gets;
}

static bool within(unsigned n, unsigned from, unsigned to)
{
	return from <= n && n <= to;
}

/*
 * What is measured are real milliseconds, and a machine that is busy with other
 * things blurs them: then another attempt tells. What is wrong is wrong in
 * each.
 */
#define ATTEMPTS 6u

static void in_one_attempt(bool (*holds)(struct fake_scene *s))
{
	bool good = false;

	for (unsigned i = 0; i < ATTEMPTS && !good; i++) {
		void *scene = NULL;

		(void)fake_scene_new(&scene);
		good = holds(scene);
		(void)fake_scene_free(&scene);
	}
	assert_true(good);
}

/* --- nearest first -------------------------------------------------------- */

/* How many of n reads store 0, 1 or 2 answered. */
static unsigned answered_by(struct fake_scene *s, unsigned store, unsigned n)
{
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++)
		count += fake_mirror(s->fleet, PATIENCE_MS) == (int)store;
	return count;
}

static bool nearly_all(struct fake_scene *s)
{
	fake_delay(&s->b[0], 60);
	fake_delay(&s->b[1], 20);
	fake_delay(&s->b[2], 2);
	(void)answered_by(s, 2, 3);
	return within(answered_by(s, 2, 100), 95, 100) &&
	       within(gets_of(s, 0) + gets_of(s, 1), 2, 10);
}

static void nearest__three_distances__nearly_all_reads(void **state)
{
	(void)state;
	in_one_attempt(nearly_all);
}

static bool swap(struct fake_scene *s)
{
	bool near;

	fake_delay(&s->b[0], 60);
	fake_delay(&s->b[1], 20);
	fake_delay(&s->b[2], 2);
	near = within(answered_by(s, 2, 200), 180, 200);
	fake_delay(&s->b[0], 2);
	fake_delay(&s->b[2], 60);
	return near;
}

static bool found_by_samples(struct fake_scene *s)
{
	if (!swap(s))
		return false;
	for (unsigned i = 0; i < 11; i++) {
		fake_clock_move(&s->clock, 5100);
		(void)answered_by(s, 0, 12);
	}
	return within(answered_by(s, 0, 100), 95, 100);
}

/* The near one becomes far, and the other way round: reads take samples. */
static void nearest__distances_swapped__found_within_a_minute(void **state)
{
	(void)state;
	in_one_attempt(found_by_samples);
}

static bool found_by_greetings(struct fake_scene *s)
{
	if (!swap(s))
		return false;
	for (unsigned i = 0; i < 2; i++) {
		fake_clock_move(&s->clock, 29000);
		for (unsigned store = 0; store < FAKE_STORES; store++)
			assert_int_equal(
				fake_get(s, store, 5000, FLEET_BARE, NULL), 0);
	}
	return within(answered_by(s, 0, 40), 38, 40);
}

/* With few reads nothing may be asked in addition, but stores are greeted. */
static void nearest__swapped_and_few_reads__two_greetings_do(void **state)
{
	(void)state;
	in_one_attempt(found_by_greetings);
}

/* --- equals share --------------------------------------------------------- */

struct reader {
	struct fake_scene *s;
	pthread_t thread;
	unsigned reads;
};

static void *reader_main(void *arg)
{
	struct reader *r = arg;

	for (unsigned i = 0; i < r->reads; i++)
		if (fake_mirror(r->s->fleet, PATIENCE_MS) < 0)
			return arg;
	return NULL;
}

static void read_at_once(struct fake_scene *s, unsigned readers, unsigned reads)
{
	struct reader r[16];
	unsigned failures = 0;

	for (unsigned i = 0; i < readers; i++) {
		r[i] = (struct reader){.s = s, .reads = reads};
		assert_int_equal(
			pthread_create(&r[i].thread, NULL, reader_main, &r[i]),
			0);
	}
	for (unsigned i = 0; i < readers; i++) {
		void *failed = NULL;

		(void)pthread_join(r[i].thread, &failed);
		failures += failed != NULL;
	}
	assert_int_equal(failures, 0);
}

static bool fair_parts(struct fake_scene *s)
{
	bool fair = true;

	for (unsigned i = 0; i < FAKE_STORES; i++)
		fake_delay(&s->b[i], 10);
	read_at_once(s, 12, 25);
	/* One may look slow by chance: not two */
	for (unsigned i = 0; i < FAKE_STORES; i++)
		fair = fair && within(gets_of(s, i), 1, 220);
	return fair;
}

static void equal__many_readers__each_a_fair_part(void **state)
{
	(void)state;
	in_one_attempt(fair_parts);
}

static bool throttled_is_avoided(struct fake_scene *s)
{
	for (unsigned i = 0; i < FAKE_STORES; i++) {
		fake_delay(&s->b[i], 10);
		assert_int_equal(fake_get(s, i, 5000, 0, NULL), 0);
	}
	fake_say(&s->b[1], -EBUSY, 2);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(fake_get(s, 1, 5000, 0, NULL), -EBUSY);
	assert_int_equal(fake_health(s, 1).window, 1);
	assert_int_equal(fake_health(s, 0).window, 4);
	fake_say(&s->b[1], -EBUSY, 0);
	read_at_once(s, 8, 25);
	return within(gets_of(s, 1), 3, 5) &&
	       gets_of(s, 0) + gets_of(s, 2) >= 200;
}

/* Sampled now and then, it has its part again when it is well. */
static bool throttled_for_a_while(struct fake_scene *s)
{
	unsigned before;

	if (!throttled_is_avoided(s))
		return false;
	fake_say(&s->b[1], 0, 0);
	fake_clock_move(&s->clock, 3200);
	for (unsigned i = 0; i < 12; i++)
		assert_int_equal(fake_get(s, 1, 5000, 0, NULL), 0);
	if (!within(fake_health(s, 1).window, 3, 4))
		return false;
	before = gets_of(s, 1);
	read_at_once(s, 8, 25);
	return within(gets_of(s, 1) - before, 15, 140);
}

static void throttled__one_of_three__asked_less_until_it_is_well(void **state)
{
	(void)state;
	in_one_attempt(throttled_for_a_while);
}

/* --- within one store ----------------------------------------------------- */

struct put {
	struct fleet_put put;
	unsigned *left; /* atomically */
};

static int put_read(
	void *arg, uint64_t off, void *to, size_t len, struct pluri_err *err)
{
	(void)arg;
	(void)off;
	(void)err;
	memset(to, 1, len);
	return 0;
}

static void put_done(struct fleet_put *f, int code, const struct pluri_err *e)
{
	struct put *p = f->arg;

	(void)code;
	(void)e;
	(void)__atomic_sub_fetch(p->left, 1, __ATOMIC_ACQ_REL);
}

static void put_start(
	struct fake_scene *s, struct put *p, unsigned n, unsigned *left)
{
	(void)__atomic_add_fetch(left, n, __ATOMIC_ACQ_REL);
	for (unsigned i = 0; i < n; i++) {
		p[i] = (struct put){.left = left};
		p[i].put = (struct fleet_put){
			.key = "k",
			.body = {.size = 16, .read = put_read},
			.done = put_done,
			.arg = &p[i],
		};
		fleet_put(s->fleet, &p[i].put);
	}
}

static void await_none(unsigned *left)
{
	while (__atomic_load_n(left, __ATOMIC_ACQUIRE) > 0)
		(void)sched_yield();
}

static void *get_main(void *arg)
{
	return fake_get(arg, 0, 10000, 0, NULL) == 0 ? NULL : arg;
}

static void get_start(struct fake_scene *s, pthread_t *t, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(pthread_create(&t[i], NULL, get_main, s), 0);
}

static void get_end(pthread_t *t, unsigned n)
{
	unsigned failures = 0;

	for (unsigned i = 0; i < n; i++) {
		void *failed = NULL;

		(void)pthread_join(t[i], &failed);
		failures += failed != NULL;
	}
	assert_int_equal(failures, 0);
}

static void puts__all_places_wanted__one_kept_for_a_get(void **state)
{
	struct fake_scene *s = *state;
	struct put p[8];
	unsigned left = 0;
	pthread_t t;

	fake_hold(&s->b[0], true);
	put_start(s, p, 8, &left);
	fake_await_entered(&s->b[0], 3);
	fake_await_queued(s, 5);
	get_start(s, &t, 1);
	fake_await_entered(&s->b[0], 4);
	assert_string_equal(s->b[0].trace, "pppg");
	fake_hold(&s->b[0], false);
	get_end(&t, 1);
	await_none(&left);
}

static void get__behind_queued_puts__overtakes_them(void **state)
{
	struct fake_scene *s = *state;
	struct pluri_backend b;
	struct put p[3];
	unsigned left = 0;
	pthread_t t;

	fleet_remove(s->fleet, 0);
	fake_init(&b);
	b.concurrency = 1;
	assert_int_equal(fleet_add(s->fleet, 0, "one", &fake_ops, &b, NULL), 0);
	fake_hold(&b, true);
	put_start(s, p, 3, &left);
	fake_await_entered(&b, 1);
	get_start(s, &t, 1);
	fake_await_queued(s, 3);
	fake_hold(&b, false);
	get_end(&t, 1);
	await_none(&left);
	assert_string_equal(b.trace, "pgpp");
	fleet_remove(s->fleet, 0);
}

static void put__behind_queued_gets__does_not_starve(void **state)
{
	struct fake_scene *s = *state;
	unsigned left = 0;
	pthread_t t[24];
	struct put p;

	fake_delay(&s->b[0], 3);
	fake_hold(&s->b[0], true);
	get_start(s, t, 24);
	fake_await_entered(&s->b[0], 4);
	fake_await_queued(s, 20);
	put_start(s, &p, 1, &left);
	fake_await_queued(s, 21);
	fake_hold(&s->b[0], false);
	get_end(t, 24);
	await_none(&left);
	/* It had the first place that became free */
	assert_non_null(memchr(s->b[0].trace, 'p', 16));
}

/* Reads that never end would hold uploads up for ever. */
static void turns__one_connection__one_of_each(void **state)
{
	struct fake_scene *s = *state;
	unsigned left = 0;
	struct put p[3];
	pthread_t t[4];

	fleet_limit(s->fleet, 0, &(struct fleet_limits){.connections = 1});
	fake_hold(&s->b[0], true);
	get_start(s, t, 1);
	fake_await_entered(&s->b[0], 1);
	put_start(s, p, 3, &left);
	get_start(s, t + 1, 3);
	fake_await_queued(s, 6);
	fake_hold(&s->b[0], false);
	get_end(t, 4);
	await_none(&left);
	assert_string_equal(s->b[0].trace, "gpgpgpg");
}

static void limit__two_connections__no_more_at_once(void **state)
{
	struct fake_scene *s = *state;
	pthread_t t[8];

	fleet_limit(s->fleet, 0, &(struct fleet_limits){.connections = 2});
	fleet_limit(s->fleet, 9, &(struct fleet_limits){.connections = 2});
	assert_int_equal(fake_health(s, 0).window, 2);
	fake_hold(&s->b[0], true);
	get_start(s, t, 8);
	fake_await_entered(&s->b[0], 2);
	fake_await_queued(s, 6);
	assert_int_equal(fake_entered(&s->b[0]), 2);
	fake_hold(&s->b[0], false);
	get_end(t, 8);
}

/* 8 bytes each at 200 a second: 40 ms between two of them. */
static void limit__bandwidth__calls_take_turns(void **state)
{
	struct fake_scene *s = *state;
	const uint64_t start = fake_soon(0);
	pthread_t t[10];

	fleet_limit(s->fleet, 0, &(struct fleet_limits){.bandwidth = 200});
	get_start(s, t, 10);
	get_end(t, 10);
	/* Nine turns, less what may be made up for */
	assert_true(fake_soon(0) - start >= 9 * 40 - 110);
	assert_int_equal(fake_get(s, 1, 5000, 0, NULL), 0);
}

static void window__times_out__halved(void **state)
{
	struct fake_scene *s = *state;

	fake_hold(&s->b[0], true);
	while (fake_entered(&s->b[0]) == 0) /* else it timed out in the queue */
		assert_int_equal(fake_get(s, 0, 20, 0, NULL), -ETIMEDOUT);
	assert_int_equal(fake_health(s, 0).window, 2);
	fake_hold(&s->b[0], false);
}

static void health__answers__quantiles(void **state)
{
	struct fake_scene *s = *state;
	const struct pluri_span body = {"0123456789abcdef", 16};
	struct fleet_health h;

	fake_delay(&s->b[0], 3);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(fake_get(s, 0, 5000, 0, NULL), 0);
		assert_int_equal(fleet_put_one(s->fleet, 0, "k", body,
					 fake_soon(5000), 0, NULL),
			0);
	}
	h = fake_health(s, 0);
	assert_true(h.get_p50_us >= 2000 && h.get_p95_us >= h.get_p50_us);
	assert_true(h.put_p50_us >= 2000 && h.put_p99_us >= h.put_p95_us);
	assert_int_equal(fake_health(s, 1).get_p50_us, 0);
	fake_clock_move(&s->clock, 90000);
	assert_int_equal(fake_health(s, 0).put_p95_us, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nearest__three_distances__nearly_all_reads),
		cmocka_unit_test(
			nearest__distances_swapped__found_within_a_minute),
		cmocka_unit_test(
			nearest__swapped_and_few_reads__two_greetings_do),
		cmocka_unit_test(equal__many_readers__each_a_fair_part),
		cmocka_unit_test(
			throttled__one_of_three__asked_less_until_it_is_well),
		fake_scene_test(puts__all_places_wanted__one_kept_for_a_get),
		fake_scene_test(get__behind_queued_puts__overtakes_them),
		fake_scene_test(put__behind_queued_gets__does_not_starve),
		fake_scene_test(turns__one_connection__one_of_each),
		fake_scene_test(limit__two_connections__no_more_at_once),
		fake_scene_test(limit__bandwidth__calls_take_turns),
		fake_scene_test(window__times_out__halved),
		fake_scene_test(health__answers__quantiles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
