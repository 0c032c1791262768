/*
 * backends/fleet_pace.h - no more than so many bytes a second.
 *
 * A call begins when what began before it should be over at that rate; then it
 * runs as fast as it can. So the mean keeps to the rate, and a rest of up to
 * 100 ms may be made up for. Pure; all zero is a pace without bound.
 */
#ifndef PLURI_BACKENDS_FLEET_PACE_H
#define PLURI_BACKENDS_FLEET_PACE_H

#include <stdint.h>

struct fleet_pace {
	uint64_t rate;	   /* bytes/s; 0: no bound */
	uint64_t ready_us; /* the next may begin; the caller's clock */
};

/* From now on; what began so far is forgotten. */
void fleet_pace_rate(struct fleet_pace *p, uint64_t rate, uint64_t now_us);
uint64_t fleet_pace_wait_us(const struct fleet_pace *p, uint64_t now_us);
void fleet_pace_begin(struct fleet_pace *p, uint64_t bytes, uint64_t now_us);

#endif
