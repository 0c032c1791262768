#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/work.h"

/* What tasks report to: all under one lock. */
struct board {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	unsigned done;
	unsigned inside; /* tasks running now */
	unsigned most; /* ... at once, so far */
	unsigned gate; /* tasks wait until this many are inside */
	unsigned order[64];
	struct work *pool;
};

struct task {
	struct work_item item;
	struct board *board;
	unsigned number;
};

static void board_open(struct board *b)
{
	*b = (struct board){.lock = PTHREAD_MUTEX_INITIALIZER,
		.moved = PTHREAD_COND_INITIALIZER};
}

static void task_run(struct work_item *item)
{
	struct task *t = work_of(item, struct task, item);
	struct board *b = t->board;

	(void)pthread_mutex_lock(&b->lock);
	b->inside++;
	if (b->inside > b->most)
		b->most = b->inside;
	(void)pthread_cond_broadcast(&b->moved);
	while (b->most < b->gate)
		(void)pthread_cond_wait(&b->moved, &b->lock);
	if (b->done < 64)
		b->order[b->done] = t->number;
	b->done++;
	b->inside--;
	(void)pthread_cond_broadcast(&b->moved);
	(void)pthread_mutex_unlock(&b->lock);
	free(t);
}

static void task_add(struct board *b, unsigned number, struct work *w)
{
	struct task *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->item.run = task_run;
	t->board = b;
	t->number = number;
	work_submit(w, &t->item);
}

static void pool__thread_count_unlawful__refused(void **state)
{
	struct pluri_err err = {0};
	struct work *w = NULL;

	(void)state;
	assert_int_equal(work_new(0, "none", &w, &err), -EINVAL);
	assert_non_null(strstr(err.text, "none"));
	assert_int_equal(work_new(1025, "many", &w, &err), -EINVAL);
	assert_null(w);
	work_free(NULL);
}

static void pool__unused__freed(void **state)
{
	pluri_auto(work) w = NULL;

	(void)state;
	assert_int_equal(work_new(4, "a-name-much-too-long", &w, NULL), 0);
}

static void pool__one_thread__first_in_first_out(void **state)
{
	struct board b;
	struct work *w = NULL;

	(void)state;
	board_open(&b);
	assert_int_equal(work_new(1, "one", &w, NULL), 0);
	for (unsigned i = 0; i < 64; i++)
		task_add(&b, i, w);
	work_free(w);
	assert_int_equal(b.done, 64);
	assert_int_equal(b.most, 1);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(b.order[i], i);
}

static void pool__freed_with_work_left__all_of_it_ran(void **state)
{
	struct board b;
	struct work *w = NULL;

	(void)state;
	board_open(&b);
	assert_int_equal(work_new(3, "three", &w, NULL), 0);
	for (unsigned i = 0; i < 10000; i++)
		task_add(&b, i, w);
	work_free(w);
	assert_int_equal(b.done, 10000);
	assert_true(b.most <= 3);
}

/* Every task waits for all the others: fewer threads would hang. */
static void pool__tasks_that_wait__grows_to_its_ceiling(void **state)
{
	struct board b;
	struct work *w = NULL;

	(void)state;
	board_open(&b);
	b.gate = 8;
	assert_int_equal(work_new(8, "eight", &w, NULL), 0);
	for (unsigned i = 0; i < 8; i++)
		task_add(&b, i, w);
	work_free(w);
	assert_int_equal(b.done, 8);
	assert_int_equal(b.most, 8);
}

static void pool__idle_between__threads_come_back(void **state)
{
	struct board b;
	struct work *w = NULL;

	(void)state;
	board_open(&b);
	assert_int_equal(work_new(2, "two", &w, NULL), 0);
	for (unsigned round = 1; round <= 200; round++) {
		task_add(&b, 0, w);
		(void)pthread_mutex_lock(&b.lock);
		while (b.done < round)
			(void)pthread_cond_wait(&b.moved, &b.lock);
		(void)pthread_mutex_unlock(&b.lock);
	}
	work_free(w);
	assert_int_equal(b.done, 200);
}

struct seed {
	struct work_item item;
	struct board *board;
	unsigned left;
};

/* A task that submits its own struct again. */
static void seed_run(struct work_item *item)
{
	struct seed *s = work_of(item, struct seed, item);
	struct board *b = s->board;

	(void)pthread_mutex_lock(&b->lock);
	b->done++;
	(void)pthread_mutex_unlock(&b->lock);
	if (--s->left > 0)
		work_submit(b->pool, &s->item);
}

static void pool__task_submits_while_freed__ran_as_well(void **state)
{
	struct board b;
	struct seed s = {.item.run = seed_run, .board = &b, .left = 1000};

	(void)state;
	board_open(&b);
	assert_int_equal(work_new(2, "two", &b.pool, NULL), 0);
	work_submit(b.pool, &s.item);
	work_free(b.pool);
	assert_int_equal(b.done, 1000);
}

struct flood {
	struct board *board;
	struct work *pool;
};

static void *flood_main(void *arg)
{
	struct flood *f = arg;

	for (unsigned i = 0; i < 2000; i++)
		task_add(f->board, i, f->pool);
	return NULL;
}

static void pool__many_submitters__nothing_lost(void **state)
{
	struct board b;
	struct flood f = {.board = &b};
	pthread_t t[4];

	(void)state;
	board_open(&b);
	assert_int_equal(work_new(4, "four", &f.pool, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&t[i], NULL, flood_main, &f), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	work_free(f.pool);
	assert_int_equal(b.done, 8000);
	assert_int_equal(b.inside, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pool__thread_count_unlawful__refused),
		cmocka_unit_test(pool__unused__freed),
		cmocka_unit_test(pool__one_thread__first_in_first_out),
		cmocka_unit_test(pool__freed_with_work_left__all_of_it_ran),
		cmocka_unit_test(pool__tasks_that_wait__grows_to_its_ceiling),
		cmocka_unit_test(pool__idle_between__threads_come_back),
		cmocka_unit_test(pool__task_submits_while_freed__ran_as_well),
		cmocka_unit_test(pool__many_submitters__nothing_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
