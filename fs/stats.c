#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "fs/stats.h"

#define STATS_LINE 64 /* bytes that processors exchange at once */

/* Each kind on lines of its own: others are counted at the same time. */
struct stats_one {
	_Alignas(STATS_LINE) _Atomic uint64_t errors;
	_Atomic uint64_t bytes, busy_ns, max_ns;
	_Atomic uint64_t step[STATS_STEPS];
};

struct stats {
	_Alignas(STATS_LINE) _Atomic uint64_t in_flight;
	_Alignas(STATS_LINE) _Atomic uint64_t count[STATS_COUNTS];
	struct stats_one one[STATS_KINDS];
};

static uint64_t stats_get(const _Atomic uint64_t *from)
{
	return atomic_load_explicit(from, memory_order_relaxed);
}

static void stats_more(_Atomic uint64_t *to, uint64_t n)
{
	(void)atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

int stats_new(struct stats **ret, struct pluri_err *err)
{
	struct stats *s = aligned_alloc(STATS_LINE, sizeof(*s));

	if (!s)
		return pluri_fail(err, ENOMEM, "stats: no memory");
	memset(s, 0, sizeof(*s));
	*ret = s;
	return 0;
}

void stats_free(struct stats *s)
{
	free(s);
}

const char *stats_kind_text(enum stats_kind k)
{
	static const char *const words[STATS_KINDS] = {
		[STATS_READ] = "read",
		[STATS_WRITE] = "write",
		[STATS_FSYNC] = "fsync",
		[STATS_LOOKUP] = "lookup",
		[STATS_GETATTR] = "getattr",
		[STATS_SETATTR] = "setattr",
		[STATS_CREATE] = "create",
		[STATS_UNLINK] = "unlink",
		[STATS_RENAME] = "rename",
		[STATS_READDIR] = "readdir",
		[STATS_XATTR] = "xattr",
		[STATS_OTHER] = "other",
	};

	return words[k];
}

/* --- counting ------------------------------------------------------------ */

void stats_began(struct stats *s)
{
	stats_more(&s->in_flight, 1);
}

static void stats_longest(_Atomic uint64_t *max, uint64_t ns)
{
	uint64_t old = stats_get(max);

	while (ns > old && !atomic_compare_exchange_weak_explicit(max, &old, ns,
				   memory_order_relaxed, memory_order_relaxed))
		;
}

void stats_ended(struct stats *s, const struct stats_request *request)
{
	struct stats_one *o;

	stats_more(&s->in_flight, UINT64_MAX); /* one less */
	if (!request)
		return;
	o = &s->one[request->kind];
	stats_more(&o->step[stats_step(request->ns / 1000)], 1);
	stats_more(&o->busy_ns, request->ns);
	stats_longest(&o->max_ns, request->ns);
	if (request->bytes)
		stats_more(&o->bytes, request->bytes);
	if (request->failed)
		stats_more(&o->errors, 1);
}

void stats_add(struct stats *s, enum stats_count c, uint64_t n)
{
	stats_more(&s->count[c], n);
}

uint64_t stats_value(const struct stats *s, enum stats_count c)
{
	return stats_get(&s->count[c]);
}

/* --- looking ------------------------------------------------------------- */

/* Below 4 us each has its own; then 4 to a power of two. */
unsigned stats_step(uint64_t us)
{
	unsigned power, step;

	if (us < 4)
		return (unsigned)us;
	power = 63 - (unsigned)__builtin_clzll(us);
	step = 4 * (power - 1) + (unsigned)(us >> (power - 2) & 3);
	return step < STATS_STEPS ? step : STATS_STEPS - 1;
}

uint64_t stats_step_end(unsigned step)
{
	if (step < 4)
		return step + 1;
	return (uint64_t)(4 + step % 4 + 1) << (step / 4 - 1);
}

uint64_t stats_quantile(const uint64_t step[STATS_STEPS], unsigned permille)
{
	uint64_t all = 0;
	uint64_t seen = 0;
	uint64_t wanted;
	unsigned i;

	for (i = 0; i < STATS_STEPS; i++)
		all += step[i];
	if (all == 0)
		return 0;
	wanted = all - all / 1000 * (1000 - permille) -
		 all % 1000 * (1000 - permille) / 1000;
	for (i = 0; i < STATS_STEPS - 1; i++) {
		seen += step[i];
		if (seen >= wanted)
			break;
	}
	return stats_step_end(i);
}

void stats_look(
	const struct stats *s, enum stats_kind k, struct stats_view *ret)
{
	const struct stats_one *o = &s->one[k];

	*ret = (struct stats_view){.errors = stats_get(&o->errors),
		.bytes = stats_get(&o->bytes),
		.busy_us = stats_get(&o->busy_ns) / 1000,
		.max_us = stats_get(&o->max_ns) / 1000};
	for (unsigned i = 0; i < STATS_STEPS; i++) {
		ret->step[i] = stats_get(&o->step[i]);
		ret->requests += ret->step[i];
	}
}

uint64_t stats_in_flight(const struct stats *s)
{
	const uint64_t n = stats_get(&s->in_flight);

	return n > INT64_MAX ? 0 : n; /* an end was seen before its beginning */
}
