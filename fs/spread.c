#include "fs/spread.h"

#define SPREAD_ONE 4096u
#define SPREAD_FADE 32u /* packs after which a third is left */

/* How much its stores have for their weights: the less the better. */
static uint64_t spread_load(const struct spread *s,
	const struct spread_table *t, const struct place_choice *c)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < c->n; i++) {
		const unsigned at = c->store[i];
		const uint64_t given = atomic_load(&s->given[t->num[at]]);

		sum += (given << 16) / t->store[at].weight;
	}
	return sum;
}

static void spread_give(struct spread *s, const struct spread_table *t,
	const struct place_choice *c)
{
	for (unsigned i = 0; i < t->n; i++) {
		_Atomic uint32_t *given = &s->given[t->num[i]];

		(void)atomic_fetch_sub(given, atomic_load(given) / SPREAD_FADE);
	}
	for (unsigned i = 0; i < c->n; i++)
		(void)atomic_fetch_add(
			&s->given[t->num[c->store[i]]], SPREAD_ONE);
}

void spread_draw(struct spread *s, const struct clock *clock,
	const struct spread_table *t, struct pluri_id *ret)
{
	struct place_choice best = {0};
	uint64_t least = UINT64_MAX;

	clock_random(clock, ret->b, sizeof(ret->b));
	for (unsigned i = 0; i < SPREAD_DRAWS; i++) {
		struct place_choice c = {0};
		struct pluri_id id;
		uint64_t load;

		clock_random(clock, id.b, sizeof(id.b));
		if (place_choose(&id, t->rule, t->store, t->n, &c, NULL) < 0)
			return;
		load = spread_load(s, t, &c);
		if (load >= least)
			continue;
		least = load;
		best = c;
		*ret = id;
	}
	spread_give(s, t, &best);
}
