#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

struct fake {
	uint64_t now;
};

static uint64_t fake_mono(void *arg)
{
	return ((struct fake *)arg)->now;
}

static int64_t fake_real(void *arg)
{
	return -(int64_t)((struct fake *)arg)->now;
}

static void fake_random(void *arg, void *to, size_t n)
{
	memset(to, (int)((struct fake *)arg)->now, n);
}

static void clock__replaced__asked_instead(void **state)
{
	struct fake f = {.now = 42};
	const struct clock c = {
		.mono_ms = fake_mono,
		.real_ns = fake_real,
		.random = fake_random,
		.arg = &f,
	};
	uint8_t b[3] = {0};

	(void)state;
	assert_int_equal(clock_mono_ms(&c), 42);
	assert_int_equal(clock_real_ns(&c), -42);
	clock_random(&c, b, 2);
	assert_int_equal(b[0], 42);
	assert_int_equal(b[1], 42);
	assert_int_equal(b[2], 0);
}

static void clock__system__never_steps_back(void **state)
{
	const struct clock *c = clock_system();
	uint64_t last = clock_mono_ms(c);

	(void)state;
	for (int i = 0; i < 10000; i++) {
		const uint64_t now = clock_mono_ms(c);

		assert_true(now >= last);
		last = now;
	}
	/* after 2020: nanoseconds, not another unit */
	assert_true(clock_real_ns(c) > INT64_C(1577836800) * 1000000000);
}

static void random__drawn__fills_all_and_differs(void **state)
{
	uint8_t a[1000];
	uint8_t b[1000];
	unsigned zeros = 0;

	(void)state;
	memset(a, 0, sizeof(a));
	memset(b, 0, sizeof(b));
	clock_random(clock_system(), a, sizeof(a));
	clock_random(clock_system(), b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	for (size_t i = 0; i < sizeof(a); i++)
		zeros += a[i] == 0;
	assert_true(zeros < 50);
	clock_random(clock_system(), NULL, 0);
}

static void wait__time_has_come__timed_out_not_early(void **state)
{
	const struct clock *c = clock_system();
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t cond;
	const uint64_t until = clock_mono_ms(c) + 5;
	int r = 0;

	(void)state;
	clock_cond_init(&cond);
	assert_int_equal(pthread_mutex_lock(&lock), 0);
	while (r == 0)
		r = clock_wait(&cond, &lock, until);
	assert_int_equal(r, -ETIMEDOUT);
	assert_true(clock_mono_ms(c) >= until);
	assert_int_equal(clock_wait(&cond, &lock, 0), -ETIMEDOUT);
	assert_int_equal(pthread_mutex_unlock(&lock), 0);
	assert_int_equal(pthread_cond_destroy(&cond), 0);
}

struct bell {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int rung;
};

static void *bell_ring(void *arg)
{
	struct bell *b = arg;

	(void)pthread_mutex_lock(&b->lock);
	b->rung = 1;
	(void)pthread_cond_signal(&b->cond);
	(void)pthread_mutex_unlock(&b->lock);
	return NULL;
}

static void bell_wait(uint64_t until)
{
	struct bell b = {.lock = PTHREAD_MUTEX_INITIALIZER};
	pthread_t t;

	clock_cond_init(&b.cond);
	assert_int_equal(pthread_mutex_lock(&b.lock), 0);
	assert_int_equal(pthread_create(&t, NULL, bell_ring, &b), 0);
	while (!b.rung)
		assert_int_equal(clock_wait(&b.cond, &b.lock, until), 0);
	assert_int_equal(pthread_mutex_unlock(&b.lock), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(pthread_cond_destroy(&b.cond), 0);
}

static void wait__signalled__woken(void **state)
{
	(void)state;
	bell_wait(UINT64_MAX);
	bell_wait(UINT64_MAX - 1);
	bell_wait(clock_mono_ms(clock_system()) + 60000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clock__replaced__asked_instead),
		cmocka_unit_test(clock__system__never_steps_back),
		cmocka_unit_test(random__drawn__fills_all_and_differs),
		cmocka_unit_test(wait__time_has_come__timed_out_not_early),
		cmocka_unit_test(wait__signalled__woken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
