#include <errno.h>

#include "fs/pace.h"

#define PACE_WINDOW_MS 2000u /* of one measurement */
#define PACE_AGAIN_MS 100u
#define PACE_RATE (8u << 20) /* bytes/s, while nothing is known */

/* Packs are paid one at a time, so a short look would see none or many. */
static void pace_measure(struct pace *p, const struct pace_now *now)
{
	const uint64_t ms = now->ms - p->seen_ms;
	uint64_t rate;

	if (p->seen_ms == 0 || now->paid < p->seen_paid) {
		p->seen_ms = now->ms;
		p->seen_paid = now->paid;
	}
	if (ms < PACE_WINDOW_MS || p->seen_ms == now->ms)
		return;
	rate = (now->paid - p->seen_paid) * 1000 / ms;
	/* what was measured long ago says little */
	p->rate = p->rate && ms < 4 * PACE_WINDOW_MS ? (3 * p->rate + rate) / 4
						     : rate;
	p->seen_ms = now->ms;
	p->seen_paid = now->paid;
}

/* How long len bytes wait: as long as the clouds take for them half-way from
 * max / 2 to max, where it so settles; without end at max. */
static uint64_t pace_span_us(const struct pace *p, uint64_t len, uint64_t over)
{
	const uint64_t left = p->max / 2 > over ? p->max / 2 - over : 0;
	const uint64_t rate = p->rate ? p->rate : PACE_RATE;
	const uint64_t most = PACE_PAUSE_MAX_MS * UINT64_C(1000);
	uint64_t us = len * 1000000 / rate;

	if (us > most)
		us = most;
	return us * (over >> 20) / ((left >> 20) + 1);
}

/* Above max. */
static int pace_wait(struct pace *p, const struct pace_now *now)
{
	if (now->moves)
		p->stuck_ms = 0;
	else if (p->stuck_ms == 0)
		p->stuck_ms = now->ms;
	if (p->stuck_ms && now->ms - p->stuck_ms >= PACE_PATIENCE_MS)
		return -ENOSPC;
	return -EAGAIN;
}

int pace_ask(struct pace *p, const struct pace_now *now, uint64_t len,
	uint64_t *ret_ms)
{
	const uint64_t us = now->ms * 1000;
	const uint64_t most = us + PACE_PAUSE_MAX_MS * UINT64_C(1000);
	const uint64_t half = p->max / 2;

	pace_measure(p, now);
	if (now->pending > p->max) {
		*ret_ms = PACE_AGAIN_MS;
		return pace_wait(p, now);
	}
	p->stuck_ms = 0;
	if (p->turn_us < us)
		p->turn_us = us;
	if (now->pending > half && now->moves)
		p->turn_us += pace_span_us(p, len, now->pending - half);
	if (p->turn_us > most)
		p->turn_us = most;
	*ret_ms = (p->turn_us - us) / 1000;
	return 0;
}
