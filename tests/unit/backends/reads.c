#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/backends/reads.h"

static int reads_stop(void *arg)
{
	const struct reads *r = arg;

	return __atomic_load_n(&r->over, __ATOMIC_ACQUIRE);
}

static void reads_once(struct reads *r)
{
	struct fleet_source source[FAKE_STORES];
	struct fleet_answer answer = {0};
	const struct fleet_read read = {
		.sources = source,
		.n = r->stores ? r->stores : 1,
		.need = 1,
		.len = r->bytes,
		.deadline_ms = fake_soon(r->time_ms ? r->time_ms : 20000),
		.hedge_ms = r->hedge_ms,
		.background = r->background,
		.ahead = r->ahead ? &r->wish : NULL,
		.stop = r->endless ? reads_stop : NULL,
		.stop_arg = r,
	};

	for (unsigned i = 0; i < FAKE_STORES; i++)
		source[i] = (struct fleet_source){
			.store = i, .key = {r->letter, '\0'}};
	r->code = fleet_read(r->s->fleet, &read, &answer, NULL, NULL);
	r->answered = source[answer.source].store;
	free(answer.bytes);
}

static void *reads_main(void *arg)
{
	struct reads *r = arg;

	do
		reads_once(r);
	while (r->endless && !reads_stop(r));
	return NULL;
}

void reads_start(struct reads *r)
{
	if (r->bytes == 0)
		r->bytes = 8;
	wish_init(&r->wish);
	if (r->told)
		wish_tell(&r->wish);
	assert_int_equal(pthread_create(&r->thread, NULL, reads_main, r), 0);
}

void reads_end(struct reads *r, int code)
{
	assert_int_equal(pthread_join(r->thread, NULL), 0);
	assert_int_equal(r->code, code);
	wish_fini(&r->wish);
}

void reads_all_end(struct reads *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		reads_end(&r[i], 0);
}

void reads_await_waited(struct fake_scene *s, bool running, unsigned n)
{
	struct fleet_store *store = fleet_store_of(s->fleet, 0);
	const uint64_t until = fake_soon(20000);
	unsigned waited;

	do {
		assert_true(fake_soon(0) < until);
		(void)sched_yield();
		(void)pthread_mutex_lock(&store->lock);
		waited = running ? store->running_of[FLEET_WAITED]
				 : store->queued_of[FLEET_WAITED];
		(void)pthread_mutex_unlock(&store->lock);
	} while (waited != n);
	fleet_pool_unref(store);
}
