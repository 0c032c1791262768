/*
 * backends/fleet_window.h - how many calls at once a store is trusted with.
 *
 * Begins with 4. Grows by one with each answer while it is used fully, until it
 * was cut once; from then on by one with each window's worth of answers. Is
 * halved when the store throttles, a call's time is over or a put took half of
 * it, once for all calls that were under way; a put of a quarter of its time
 * is no reason to grow. Below 4 it grows when it is not used fully, too: a
 * store that is avoided since it throttled must have a way back. Within
 * [1, max]. Pure.
 */
#ifndef PLURI_BACKENDS_FLEET_WINDOW_H
#define PLURI_BACKENDS_FLEET_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

struct fleet_window {
	uint32_t max;	 /* calls */
	uint32_t parts;	 /* of the window: 256 a call */
	bool cut;	 /* ever */
	uint64_t cut_us; /* ... when last; the caller's clock */
};

void fleet_window_init(struct fleet_window *w, uint32_t max);
void fleet_window_bound(struct fleet_window *w, uint32_t max);
uint32_t fleet_window_calls(const struct fleet_window *w);
void fleet_window_good(struct fleet_window *w, bool full);
/* Of a call that was begun at began_us. */
void fleet_window_bad(
	struct fleet_window *w, uint64_t began_us, uint64_t now_us);

#endif
