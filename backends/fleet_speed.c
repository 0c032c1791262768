#include "backends/fleet_speed.h"

#define SPEED_SMALL (256u << 10)
#define SPEED_MIB (1u << 20)
#define SPEED_FORGET_MS 60000u
#define SPEED_STALE_MS 5000u
#define SPEED_TIMES 3u
#define SPEED_EIGHTH_MS 1250u /* each adds an eighth to a mean's step */
#define SPEED_STEP_MAX 6u /* eighths */
#define SPEED_MEDIANS 4u
#define SPEED_LEAST_MS 5u
#define SPEED_MUST_TIMES 10u
#define SPEED_MUST_MS 500u

unsigned fleet_speed_size(uint64_t bytes)
{
	if (bytes <= 64u << 10)
		return 0;
	if (bytes <= 512u << 10)
		return 1;
	return bytes <= 4u << 20 ? 2 : 3;
}

static uint64_t speed_mean(const struct fleet_mean *m, uint64_t now_ms)
{
	return now_ms - m->seen_ms > SPEED_FORGET_MS ? 0 : m->us;
}

/* at_least: us is more than the mean was. */
static void speed_move(
	struct fleet_mean *m, uint64_t us, bool at_least, uint64_t now_ms)
{
	const uint64_t old = speed_mean(m, now_ms);
	uint64_t step = (now_ms - m->seen_ms) / SPEED_EIGHTH_MS;

	if (step < 1)
		step = 1;
	if (step > SPEED_STEP_MAX)
		step = SPEED_STEP_MAX;
	if (old == 0)
		m->times = 0;
	if (m->times < SPEED_TIMES)
		m->us = old && old < us && !at_least ? old : us;
	else
		m->us = (old * (8 - step) + us * step) / 8;
	m->times += m->times < SPEED_TIMES;
	if (m->us == 0)
		m->us = 1; /* 0 is "unknown" */
	m->seen_ms = now_ms;
}

uint64_t fleet_speed_expect(
	const struct fleet_speed *s, uint64_t bytes, uint64_t now_ms)
{
	const uint64_t small = speed_mean(&s->small, now_ms);

	if (bytes <= SPEED_SMALL)
		return small;
	return small + speed_mean(&s->mib, now_ms) * bytes / SPEED_MIB;
}

void fleet_speed_got(struct fleet_speed *s, uint64_t bytes, uint64_t us,
	bool at_least, uint64_t now_ms)
{
	struct fleet_quantile *q = &s->get[fleet_speed_size(bytes)];
	const uint64_t small = speed_mean(&s->small, now_ms);
	const uint64_t p95 = fleet_quantile_us(q, 950, now_ms);
	const uint64_t mean = fleet_speed_expect(s, bytes, now_ms);

	if (!at_least || us > (p95 ? p95 : mean))
		fleet_quantile_add(q, us, now_ms);
	if (at_least && us <= mean)
		return;
	if (bytes <= SPEED_SMALL)
		speed_move(&s->small, us, at_least, now_ms);
	else
		speed_move(&s->mib,
			(us > small ? us - small : 0) * SPEED_MIB / bytes,
			at_least, now_ms);
}

void fleet_speed_put(
	struct fleet_speed *s, uint64_t bytes, uint64_t us, uint64_t now_ms)
{
	fleet_quantile_add(&s->put[fleet_speed_size(bytes)], us, now_ms);
}

bool fleet_speed_stale(const struct fleet_speed *s, uint64_t now_ms)
{
	return s->small.times < SPEED_TIMES ||
	       now_ms - s->small.seen_ms > SPEED_STALE_MS;
}

static uint64_t speed_least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

struct fleet_patience fleet_speed_patience(const struct fleet_speed *s,
	uint64_t bytes, uint64_t most_ms, uint64_t now_ms)
{
	const struct fleet_quantile *q = &s->get[fleet_speed_size(bytes)];
	const uint64_t p95 = fleet_quantile_us(q, 950, now_ms);
	struct fleet_patience p = {most_ms, most_ms};
	uint64_t ms, must;

	if (p95 == 0)
		return p;
	ms = speed_least(
		p95, SPEED_MEDIANS * fleet_quantile_us(q, 500, now_ms));
	ms = ms / 1000 + 1;
	if (ms < SPEED_LEAST_MS)
		ms = SPEED_LEAST_MS;
	must = SPEED_MUST_TIMES * ms;
	if (must < SPEED_MUST_MS)
		must = SPEED_MUST_MS;
	p.ms = speed_least(ms, most_ms);
	p.must_ms = speed_least(must, most_ms);
	return p;
}
