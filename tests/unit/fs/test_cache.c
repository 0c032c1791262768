/* The frame cache: one load each, bounded, pinned bytes stay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fs/cache.h"

#define THREADS 16u
#define FRAMES 64u
#define BYTES 1000u

static uint8_t value(uint64_t chunk, uint32_t frame)
{
	return (uint8_t)(chunk * 31 + frame * 7);
}

static void load(struct cache *c, struct cache_frame *f, uint8_t v)
{
	memset(cache_room(f), v, BYTES);
	cache_ready(c, f, BYTES);
}

/* Pin, load if need be, look, let go. True: this call loaded it. */
static bool use(struct cache *c, uint64_t chunk, uint32_t frame)
{
	struct cache_frame *f = NULL;
	const uint8_t *bytes;
	uint32_t len = 0;
	bool owner = false;

	assert_int_equal(cache_pin(c, chunk, frame, BYTES, &f, &owner), 0);
	if (owner)
		load(c, f, value(chunk, frame));
	assert_int_equal(cache_wait(c, f, NULL, NULL, NULL), 0);
	bytes = cache_bytes(f, &len);
	assert_int_equal(len, BYTES);
	assert_int_equal(bytes[0], value(chunk, frame));
	assert_int_equal(bytes[BYTES - 1], value(chunk, frame));
	cache_unpin(c, f);
	return owner;
}

static void pin__second_time__loaded_once(void **state)
{
	pluri_auto(cache) c = NULL;
	struct cache_stats s;

	(void)state;
	assert_int_equal(cache_new(1u << 20, &c, NULL), 0);
	assert_true(use(c, 1, 0));
	assert_false(use(c, 1, 0));
	assert_true(use(c, 1, 1));
	assert_true(use(c, 2, 0));
	cache_stats(c, &s);
	assert_int_equal(s.misses, 3);
	assert_int_equal(s.hits, 1);
}

struct crowd {
	struct cache *c;
	pthread_barrier_t start;
	_Atomic unsigned loads, waiting;
	bool fails;
	_Atomic unsigned failed;
};

static void *join_in(void *arg)
{
	struct crowd *w = arg;
	struct cache_frame *f = NULL;
	struct pluri_err err = {0};
	bool owner = false;
	int r;

	(void)pthread_barrier_wait(&w->start);
	if (cache_pin(w->c, 9, 3, BYTES, &f, &owner) < 0)
		abort();
	(void)atomic_fetch_add(&w->waiting, 1);
	if (owner) {
		(void)atomic_fetch_add(&w->loads, 1);
		/* all the others have their pin before it is there */
		while (atomic_load(&w->waiting) < THREADS)
			(void)sched_yield();
		(void)pluri_fail(&err, ENOSPC, "on purpose");
		if (w->fails)
			cache_failed(w->c, f, &err);
		else
			load(w->c, f, 77);
	}
	memset(&err, 0, sizeof(err));
	r = cache_wait(w->c, f, NULL, NULL, &err);
	if (r == -ENOSPC && strcmp(err.text, "on purpose") == 0)
		(void)atomic_fetch_add(&w->failed, 1);
	cache_unpin(w->c, f);
	return NULL;
}

static void crowd_run(struct crowd *w)
{
	pthread_t t[THREADS];

	assert_int_equal(cache_new(1u << 20, &w->c, NULL), 0);
	(void)pthread_barrier_init(&w->start, NULL, THREADS);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, join_in, w), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	(void)pthread_barrier_destroy(&w->start);
}

static void pin__many_at_once__one_loads(void **state)
{
	struct crowd w = {.fails = false};

	(void)state;
	crowd_run(&w);
	assert_int_equal(w.loads, 1);
	assert_int_equal(w.failed, 0);
	cache_free(w.c);
}

