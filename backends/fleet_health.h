/*
 * backends/fleet_health.h - what the fleet knows of a store.
 *
 * Health of a store: UP -> (3 failures of class down in a row) -> DOWN ->
 * (after a pause, one try) -> UP or DOWN with a longer pause (1 s doubling to
 * 30 s). Calls to a DOWN store fail at once with EAGAIN between tries. Other
 * failure classes do not open the breaker; the last one is remembered. A store
 * that throttles and says for how long (60 s at most) is left alone as long.
 *
 * Shared.
 */
#ifndef PLURI_BACKENDS_FLEET_HEALTH_H
#define PLURI_BACKENDS_FLEET_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct fleet;

enum fleet_class { /* what the last failure was */
	FLEET_OK,
	FLEET_DOWN,
	FLEET_THROTTLED,
	FLEET_AUTH,
	FLEET_MISSING, /* ENODEV: bucket or directory; a missing object (ENOENT)
			  is no failure of the store */
	FLEET_CORRUPT,
	FLEET_FULL, /* until a put or del succeeds */
	FLEET_FOREIGN, /* another volume's descriptor: set by fleet_mark */
};
const char *fleet_class_text(enum fleet_class c);
enum fleet_class fleet_class_of(int code); /* of a negative errno */

struct fleet_health {
	bool up;		/* calls go through */
	enum fleet_class class; /* FLEET_OK once a call succeeded again */
	char text[PLURI_ERR_TEXT]; /* story of the last failure, "" if OK */
	uint64_t since_ms;	/* monotonic: when class last changed */
	uint64_t puts, gets, dels, lists, errors; /* attempts since start */
	uint64_t puts_us, gets_us; /* what those took that ended, in all */
	uint64_t bytes_out, bytes_in;
	uint64_t latency_us; /* of get: exponential average; 0: unknown */
	uint32_t in_flight;
	uint64_t caps; /* of its limits */
	/* Calls at once that it is trusted with now; adapts to throttling */
	uint32_t window;
	/* Of the last minute or two, answers of at most 64 KiB; 0: unknown */
	uint64_t get_p50_us, get_p95_us, get_p99_us;
	uint64_t put_p50_us, put_p95_us, put_p99_us;
	/* Reads asked here because another store was slow, and of these the
	 * ones that answered first */
	uint64_t hedges, hedges_won;
};
/* 0, or -ENOENT for an unknown store. Never waits for a cloud. */
int fleet_health(struct fleet *f, unsigned store, struct fleet_health *ret);

/* Bar a store (FLEET_FOREIGN, FLEET_MISSING...) until FLEET_OK is marked:
 * gets, puts and dels fail at once with EAGAIN and this story. */
void fleet_mark(struct fleet *f, unsigned store, enum fleet_class c,
	const char *why);

#endif
