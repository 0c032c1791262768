#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "fs/trail.h"

#define TRAIL_SLOTS 128u
#define TRAIL_READS 64u /* remembered, of all files */
#define TRAIL_GROW 4u /* each time, until the window is full */
#define TRAIL_LOOK 16u /* of one file, when a stream is looked for */
#define TRAIL_SLACK 8u /* requests overtake each other by so many lengths */
#define TRAIL_SLACK_MAX (1u << 20)
#define TRAIL_SKIP 4 /* strides that may be missing */
#define TRAIL_FAR \
	(1u << 20) /* a stride from here on leaves out what it skips */
#define TRAIL_FAR_MAX 16u /* strides ahead */
#define TRAIL_AHEAD_MS 5000u /* of what the stream takes */
#define TRAIL_LATELY_MS 10000u /* what its pace is taken from */

struct trail {
	uint64_t ino; /* 0: free */
	int64_t stride; /* 0: reads touch each other */
	uint64_t next; /* where it would go on; with a stride: the last read */
	uint64_t ahead; /* prefetched up, or down, to here */
	uint64_t window; /* bytes of prefetch; far strides: how many */
	uint64_t eaten; /* bytes read since it grew */
	uint64_t began_ms, passed; /* bytes since then: its pace */
	uint64_t used; /* of the table's clock */
};

struct trail_read {
	uint64_t ino, off, end;
};

struct trails {
	pthread_mutex_t lock; /* guards all below; a leaf */
	uint64_t now;
	struct trail slot[TRAIL_SLOTS];
	struct trail_read read[TRAIL_READS]; /* a ring: now is the next */
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

/* --- recognising ---------------------------------------------------------- */

static bool trail_fits(const struct trail *s, const struct trail_read *r)
{
	uint64_t slack = TRAIL_SLACK * (r->end - r->off);
	int64_t far;

	if (s->ino != r->ino)
		return false;
	if (s->stride) {
		far = (int64_t)(r->off - s->next);
		return far % s->stride == 0 && far / s->stride >= 1 &&
		       far / s->stride <= TRAIL_SKIP;
	}
	if (slack > TRAIL_SLACK_MAX)
		slack = TRAIL_SLACK_MAX;
	return r->off + slack >= s->next && r->off <= s->next + slack;
}

static struct trail *trail_find(struct trails *t, const struct trail_read *r)
{
	for (unsigned i = 0; i < TRAIL_SLOTS; i++)
		if (trail_fits(&t->slot[i], r))
			return &t->slot[i];
	return NULL;
}

/* The last reads of a file, newest first. */
static unsigned trail_last(const struct trails *t, uint64_t ino,
	const struct trail_read *ret[TRAIL_LOOK])
{
	unsigned n = 0;

	for (uint64_t i = 1; i <= TRAIL_READS && n < TRAIL_LOOK; i++) {
		const struct trail_read *r =
			&t->read[(t->now - i) % TRAIL_READS];

		if (r->ino == ino)
			ret[n++] = r;
	}
	return n;
}

/* Is it part of a stream that is not known yet? */
static bool trail_sees(
	const struct trails *t, const struct trail_read *r, int64_t *ret_stride)
{
	const struct trail_read *last[TRAIL_LOOK];
	const unsigned n = trail_last(t, r->ino, last);

	*ret_stride = 0;
	if (r->off == 0)
		return true;
	for (unsigned i = 0; i < n; i++)
		if (last[i]->end == r->off)
			return true;
	for (unsigned i = 0; i < n; i++) {
		const int64_t d = (int64_t)(r->off - last[i]->off);

		for (unsigned j = i + 1; j < n && d != 0; j++)
			if (last[i]->off - last[j]->off == (uint64_t)d) {
				*ret_stride = d;
				return true;
			}
	}
	return false;
}

static struct trail *trail_begin(struct trails *t, const struct trail_read *r,
	uint64_t max, uint64_t now_ms)
{
	struct trail *old = &t->slot[0];
	int64_t stride;

	if (!trail_sees(t, r, &stride))
		return NULL;
	for (unsigned i = 1; i < TRAIL_SLOTS; i++)
		if (t->slot[i].used < old->used)
			old = &t->slot[i];
	*old = (struct trail){
		.ino = r->ino,
		.stride = stride,
		.next = r->off,
		.ahead = stride < 0 ? r->off : r->end,
		.window = TRAIL_STEP_MIN < max ? TRAIL_STEP_MIN : max,
		.began_ms = now_ms,
	};
	if (llabs(stride) >= TRAIL_FAR) {
		old->ahead = r->off;
		old->window = 1;
	}
	return old;
}

/* --- going ahead ---------------------------------------------------------- */

static uint64_t trail_size(const struct trail *s)
{
	const uint64_t n = s->window / 4;

	return n < TRAIL_STEP_MIN   ? TRAIL_STEP_MIN
	       : n > TRAIL_STEP_MAX ? TRAIL_STEP_MAX
				    : n;
}

/*
 * The window that a stream is worth at the pace at which it goes. A slow line
 * holds it up: what is asked for must arrive in a time that somebody waits for.
 */
static uint64_t trail_worth(struct trail *s, uint64_t bytes, uint64_t now_ms)
{
	/* Who looked at the clock first need not come first */
	uint64_t took = now_ms > s->began_ms ? now_ms - s->began_ms + 1 : 1;
	uint64_t worth;

	s->passed += bytes;
	while (took > TRAIL_LATELY_MS) {
		took /= 2;
		s->passed /= 2;
		s->began_ms = now_ms + 1 - took;
	}
	worth = s->passed / took * TRAIL_AHEAD_MS;
	return worth < TRAIL_STEP_MIN ? TRAIL_STEP_MIN : worth;
}

static void trail_eat(
	struct trail *s, uint64_t bytes, uint64_t max, uint64_t now_ms)
{
	const uint64_t worth = trail_worth(s, bytes, now_ms);