static void load__fails_before_a_crowd__all_told_and_tried_again(void **state)
{
	struct crowd w = {.fails = true};
	struct cache_stats s;

	(void)state;
	crowd_run(&w);
	assert_int_equal(w.loads, 1);
	assert_int_equal(w.failed, THREADS);
	cache_stats(w.c, &s);
	assert_int_equal(s.bytes, 0);
	assert_true(use(w.c, 9, 3));
	cache_free(w.c);
}

static void cache__many_frames__bound_kept_and_oldest_goes(void **state)
{
	pluri_auto(cache) c = NULL;
	struct cache_stats s;

	(void)state;
	assert_int_equal(cache_new(20 * BYTES, &c, NULL), 0);
	for (uint32_t i = 0; i < FRAMES; i++) {
		(void)use(c, 1, i);
		assert_int_equal(use(c, 2, 0), i == 0); /* always in use */
		cache_stats(c, &s);
		assert_true(s.bytes <= 20 * BYTES);
	}
	assert_false(use(c, 1, FRAMES - 1));
	assert_true(use(c, 1, 0));
}

static void cache__all_pinned__stay_until_let_go(void **state)
{
	struct cache_frame *f[FRAMES];
	pluri_auto(cache) c = NULL;
	struct cache_stats s;
	bool owner = false;

	(void)state;
	assert_int_equal(cache_new(4 * BYTES, &c, NULL), 0);
	for (uint32_t i = 0; i < FRAMES; i++) {
		assert_int_equal(cache_pin(c, 5, i, BYTES, &f[i], &owner), 0);
		assert_true(owner);
		load(c, f[i], value(5, i));
	}
	cache_drop_all(c);
	for (uint32_t i = 0; i < FRAMES; i++) {
		uint32_t len = 0;

		assert_int_equal(cache_bytes(f[i], &len)[7], value(5, i));
		assert_false(use(c, 5, i));
		cache_unpin(c, f[i]);
	}
	cache_stats(c, &s);
	assert_true(s.bytes <= 4 * BYTES);
	cache_drop_all(c);
	cache_stats(c, &s);
	assert_int_equal(s.bytes, 0);
}

static void *hammer(void *arg)
{
	struct crowd *w = arg;
	uint32_t x = (uint32_t)(uintptr_t)&x;

	(void)pthread_barrier_wait(&w->start);
	for (unsigned i = 0; i < 5000; i++) {
		struct cache_frame *f = NULL;
		struct pluri_err err = {.code = EIO};
		bool owner = false;
		uint32_t len = 0;

		x = x * 1664525u + 1013904223u;
		if (cache_pin(w->c, x >> 30, x >> 24 & 15, BYTES, &f, &owner))
			abort();
		if (owner && (x >> 16 & 7) == 0)
			cache_failed(w->c, f, &err);
		else if (owner)
			load(w->c, f, value(x >> 30, x >> 24 & 15));
		if (cache_wait(w->c, f, NULL, NULL, NULL) == 0 &&
			cache_bytes(f, &len)[5] != value(x >> 30, x >> 24 & 15))
			abort();
		cache_unpin(w->c, f);
	}
	return NULL;
}

static void cache__hammered_with_little_room__right_and_empty(void **state)
{
	struct crowd w = {.fails = false};
	struct cache_stats s;
	pthread_t t[8];

	(void)state;
	assert_int_equal(cache_new(10 * BYTES, &w.c, NULL), 0);
	(void)pthread_barrier_init(&w.start, NULL, 8);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&t[i], NULL, hammer, &w), 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	(void)pthread_barrier_destroy(&w.start);
	cache_stats(w.c, &s);
	assert_true(s.bytes <= 10 * BYTES);
	cache_free(w.c);
}

static int say_stop(void *arg)
{
	unsigned *asked = arg;

	return ++*asked == 2;
}

