/* Puts that nobody waits for: done() once, and the body left in peace. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "backends/fleet_int.h"
#include "tests/unit/backends/fake.h"

struct put {
	struct fleet_put put;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t cond;
	pthread_t caller;
	unsigned done;
	int code;
	char text[PLURI_ERR_TEXT];
	unsigned reads, reading;
	int answer; /* of the body */
	bool hold; /* readers of the body */
	bool again; /* done() puts once more */
	struct fleet *fleet;
};

static int put_read(
	void *arg, uint64_t off, void *to, size_t len, struct pluri_err *err)
{
	struct put *p = arg;

	(void)off;
	(void)pthread_mutex_lock(&p->lock);
	p->reads++;
	p->reading++;
	(void)pthread_cond_broadcast(&p->cond);
	while (p->hold)
		(void)clock_wait(&p->cond, &p->lock, UINT64_MAX);
	p->reading--;
	(void)pthread_mutex_unlock(&p->lock);
	memset(to, 1, len);
	return p->answer ? pluri_fail(err, -p->answer, "the body fails") : 0;
}

static void put_done(struct fleet_put *f, int code, const struct pluri_err *e)
{
	struct put *p = f->arg;
	bool again;

	(void)pthread_mutex_lock(&p->lock);
	assert_false(pthread_equal(pthread_self(), p->caller));
	assert_int_equal(p->reading, 0);
	p->done++;
	p->code = code;
	(void)snprintf(p->text, sizeof(p->text), "%s", e->text);
	again = p->again;
	p->again = false;
	(void)pthread_cond_broadcast(&p->cond);
	(void)pthread_mutex_unlock(&p->lock);
	if (again)
		fleet_put(p->fleet, f);
}

static void put_init(struct put *p, struct fake_scene *s, unsigned store)
{
	memset(p, 0, sizeof(*p));
	(void)pthread_mutex_init(&p->lock, NULL);
	clock_cond_init(&p->cond);
	p->caller = pthread_self();
	p->fleet = s->fleet;
	p->put = (struct fleet_put){
		.store = store,
		.key = "k",
		.body = {.size = 40, .read = put_read, .arg = p},
		.done = put_done,
		.arg = p,
	};
}

static void put_await(struct put *p, const unsigned *what, unsigned n)
{
	const uint64_t until = fake_soon(10000);
	int r = 0;

	(void)pthread_mutex_lock(&p->lock);
	while (*what < n && r == 0)
		r = clock_wait(&p->cond, &p->lock, until);
	(void)pthread_mutex_unlock(&p->lock);
	assert_int_equal(r, 0);
}

static void put_release(struct put *p)
{
	(void)pthread_mutex_lock(&p->lock);
	p->hold = false;
	(void)pthread_cond_broadcast(&p->cond);
	(void)pthread_mutex_unlock(&p->lock);
}

static int put_run(struct fake_scene *s, unsigned store, struct put *p)
{
	put_init(p, s, store);
	fleet_put(s->fleet, &p->put);
	put_await(p, &p->done, 1);
	return p->code;
}

/* A store whose attempts may take only 20 ms. */
static void hasty(struct fake_scene *s, struct pluri_backend *b)
{
	const struct fleet_options o = {
		.timeout_ms = 20, .clock = &s->clock.clock};

	fleet_free(s->fleet);
	assert_int_equal(fleet_new(&o, &s->fleet, NULL), 0);
	for (unsigned i = 0; i < FAKE_STORES; i++) {
		s->b[i].closed = 0;
		assert_int_equal(fleet_add(s->fleet, i, "hasty", &fake_ops,
					 &s->b[i], NULL),
			0);
	}
	b->heeds = false;
	fake_hold(b, true);
}

static void put__works__done_with_0(void **state)
{
	struct fake_scene *s = *state;
	struct put p;

	assert_int_equal(put_run(s, 0, &p), 0);
	assert_int_equal(p.reads, 3);
	assert_int_equal(fake_health(s, 0).puts, 1);
	assert_int_equal(fake_health(s, 0).bytes_out, 40);
}

