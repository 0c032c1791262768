/*
 * backends/fleet_quantile.h - how long the slowest few of many answers took.
 *
 * Times are counted in slots that are an eighth of an octave wide, so a
 * quantile is at most 12.5 % too high and never too low. Two halves of 30 s
 * each take turns: what is asked covers the last 30 to 60 s. Bounded memory,
 * no allocation. Pure; all zero is a new one. Time is the caller's, in ms, and
 * does not step back.
 */
#ifndef PLURI_BACKENDS_FLEET_QUANTILE_H
#define PLURI_BACKENDS_FLEET_QUANTILE_H

#include <stdint.h>

#define FLEET_QUANTILE_HALF_MS 30000u
#define FLEET_QUANTILE_SLOTS 216u /* up to 537 s; longer counts as that */
/* Fewer tell nothing: of eight, the p95 is the slowest. */
#define FLEET_QUANTILE_LEAST 8u

struct fleet_quantile {
	uint64_t turn_ms; /* the newer half began */
	unsigned newer;	  /* which it is */
	uint32_t total[2];
	uint32_t count[2][FLEET_QUANTILE_SLOTS];
};

void fleet_quantile_add(
	struct fleet_quantile *q, uint64_t us, uint64_t now_ms);

/* What `permille` of a thousand answers were not slower than, in us; 0: fewer
 * than FLEET_QUANTILE_LEAST are known. */
uint64_t fleet_quantile_us(
	const struct fleet_quantile *q, unsigned permille, uint64_t now_ms);

#endif