static void wait__stopped_or_loader_gives_up__nothing_known(void **state)
{
	struct cache_frame *f = NULL;
	struct pluri_err err = {0};
	unsigned asked = 0;
	struct cache *c;
	bool owner;

	(void)state;
	assert_int_equal(cache_new(1u << 20, &c, NULL), 0);
	assert_int_equal(cache_pin(c, 1, 0, BYTES, &f, &owner), 0);
	assert_true(owner);
	assert_int_equal(cache_wait(c, f, say_stop, &asked, &err), -ECANCELED);
	assert_int_equal(err.code, ECANCELED);
	assert_int_equal(asked, 2);
	(void)pluri_fail(&err, ECANCELED, "had enough");
	cache_failed(c, f, &err);
	assert_int_equal(cache_wait(c, f, NULL, NULL, &err), -EAGAIN);
	assert_int_equal(err.code, EAGAIN);
	cache_unpin(c, f);
	assert_int_equal(cache_pin(c, 1, 0, BYTES, &f, &owner), 0);
	assert_true(owner);
	load(c, f, 5);
	assert_int_equal(cache_wait(c, f, say_stop, &asked, NULL), 0);
	assert_int_equal(asked, 2);
	cache_unpin(c, f);
	cache_free(c);
}

/* --- scans ---------------------------------------------------------------- */

/* Bring it unasked; true: this call did. */
static bool bring(struct cache *c, uint64_t chunk, uint32_t frame)
{
	struct cache_frame *f = NULL;
	const int r = cache_claim(c, chunk, frame, BYTES, NULL, true, &f);

	if (r > 0) {
		load(c, f, value(chunk, frame));
		cache_unpin(c, f);
	}
	return r > 0;
}

/* A stream, each frame in two requests with another stream's in between. */
static void scan(struct cache *c, uint64_t chunk, unsigned n)
{
	for (uint32_t i = 0; i < n; i++) {
		(void)bring(c, chunk, i + 3);
		(void)use(c, chunk, i);
		(void)use(c, chunk + 1, i);
		(void)use(c, chunk, i);
		(void)use(c, chunk + 1, i);
	}
}

static void scan__of_many_times_the_room__hot_ones_stay(void **state)
{
	const uint64_t room = 100 * 2 * BYTES;
	pluri_auto(cache) c = NULL;
	unsigned lost = 0;

	(void)state;
	assert_int_equal(cache_new(room, &c, NULL), 0);
	for (unsigned round = 0; round < 10; round++)
		for (uint32_t i = 0; i < 20; i++)
			(void)use(c, 1, i);
	scan(c, 100, 2000);
	for (uint32_t i = 0; i < 20; i++)
		lost += use(c, 1, i);
	assert_int_equal(lost, 0);
}

/* All that is hot has had its time when other things are. */
static void hot__others_take_its_place__the_bound_is_kept(void **state)
{
	pluri_auto(cache) c = NULL;
	struct cache_stats s;
	unsigned lost = 0;

	(void)state;
	assert_int_equal(cache_new(100 * 2 * BYTES, &c, NULL), 0);
	for (uint64_t set = 1; set <= 20; set++)
		for (unsigned round = 0; round < 12; round++)
			for (uint32_t i = 0; i < 20; i++)
				(void)use(c, set, i);
	for (uint32_t i = 0; i < 20; i++)
		lost += use(c, 20, i);
	assert_int_equal(lost, 0);
	assert_true(use(c, 1, 0));
	cache_stats(c, &s);
	assert_true(s.bytes <= 100 * 2 * BYTES);
}

static void ahead__brought_in_vain__goes_and_no_hot_one_does(void **state)
{
	pluri_auto(cache) c = NULL;
	struct cache_stats s;
	unsigned lost = 0;

	(void)state;
	assert_int_equal(cache_new(100 * 2 * BYTES, &c, NULL), 0);
	for (unsigned round = 0; round < 10; round++)
		for (uint32_t i = 0; i < 20; i++)
			(void)use(c, 1, i);
	for (uint32_t i = 0; i < 5000; i++)
		assert_true(bring(c, 7, i));
	cache_stats(c, &s);
	assert_true(s.ahead > 0 && s.ahead <= 60 * 2 * BYTES * 2);
	assert_int_equal(s.used, 0);
	for (uint32_t i = 0; i < 20; i++)
		lost += use(c, 1, i);
	assert_int_equal(lost, 0);
	assert_false(use(c, 7, 4999)); /* the last ones are there */
	cache_stats(c, &s);
	assert_int_equal(s.used, BYTES);
	/* and what is old, as much having passed as there is room, goes first
	 * though it is little */
	for (uint32_t i = 0; i < 400; i++)
		(void)use(c, 9, i);
	cache_stats(c, &s);
	assert_int_equal(s.ahead, 0);
}

