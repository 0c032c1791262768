#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "fs/trail.h"

#define TRAIL_SLOTS 128u
#define TRAIL_SLACK (1u << 20) /* requests overtake each other by this much */
#define TRAIL_WINDOW_MIN (1u << 20)

struct trail {
	uint64_t ino; /* 0: free */
	uint64_t next; /* where a sequential read would go on */
	uint64_t ahead; /* prefetched up to here */
	uint32_t window; /* bytes of prefetch; grows */
	uint64_t used; /* of the table's clock */
};

struct trails {
	pthread_mutex_t lock; /* guards all below; a leaf */
	uint64_t now;
	struct trail slot[TRAIL_SLOTS];
};

int trails_new(struct trails **ret, struct pluri_err *err)
{
	struct trails *t = calloc(1, sizeof(*t));

	if (!t)
		return pluri_fail(err, ENOMEM, "reader: no memory");
	(void)pthread_mutex_init(&t->lock, NULL);
	*ret = t;
	return 0;
}

void trails_free(struct trails *t)
{
	if (!t)
		return;
	(void)pthread_mutex_destroy(&t->lock);
	free(t);
}

static bool trail_fits(const struct trail *s, uint64_t ino, uint64_t off)
{
	return s->ino == ino && off + TRAIL_SLACK >= s->next &&
	       off <= s->next + TRAIL_SLACK;
}

/* The stream that off goes on with, else the slot to forget. */
static struct trail *trail_find(
	struct trails *t, uint64_t ino, uint64_t off, bool *ret_on)
{
	struct trail *old = &t->slot[0];

	for (unsigned i = 0; i < TRAIL_SLOTS; i++) {
		struct trail *s = &t->slot[i];

		if (trail_fits(s, ino, off)) {
			*ret_on = true;
			return s;
		}
		if (s->used < old->used)
			old = s;
	}
	*ret_on = false;
	return old;
}

static void trail_grow(struct trail *s, uint64_t end, uint32_t align,
	uint32_t max, struct trail_step *ret)
{
	const uint64_t wanted = s->next + s->window;

	if (s->ahead < end) /* nothing was prefetched for this one */
		s->ahead = end / align * align;
	ret->from = s->ahead;
	ret->upto = s->ahead;
	while (ret->upto < wanted)
		ret->upto += align;
	s->ahead = ret->upto;
	s->window = s->window > max / 2 ? max : s->window * 2;
}

void trail_note(struct trails *t, uint64_t ino, uint64_t off, uint64_t len,
	uint32_t align, uint32_t window_max, struct trail_step *ret)
{
	const uint64_t end = off + len;
	struct trail *s;

	*ret = (struct trail_step){.on = false};
	(void)pthread_mutex_lock(&t->lock);
	s = trail_find(t, ino, off, &ret->on);
	s->used = ++t->now;
	if (!ret->on) {
		s->ino = ino;
		s->next = end;
		s->ahead = 0;
		s->window = TRAIL_WINDOW_MIN < window_max ? TRAIL_WINDOW_MIN
							  : window_max;
		ret->on = off == 0;
	} else if (end > s->next) {
		s->next = end;
	}
	if (ret->on)
		trail_grow(s, end, align, window_max, ret);
	(void)pthread_mutex_unlock(&t->lock);
}
