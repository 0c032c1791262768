/*
 * backends/fleet_speed.h - how quick a store is: what a get of some size will
 * take, and when it is time to ask another store instead.
 *
 * What a get takes is modelled as
 *
 *   base + calls * (wait + bytes * mib)
 *
 * base: the quickest small answer (256 KiB at most) of the last minute; wait:
 * what an answer took beyond that for each call that the store had then; mib:
 * the same for each MiB of a large one. So a store that is far looks far,
 * one that is full looks the slower the more it is asked, and one whose
 * capacity is left looks quick. wait and mib are means that move by an eighth
 * with each answer, and by more, up to three quarters, when the last one was
 * seconds ago: a store that is sampled seldom is believed sooner. What is older
 * than a minute is forgotten, so that a store gets a new chance.
 *
 * Quantiles are kept by size, so that large answers do not make small ones
 * look quick. Pure; all zero is a new one; now_ms as in fleet_quantile.h.
 */
#ifndef PLURI_BACKENDS_FLEET_SPEED_H
#define PLURI_BACKENDS_FLEET_SPEED_H

#include <stdbool.h>

#include "backends/fleet_quantile.h"

/* Up to 64 KiB, 512 KiB, 4 MiB, and more. */
#define FLEET_SIZES 4u
unsigned fleet_speed_size(uint64_t bytes);

struct fleet_mean {
	uint64_t us;
	uint64_t seen_ms;
};

struct fleet_speed {
	uint64_t least_us, last_us; /* base: of this half minute, of the last */
	uint64_t turn_ms; /* it began */
	uint64_t seen_ms; /* last small answer */
	unsigned times;	  /* small answers, up to 3 */
	struct fleet_mean wait, mib;
	struct fleet_quantile get[FLEET_SIZES], put[FLEET_SIZES];
};

struct fleet_get {
	uint64_t bytes;
	unsigned calls; /* of its store when it began, with itself: >= 1 */
};
/*
 * A get was answered after us. at_least: it was given up then, and counts only
 * when that is slower than what was believed; else giving up would look quick.
 */
void fleet_speed_got(struct fleet_speed *s, const struct fleet_get *g,
	uint64_t us, bool at_least, uint64_t now_ms);
void fleet_speed_put(struct fleet_speed *s, uint64_t bytes, uint64_t us,
	uint64_t now_ms);

/* What such a get takes, in us; 0: unknown. */
uint64_t fleet_speed_expect(const struct fleet_speed *s,
	const struct fleet_get *g, uint64_t now_ms);

/* Has no small get been answered for 5 s, or have fewer than three? */
bool fleet_speed_stale(const struct fleet_speed *s, uint64_t now_ms);

/*
 * How long to wait for a get before another store is asked: `ms` if that can
 * be afforded, `must_ms` in any case; neither beyond most_ms.
 *
 * ms: the p95 of its size; not later than 4 medians, since a store whose
 * slowest tenth is far away from the rest would teach us to wait for it; not
 * sooner than 5 ms. must_ms: 10 times that, from 500 ms to 1500 ms, or twice it
 * if that is more. While too few of this size are known both are four times
 * what the others let expect, 500 ms at least; while nothing is, most_ms.
 */
struct fleet_patience {
	uint64_t ms, must_ms;
};
struct fleet_patience fleet_speed_patience(const struct fleet_speed *s,
	uint64_t bytes, uint64_t most_ms, uint64_t now_ms);

#endif