/* What is next stays; what has been passed goes. */
static void ahead__little_room__taken_from_what_was_passed(void **state)
{
	pluri_auto(cache) c = NULL;

	(void)state;
	assert_int_equal(cache_new(40 * 2 * BYTES, &c, NULL), 0);
	for (uint32_t i = 0; i < 200; i++) {
		for (uint32_t ahead = i; ahead < i + 12; ahead++)
			(void)bring(c, 3, ahead);
		assert_false(use(c, 3, i));
	}
	assert_true(use(c, 3, 100));
}

static void claim__there_or_under_way__not_pinned(void **state)
{
	struct cache_frame *f = NULL;
	struct cache_frame *g = NULL;
	struct cache *c;

	(void)state;
	assert_int_equal(cache_new(1u << 20, &c, NULL), 0);
	assert_int_equal(cache_claim(c, 1, 0, BYTES, NULL, false, &f), 1);
	assert_int_equal(cache_claim(c, 1, 0, BYTES, NULL, false, &g), 0);
	assert_null(g);
	load(c, f, value(1, 0));
	cache_unpin(c, f);
	assert_int_equal(cache_claim(c, 1, 0, BYTES, NULL, false, &g), 0);
	assert_false(use(c, 1, 0));
	cache_free(c);
}

/* Only while it is under way. */
static void claim__pinned_meanwhile__its_loader_is_told(void **state)
{
	struct cache_frame *f = NULL;
	struct cache_frame *g = NULL;
	bool owner = true;
	struct wish wish;
	struct cache *c;

	(void)state;
	wish_init(&wish);
	assert_int_equal(cache_new(1u << 20, &c, NULL), 0);
	assert_int_equal(cache_claim(c, 1, 0, BYTES, &wish, false, &f), 1);
	assert_int_equal(cache_claim(c, 1, 0, BYTES, NULL, false, &g), 0);
	load(c, f, value(1, 0));
	assert_false(use(c, 1, 0));
	cache_unpin(c, f);
	assert_false(wish_told(&wish));
	assert_int_equal(cache_claim(c, 1, 1, BYTES, &wish, false, &f), 1);
	assert_int_equal(cache_pin(c, 1, 1, BYTES, &g, &owner), 0);
	assert_false(owner);
	assert_true(wish_told(&wish));
	load(c, f, value(1, 1));
	cache_unpin(c, f);
	cache_unpin(c, g);
	cache_free(c);
	wish_fini(&wish);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(claim__pinned_meanwhile__its_loader_is_told),
		cmocka_unit_test(
			wait__stopped_or_loader_gives_up__nothing_known),
		cmocka_unit_test(pin__second_time__loaded_once),
		cmocka_unit_test(pin__many_at_once__one_loads),
		cmocka_unit_test(
			load__fails_before_a_crowd__all_told_and_tried_again),
		cmocka_unit_test(
			cache__many_frames__bound_kept_and_oldest_goes),
		cmocka_unit_test(cache__all_pinned__stay_until_let_go),
		cmocka_unit_test(
			cache__hammered_with_little_room__right_and_empty),
		cmocka_unit_test(scan__of_many_times_the_room__hot_ones_stay),
		cmocka_unit_test(hot__others_take_its_place__the_bound_is_kept),
		cmocka_unit_test(
			ahead__brought_in_vain__goes_and_no_hot_one_does),
		cmocka_unit_test(
			ahead__little_room__taken_from_what_was_passed),
		cmocka_unit_test(claim__there_or_under_way__not_pinned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