static void put__fails__code_and_story(void **state)
{
	struct fake_scene *s = *state;
	struct put p;

	fake_say(&s->b[0], -ENOSPC, 1);
	assert_int_equal(put_run(s, 0, &p), -ENOSPC);
	assert_string_equal(p.text, "store nas: fake answers -28");
	fake_say(&s->b[0], -EEXIST, 1);
	assert_int_equal(put_run(s, 0, &p), -EEXIST);
}

static void put__body_fails__store_not_blamed(void **state)
{
	struct fake_scene *s = *state;
	struct put p;

	put_init(&p, s, 0);
	p.answer = -EIO;
	fleet_put(s->fleet, &p.put);
	put_await(&p, &p.done, 1);
	assert_int_equal(p.code, -EIO);
	assert_string_equal(p.text, "store nas: the body fails");
	assert_int_equal(fake_health(s, 0).class, FLEET_OK);
}

static void put__refused__done_on_a_fleet_thread(void **state)
{
	struct fake_scene *s = *state;
	struct put p;

	assert_int_equal(put_run(s, 40, &p), -EAGAIN);
	assert_string_equal(p.text, "store 40: not in use now");
	fleet_mark(s->fleet, 0, FLEET_FOREIGN, "not ours");
	assert_int_equal(put_run(s, 0, &p), -EAGAIN);
	assert_non_null(strstr(p.text, "store nas: barred"));
	fake_say(&s->b[1], -EAGAIN, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(put_run(s, 1, &p), -EAGAIN);
	assert_int_equal(put_run(s, 1, &p), -EAGAIN);
	assert_non_null(strstr(p.text, "down, waiting"));
	assert_int_equal(fake_entered(&s->b[1]), 3);
}

static void put__many_refused_at_once__each_done_once(void **state)
{
	struct fake_scene *s = *state;
	struct put p[50];

	for (unsigned i = 0; i < 50; i++) {
		put_init(&p[i], s, i % 2 ? 50 : 2);
		fleet_put(s->fleet, &p[i].put);
	}
	for (unsigned i = 0; i < 50; i++)
		put_await(&p[i], &p[i].done, 1);
	fleet_remove(s->fleet, 2);
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(p[i].done, 1);
		assert_int_equal(p[i].code, i % 2 ? -EAGAIN : 0);
	}
}

static void put__done_puts_again__both_done(void **state)
{
	struct fake_scene *s = *state;
	struct put p;

	put_init(&p, s, 0);
	p.again = true;
	fleet_put(s->fleet, &p.put);
	put_await(&p, &p.done, 2);
	assert_int_equal(p.code, 0);
}

static void put__plugin_hangs__fenced_off_then_done(void **state)
{
	struct fake_scene *s = *state;
	struct pluri_backend *b = &s->b[0];
	struct put p;

	hasty(s, b);
	assert_int_equal(put_run(s, 0, &p), -ETIMEDOUT);
	assert_non_null(strstr(p.text, "put of k: no answer within 20 ms"));
	assert_int_equal(p.reads, 0);
	/* From here on the body is gone */
	p.put.body.read = NULL;
	fake_hold(b, false);
	fake_await_left(b, 1);
	assert_int_equal(b->read_back, 1);
	assert_int_equal(p.reads, 0);
	assert_int_equal(p.done, 1);
	assert_int_equal(fake_health(s, 0).errors, 1);
}

static bool put_settled(struct fake_scene *s, unsigned store)
{
	struct fleet_store *st = fleet_store_of(s->fleet, store);
	bool settled;

	(void)pthread_mutex_lock(&st->lock);
	settled = TAILQ_FIRST(&st->running)->settled;
	(void)pthread_mutex_unlock(&st->lock);
	fleet_pool_unref(st);
	return settled;
}

static void put__given_up_inside_body_read__done_after_it(void **state)
{
	struct fake_scene *s = *state;
	struct put p;

	hasty(s, &s->b[0]);
	fake_hold(&s->b[0], false);
	put_init(&p, s, 0);
	p.hold = true;
	fleet_put(s->fleet, &p.put);
	put_await(&p, &p.reads, 1);
	while (!put_settled(s, 0))
		(void)sched_yield();
	assert_int_equal(p.done, 0);
	put_release(&p);
	put_await(&p, &p.done, 1);
	assert_int_equal(p.code, -ETIMEDOUT);
	fake_await_left(&s->b[0], 1);
	assert_int_equal(s->b[0].read_back, 1);
	assert_int_equal(p.reads, 1);
}

