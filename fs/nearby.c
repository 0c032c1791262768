#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "fs/nearby.h"

#define NEARBY_SLOTS 64u
#define NEARBY_SLACK (64u << 10) /* misses this near each other touch */
#define NEARBY_CREDIT (4 << 20) /* to begin with, and at most */
#define NEARBY_PRICE 4u /* bytes brought for one of credit */

/* The last window of a pack. */
struct nearby_slot {
	uint64_t pack; /* 0: free */
	struct nearby_range last;
	uint64_t when; /* of the clock below */
};

struct nearby {
	pthread_mutex_t lock; /* guards all below; a leaf */
	uint64_t clock;
	uint32_t window, max;
	int64_t credit;
	uint64_t brought; /* since the last question */
	uint64_t used; /* as told with it */
	struct nearby_slot slot[NEARBY_SLOTS];
};

int nearby_new(uint32_t max, struct nearby **ret, struct pluri_err *err)
{
	struct nearby *n = calloc(1, sizeof(*n));

	if (!n)
		return pluri_fail(err, ENOMEM, "reader: no memory");
	(void)pthread_mutex_init(&n->lock, NULL);
	n->max = max;
	n->window = NEARBY_MIN < max ? NEARBY_MIN : max;
	n->credit = NEARBY_CREDIT;
	*ret = n;
	return 0;
}

void nearby_free(struct nearby *n)
{
	if (!n)
		return;
	(void)pthread_mutex_destroy(&n->lock);
	free(n);
}

/* The pack's slot, else the one to forget, emptied. */
static struct nearby_slot *nearby_slot(struct nearby *n, uint64_t pack)
{
	struct nearby_slot *old = &n->slot[0];

	for (unsigned i = 0; i < NEARBY_SLOTS; i++) {
		struct nearby_slot *s = &n->slot[i];

		if (s->pack == pack)
			return s;
		if (s->when < old->when)
			old = s;
	}
	*old = (struct nearby_slot){.pack = pack};
	return old;
}

/* 1, -1: the miss goes on behind, or before, the last window; 0: neither. */
static int nearby_walks(
	const struct nearby_slot *s, const struct nearby_range *miss)
{
	if (s->when == 0)
		return 0;
	if (miss->from >= s->last.upto)
		return miss->from - s->last.upto <= NEARBY_SLACK ? 1 : 0;
	if (miss->upto <= s->last.from)
		return s->last.from - miss->upto <= NEARBY_SLACK ? -1 : 0;
	return 0;
}

/* What came of the last windows. */
static void nearby_learn(struct nearby *n, uint64_t used)
{
	const uint64_t got = used - n->used;

	n->used = used;
	n->credit += (int64_t)got;
	if (n->credit > NEARBY_CREDIT)
		n->credit = NEARBY_CREDIT;
	if (n->brought == 0)
		return;
	if (got >= n->brought / 2 && n->window <= n->max / 2)
		n->window *= 2;
	else if (got < n->brought / 8 && n->window > NEARBY_MIN)
		n->window /= 2;
	n->brought = 0;
}

/* A window of the pack that holds the miss. */
static void nearby_place(const struct nearby *n, uint64_t pack_bytes, int walks,
	const struct nearby_range *miss, struct nearby_range *ret)
{
	const uint64_t before = walks < 0   ? n->window
				: walks > 0 ? 0
					    : n->window / 4;
	const uint64_t behind = n->window - before;

	*ret = *miss;
	if (miss->upto - miss->from >= n->window)
		return;
	if (before > 0)
		ret->from = miss->upto > before ? miss->upto - before : 0;
	if (ret->from > miss->from)
		ret->from = miss->from;
	if (behind > 0 && miss->from + behind > ret->upto)
		ret->upto = miss->from + behind;
	if (ret->upto > pack_bytes)
		ret->upto = pack_bytes > miss->upto ? pack_bytes : miss->upto;
}

void nearby_ask(struct nearby *n, uint64_t pack, uint64_t pack_bytes,
	struct nearby_range miss, uint64_t used, struct nearby_range *ret)
{
	struct nearby_slot *s;
	int walks;

	(void)pthread_mutex_lock(&n->lock);
	s = nearby_slot(n, pack);
	walks = nearby_walks(s, &miss);
	nearby_learn(n, used);
	if (n->credit <= 0 && walks)
		n->credit = 1; /* for one more try */
	if (n->credit > 0)
		nearby_place(n, pack_bytes, walks, &miss, ret);
	else
		*ret = miss;
	s->last = *ret;
	s->when = ++n->clock;
	(void)pthread_mutex_unlock(&n->lock);
}

void nearby_brought(struct nearby *n, uint64_t bytes)
{
	(void)pthread_mutex_lock(&n->lock);
	n->brought += bytes;
	n->credit -= (int64_t)(bytes / NEARBY_PRICE);
	(void)pthread_mutex_unlock(&n->lock);
}
