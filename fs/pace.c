#include <errno.h>

#include "fs/pace.h"

#define PACE_WINDOW_MS 2000u /* of one measurement */
#define PACE_AGAIN_MS 100u
#define PACE_RATE (8u << 20) /* bytes/s, while nothing is known */
#define PACE_RATE_MIN (64u << 10) /* ... and when they seem to take none */
/* So long nobody asked, though each answer was there: nobody wrote. */
#define PACE_IDLE_MS (PACE_PAUSE_MAX_MS + PACE_WINDOW_MS)

static void pace_begin(struct pace *p, const struct pace_now *now)
{
	p->rate = PACE_RATE;
	p->seen_ms = now->ms;
	p->seen_paid = now->paid;
}

/*
 * Packs are paid one at a time, so a short look would see none or many. None
 * is an answer like others: clouds that stall are slower and slower, not
 * unknown again. What was measured before an idle time says little.
 */
static void pace_measure(struct pace *p, const struct pace_now *now)
{
	const uint64_t ms = now->ms - p->seen_ms;
	uint64_t rate;

	if (p->seen_ms == 0 || now->paid < p->seen_paid || ms > PACE_IDLE_MS)
		pace_begin(p, now);
	if (p->seen_ms == now->ms || ms < PACE_WINDOW_MS)
		return;
	rate = (now->paid - p->seen_paid) * 1000 / ms;
	for (uint64_t n = ms / PACE_WINDOW_MS; n > 0; n--)
		p->rate = rate ? (3 * p->rate + rate) / 4 : p->rate / 2;
	if (p->rate < PACE_RATE_MIN)
		p->rate = PACE_RATE_MIN;
	p->seen_ms = now->ms;
	p->seen_paid = now->paid;
}

/* How long len bytes wait: as long as the clouds take for them half-way from
 * max / 2 to max, where it so settles; without end at max. */
static uint64_t pace_span_us(const struct pace *p, uint64_t len, uint64_t over)
{
	const uint64_t left = p->max / 2 > over ? p->max / 2 - over : 0;
	const uint64_t most = PACE_PAUSE_MAX_MS * UINT64_C(1000);
	uint64_t us = len * 1000000 / p->rate;

	if (us > most)
		us = most;
	return us * (over >> 20) / ((left >> 20) + 1);
}

/* Above max. */
static int pace_wait(struct pace *p, const struct pace_now *now)
{
	if (now->moves)
		p->stuck_ms = 0;
	else if (p->stuck_ms == 0 || p->stuck_paid != now->paid)
		p->stuck_ms = now->ms;
	p->stuck_paid = now->paid;
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
	uint64_t *turn = &p->turn_us[len <= PACE_FEW];

	pace_measure(p, now);
	if (now->pending > p->max) {
		*ret_ms = PACE_AGAIN_MS;
		return pace_wait(p, now);
	}
	p->stuck_ms = 0;
	if (*turn < us)
		*turn = us;
	if (now->pending > half && now->moves)
		*turn += pace_span_us(p, len, now->pending - half);
	if (*turn > most)
		*turn = most;
	*ret_ms = (*turn - us) / 1000;
	return 0;
}
