/*
 * The threads of one store.
 *
 * Each store has threads of its own, so that one that hangs takes nothing from
 * the others; base/work cannot serve, since its end joins every thread. Here
 * threads that are stuck in a plugin when the store is stopped are detached,
 * and hold a reference of the store until they come back, if they ever do.
 * The backend is closed when its last call has returned; with a call that
 * never returns it stays open, knowingly.
 *
 * Locks as in fleet_int.h: store -> wait.
 */
#include <errno.h>

#include "backends/fleet_int.h"

void fleet_pool_unref(struct fleet_store *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) > 1)
		return;
	(void)pthread_cond_destroy(&s->more);
	(void)pthread_cond_destroy(&s->quiet);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

/* Nobody is in the plugin any more, nor will be; with the store's lock. */
static struct pluri_backend *pool_last(struct fleet_store *s)
{
	struct pluri_backend *b = NULL;

	if (s->stop && TAILQ_EMPTY(&s->running)) {
		b = s->backend;
		s->backend = NULL;
	}
	return b;
}

static void pool_serve(struct fleet_store *s, struct fleet_op *op)
{
	struct fleet_op *tell = NULL;
	struct pluri_backend *b;
	struct pluri_err e = {0};
	uint64_t retry_after_ms = 0;
	int code;

	code = fleet_op_run(op, &retry_after_ms, &e);
	(void)pthread_mutex_lock(&s->lock);
	fleet_queue_return(op, code, retry_after_ms, e.text, &tell);
	b = pool_last(s);
	(void)pthread_mutex_unlock(&s->lock);
	fleet_op_tell(tell);
	if (b)
		s->ops->close(b);
}

static void *pool_main(void *arg)
{
	struct fleet_thread *t = arg;
	struct fleet_store *s = t->store;
	bool stop = false;

	while (!stop) {
		struct fleet_op *tell = NULL;
		struct fleet_op *op;

		(void)pthread_mutex_lock(&s->lock);
		op = fleet_queue_take(s, &tell);
		if (!op && !tell && !s->stop) {
			s->idle++;
			(void)clock_wait(&s->more, &s->lock, fleet_turn_ms(s));
			s->idle--;
		}
		stop = s->stop && !op;
		(void)pthread_mutex_unlock(&s->lock);
		fleet_op_tell(tell);
		if (op)
			pool_serve(s, op);
	}
	(void)pthread_mutex_lock(&s->lock);
	t->over = true;
	s->alive--;
	(void)pthread_cond_broadcast(&s->quiet);
	(void)pthread_mutex_unlock(&s->lock);
	fleet_pool_unref(s);
	return NULL;
}

static int pool_start(struct fleet_store *s)
{
	struct fleet_thread *t = &s->threads[s->started];
	char name[16];
	int r;

	t->store = s;
	(void)atomic_fetch_add(&s->refs, 1);
	r = pthread_create(&t->id, NULL, pool_main, t);
	if (r) {
		(void)atomic_fetch_sub(&s->refs, 1);
		return -r;
	}
	(void)snprintf(name, sizeof(name), "@%.14s", s->name);
	(void)pthread_setname_np(t->id, name);
	s->started++;
	s->alive++;
	return 0;
}

/* Threads stuck beyond a deadline do not count: a store that comes back must
 * find someone to serve it. */
void fleet_pool_grow(struct fleet_store *s)
{
	if (s->queued > s->idle && s->started - s->late < s->threads_max &&
		s->started < FLEET_THREADS_MAX)
		(void)pool_start(s);
}

static unsigned pool_threads(
	const struct fleet *f, uint32_t connections, uint32_t concurrency)
{
	unsigned n = connections ? connections : f->o.threads;

	if (n > FLEET_THREADS_MAX)
		n = FLEET_THREADS_MAX;
	return concurrency && concurrency < n ? concurrency : n;
}

void fleet_pool_limit(const struct fleet *f, struct fleet_store *s,
	const struct fleet_limits *l)
{
	const uint64_t now = fleet_queue_now_us();

	atomic_store(&s->bound, l->bandwidth);
	(void)pthread_mutex_lock(&s->lock);
	s->threads_max = pool_threads(f, l->connections, s->limits.concurrency);
	fleet_window_bound(&s->window, s->threads_max);
	fleet_pace_rate(&s->up, l->bandwidth, now);
	for (unsigned i = 0; i < FLEET_GET_SORTS; i++)
		fleet_pace_rate(&s->down[i], l->bandwidth, now);
	(void)pthread_cond_broadcast(&s->more);
	(void)pthread_mutex_unlock(&s->lock);
}

