#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "fs/cache.h"

#define CACHE_BUCKETS 8192u /* a power of two */
#define CACHE_BELLS 64u /* a power of two */
#define CACHE_STOP_MS 100u /* between two questions whether to go on */

enum cache_queue { CACHE_AHEAD, CACHE_ONCE, CACHE_HOT, CACHE_QUEUES };
enum frame_state { CACHE_EMPTY, CACHE_LOADING, CACHE_READY, CACHE_FAILED };

struct cache_frame {
	uint64_t chunk;
	uint32_t index;
	uint32_t len;
	uint32_t pins;
	uint32_t waiters;
	enum frame_state state;
	bool listed; /* in its bucket and its queue */
	bool neighbour;
	enum cache_queue queue;
	uint64_t since; /* AHEAD: c->loaded; ONCE: c->uses when it came there */
	struct cache_frame *next; /* in the bucket */
	struct cache_frame *older; /* in the queue */
	struct cache_frame *newer;
	struct wish *wish; /* of LOADING, the loader's; may be NULL */
	struct pluri_err err; /* of FAILED */
	uint32_t cap; /* bytes of data */
	uint8_t data[];
};

struct cache_line {
	struct cache_frame *newest, *oldest; /* by use */
	uint64_t bytes;
};

struct cache {
	pthread_mutex_t lock; /* guards all below, and the frames' heads */
	/* A frame has been loaded. Many, since with one each of a prefetch's
	 * frames would wake every reader. */
	pthread_cond_t bell[CACHE_BELLS];
	uint64_t max;
	struct cache_stats stats;
	uint64_t loaded; /* bytes, ever */
	uint64_t uses; /* of frames, ever */
	struct cache_line line[CACHE_QUEUES];
	struct cache_frame *bucket[CACHE_BUCKETS];
};

int cache_new(uint64_t bytes, struct cache **ret, struct pluri_err *err)
{
	struct cache *c = calloc(1, sizeof(*c));

	if (!c)
		return pluri_fail(err, ENOMEM, "cache: no memory");
	(void)pthread_mutex_init(&c->lock, NULL);
	for (unsigned i = 0; i < CACHE_BELLS; i++)
		clock_cond_init(&c->bell[i]);
	c->max = bytes;
	*ret = c;
	return 0;
}

static uint64_t cache_hash(uint64_t chunk, uint32_t index)
{
	return ((chunk << 8 | index) * UINT64_C(0x9e3779b97f4a7c15)) >> 40;
}

static struct cache_frame **cache_bucket(
	struct cache *c, uint64_t chunk, uint32_t index)
{
	return &c->bucket[cache_hash(chunk, index) & (CACHE_BUCKETS - 1)];
}

static pthread_cond_t *cache_bell(struct cache *c, const struct cache_frame *f)
{
	return &c->bell[cache_hash(f->chunk, f->index) & (CACHE_BELLS - 1)];
}

/* With the lock held. */
static void cache_ring(struct cache *c, const struct cache_frame *f)
{
	if (f->waiters)
		(void)pthread_cond_broadcast(cache_bell(c, f));
}

static uint64_t cache_weight(const struct cache_frame *f)
{
	return sizeof(*f) + f->cap;
}

static void cache_order_out(struct cache *c, struct cache_frame *f)
{
	struct cache_line *l = &c->line[f->queue];

	*(f->newer ? &f->newer->older : &l->newest) = f->older;
	*(f->older ? &f->older->newer : &l->oldest) = f->newer;
	f->newer = NULL;
	f->older = NULL;
	l->bytes -= cache_weight(f);
}

static void cache_order_in(
	struct cache *c, struct cache_frame *f, enum cache_queue queue)
{
	struct cache_line *l = &c->line[queue];

	f->queue = queue;
	f->older = l->newest;
	f->newer = NULL;
	*(l->newest ? &l->newest->newer : &l->oldest) = f;
	l->newest = f;
	l->bytes += cache_weight(f);
}

/* A program wants it. */
static void cache_use(struct cache *c, struct cache_frame *f)
{
	enum cache_queue to = f->queue;

	c->uses++;
	if (f->queue == CACHE_AHEAD) {
		to = CACHE_ONCE;
		f->since = c->uses;
		if (f->neighbour)
			c->stats.used += f->cap;
	} else if (f->queue == CACHE_ONCE && c->uses - f->since > CACHE_AGAIN) {
		to = CACHE_HOT;
	}
	cache_order_out(c, f);
	cache_order_in(c, f, to);
}

