#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/crew.h"

#define ITEMS 1000u

struct board {
	atomic_uint runs[ITEMS];
	pthread_mutex_t lock;
	pthread_cond_t moved;
	unsigned inside; /* at once, now */
	unsigned gate; /* all wait until so many are */
};

static void board_open(struct board *b, unsigned gate)
{
	*b = (struct board){.lock = PTHREAD_MUTEX_INITIALIZER,
		.moved = PTHREAD_COND_INITIALIZER,
		.gate = gate};
}

static void board_count(void *arg, unsigned i)
{
	struct board *b = arg;

	(void)atomic_fetch_add(&b->runs[i], 1);
}

static void board_meet(void *arg, unsigned i)
{
	struct board *b = arg;

	(void)pthread_mutex_lock(&b->lock);
	b->inside++;
	(void)pthread_cond_broadcast(&b->moved);
	while (b->inside < b->gate)
		(void)pthread_cond_wait(&b->moved, &b->lock);
	(void)pthread_mutex_unlock(&b->lock);
	board_count(b, i);
}

static void each__some_threads__every_index_once(void **state)
{
	static const unsigned threads[] = {0, 1, 3, CREW_MAX};
	static const unsigned counts[] = {0, 1, 2, 7, ITEMS};

	(void)state;
	for (unsigned t = 0; t < 4; t++) {
		pluri_auto(crew) c = NULL;

		assert_int_equal(crew_new(threads[t], "test", &c, NULL), 0);
		for (unsigned n = 0; n < 5; n++) {
			struct board b;

			board_open(&b, 0);
			crew_each(c, counts[n], board_count, &b);
			for (unsigned i = 0; i < ITEMS; i++)
				assert_int_equal(
					b.runs[i], i < counts[n] ? 1 : 0);
		}
	}
}

/* Three of the crew and the caller; fewer would wait for ever. */
static void each__items_that_meet__all_run_at_once(void **state)
{
	pluri_auto(crew) c = NULL;
	struct board b;

	(void)state;
	assert_int_equal(crew_new(3, "test", &c, NULL), 0);
	for (unsigned n = 0; n < 50; n++) {
		board_open(&b, 4);
		crew_each(c, 4, board_meet, &b);
		assert_int_equal(b.inside, 4);
	}
}

struct nest {
	struct crew *crew;
	struct board outer;
	struct board inner[20];
};

static void nest_one(void *arg, unsigned i)
{
	struct nest *n = arg;

	crew_each(n->crew, 50, board_count, &n->inner[i]);
	board_count(&n->outer, i);
}

static void each__from_within__every_index_once(void **state)
{
	pluri_auto(crew) c = NULL;
	static struct nest n;

	(void)state;
	assert_int_equal(crew_new(3, "test", &c, NULL), 0);
	for (unsigned turn = 0; turn < 100; turn++) {
		n.crew = c;
		board_open(&n.outer, 0);
		for (unsigned i = 0; i < 20; i++)
			board_open(&n.inner[i], 0);
		crew_each(c, 20, nest_one, &n);
		for (unsigned i = 0; i < 20; i++)
			for (unsigned j = 0; j < 50; j++)
				assert_int_equal(n.inner[i].runs[j], 1);
		for (unsigned i = 0; i < 20; i++)
			assert_int_equal(n.outer.runs[i], 1);
	}
}

struct caller {
	struct crew *crew;
	struct board board;
	pthread_t id;
};

static void *caller_main(void *arg)
{
	struct caller *a = arg;

	for (unsigned n = 0; n < 200; n++)
		crew_each(a->crew, 20, board_count, &a->board);
	return NULL;
}

static void each__many_callers__each_gets_its_own(void **state)
{
	pluri_auto(crew) c = NULL;
	struct caller caller[8];

	(void)state;
	assert_int_equal(crew_new(2, "test", &c, NULL), 0);
	for (unsigned i = 0; i < 8; i++) {
		caller[i].crew = c;
		board_open(&caller[i].board, 0);
		assert_int_equal(pthread_create(&caller[i].id, NULL,
					 caller_main, &caller[i]),
			0);
	}
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(pthread_join(caller[i].id, NULL), 0);
		for (unsigned j = 0; j < 20; j++)
			assert_int_equal(caller[i].board.runs[j], 200);
	}
}

static void hold(void *arg, unsigned i)
{
	struct board *b = arg;

	(void)i;
	(void)pthread_mutex_lock(&b->lock);
	b->inside++;
	(void)pthread_cond_broadcast(&b->moved);
	while (b->gate == 0)
		(void)pthread_cond_wait(&b->moved, &b->lock);
	(void)pthread_mutex_unlock(&b->lock);
}

static void *hold_main(void *arg)
{
	struct caller *a = arg;

	crew_each(a->crew, 2, hold, &a->board);
	return NULL;
}

/* The only thread of the crew, and another caller, are stuck: who comes now
 * does all of its work itself. */
static void each__crew_is_busy__the_caller_works_alone(void **state)
{
	pluri_auto(crew) c = NULL;
	struct caller a = {0};
	struct board b;

	(void)state;
	assert_int_equal(crew_new(1, "test", &c, NULL), 0);
	a.crew = c;
	board_open(&a.board, 0);
	assert_int_equal(pthread_create(&a.id, NULL, hold_main, &a), 0);
	(void)pthread_mutex_lock(&a.board.lock);
	while (a.board.inside < 2)
		(void)pthread_cond_wait(&a.board.moved, &a.board.lock);
	(void)pthread_mutex_unlock(&a.board.lock);
	board_open(&b, 0);
	crew_each(c, ITEMS, board_count, &b);
	for (unsigned i = 0; i < ITEMS; i++)
		assert_int_equal(b.runs[i], 1);
	(void)pthread_mutex_lock(&a.board.lock);
	a.board.gate = 1;
	(void)pthread_cond_broadcast(&a.board.moved);
	(void)pthread_mutex_unlock(&a.board.lock);
	assert_int_equal(pthread_join(a.id, NULL), 0);
}

static void new__too_many_threads__refused(void **state)
{
	struct crew *c = NULL;
	struct pluri_err err = {0};

	(void)state;
	assert_int_equal(crew_new(CREW_MAX + 1, "test", &c, &err), -EINVAL);
	assert_null(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each__some_threads__every_index_once),
		cmocka_unit_test(each__items_that_meet__all_run_at_once),
		cmocka_unit_test(each__from_within__every_index_once),
		cmocka_unit_test(each__many_callers__each_gets_its_own),
		cmocka_unit_test(each__crew_is_busy__the_caller_works_alone),
		cmocka_unit_test(new__too_many_threads__refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