static void put__cancelled_at_deadline__etimedout(void **state)
{
	struct fake_scene *s = *state;
	struct put p;

	hasty(s, &s->b[0]);
	s->b[0].heeds = true;
	assert_int_equal(put_run(s, 0, &p), -ETIMEDOUT);
	assert_int_equal(fake_health(s, 0).errors, 1);
	assert_int_equal(s->b[0].read_back, 0);
}

static void put__lands_in_the_grace__success(void **state)
{
	struct fake_scene *s = *state;
	struct put p;

	hasty(s, &s->b[0]);
	put_init(&p, s, 0);
	fleet_put(s->fleet, &p.put);
	while (fake_health(s, 0).errors == 0)
		(void)sched_yield();
	fake_hold(&s->b[0], false);
	put_await(&p, &p.done, 1);
	assert_int_equal(p.code, 0);
	assert_int_equal(fake_health(s, 0).errors, 1);
}

static void put__busy_and_no_time_left__store_not_blamed(void **state)
{
	struct fake_scene *s = *state;
	struct pluri_room into = {0};
	struct put p;

	fake_hold(&s->b[0], true);
	put_init(&p, s, 0);
	fleet_put(s->fleet, &p.put);
	fake_await_entered(&s->b[0], 1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fleet_get(s->fleet,
					 &(struct fleet_at){
						 .key = "k", .deadline_ms = 1},
					 0, &into, NULL, NULL),
			-ETIMEDOUT);
	assert_int_equal(fake_health(s, 0).class, FLEET_OK);
	fake_hold(&s->b[0], false);
	put_await(&p, &p.done, 1);
}

static void put__queued_behind_hung_ones__done_all_the_same(void **state)
{
	struct fake_scene *s = *state;
	struct put p[100];

	hasty(s, &s->b[0]);
	for (unsigned i = 0; i < 100; i++) {
		put_init(&p[i], s, 0);
		fleet_put(s->fleet, &p[i].put);
	}
	for (unsigned i = 0; i < 100; i++)
		put_await(&p[i], &p[i].done, 1);
	for (unsigned i = 0; i < 100; i++)
		assert_true(p[i].code == -ETIMEDOUT || p[i].code == -EAGAIN);
	/* One place of four is kept for gets */
	assert_in_range(fake_entered(&s->b[0]), 3, 64);
}

static void remove__puts_under_way__finish_first(void **state)
{
	struct fake_scene *s = *state;
	struct put p[20];

	for (unsigned i = 0; i < 20; i++) {
		put_init(&p[i], s, 0);
		fleet_put(s->fleet, &p[i].put);
	}
	fleet_remove(s->fleet, 0);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(p[i].done, 1);
		assert_int_equal(p[i].code, 0);
	}
}

struct release {
	struct pluri_backend *b;
	struct put *after[2];
};

static void *release(void *arg)
{
	const struct release *r = arg;

	for (unsigned i = 0; i < 2; i++)
		put_await(r->after[i], &r->after[i]->done, 1);
	fake_hold(r->b, false);
	return NULL;
}

static void free__puts_queued__cancelled_running_ones_finish(void **state)
{
	struct fake_scene *s = *state;
	struct pluri_backend b;
	pthread_t thread;
	struct put p[3];
	uint64_t end;
	struct release r = {&b, {&p[1], &p[2]}};

	fake_init(&b);
	b.concurrency = 1;
	fake_hold(&b, true);
	assert_int_equal(fleet_add(s->fleet, 5, "one", &fake_ops, &b, NULL), 0);
	for (unsigned i = 0; i < 3; i++) {
		put_init(&p[i], s, 5);
		fleet_put(s->fleet, &p[i].put);
	}
	fake_await_entered(&b, 1);
	assert_int_equal(pthread_create(&thread, NULL, release, &r), 0);
	end = fake_soon(9000);
	fleet_free(s->fleet);
	/* Sooner than the 10 s that a queued put would have */
	assert_true(fake_soon(0) < end);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(p[0].code, 0);
	assert_int_equal(p[1].code, -ECANCELED);
	assert_int_equal(p[2].code, -ECANCELED);
	assert_int_equal(b.closed, 1);
	assert_int_equal(fleet_new(NULL, &s->fleet, NULL), 0);
}

