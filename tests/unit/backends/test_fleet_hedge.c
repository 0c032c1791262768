/* A store that is slow, now and then or for good, must not make reads slow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "backends/fleet_int.h"
#include "tests/unit/backends/fake.h"

#define PATIENCE_MS 500u
#define READERS 8u

/* So many reads, one after the other; each must succeed. */
static void read_many(struct fake_scene *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_in_range(fake_mirror(s->fleet, PATIENCE_MS), 0, 2);
}

static void get_many(struct fake_scene *s, unsigned store, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(fake_get(s, store, 5000, 0, NULL), 0);
}

static unsigned gets_of(struct fake_scene *s, unsigned store)
{
	return (unsigned)fake_health(s, store).gets;
}

/* The first reader waits a few ms for it, the second one not at all. */
static void silent__quick_until_now__next_read_goes_elsewhere(void **state)
{
	struct fake_scene *s = *state;
	unsigned before;
	uint64_t start;

	fake_delay(&s->b[1], 20);
	fake_delay(&s->b[2], 20);
	for (unsigned i = 0; i < FAKE_STORES; i++)
		get_many(s, i, 8);
	s->b[0].heeds = false;
	fake_hold(&s->b[0], true);
	before = fake_entered(&s->b[0]);
	start = fake_soon(0);
	assert_in_range(fake_mirror(s->fleet, 4000), 1, 2);
	assert_true(fake_soon(0) < start + 3000);
	assert_int_equal(fake_entered(&s->b[0]), before + 1);
	assert_in_range(fake_mirror(s->fleet, 4000), 1, 2);
	assert_int_equal(fake_entered(&s->b[0]), before + 1);
}

static void silent__local_disk_hangs__no_longer_first(void **state)
{
	struct fake_scene *s = *state;
	struct pluri_backend b;

	fleet_remove(s->fleet, 2);
	fake_init(&b);
	b.caps = PLURI_CAP_LOCAL;
	assert_int_equal(
		fleet_add(s->fleet, 2, "disk", &fake_ops, &b, NULL), 0);
	for (unsigned i = 0; i < FAKE_STORES; i++)
		get_many(s, i, 8);
	assert_int_equal(fake_mirror(s->fleet, PATIENCE_MS), 2);
	fake_hold(&b, true);
	for (unsigned i = 0; i < 3; i++)
		assert_in_range(fake_mirror(s->fleet, PATIENCE_MS), 0, 1);
	assert_int_equal(fake_entered(&b), 10);
	fake_hold(&b, false);
	fleet_remove(s->fleet, 2);
}

/* Its p95 is the slow answers' own; they must be few all the same. */
static void slow_tenth__one_of_three_stores__hardly_asked(void **state)
{
	struct fake_scene *s = *state;

	for (unsigned i = 0; i < FAKE_STORES; i++)
		fake_delay(&s->b[i], 2);
	s->b[0].slow_every = 10;
	s->b[0].slow_ms = 100;
	read_many(s, 300);
	assert_in_range(gets_of(s, 0), 1, 75);
}

/* Every store is slow in every third answer: more would be asked than may. */
static void slow_all__budget__one_more_in_twenty(void **state)
{
	struct fake_scene *s = *state;
	uint64_t hedges = 0;
	uint64_t gets = 0;

	for (unsigned i = 0; i < FAKE_STORES; i++) {
		get_many(s, i, 8);
		s->b[i].slow_every = 3;
		s->b[i].slow_ms = 25;
	}
	read_many(s, 120);
	for (unsigned i = 0; i < FAKE_STORES; i++) {
		hedges += fake_health(s, i).hedges;
		gets += fake_health(s, i).gets;
	}
	assert_in_range(hedges, 5, 10 + 120 / 20);
	assert_in_range(gets, 120 + 24, 120 + 24 + 10 + 120 / 20);
}

/* --- a black hole --------------------------------------------------------- */

struct reader {
	struct fake_scene *s;
	pthread_t thread;
	uint64_t longest_ms;
	unsigned before, after; /* reads */
	bool *hole; /* atomically */
};

/* Read until enough was read after it opened. */
static void *reader_main(void *arg)
{
	struct reader *r = arg;

	while (r->after < 20) {
		const bool hole = __atomic_load_n(r->hole, __ATOMIC_ACQUIRE);
		const uint64_t start = fake_soon(0);
		uint64_t ms;

		if (fake_mirror(r->s->fleet, PATIENCE_MS) < 0)
			return arg;
		ms = fake_soon(0) - start;
		r->longest_ms = ms > r->longest_ms ? ms : r->longest_ms;
		r->after += hole;
		(void)__atomic_add_fetch(&r->before, !hole, __ATOMIC_ACQ_REL);
	}
	return NULL;
}

/* Attempts may take long, so that only asking another one helps. */
static void patient(struct fake_scene *s)
{
	const struct fleet_options o = {
		.timeout_ms = 6000, .clock = &s->clock.clock};

	fleet_free(s->fleet);
	assert_int_equal(fleet_new(&o, &s->fleet, NULL), 0);
	for (unsigned i = 0; i < FAKE_STORES; i++) {
		s->b[i].closed = 0;
		fake_delay(&s->b[i], 2);
		assert_int_equal(fleet_add(s->fleet, i, "patient", &fake_ops,
					 &s->b[i], NULL),
			0);
	}
}

static void hole__amid_reads_of_many__none_waits_for_it(void **state)
{
	struct fake_scene *s = *state;
	struct reader readers[READERS];
	bool hole = false;
	unsigned asked;

	patient(s);
	for (unsigned i = 0; i < READERS; i++) {
		readers[i] = (struct reader){.s = s, .hole = &hole};
		assert_int_equal(pthread_create(&readers[i].thread, NULL,
					 reader_main, &readers[i]),
			0);
	}
	for (unsigned i = 0; i < READERS; i++)
		while (__atomic_load_n(&readers[i].before, __ATOMIC_ACQUIRE) <
			10)
			(void)sched_yield();
	fake_hold(&s->b[0], true);
	asked = fake_entered(&s->b[0]);
	__atomic_store_n(&hole, true, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < READERS; i++) {
		void *failed;

		assert_int_equal(pthread_join(readers[i].thread, &failed), 0);
		assert_null(failed);
		assert_true(readers[i].longest_ms < 2000);
	}
	/* Of 160 reads behind it few fell into it */
	assert_in_range(fake_entered(&s->b[0]) - asked, 0, 40);
	assert_true(fake_health(s, 0).up); /* no deadline has passed yet */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_scene_test(
			silent__quick_until_now__next_read_goes_elsewhere),
		fake_scene_test(silent__local_disk_hangs__no_longer_first),
		fake_scene_test(slow_tenth__one_of_three_stores__hardly_asked),
		fake_scene_test(slow_all__budget__one_more_in_twenty),
		fake_scene_test(hole__amid_reads_of_many__none_waits_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