/* Nobody finds it any more; freed here, or with its last pin. */
static void cache_unlist(struct cache *c, struct cache_frame *f)
{
	struct cache_frame **p = cache_bucket(c, f->chunk, f->index);

	if (f->listed) {
		while (*p != f)
			p = &(*p)->next;
		*p = f->next;
		cache_order_out(c, f);
		c->stats.bytes -= cache_weight(f);
		f->listed = false;
	}
	if (f->pins == 0)
		free(f);
}

/* The oldest that nobody has pinned. */
static struct cache_frame *cache_idle(const struct cache *c, enum cache_queue q)
{
	struct cache_frame *f = c->line[q].oldest;

	while (f && f->pins)
		f = f->newer;
	return f;
}

/* Has what was brought unasked had its time? */
static bool cache_stale(const struct cache *c)
{
	const struct cache_line *l = &c->line[CACHE_AHEAD];

	return l->bytes > c->max / 2 ||
	       (l->oldest && c->loaded - l->oldest->since > c->max);
}

static struct cache_frame *cache_victim(const struct cache *c)
{
	enum cache_queue order[CACHE_QUEUES] = {
		CACHE_ONCE, CACHE_AHEAD, CACHE_HOT};
	struct cache_frame *f = NULL;

	if (c->line[CACHE_HOT].bytes > c->max / 4 * 3) {
		order[0] = CACHE_HOT;
		order[2] = CACHE_ONCE;
	} else if (cache_stale(c)) {
		order[0] = CACHE_AHEAD;
		order[1] = CACHE_ONCE;
	}
	for (unsigned i = 0; i < CACHE_QUEUES && !f; i++)
		f = cache_idle(c, order[i]);
	return f;
}

static void cache_shrink(struct cache *c, uint64_t max)
{
	while (c->stats.bytes > max) {
		struct cache_frame *f = cache_victim(c);

		if (!f)
			return;
		cache_unlist(c, f);
	}
}

