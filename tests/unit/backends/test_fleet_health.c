/* The breaker, throttling and marks, on a clock that the test moves. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "backends/fleet.h"
#include "tests/unit/backends/fake.h"

/* So many calls to store 0 that fail with code. */
static void failing(struct fake_scene *s, int code, unsigned times)
{
	fake_say(&s->b[0], code, times);
	for (unsigned i = 0; i < times; i++)
		assert_int_equal(fake_get(s, 0, 5000, 0, NULL), code);
}

/* A call to store 0 that must fail without reaching it. */
static void fails_fast(struct fake_scene *s, const char *part)
{
	const unsigned before = fake_entered(&s->b[0]);
	struct pluri_err e = {0};

	assert_int_equal(fake_get(s, 0, 5000, 0, &e), -EAGAIN);
	assert_non_null(strstr(e.text, "store nas: "));
	assert_non_null(strstr(e.text, part));
	assert_int_equal(fake_entered(&s->b[0]), before);
}

static void class_of__codes__as_promised(void **state)
{
	(void)state;
	assert_int_equal(fleet_class_of(0), FLEET_OK);
	assert_int_equal(fleet_class_of(-ENOENT), FLEET_OK);
	assert_int_equal(fleet_class_of(-EEXIST), FLEET_OK);
	assert_int_equal(fleet_class_of(-EAGAIN), FLEET_DOWN);
	assert_int_equal(fleet_class_of(-ETIMEDOUT), FLEET_DOWN);
	assert_int_equal(fleet_class_of(-EBUSY), FLEET_THROTTLED);
	assert_int_equal(fleet_class_of(-EACCES), FLEET_AUTH);
	assert_int_equal(fleet_class_of(-ENODEV), FLEET_MISSING);
	assert_int_equal(fleet_class_of(-EBADMSG), FLEET_CORRUPT);
	assert_int_equal(fleet_class_of(-ENOSPC), FLEET_FULL);
	for (int c = FLEET_OK; c <= FLEET_FOREIGN; c++)
		assert_string_not_equal(fleet_class_text(c), "unknown");
}

static void breaker__two_failures__stays_closed(void **state)
{
	struct fake_scene *s = *state;

	failing(s, -EAGAIN, 2);
	assert_int_equal(fake_get(s, 0, 5000, 0, NULL), 0);
	failing(s, -EAGAIN, 2);
	assert_true(fake_health(s, 0).up);
	assert_int_equal(fake_health(s, 0).class, FLEET_DOWN);
	assert_string_equal(fake_health(s, 0).text, "fake answers -11");
	assert_int_equal(fake_get(s, 0, 5000, 0, NULL), 0);
	assert_int_equal(fake_health(s, 0).class, FLEET_OK);
	assert_string_equal(fake_health(s, 0).text, "");
	assert_int_equal(fake_health(s, 0).errors, 4);
}

static void breaker__three_failures__opens_and_one_try_closes(void **state)
{
	struct fake_scene *s = *state;

	failing(s, -EAGAIN, 3);
	assert_false(fake_health(s, 0).up);
	fails_fast(s, "down");
	fake_clock_move(&s->clock, 999);
	fails_fast(s, "fake answers -11");
	fake_clock_move(&s->clock, 1);
	assert_int_equal(fake_get(s, 0, 5000, 0, NULL), 0);
	assert_true(fake_health(s, 0).up);
}

static void breaker__tries_fail__pause_doubles_to_30_s(void **state)
{
	struct fake_scene *s = *state;
	uint64_t pause = 1000;

	failing(s, -EAGAIN, 3);
	for (unsigned i = 0; i < 8; i++) {
		fake_clock_move(&s->clock, pause - 1);
		fails_fast(s, "down");
		fake_clock_move(&s->clock, 1);
		failing(s, -EAGAIN, 1);
		pause = pause * 2 < 30000 ? pause * 2 : 30000;
	}
	fake_clock_move(&s->clock, 30000);
	assert_int_equal(fake_get(s, 0, 5000, 0, NULL), 0);
	failing(s, -EAGAIN, 3);
	fake_clock_move(&s->clock, 1000);
	assert_int_equal(fake_get(s, 0, 5000, 0, NULL), 0);
}

static void *get_in_thread(void *arg)
{
	return fake_get(arg, 0, 5000, 0, NULL) == 0 ? arg : NULL;
}

static void breaker__try_under_way__others_fail_fast(void **state)
{
	struct fake_scene *s = *state;
	pthread_t thread;
	void *ok;

	failing(s, -EAGAIN, 3);
	fake_clock_move(&s->clock, 1000);
	fake_hold(&s->b[0], true);
	assert_int_equal(pthread_create(&thread, NULL, get_in_thread, s), 0);
	fake_await_entered(&s->b[0], 4);
	fails_fast(s, "down");
	fake_hold(&s->b[0], false);
	assert_int_equal(pthread_join(thread, &ok), 0);
	assert_ptr_equal(ok, s);
	assert_true(fake_health(s, 0).up);
}

