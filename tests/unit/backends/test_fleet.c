/* Waiting calls, the breaker, coming and going. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "backends/fleet.h"
#include "tests/unit/backends/fake.h"

/* A deadline that passes soon, not before a thread has taken up the call. */
#define SOON_MS 300u

/* --- calls ---------------------------------------------------------------- */

static void get__range__bytes_size_and_counters(void **state)
{
	struct fake_scene *s = *state;
	uint8_t bytes[4] = {0};
	struct pluri_room into = {bytes, sizeof(bytes), 0};
	uint64_t size = 0;
	struct fleet_health h;

	assert_int_equal(fleet_get(s->fleet,
				 &(struct fleet_at){.key = "k",
					 .deadline_ms = fake_soon(5000)},
				 998, &into, &size, NULL),
		0);
	assert_int_equal(into.len, 2);
	assert_int_equal(bytes[1], (uint8_t)(999 * 7));
	assert_int_equal(size, 1000);
	h = fake_health(s, 0);
	assert_true(h.up);
	assert_int_equal(h.gets, 1);
	assert_int_equal(h.bytes_in, 2);
	assert_int_equal(h.errors, 0);
	assert_true(h.latency_us > 0);
}

static void get__plugin_hangs__returns_at_deadline(void **state)
{
	struct fake_scene *s = *state;
	uint8_t bytes[4] = {1, 2, 3, 4};
	struct pluri_room into = {bytes, sizeof(bytes), 9};
	struct pluri_err e = {0};

	s->b[0].heeds = false;
	fake_hold(&s->b[0], true);
	assert_int_equal(fleet_get(s->fleet,
				 &(struct fleet_at){.key = "k",
					 .deadline_ms = fake_soon(SOON_MS)},
				 0, &into, NULL, &e),
		-ETIMEDOUT);
	assert_non_null(strstr(e.text, "store nas: get of k"));
	assert_int_equal(fake_health(s, 0).class, FLEET_DOWN);
	assert_int_equal(fake_health(s, 0).in_flight, 1);
	fake_hold(&s->b[0], false);
	fake_await_left(&s->b[0], 1);
	fleet_remove(s->fleet, 0);
	assert_memory_equal(bytes, "\1\2\3\4", 4);
	assert_int_equal(into.len, 9);
	fake_await_closed(&s->b[0]);
}

static void get__late_answer__counted_once(void **state)
{
	struct fake_scene *s = *state;

	s->b[0].heeds = false;
	fake_hold(&s->b[0], true);
	assert_int_equal(fake_get(s, 0, SOON_MS, 0, NULL), -ETIMEDOUT);
	assert_int_equal(fake_health(s, 0).errors, 1);
	fake_say(&s->b[0], -EAGAIN, 1);
	fake_hold(&s->b[0], false);
	fake_await_left(&s->b[0], 1);
	while (fake_health(s, 0).in_flight > 0)
		continue;
	assert_int_equal(fake_health(s, 0).errors, 1);
}

static void get__one_store_hangs__others_answer(void **state)
{
	struct fake_scene *s = *state;

	s->b[0].heeds = false;
	fake_hold(&s->b[0], true);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(fake_get(s, 0, 10, 0, NULL), -ETIMEDOUT);
	assert_int_equal(fake_get(s, 1, 5000, 0, NULL), 0);
}

static void get__thread_hung_for_good__another_takes_its_place(void **state)
{
	struct fake_scene *s = *state;
	struct pluri_backend b;

	fake_init(&b);
	b.concurrency = 1;
	b.heeds = false;
	fake_hold(&b, true);
	assert_int_equal(fleet_add(s->fleet, 5, "one", &fake_ops, &b, NULL), 0);
	assert_int_equal(fake_get(s, 5, SOON_MS, 0, NULL), -ETIMEDOUT);
	assert_int_equal(fake_get(s, 5, SOON_MS, 0, NULL), -ETIMEDOUT);
	fake_await_entered(&b, 2);
	fake_hold(&b, false);
	fleet_remove(s->fleet, 5);
	fake_await_closed(&b);
}

static void get__plugin_claims_too_much__ebadmsg(void **state)
{
	struct fake_scene *s = *state;

	s->b[0].lies = true;
	assert_int_equal(fake_get(s, 0, 5000, 0, NULL), -EBADMSG);
	assert_int_equal(fake_health(s, 0).class, FLEET_CORRUPT);
}

static void get__retry_after__honoured(void **state)
{
	struct fake_scene *s = *state;
	const uint64_t start = fake_soon(0);

	s->b[0].retry_after_ms = 60;
	fake_say(&s->b[0], -EBUSY, 1);
	/* Bare, since the throttled store's clock stands still */
	assert_int_equal(
		fake_get(s, 0, 5000, FLEET_RETRY | FLEET_BARE, NULL), 0);
	assert_true(fake_soon(0) >= start + 60);
	s->b[0].retry_after_ms = 20000;
	fake_say(&s->b[0], -EBUSY, 1);
	assert_int_equal(
		fake_get(s, 0, 5000, FLEET_RETRY | FLEET_BARE, NULL), -EBUSY);
}