void cache_free(struct cache *c)
{
	if (!c)
		return;
	cache_shrink(c, 0);
	for (unsigned i = 0; i < CACHE_BELLS; i++)
		(void)pthread_cond_destroy(&c->bell[i]);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

static struct cache_frame *cache_find(
	struct cache *c, uint64_t chunk, uint32_t index)
{
	struct cache_frame *f = *cache_bucket(c, chunk, index);

	while (f && (f->chunk != chunk || f->index != index))
		f = f->next;
	return f;
}

/* A new frame in state LOADING; the caller is its owner. */
static struct cache_frame *cache_add(struct cache *c, uint64_t chunk,
	uint32_t index, uint32_t bytes, enum cache_queue queue)
{
	struct cache_frame **p = cache_bucket(c, chunk, index);
	struct cache_frame *f = malloc(sizeof(*f) + bytes);

	if (!f)
		return NULL;
	f->chunk = chunk;
	f->index = index;
	f->len = 0;
	f->cap = bytes;
	f->pins = 1;
	f->waiters = 0;
	f->state = CACHE_LOADING;
	f->listed = true;
	f->neighbour = false;
	f->wish = NULL;
	f->next = *p;
	*p = f;
	c->loaded += cache_weight(f);
	f->since = queue == CACHE_AHEAD ? c->loaded : ++c->uses;
	cache_order_in(c, f, queue);
	c->stats.bytes += cache_weight(f);
	cache_shrink(c, c->max);
	return f;
}

int cache_pin(struct cache *c, uint64_t chunk, uint32_t frame, uint32_t bytes,
	struct cache_frame **ret, bool *ret_owner)
{
	struct cache_frame *f;
	bool owner = false;

	(void)pthread_mutex_lock(&c->lock);
	f = cache_find(c, chunk, frame);
	if (f) {
		c->stats.hits++;
		cache_use(c, f);
		f->pins++;
		if (f->wish)
			wish_tell(f->wish);
	} else {
		c->stats.misses++;
		owner = true;
		f = cache_add(c, chunk, frame, bytes, CACHE_ONCE);
	}
	(void)pthread_mutex_unlock(&c->lock);
	if (!f)
		return -ENOMEM;
	*ret = f;
	*ret_owner = owner;
	return 0;
}

int cache_claim(struct cache *c, uint64_t chunk, uint32_t frame, uint32_t bytes,
	struct wish *wish, bool neighbour, struct cache_frame **ret)
{
	struct cache_frame *f = NULL;
	bool there;

	(void)pthread_mutex_lock(&c->lock);
	there = cache_find(c, chunk, frame) != NULL;
	if (!there)
		f = cache_add(c, chunk, frame, bytes, CACHE_AHEAD);
	if (f) {
		f->neighbour = neighbour;
		f->wish = wish;
	}
	(void)pthread_mutex_unlock(&c->lock);
	if (there)
		return 0;
	if (!f)
		return -ENOMEM;
	*ret = f;
	return 1;
}

uint8_t *cache_room(struct cache_frame *f)
{
	return f->data;
}

void cache_ready(struct cache *c, struct cache_frame *f, uint32_t len)
{
	(void)pthread_mutex_lock(&c->lock);
	f->len = len;
	f->wish = NULL;
	f->state = CACHE_READY;
	cache_ring(c, f);
	(void)pthread_mutex_unlock(&c->lock);
}

void cache_failed(
	struct cache *c, struct cache_frame *f, const struct pluri_err *why)
{
	(void)pthread_mutex_lock(&c->lock);
	f->err = *why;
	f->wish = NULL;
	f->state = CACHE_FAILED;
	cache_unlist(c, f); /* pinned by the owner: not freed yet */
	cache_ring(c, f);
	(void)pthread_mutex_unlock(&c->lock);
}

/* With the lock held, which is given up to ask. */
static bool cache_stopped(struct cache *c, int (*stop)(void *arg), void *arg)
{
	bool stopped;

	if (!stop)
		return false;
	(void)pthread_mutex_unlock(&c->lock);
	stopped = stop(arg);
	(void)pthread_mutex_lock(&c->lock);
	return stopped;
}

/* Of a FAILED frame. */
static int cache_failure(const struct cache_frame *f, struct pluri_err *err)
{
	if (f->err.code == ECANCELED)
		return pluri_fail(err, EAGAIN, "its loader was interrupted");
	if (err)
		*err = f->err;
	return f->err.code ? -f->err.code : -EIO;
}

int cache_wait(struct cache *c, struct cache_frame *f, int (*stop)(void *arg),
	void *arg, struct pluri_err *err)
{
	int r = 0;

	(void)pthread_mutex_lock(&c->lock);
	f->waiters++;
	while (f->state == CACHE_LOADING && r == 0) {
		(void)clock_wait(cache_bell(c, f), &c->lock,
			stop ? clock_mono_ms(clock_system()) + CACHE_STOP_MS
			     : UINT64_MAX);
		if (f->state == CACHE_LOADING && cache_stopped(c, stop, arg))
			r = pluri_fail(
				err, ECANCELED, "the read was interrupted");
	}
	f->waiters--;
	if (f->state == CACHE_FAILED && r == 0)
		r = cache_failure(f, err);
	(void)pthread_mutex_unlock(&c->lock);
	return r;
}

const uint8_t *cache_bytes(const struct cache_frame *f, uint32_t *ret_len)
{
	*ret_len = f->len;
	return f->data;
}

void cache_unpin(struct cache *c, struct cache_frame *f)
{
	(void)pthread_mutex_lock(&c->lock);
	if (--f->pins == 0 && !f->listed)
		free(f);
	if (c->stats.bytes > c->max) /* it may have been pinned until now */
		cache_shrink(c, c->max);
	(void)pthread_mutex_unlock(&c->lock);
}

void cache_drop_all(struct cache *c)
{
	(void)pthread_mutex_lock(&c->lock);
	cache_shrink(c, 0);
	(void)pthread_mutex_unlock(&c->lock);
}

void cache_stats(struct cache *c, struct cache_stats *ret)
{
	(void)pthread_mutex_lock(&c->lock);
	*ret = c->stats;
	ret->ahead = c->line[CACHE_AHEAD].bytes;
	(void)pthread_mutex_unlock(&c->lock);
}
