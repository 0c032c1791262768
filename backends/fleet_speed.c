#include "backends/fleet_speed.h"

#define SPEED_SMALL (256u << 10)
#define SPEED_MIB (1u << 20)
#define SPEED_FORGET_MS 60000u
#define SPEED_HALF_MS 30000u
#define SPEED_STALE_MS 5000u
#define SPEED_TIMES 3u
#define SPEED_EIGHTH_MS 800u /* each adds an eighth to a mean's step */
#define SPEED_STEP_MAX 6u /* eighths */
#define SPEED_MEDIANS 4u
#define SPEED_LEAST_MS 5u
#define SPEED_MUST_TIMES 10u
#define SPEED_MUST_MS 500u
#define SPEED_MUST_MOST_MS 1500u

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

static void speed_move(struct fleet_mean *m, uint64_t us, uint64_t now_ms)
{
	const uint64_t old = speed_mean(m, now_ms);
	uint64_t step = (now_ms - m->seen_ms) / SPEED_EIGHTH_MS;

	if (step < 1)
		step = 1;
	if (step > SPEED_STEP_MAX)
		step = SPEED_STEP_MAX;
	m->us = (old * (8 - step) + us * step) / 8;
	m->seen_ms = now_ms;
}

static uint64_t speed_least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* 0: unknown. */
static uint64_t speed_base(const struct fleet_speed *s, uint64_t now_ms)
{
	const uint64_t age = now_ms - s->turn_ms;

	if (age >= SPEED_FORGET_MS || s->least_us == 0)
		return 0;
	if (age >= SPEED_HALF_MS || s->last_us == 0)
		return s->least_us;
	return speed_least(s->least_us, s->last_us);
}

static void speed_base_add(struct fleet_speed *s, uint64_t us, uint64_t now_ms)
{
	const uint64_t age = now_ms - s->turn_ms;

	if (speed_base(s, now_ms) == 0)
		s->times = 0;
	if (age >= SPEED_FORGET_MS) {
		s->last_us = 0;
		s->least_us = 0;
		s->turn_ms = now_ms;
	} else if (age >= SPEED_HALF_MS) {
		s->last_us = s->least_us;
		s->least_us = 0;
		s->turn_ms += SPEED_HALF_MS;
	}
	us = us ? us : 1; /* 0 is "unknown" */
	s->least_us = s->least_us ? speed_least(s->least_us, us) : us;
	s->seen_ms = now_ms;
	s->times += s->times < SPEED_TIMES;
}

uint64_t fleet_speed_expect(
	const struct fleet_speed *s, const struct fleet_get *g, uint64_t now_ms)
{
	const uint64_t base = speed_base(s, now_ms);
	uint64_t each = base ? speed_mean(&s->wait, now_ms) : 0;

	if (g->bytes > SPEED_SMALL)
		each += speed_mean(&s->mib, now_ms) * g->bytes / SPEED_MIB;
	return base + each * g->calls;
}

/* What it took beyond `usual`, for each call. */
static uint64_t speed_each(
	const struct fleet_get *g, uint64_t us, uint64_t usual)
{
	return us > usual ? (us - usual) / g->calls : 0;
}

void fleet_speed_got(struct fleet_speed *s, const struct fleet_get *g,
	uint64_t us, bool at_least, uint64_t now_ms)
{
	struct fleet_quantile *q = &s->get[fleet_speed_size(g->bytes)];
	const struct fleet_get small = {.calls = g->calls};
	const uint64_t p95 = fleet_quantile_us(q, 950, now_ms);
	const uint64_t usual = fleet_speed_expect(s, g, now_ms);

	if (!at_least || us > (p95 ? p95 : usual))
		fleet_quantile_add(q, us, now_ms);
	if (at_least && us <= usual)
		return;
	if (g->bytes <= SPEED_SMALL) {
		speed_base_add(s, us, now_ms);
		speed_move(&s->wait, speed_each(g, us, speed_base(s, now_ms)),
			now_ms);
	} else {
		us = speed_each(g, us, fleet_speed_expect(s, &small, now_ms));
		speed_move(&s->mib, us * SPEED_MIB / g->bytes, now_ms);
	}
}

void fleet_speed_put(
	struct fleet_speed *s, uint64_t bytes, uint64_t us, uint64_t now_ms)
{
	fleet_quantile_add(&s->put[fleet_speed_size(bytes)], us, now_ms);
}

bool fleet_speed_stale(const struct fleet_speed *s, uint64_t now_ms)
{
	return s->times < SPEED_TIMES || now_ms - s->seen_ms > SPEED_STALE_MS;
}

/* Too few of this size, but others: four times what it should take. */
static uint64_t speed_guess(
	const struct fleet_speed *s, uint64_t bytes, uint64_t now_ms)
{
	const struct fleet_get g = {bytes, 1};
	const uint64_t us = fleet_speed_expect(s, &g, now_ms);
	const uint64_t ms = SPEED_MEDIANS * us / 1000 + 1;

	/* Of a large one nothing is known without the time of a MiB */
	if (us == 0 || (bytes > SPEED_SMALL && s->mib.seen_ms == 0))
		return 0;
	return ms < SPEED_MUST_MS ? SPEED_MUST_MS : ms;
}

struct fleet_patience fleet_speed_patience(const struct fleet_speed *s,
	uint64_t bytes, uint64_t most_ms, uint64_t now_ms)
{
	const struct fleet_quantile *q = &s->get[fleet_speed_size(bytes)];
	const uint64_t p95 = fleet_quantile_us(q, 950, now_ms);
	struct fleet_patience p = {most_ms, most_ms};
	uint64_t ms, must;

	if (p95 == 0) {
		ms = speed_guess(s, bytes, now_ms);
		if (ms && ms < most_ms)
			p = (struct fleet_patience){ms, ms};
		return p;
	}
	ms = speed_least(
		p95, SPEED_MEDIANS * fleet_quantile_us(q, 500, now_ms));
	ms = ms / 1000 + 1;
	if (ms < SPEED_LEAST_MS)
		ms = SPEED_LEAST_MS;
	must = SPEED_MUST_TIMES * ms;
	if (must > SPEED_MUST_MOST_MS)
		must = 2 * ms > SPEED_MUST_MOST_MS ? 2 * ms
						   : SPEED_MUST_MOST_MS;
	if (must < SPEED_MUST_MS)
		must = SPEED_MUST_MS;
	p.ms = speed_least(ms, most_ms);
	p.must_ms = speed_least(must, most_ms);
	return p;
}
