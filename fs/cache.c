#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "fs/cache.h"

#define CACHE_BUCKETS 8192u /* a power of two */
#define CACHE_BELLS 64u /* a power of two */
#define CACHE_STOP_MS 100u /* between two questions whether to go on */

enum frame_state { CACHE_EMPTY, CACHE_LOADING, CACHE_READY, CACHE_FAILED };

struct cache_frame {
	uint64_t chunk;
	uint32_t index;
	uint32_t len;
	uint32_t pins;
	uint32_t waiters;
	enum frame_state state;
	bool listed; /* in its bucket and in the order of use */
	struct cache_frame *next; /* in the bucket */
	struct cache_frame *older; /* order of use */
	struct cache_frame *newer;
	struct pluri_err err; /* of FAILED */
	uint32_t cap; /* bytes of data */
	uint8_t data[];
};

struct cache {
	pthread_mutex_t lock; /* guards all below, and the frames' heads */
	/* A frame has been loaded. Many, since with one each of a prefetch's
	 * frames would wake every reader. */
	pthread_cond_t bell[CACHE_BELLS];
	uint64_t max;
	struct cache_stats stats;
	struct cache_frame *newest;
	struct cache_frame *oldest;
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

static void cache_order_out(struct cache *c, struct cache_frame *f)
{
	*(f->newer ? &f->newer->older : &c->newest) = f->older;
	*(f->older ? &f->older->newer : &c->oldest) = f->newer;
	f->newer = NULL;
	f->older = NULL;
}

static void cache_order_in(struct cache *c, struct cache_frame *f)
{
	f->older = c->newest;
	f->newer = NULL;
	*(c->newest ? &c->newest->newer : &c->oldest) = f;
	c->newest = f;
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
		c->stats.bytes -= sizeof(*f) + f->cap;
		f->listed = false;
	}
	if (f->pins == 0)
		free(f);
}

static void cache_shrink(struct cache *c, uint64_t max)
{
	struct cache_frame *f = c->oldest;

	while (f && c->stats.bytes > max) {
		struct cache_frame *newer = f->newer;

		if (f->pins == 0)
			cache_unlist(c, f);
		f = newer;
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
static struct cache_frame *cache_add(
	struct cache *c, uint64_t chunk, uint32_t index, uint32_t bytes)
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
	f->next = *p;
	*p = f;
	cache_order_in(c, f);
	c->stats.bytes += sizeof(*f) + bytes;
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
		cache_order_out(c, f);
		cache_order_in(c, f);
		f->pins++;
	} else {
		c->stats.misses++;
		owner = true;
		f = cache_add(c, chunk, frame, bytes);
	}
	(void)pthread_mutex_unlock(&c->lock);
	if (!f)
		return -ENOMEM;
	*ret = f;
	*ret_owner = owner;
	return 0;
}

uint8_t *cache_room(struct cache_frame *f)
{
	return f->data;
}

void cache_ready(struct cache *c, struct cache_frame *f, uint32_t len)
{
	(void)pthread_mutex_lock(&c->lock);
	f->len = len;
	f->state = CACHE_READY;
	cache_ring(c, f);
	(void)pthread_mutex_unlock(&c->lock);
}

void cache_failed(
	struct cache *c, struct cache_frame *f, const struct pluri_err *why)
{
	(void)pthread_mutex_lock(&c->lock);
	f->err = *why;
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
	(void)pthread_mutex_unlock(&c->lock);
}
