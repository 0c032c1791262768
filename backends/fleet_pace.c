#include "backends/fleet_pace.h"

#define PACE_REST_US 100000u
#define PACE_SECOND_US 1000000u

void fleet_pace_rate(struct fleet_pace *p, uint64_t rate, uint64_t now_us)
{
	if (p->rate == rate)
		return;
	p->rate = rate;
	if (p->ready_us > now_us)
		p->ready_us = now_us;
}

uint64_t fleet_pace_wait_us(const struct fleet_pace *p, uint64_t now_us)
{
	if (p->rate == 0 || p->ready_us <= now_us)
		return 0;
	return p->ready_us - now_us;
}

void fleet_pace_begin(struct fleet_pace *p, uint64_t bytes, uint64_t now_us)
{
	const uint64_t earliest =
		now_us > PACE_REST_US ? now_us - PACE_REST_US : 0;

	if (p->rate == 0)
		return;
	if (p->ready_us < earliest)
		p->ready_us = earliest;
	p->ready_us += bytes / p->rate * PACE_SECOND_US +
		       bytes % p->rate * PACE_SECOND_US / p->rate;
}