int fleet_pool_new(const struct fleet *f, const char *name,
	const struct pluri_backend_ops *ops, struct pluri_backend *b,
	struct fleet_store **ret, struct pluri_err *err)
{
	struct fleet_store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return pluri_fail(err, ENOMEM, "store %s: no memory", name);
	(void)snprintf(s->name, sizeof(s->name), "%s", name);
	s->ops = ops;
	s->backend = b;
	ops->limits(b, &s->limits);
	s->clock = f->o.clock;
	s->pulse.since_ms = clock_mono_ms(s->clock);
	s->threads_max = pool_threads(f, 0, s->limits.concurrency);
	fleet_window_init(&s->window, s->threads_max);
	s->refs = 1;
	(void)pthread_mutex_init(&s->lock, NULL);
	clock_cond_init(&s->more);
	clock_cond_init(&s->quiet);
	TAILQ_INIT(&s->queue);
	TAILQ_INIT(&s->running);
	/* With one thread at least, a later failure to grow costs speed only */
	(void)pthread_mutex_lock(&s->lock);
	r = pool_start(s);
	(void)pthread_mutex_unlock(&s->lock);
	if (r < 0) {
		fleet_pool_unref(s);
		return pluri_fail(err, -r,
			"store %s: cannot start a thread: %s", name,
			strerror(-r));
	}
	*ret = s;
	return 0;
}

/* --- the end -------------------------------------------------------------- */

/* When to stop waiting for what is left; 0: nothing is. With the lock. */
static uint64_t pool_leave_ms(const struct fleet_store *s)
{
	const struct fleet_op *op;
	uint64_t until = 0;

	/* These end by themselves: the watch sees to it */
	if (s->telling || !TAILQ_EMPTY(&s->queue))
		return UINT64_MAX;
	TAILQ_FOREACH(op, &s->running, link)
	{
		if (op->put && !op->settled)
			return UINT64_MAX;
		if (op->deadline_ms + FLEET_LEAVE_MS > until)
			until = op->deadline_ms + FLEET_LEAVE_MS;
	}
	return until;
}

/* Threads that went home are joined, stuck ones left; without the lock. */
static void pool_join(struct fleet_store *s)
{
	for (unsigned i = 0; i < s->started; i++) {
		struct fleet_thread *t = &s->threads[i];
		bool over;

		(void)pthread_mutex_lock(&s->lock);
		over = t->over;
		if (!over)
			(void)pthread_detach(t->id);
		(void)pthread_mutex_unlock(&s->lock);
		if (over)
			(void)pthread_join(t->id, NULL);
	}
}

/* Nobody waits for what only shows its time; with the lock. */
static void pool_hush(struct fleet_store *s)
{
	struct fleet_op *op;

	TAILQ_FOREACH(op, &s->running, link)
	{
		if (!op->witness)
			continue;
		op->unwanted = true;
		__atomic_store_n(&op->cancel, 1, __ATOMIC_RELEASE);
	}
}

void fleet_pool_stop(struct fleet *f, struct fleet_store *s, bool drop)
{
	struct pluri_backend *b;

	(void)pthread_mutex_lock(&s->lock);
	s->stopping = true;
	s->drop = drop;
	pool_hush(s);
	(void)pthread_mutex_unlock(&s->lock);
	fleet_watch_kick(f, 0);
	(void)pthread_mutex_lock(&s->lock);
	while (fleet_now_ms() < pool_leave_ms(s))
		(void)clock_wait(&s->quiet, &s->lock, pool_leave_ms(s));
	s->stop = true;
	(void)pthread_cond_broadcast(&s->more);
	while (s->alive > s->in_flight)
		(void)clock_wait(&s->quiet, &s->lock, UINT64_MAX);
	b = pool_last(s);
	(void)pthread_mutex_unlock(&s->lock);
	pool_join(s);
	if (b)
		s->ops->close(b);
}