/* Also in stores that come later. */
static void hurry__puts_held_back__cancelled_running_ones_finish(void **state)
{
	static struct pluri_backend late;
	struct fake_scene *s = *state;
	struct put p[3];

	fleet_limit(s->fleet, 0, &(struct fleet_limits){.bandwidth = 1});
	fake_hold(&s->b[0], true);
	for (unsigned i = 0; i < 2; i++) {
		put_init(&p[i], s, 0);
		fleet_put(s->fleet, &p[i].put);
		fake_await_entered(&s->b[0], 1);
	}
	fake_await_queued(s, 1);
	fleet_hurry(s->fleet);
	put_await(&p[1], &p[1].done, 1);
	assert_int_equal(p[1].code, -ECANCELED);
	assert_int_equal(put_run(s, 0, &p[2]), -ECANCELED);
	fake_hold(&s->b[0], false);
	put_await(&p[0], &p[0].done, 1);
	assert_int_equal(p[0].code, 0);
	assert_int_equal(fake_health(s, 0).errors, 0);
	fake_init(&late);
	assert_int_equal(
		fleet_add(s->fleet, 5, "late", &fake_ops, &late, NULL), 0);
	assert_int_equal(put_run(s, 5, &p[2]), -ECANCELED);
}

static void *remove_first(void *arg)
{
	fleet_remove(arg, 0);
	return NULL;
}

static bool put_stopping(struct fake_scene *s, unsigned store)
{
	struct fleet_store *st = fleet_store_of(s->fleet, store);
	bool stopping;

	(void)pthread_mutex_lock(&st->lock);
	stopping = st->stopping;
	(void)pthread_mutex_unlock(&st->lock);
	fleet_pool_unref(st);
	return stopping;
}

static void remove__done_puts_again__refused(void **state)
{
	struct fake_scene *s = *state;
	pthread_t thread;
	struct put p;

	fake_hold(&s->b[0], true);
	put_init(&p, s, 0);
	p.again = true;
	fleet_put(s->fleet, &p.put);
	fake_await_entered(&s->b[0], 1);
	assert_int_equal(
		pthread_create(&thread, NULL, remove_first, s->fleet), 0);
	while (!put_stopping(s, 0))
		(void)sched_yield();
	fake_hold(&s->b[0], false);
	put_await(&p, &p.done, 2);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(p.code, -EAGAIN);
	assert_string_equal(p.text, "store nas: is being removed");
	assert_int_equal(fake_entered(&s->b[0]), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_scene_test(put__works__done_with_0),
		fake_scene_test(put__fails__code_and_story),
		fake_scene_test(put__body_fails__store_not_blamed),
		fake_scene_test(put__refused__done_on_a_fleet_thread),
		fake_scene_test(put__many_refused_at_once__each_done_once),
		fake_scene_test(put__done_puts_again__both_done),
		fake_scene_test(put__plugin_hangs__fenced_off_then_done),
		fake_scene_test(put__given_up_inside_body_read__done_after_it),
		fake_scene_test(put__cancelled_at_deadline__etimedout),
		fake_scene_test(put__lands_in_the_grace__success),
		fake_scene_test(put__busy_and_no_time_left__store_not_blamed),
		fake_scene_test(
			put__queued_behind_hung_ones__done_all_the_same),
		fake_scene_test(remove__puts_under_way__finish_first),
		fake_scene_test(
			free__puts_queued__cancelled_running_ones_finish),
		fake_scene_test(
			hurry__puts_held_back__cancelled_running_ones_finish),
		fake_scene_test(remove__done_puts_again__refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