	if (worth < max)
		max = worth;
	if (s->window > max) /* others have come, or it got slow */
		s->window = max;
	s->eaten += bytes;
	if (s->eaten < s->window / 4)
		return;
	s->eaten = 0;
	s->window = s->window > max / TRAIL_GROW ? max : s->window * TRAIL_GROW;
}

static void trail_forward(struct trail *s, const struct trail_read *r,
	uint64_t max, uint64_t now_ms, struct trail_step *ret)
{
	const uint64_t at = s->stride ? r->off : r->end;
	const uint64_t step = trail_size(s) < max ? trail_size(s) : max;
	uint64_t upto;

	if (at > s->next) {
		trail_eat(s, at - s->next, max, now_ms);
		s->next = at;
	}
	if (s->ahead < r->end) /* nothing was prefetched for this one */
		s->ahead = r->end;
	upto = s->next + s->window;
	if (upto < s->ahead + step)
		return;
	ret->from = s->ahead;
	ret->upto = s->ahead + (upto - s->ahead) / step * step;
	ret->count = 1;
	s->ahead = ret->upto;
}

static void trail_backward(struct trail *s, const struct trail_read *r,
	uint64_t max, uint64_t now_ms, struct trail_step *ret)
{
	const uint64_t step = trail_size(s) < max ? trail_size(s) : max;
	uint64_t down;

	trail_eat(s, s->next - r->off, max, now_ms);
	s->next = r->off;
	if (s->ahead > r->off)
		s->ahead = r->off;
	down = r->off > s->window ? r->off - s->window : 0;
	if (s->ahead <= down || (down > 0 && s->ahead - down < step))
		return;
	ret->from = down;
	ret->upto = s->ahead;
	ret->count = 1;
	s->ahead = down;
}

static void trail_far(struct trail *s, const struct trail_read *r, uint64_t max,
	struct trail_step *ret)
{
	const int64_t done = ((int64_t)(s->ahead - r->off)) / s->stride;
	const uint64_t first = done > 0 ? (uint64_t)done : 0;
	uint64_t want = s->window;

	s->next = r->off;
	if (want * (r->end - r->off) > max)
		want = max / (r->end - r->off);
	if (s->stride < 0 && want > r->off / (uint64_t)-s->stride)
		want = r->off / (uint64_t)-s->stride;
	if (s->window < TRAIL_FAR_MAX)
		s->window *= 2;
	if (want <= first)
		return;
	ret->stride = s->stride;
	ret->from = r->off + (uint64_t)s->stride * (first + 1);
	ret->upto = ret->from + (r->end - r->off);
	ret->count = (unsigned)(want - first);
	s->ahead = r->off + (uint64_t)s->stride * want;
}

static uint64_t trail_share(
	const struct trails *t, const struct trail_room *room)
{
	unsigned lately = 0;
	uint64_t share;

	for (unsigned i = 0; i < TRAIL_SLOTS; i++)
		lately += t->slot[i].used > 0 &&
			  t->now - t->slot[i].used < TRAIL_READS;
	share = lately > 1 ? room->all / lately : room->all;
	if (share > room->window)
		share = room->window;
	return share ? share : 1;
}

void trail_note(struct trails *t, uint64_t ino, uint64_t off, uint64_t len,
	const struct trail_room *room, struct trail_step *ret)
{
	const struct trail_read r = {ino, off, off + len};
	uint64_t window_max;
	struct trail *s;

	*ret = (struct trail_step){.on = false};
	if (len == 0)
		return;
	(void)pthread_mutex_lock(&t->lock);
	window_max = trail_share(t, room);
	s = trail_find(t, &r);
	if (!s)
		s = trail_begin(t, &r, window_max, room->now_ms);
	t->read[t->now++ % TRAIL_READS] = r;
	if (s) {
		ret->on = true;
		s->used = t->now;
		if (llabs(s->stride) >= TRAIL_FAR)
			trail_far(s, &r, window_max, ret);
		else if (s->stride < 0)
			trail_backward(s, &r, window_max, room->now_ms, ret);
		else
			trail_forward(s, &r, window_max, room->now_ms, ret);
	}
	(void)pthread_mutex_unlock(&t->lock);
}
