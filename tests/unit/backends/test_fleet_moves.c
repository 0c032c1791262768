/* Puts over a slow line: one that moves goes on, and fewer run at once. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "backends/fleet_int.h"
#include "tests/unit/backends/fake.h"

#define TURNS 4u

struct put {
	struct fleet_put put;
	struct fleet *fleet;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t cond;
	bool done;
	int code;
	unsigned reads;
	uint64_t due[TURNS], most[TURNS]; /* of its op, at the first reads */
};

static void put_done(struct fleet_put *f, int code, const struct pluri_err *e)
{
	struct put *p = f->arg;

	(void)e;
	(void)pthread_mutex_lock(&p->lock);
	p->done = true;
	p->code = code;
	(void)pthread_cond_broadcast(&p->cond);
	(void)pthread_mutex_unlock(&p->lock);
}

/* Looks at its op, and lets a moment pass. */
static int put_read(
	void *arg, uint64_t off, void *to, size_t len, struct pluri_err *err)
{
	struct put *p = arg;
	struct fleet_store *s = fleet_store_of(p->fleet, 0);
	const uint64_t now = fleet_now_ms();

	(void)off;
	(void)err;
	(void)pthread_mutex_lock(&s->lock);
	if (p->reads < TURNS) {
		p->due[p->reads] = TAILQ_FIRST(&s->running)->deadline_ms;
		p->most[p->reads] = TAILQ_FIRST(&s->running)->most_ms;
	}
	(void)pthread_mutex_unlock(&s->lock);
	fleet_pool_unref(s);
	p->reads++;
	while (fleet_now_ms() == now)
		(void)sched_yield();
	memset(to, 1, len);
	return 0;
}

/* A fleet of store 0 alone, whose attempts may take so long. */
static void quick(struct fake_scene *s, uint32_t timeout_ms)
{
	const struct fleet_options o = {.timeout_ms = timeout_ms,
		.pace_bytes = UINT64_C(1) << 50,
		.clock = &s->clock.clock};

	fleet_free(s->fleet);
	assert_int_equal(fleet_new(&o, &s->fleet, NULL), 0);
	for (unsigned i = 0; i < FAKE_STORES; i++) {
		s->b[i].closed = 0;
		assert_int_equal(fleet_add(s->fleet, i, "nas", &fake_ops,
					 &s->b[i], NULL),
			0);
	}
}

static int put_run(struct fake_scene *s, struct put *p, uint64_t size)
{
	*p = (struct put){.fleet = s->fleet,
		.put = {.store = 0,
			.key = "k",
			.body = {.size = size, .read = put_read, .arg = p},
			.done = put_done,
			.arg = p}};
	(void)pthread_mutex_init(&p->lock, NULL);
	clock_cond_init(&p->cond);
	fleet_put(s->fleet, &p->put);
	(void)pthread_mutex_lock(&p->lock);
	while (!p->done)
		(void)clock_wait(&p->cond, &p->lock, UINT64_MAX);
	(void)pthread_mutex_unlock(&p->lock);
	return p->code;
}

static void put__body_is_taken__time_begins_anew(void **state)
{
	struct put p;

	assert_int_equal(put_run(*state, &p, 16ul * TURNS), 0);
	assert_int_equal(p.reads, TURNS);
	for (unsigned i = 1; i < TURNS; i++) {
		assert_true(p.due[i] > p.due[i - 1]);
		assert_int_equal(p.most[i], p.most[0]);
	}
	assert_true(p.most[0] > p.due[TURNS - 1]);
}

/* Else it would go on as long as somebody takes a byte now and then. */
static void put__body_is_taken_for_ever__ends(void **state)
{
	struct fake_scene *s = *state;
	struct put p;

	quick(s, 50);
	assert_int_equal(put_run(s, &p, UINT64_C(1) << 40), -ETIMEDOUT);
	assert_int_equal(fake_health(s, 0).errors, 1);
}

static uint32_t window_parts(struct fake_scene *s)
{
	struct fleet_store *st = fleet_store_of(s->fleet, 0);
	uint32_t parts;

	(void)pthread_mutex_lock(&st->lock);
	parts = st->window.parts;
	(void)pthread_mutex_unlock(&st->lock);
	fleet_pool_unref(st);
	return parts;
}

static void put__takes_half_its_time__fewer_at_once(void **state)
{
	struct fake_scene *s = *state;
	uint32_t parts;
	struct put p;

	quick(s, 4000);
	parts = window_parts(s);
	fake_delay(&s->b[0], 2100);
	assert_int_equal(put_run(s, &p, 16), 0);
	assert_int_equal(window_parts(s), parts / 2);
	/* below 4 calls each answer makes room, but for a slow one */
	fake_delay(&s->b[0], 1100);
	assert_int_equal(put_run(s, &p, 16), 0);
	assert_int_equal(window_parts(s), parts / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_scene_test(put__body_is_taken__time_begins_anew),
		fake_scene_test(put__body_is_taken_for_ever__ends),
		fake_scene_test(put__takes_half_its_time__fewer_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
