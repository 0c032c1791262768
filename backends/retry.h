/*
 * backends/retry.h - what to repeat, when, and when to give up. Pure.
 *
 * Repeated: EAGAIN, ETIMEDOUT, EBUSY. Never: anything an authority said.
 * Pauses double from first_ms to 10 s with full jitter (a pause is drawn from
 * [half, whole]); what the other side asked (retry_after_ms) is honoured up
 * to 60 s.
 */
#ifndef PLURI_BACKENDS_RETRY_H
#define PLURI_BACKENDS_RETRY_H

#include <stdbool.h>

#include "base/clock.h"

bool retry_may(int code);

/* Pause before attempt number `attempt` (1 is the first repetition), in ms. */
uint64_t retry_pause_ms(const struct clock *c, unsigned attempt,
	uint32_t first_ms, uint64_t retry_after_ms);

#endif
