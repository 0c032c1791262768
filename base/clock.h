/*
 * base/clock.h - time and chance.
 *
 * Modules that wait or draw take a const struct clock, so that tests bring
 * their own. clock_system() is the real one. Shared.
 */
#ifndef PLURI_BASE_CLOCK_H
#define PLURI_BASE_CLOCK_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct clock {
	uint64_t (*mono_ms)(void *arg); /* never steps back */
	int64_t (*real_ns)(void *arg);	/* since 1970, may step */
	void (*random)(void *arg, void *to, size_t n); /* cryptographic */
	void *arg;
};

const struct clock *clock_system(void);

uint64_t clock_mono_ms(const struct clock *c);
int64_t clock_real_ns(const struct clock *c);
void clock_random(const struct clock *c, void *to, size_t n);

/* Condition variables here all run on CLOCK_MONOTONIC. */
void clock_cond_init(pthread_cond_t *cond);

/*
 * Wait on cond until system monotonic time until_ms (UINT64_MAX: for ever).
 * 0 when woken (perhaps for nothing), -ETIMEDOUT when the time has come.
 */
int clock_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_ms);

#endif
