/*
 * Who is asked first: whoever should answer first. That is what a get of this
 * size takes with so many others beside it, and longer when it has to wait for
 * its store's window. So a near store is preferred until it has more than it
 * can do, and stores that are equally near share the reads as they can take
 * them.
 */
#include "backends/fleet_int.h"

#define RANK_FULL 256u /* load of a full window, or of less */
#define RANK_SILENT 3u /* times what was expected: it is slow right now */
#define RANK_SILENT_US 500000u /* ... when nothing was expected */

/* Unknown latencies stand in the middle of the known ones: their median, since
 * a mean would follow one outlier. */
static uint64_t rank_middle(const struct fleet_rank *ranks, unsigned n)
{
	uint64_t known[PLURI_SHARDS_MAX];
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++) {
		const uint64_t us = ranks[i].latency_us;
		unsigned at = count;

		if (us == 0)
			continue;
		for (; at > 0 && known[at - 1] > us; at--)
			known[at] = known[at - 1];
		known[at] = us;
		count++;
	}
	return count ? known[count / 2] : 1;
}

static uint64_t rank_cost(const struct fleet_rank *r, uint64_t middle)
{
	return (r->latency_us ? r->latency_us : middle) * r->load;
}

static bool rank_before(
	const struct fleet_rank *a, const struct fleet_rank *b, uint64_t middle)
{
	if (a->up != b->up)
		return a->up;
	if (a->local != b->local)
		return a->local;
	return rank_cost(a, middle) < rank_cost(b, middle);
}

void fleet_rank_order(
	const struct fleet_rank *ranks, unsigned n, unsigned *ret_order)
{
	const uint64_t middle = rank_middle(ranks, n);

	for (unsigned i = 0; i < n; i++) {
		unsigned at = i;

		while (at > 0 && rank_before(&ranks[i],
					 &ranks[ret_order[at - 1]], middle)) {
			ret_order[at] = ret_order[at - 1];
			at--;
		}
		ret_order[at] = i;
	}
}

/* For how long a get has been waited for, if that is unusually long: a store
 * that went silent is known before any deadline. With the store's lock. */
static uint64_t rank_silence(const struct fleet_store *s, uint64_t now_ms)
{
	const uint64_t now_us = fleet_queue_now_us();
	const struct fleet_op *op;
	uint64_t longest = 0;

	TAILQ_FOREACH(op, &s->running, link)
	{
		const uint64_t us = now_us - op->start_us;
		uint64_t usual;

		if (op->kind != FLEET_GET || us <= longest)
			continue;
		usual = fleet_speed_expect(&s->speed,
			&(struct fleet_get){op->room.cap, op->beside}, now_ms);
		if (us > (usual ? RANK_SILENT * usual : RANK_SILENT_US))
			longest = us;
	}
	return longest;
}

/* A full window counts a quarter more than an empty one, so that of stores that
 * are about as near none does all; beyond it calls wait. */
static uint32_t rank_load(uint32_t calls, uint32_t window)
{
	const uint32_t load = calls * RANK_FULL / window;

	if (load <= RANK_FULL)
		return RANK_FULL + load / 4;
	return load + RANK_FULL / 4;
}

struct fleet_rank fleet_rank_of(
	struct fleet_store *s, uint64_t bytes, enum fleet_sort sort)
{
	const uint64_t now = clock_mono_ms(s->clock);
	struct fleet_get get = {.bytes = bytes};
	struct fleet_rank r = {0};
	uint64_t silence;

	(void)pthread_mutex_lock(&s->lock);
	get.calls = fleet_turn_calls(s) + s->queued + 1;
	if (sort == FLEET_WAITED)
		get.calls -= s->queued_of[FLEET_AHEAD];
	r.up = fleet_health_up(s) && s->pulse.shy_ms <= now;
	r.local = (s->limits.caps & PLURI_CAP_LOCAL) != 0;
	r.latency_us = fleet_speed_expect(&s->speed, &get, now);
	if (r.latency_us)
		r.latency_us += fleet_pace_wait_us(
			&s->down[sort], fleet_queue_now_us());
	silence = rank_silence(s, now);
	if (silence > r.latency_us)
		r.latency_us = silence;
	/* A disk that hangs is farther away than any cloud */
	r.local = r.local && silence == 0;
	r.load = rank_load(get.calls, fleet_window_calls(&s->window));
	(void)pthread_mutex_unlock(&s->lock);
	return r;
}
