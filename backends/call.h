/*
 * backends/call.h - what a plugin asks of its struct pluri_call.
 *
 * Pure but for reading the monotonic clock; any thread.
 */
#ifndef PLURI_BACKENDS_CALL_H
#define PLURI_BACKENDS_CALL_H

#include <stdbool.h>

#include "backends/backend.h"

/* Bytes that may be moved between two looks at the clock. */
#define CALL_PIECE_BYTES (1u << 20)

uint64_t call_now_ms(void); /* the clock of deadlines */

bool call_cancelled(const struct pluri_call *call);

/* 0 while the call may go on, else -ECANCELED or -ETIMEDOUT. */
int call_check(const struct pluri_call *call, struct pluri_err *err);

/* Exactly len bytes of body from off; a reader without a story gets one. */
int call_body(const struct pluri_body *body, uint64_t off, void *to,
	size_t len, struct pluri_err *err);

#endif