static void breaker__try_tells_nothing__next_call_tries(void **state)
{
	struct fake_scene *s = *state;

	failing(s, -EAGAIN, 3);
	fake_clock_move(&s->clock, 1000);
	failing(s, -EINVAL, 1);
	assert_false(fake_health(s, 0).up);
	assert_int_equal(fake_get(s, 0, 5000, 0, NULL), 0);
	assert_true(fake_health(s, 0).up);
}

static void breaker__bare_call__passes_and_closes(void **state)
{
	struct fake_scene *s = *state;

	failing(s, -EAGAIN, 3);
	fake_say(&s->b[0], -EAGAIN, 1);
	assert_int_equal(fake_get(s, 0, 5000, FLEET_BARE, NULL), -EAGAIN);
	fails_fast(s, "down");
	assert_int_equal(fake_get(s, 0, 5000, FLEET_BARE, NULL), 0);
	assert_true(fake_health(s, 0).up);
}

static void breaker__object_missing__no_failure_of_the_store(void **state)
{
	struct fake_scene *s = *state;

	failing(s, -ENOENT, 10);
	assert_true(fake_health(s, 0).up);
	assert_int_equal(fake_health(s, 0).class, FLEET_OK);
	assert_int_equal(fake_health(s, 0).errors, 0);
}

static void breaker__other_classes__remembered_but_closed(void **state)
{
	struct fake_scene *s = *state;

	failing(s, -EACCES, 5);
	assert_true(fake_health(s, 0).up);
	assert_int_equal(fake_health(s, 0).class, FLEET_AUTH);
	failing(s, -ENODEV, 5);
	assert_int_equal(fake_health(s, 0).class, FLEET_MISSING);
	failing(s, -EAGAIN, 2);
	failing(s, -EACCES, 1);
	failing(s, -EAGAIN, 2);
	assert_true(fake_health(s, 0).up);
	assert_int_equal(fake_health(s, 0).errors, 15);
}

static void full__reads_go_on__until_a_delete(void **state)
{
	struct fake_scene *s = *state;

	failing(s, -ENOSPC, 1);
	assert_int_equal(fake_get(s, 0, 5000, 0, NULL), 0);
	assert_int_equal(fake_health(s, 0).class, FLEET_FULL);
	assert_int_equal(
		fleet_del(s->fleet, 0, "k", fake_soon(5000), 0, NULL), 0);
	assert_int_equal(fake_health(s, 0).class, FLEET_OK);
}

static void throttled__asked_to_wait__left_alone_as_long(void **state)
{
	struct fake_scene *s = *state;

	s->b[0].retry_after_ms = 5000;
	failing(s, -EBUSY, 1);
	assert_int_equal(fake_health(s, 0).class, FLEET_THROTTLED);
	assert_false(fake_health(s, 0).up);
	fake_clock_move(&s->clock, 4999);
	fails_fast(s, "throttled, no calls for 1 ms");
	fake_clock_move(&s->clock, 1);
	assert_true(fake_health(s, 0).up);
	assert_int_equal(fake_get(s, 0, 5000, 0, NULL), 0);
}

static void throttled__absurd_wait__bounded(void **state)
{
	struct fake_scene *s = *state;

	s->b[0].retry_after_ms = UINT64_MAX;
	failing(s, -EBUSY, 1);
	fake_clock_move(&s->clock, 60000);
	assert_int_equal(fake_get(s, 0, 5000, 0, NULL), 0);
}

static void mark__foreign__barred_until_ok(void **state)
{
	struct fake_scene *s = *state;
	struct fleet_health h;

	fake_clock_move(&s->clock, 500);
	fleet_mark(s->fleet, 0, FLEET_FOREIGN, "its volume is 1234");
	fails_fast(s, "its volume is 1234");
	h = fake_health(s, 0);
	assert_false(h.up);
	assert_int_equal(h.class, FLEET_FOREIGN);
	assert_string_equal(h.text, "its volume is 1234");
	assert_int_equal(h.since_ms, 1000500);
	assert_int_equal(fake_get(s, 0, 5000, FLEET_BARE, NULL), 0);
	fails_fast(s, "belongs to another volume");
	fleet_mark(s->fleet, 0, FLEET_OK, NULL);
	assert_int_equal(fake_get(s, 0, 5000, 0, NULL), 0);
	fleet_mark(s->fleet, 63, FLEET_FOREIGN, "unknown is fine");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_scene_test(class_of__codes__as_promised),
		fake_scene_test(breaker__two_failures__stays_closed),
		fake_scene_test(
			breaker__three_failures__opens_and_one_try_closes),
		fake_scene_test(breaker__tries_fail__pause_doubles_to_30_s),
		fake_scene_test(breaker__try_under_way__others_fail_fast),
		fake_scene_test(breaker__try_tells_nothing__next_call_tries),
		fake_scene_test(breaker__bare_call__passes_and_closes),
		fake_scene_test(
			breaker__object_missing__no_failure_of_the_store),
		fake_scene_test(breaker__other_classes__remembered_but_closed),
		fake_scene_test(full__reads_go_on__until_a_delete),
		fake_scene_test(throttled__asked_to_wait__left_alone_as_long),
		fake_scene_test(throttled__absurd_wait__bounded),
		fake_scene_test(mark__foreign__barred_until_ok),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
