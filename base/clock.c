#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/clock.h"

static uint64_t clock_sys_mono_ms(void *arg)
{
	struct timespec t;

	(void)arg;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int64_t clock_sys_real_ns(void *arg)
{
	struct timespec t;

	(void)arg;
	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void clock_sys_random(void *arg, void *to, size_t n)
{
	uint8_t *p = to;

	(void)arg;
	while (n > 0) {
		const ssize_t r = getrandom(p, n, 0);

		if (r < 0) {
			if (errno == EINTR)
				continue;
			/* Keys from anything less would be worse. */
			(void)fprintf(stderr, "pluri: getrandom failed\n");
			abort();
		}
		p += r;
		n -= (size_t)r;
	}
}

const struct clock *clock_system(void)
{
	static const struct clock sys = {
		.mono_ms = clock_sys_mono_ms,
		.real_ns = clock_sys_real_ns,
		.random = clock_sys_random,
	};

	return &sys;
}

uint64_t clock_mono_ms(const struct clock *c)
{
	return c->mono_ms(c->arg);
}

int64_t clock_real_ns(const struct clock *c)
{
	return c->real_ns(c->arg);
}

void clock_random(const struct clock *c, void *to, size_t n)
{
	c->random(c->arg, to, n);
}

void clock_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(cond, &attr);
	(void)pthread_condattr_destroy(&attr);
}

int clock_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_ms)
{
	struct timespec t;

	if (until_ms == UINT64_MAX)
		return -pthread_cond_wait(cond, lock);
	t.tv_sec = (time_t)(until_ms / 1000);
	t.tv_nsec = (long)(until_ms % 1000) * 1000000;
	return -pthread_cond_timedwait(cond, lock, &t);
}