static void *hurried_get(void *arg)
{
	assert_int_equal(fake_get(arg, 5, SOON_MS, 0, NULL), -ETIMEDOUT);
	return NULL;
}

static void *release_after_two(void *arg)
{
	fake_await_entered(arg, 2);
	fake_hold(arg, false);
	return NULL;
}

static void get__queued_behind_a_hung_call__served_in_its_stead(void **state)
{
	struct fake_scene *s = *state;
	struct pluri_backend b;
	pthread_t threads[2];

	fake_init(&b);
	b.concurrency = 1;
	b.heeds = false;
	fake_hold(&b, true);
	assert_int_equal(fleet_add(s->fleet, 5, "one", &fake_ops, &b, NULL), 0);
	assert_int_equal(pthread_create(&threads[0], NULL, hurried_get, s), 0);
	fake_await_entered(&b, 1);
	assert_int_equal(
		pthread_create(&threads[1], NULL, release_after_two, &b), 0);
	assert_int_equal(fake_get(s, 5, 5000, 0, NULL), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	fleet_remove(s->fleet, 5);
}

static void get__retry__repeats_what_passes(void **state)
{
	struct fake_scene *s = *state;

	fake_say(&s->b[0], -EAGAIN, 2);
	assert_int_equal(fake_get(s, 0, 5000, FLEET_RETRY, NULL), 0);
	assert_int_equal(fake_entered(&s->b[0]), 3);
	fake_say(&s->b[0], -EACCES, 0);
	assert_int_equal(fake_get(s, 0, 5000, FLEET_RETRY, NULL), -EACCES);
	assert_int_equal(fake_entered(&s->b[0]), 4);
}

static void get__no_retry__first_failure(void **state)
{
	struct fake_scene *s = *state;
	struct pluri_err e = {0};

	fake_say(&s->b[0], -EAGAIN, 1);
	assert_int_equal(fake_get(s, 0, 5000, 0, &e), -EAGAIN);
	assert_string_equal(e.text, "store nas: fake answers -11");
	assert_int_equal(fake_entered(&s->b[0]), 1);
}

static void get__deadline_passed__store_not_blamed(void **state)
{
	struct fake_scene *s = *state;
	struct pluri_room into = {0};

	assert_int_equal(
		fleet_get(s->fleet,
			&(struct fleet_at){.key = "k", .deadline_ms = 1}, 0,
			&into, NULL, NULL),
		-ETIMEDOUT);
	assert_int_equal(fake_entered(&s->b[0]), 0);
	assert_int_equal(fake_health(s, 0).class, FLEET_OK);
}

static void get__no_such_store__eagain(void **state)
{
	struct fake_scene *s = *state;
	struct pluri_err e = {0};
	struct fleet_health h;

	assert_int_equal(fake_get(s, 9, 5000, 0, &e), -EAGAIN);
	assert_string_equal(e.text, "store 9: not in use now");
	assert_int_equal(fake_get(s, 4000, 5000, 0, &e), -EAGAIN);
	assert_int_equal(fleet_health(s->fleet, 9, &h), -ENOENT);
}

static void put_one__body__passed_whole(void **state)
{
	struct fake_scene *s = *state;
	const struct pluri_span body = {"0123456789abcdef0123", 20};

	assert_int_equal(
		fleet_put_one(s->fleet, 0, "k", body, fake_soon(5000), 0, NULL),
		0);
	assert_int_equal(fake_health(s, 0).puts, 1);
	assert_int_equal(fake_health(s, 0).bytes_out, 20);
	assert_int_equal(fake_health(s, 0).gets_us, 0);
	fake_say(&s->b[0], -EEXIST, 1);
	assert_int_equal(
		fleet_put_one(s->fleet, 0, "k", body, fake_soon(5000), 0, NULL),
		-EEXIST);
	assert_int_equal(fake_health(s, 0).class, FLEET_OK);
}

static void del__object__passed_on(void **state)
{
	struct fake_scene *s = *state;

	assert_int_equal(
		fleet_del(s->fleet, 0, "k", fake_soon(5000), 0, NULL), 0);
	fake_say(&s->b[0], -EACCES, 1);
	assert_int_equal(
		fleet_del(s->fleet, 0, "k", fake_soon(5000), 0, NULL), -EACCES);
	assert_int_equal(fake_health(s, 0).dels, 2);
}

struct names {
	char text[64];
	int stop;
};

static int gather(void *arg, const char *key, uint64_t size)
{
	struct names *n = arg;
	const size_t len = strlen(n->text);

	(void)snprintf(
		n->text + len, sizeof(n->text) - len, "%s=%d ", key, (int)size);
	return n->stop;
}

static void list__two_pages__all_keys(void **state)
{
	struct fake_scene *s = *state;
	struct names n = {0};
	struct pluri_page page = {.each = gather, .arg = &n};

	assert_int_equal(
		fleet_list(s->fleet, 0, "p/", &page, fake_soon(5000), 0, NULL),
		0);
	assert_string_equal(page.token, "more");
	assert_int_equal(
		fleet_list(s->fleet, 0, "p/", &page, fake_soon(5000), 0, NULL),
		0);
	assert_string_equal(page.token, "");
	assert_string_equal(n.text, "p/a=1 p/b=2 p/c=3 ");
}

static void list__fails_midway__no_key_told(void **state)
{
	struct fake_scene *s = *state;
	struct names n = {0};
	struct pluri_page page = {.each = gather, .arg = &n};

	fake_say(&s->b[0], -EAGAIN, 1);
	assert_int_equal(
		fleet_list(s->fleet, 0, "", &page, fake_soon(5000), 0, NULL),
		-EAGAIN);
	assert_string_equal(n.text, "");
	assert_int_equal(fleet_list(s->fleet, 0, "", &page, fake_soon(5000),
				 FLEET_RETRY, NULL),
		0);
	assert_string_equal(n.text, "a=1 b=2 ");
}

static void list__caller_stops__its_code(void **state)
{
	struct fake_scene *s = *state;
	struct names n = {.stop = -ECANCELED};
	struct pluri_page page = {.each = gather, .arg = &n};

	assert_int_equal(
		fleet_list(s->fleet, 0, "", &page, fake_soon(5000), 0, NULL),
		-ECANCELED);
	assert_string_equal(n.text, "a=1 ");
}

/* --- coming and going ----------------------------------------------------- */

static void add__number_in_use__backend_stays_the_callers(void **state)
{
	struct fake_scene *s = *state;
	struct pluri_backend b;

	fake_init(&b);
	assert_int_equal(
		fleet_add(s->fleet, 0, "twin", &fake_ops, &b, NULL), -EEXIST);
	assert_int_equal(b.closed, 0);
	assert_int_equal(
		fleet_add(s->fleet, 64, "far", &fake_ops, &b, NULL), -EINVAL);
}

static void remove__store__closed_and_number_free(void **state)
{
	struct fake_scene *s = *state;
	struct pluri_backend b;

	fake_init(&b);
	assert_int_equal(fleet_add(s->fleet, 7, "b", &fake_ops, &b, NULL), 0);
	assert_int_equal(fake_get(s, 7, 5000, 0, NULL), 0);
	fleet_remove(s->fleet, 7);
	assert_int_equal(b.closed, 1);
	assert_int_equal(fake_get(s, 7, 5000, 0, NULL), -EAGAIN);
	assert_int_equal(fleet_add(s->fleet, 7, "b", &fake_ops, &b, NULL), 0);
	fleet_remove(s->fleet, 7);
	fleet_remove(s->fleet, 7);
	assert_int_equal(b.closed, 2);
}

static void free__hung_call__left_behind_then_closed(void **state)
{
	struct pluri_backend b;
	struct fake_scene s = {0};

	(void)state;
	fake_init(&b);
	b.heeds = false;
	fake_hold(&b, true);
	assert_int_equal(fleet_new(NULL, &s.fleet, NULL), 0);
	assert_int_equal(fleet_add(s.fleet, 0, "hung", &fake_ops, &b, NULL), 0);
	assert_int_equal(fake_get(&s, 0, 200, 0, NULL), -ETIMEDOUT);
	fleet_free(s.fleet);
	assert_int_equal(b.closed, 0);
	fake_hold(&b, false);
	fake_await_closed(&b);
	fleet_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_scene_test(get__range__bytes_size_and_counters),
		fake_scene_test(get__plugin_hangs__returns_at_deadline),
		fake_scene_test(get__late_answer__counted_once),
		fake_scene_test(get__one_store_hangs__others_answer),
		fake_scene_test(
			get__thread_hung_for_good__another_takes_its_place),
		fake_scene_test(get__plugin_claims_too_much__ebadmsg),
		fake_scene_test(get__retry_after__honoured),
		fake_scene_test(
			get__queued_behind_a_hung_call__served_in_its_stead),
		fake_scene_test(get__retry__repeats_what_passes),
		fake_scene_test(get__no_retry__first_failure),
		fake_scene_test(get__deadline_passed__store_not_blamed),
		fake_scene_test(get__no_such_store__eagain),
		fake_scene_test(put_one__body__passed_whole),
		fake_scene_test(del__object__passed_on),
		fake_scene_test(list__two_pages__all_keys),
		fake_scene_test(list__fails_midway__no_key_told),
		fake_scene_test(list__caller_stops__its_code),
		fake_scene_test(add__number_in_use__backend_stays_the_callers),
		fake_scene_test(remove__store__closed_and_number_free),
		fake_scene_test(free__hung_call__left_behind_then_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
