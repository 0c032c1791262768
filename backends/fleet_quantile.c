#include <stdbool.h>
#include <string.h>

#include "backends/fleet_quantile.h"

#define QUANTILE_STEPS 8u /* of an octave */
#define QUANTILE_LOG 3u

static unsigned quantile_slot(uint64_t us)
{
	unsigned octave, slot;

	if (us < QUANTILE_STEPS)
		return (unsigned)us;
	octave = 63 - (unsigned)__builtin_clzll(us);
	slot = (octave - QUANTILE_LOG + 1) * QUANTILE_STEPS +
	       (unsigned)(us >> (octave - QUANTILE_LOG) & (QUANTILE_STEPS - 1));
	return slot < FLEET_QUANTILE_SLOTS ? slot : FLEET_QUANTILE_SLOTS - 1;
}

/* The longest time that is counted in a slot. */
static uint64_t quantile_end(unsigned slot)
{
	const unsigned octave = slot / QUANTILE_STEPS;
	const uint64_t step = slot % QUANTILE_STEPS;

	if (octave == 0)
		return step;
	return ((QUANTILE_STEPS + step + 1) << (octave - 1)) - 1;
}

static bool quantile_old(
	const struct fleet_quantile *q, unsigned half, uint64_t now_ms)
{
	const uint64_t age = now_ms - q->turn_ms;
	const unsigned halves = half == q->newer ? 2 : 1;

	return age >= (uint64_t)halves * FLEET_QUANTILE_HALF_MS;
}

static void quantile_clear(struct fleet_quantile *q, unsigned half)
{
	memset(q->count[half], 0, sizeof(q->count[half]));
	q->total[half] = 0;
}

void fleet_quantile_add(struct fleet_quantile *q, uint64_t us, uint64_t now_ms)
{
	if (quantile_old(q, q->newer, now_ms)) {
		quantile_clear(q, q->newer);
		q->turn_ms = now_ms - FLEET_QUANTILE_HALF_MS;
	}
	if (now_ms - q->turn_ms >= FLEET_QUANTILE_HALF_MS) {
		q->newer ^= 1;
		quantile_clear(q, q->newer);
		q->turn_ms += FLEET_QUANTILE_HALF_MS;
	}
	q->count[q->newer][quantile_slot(us)]++;
	q->total[q->newer]++;
}

uint64_t fleet_quantile_us(
	const struct fleet_quantile *q, unsigned permille, uint64_t now_ms)
{
	const bool old[2] = {
		quantile_old(q, 0, now_ms), quantile_old(q, 1, now_ms)};
	const uint64_t total = (old[0] ? 0 : (uint64_t)q->total[0]) +
			       (old[1] ? 0 : (uint64_t)q->total[1]);
	const uint64_t wanted = (total * permille + 999) / 1000;
	uint64_t seen = 0;

	if (total < FLEET_QUANTILE_LEAST)
		return 0;
	for (unsigned i = 0; i < FLEET_QUANTILE_SLOTS; i++) {
		seen += old[0] ? 0 : q->count[0][i];
		seen += old[1] ? 0 : q->count[1][i];
		if (seen >= wanted && seen > 0)
			return quantile_end(i) ? quantile_end(i) : 1;
	}
	return quantile_end(FLEET_QUANTILE_SLOTS - 1);
}
