/* Work in the background gives way to programs: in the queue of a store. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "backends/fleet_int.h"
#include "tests/unit/backends/fake.h"

/* --- who asks ------------------------------------------------------------- */

/* A program's read of store 0. */
static void program_reads(struct fake_scene *s)
{
	const struct fleet_source source = {.key = "k"};
	const struct fleet_read r = {
		.sources = &source,
		.n = 1,
		.need = 1,
		.len = 10,
		.deadline_ms = fake_soon(8000),
	};
	struct fleet_answer answer = {0};

	assert_int_equal(fleet_read(s->fleet, &r, &answer, NULL, NULL), 0);
	free(answer.bytes);
}

struct asker {
	struct fake_scene *s;
	pthread_t thread;
	unsigned flags;
	size_t bytes;
	int (*stop)(void *arg);
	int code;
};

static void *asker_main(void *arg)
{
	struct asker *a = arg;
	struct pluri_room room = {malloc(a->bytes), a->bytes, 0};

	a->code = fleet_get(a->s->fleet,
		&(struct fleet_at){.key = "k",
			.deadline_ms = fake_soon(20000),
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

/* 350 bytes at 400 a second: the next of them begins 0.8 s later. */
static void bandwidth__used_up_by_background__read_does_not_wait(void **state)
{
	struct fake_scene *s = *state;
	const uint64_t start = fake_soon(0);
	struct asker back[2] = {
		{.s = s, .flags = FLEET_BACKGROUND, .bytes = 350}};

	fleet_limit(s->fleet, 0, &(struct fleet_limits){.bandwidth = 400});
	ask(back, 2);
	fake_await_entered(&s->b[0], 1);
	program_reads(s);
	assert_true(fake_entered(&s->b[0]) == 2 || fake_soon(0) > start + 700);
	answered(back, 2, 0);
	assert_true(fake_soon(0) > start + 700);
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
			get__told_to_stop__ends_before_its_store_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
