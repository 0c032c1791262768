/*
 * The table of stores. Its lock comes first (order: fleet_int.h) and is held
 * only to look a store up, which then lives by its own reference.
 */
#include <errno.h>

#include "backends/fleet_int.h"

#define FLEET_TIMEOUT_MS 10000u
#define FLEET_RETRY_MS 100u
#define FLEET_PACE_BYTES (100u << 10)

uint64_t fleet_now_ms(void)
{
	return clock_mono_ms(clock_system());
}

uint64_t fleet_span_ms(
	const struct fleet *f, struct fleet_store *s, uint64_t bytes)
{
	const uint64_t bound = s ? atomic_load(&s->bound) : 0;
	uint64_t pace = f->o.pace_bytes;

	if (bound && bound < pace)
		pace = bound;
	return f->o.timeout_ms + bytes / pace * 1000 +
	       bytes % pace * 1000 / pace;
}

struct fleet_store *fleet_store_of(struct fleet *f, unsigned store)
{
	struct fleet_store *s = NULL;

	(void)pthread_mutex_lock(&f->lock);
	if (store < PLURI_STORES_MAX)
		s = f->stores[store];
	if (s)
		(void)atomic_fetch_add(&s->refs, 1);
	(void)pthread_mutex_unlock(&f->lock);
	return s;
}

static void fleet_defaults(struct fleet_options *o)
{
	if (!o->clock)
		o->clock = clock_system();
	if (o->timeout_ms == 0)
		o->timeout_ms = FLEET_TIMEOUT_MS;
	if (o->retry_ms == 0)
		o->retry_ms = FLEET_RETRY_MS;
	if (o->threads == 0)
		o->threads = FLEET_THREADS;
	if (o->threads > FLEET_THREADS_MAX)
		o->threads = FLEET_THREADS_MAX;
	if (o->pace_bytes == 0)
		o->pace_bytes = FLEET_PACE_BYTES;
}

int fleet_new(const struct fleet_options *o, struct fleet **ret,
	struct pluri_err *err)
{
	struct fleet *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return pluri_fail(err, ENOMEM, "fleet: no memory");
	if (o)
		f->o = *o;
	fleet_defaults(&f->o);
	fleet_budget_init(&f->budget);
	(void)pthread_mutex_init(&f->lock, NULL);
	r = fleet_watch_start(f, err);
	if (r < 0) {
		(void)pthread_mutex_destroy(&f->lock);
		free(f);
		return r;
	}
	*ret = f;
	return 0;
}

static bool fleet_sound(const struct pluri_backend_ops *ops)
{
	return ops->close && ops->limits && ops->put && ops->get && ops->del &&
	       ops->list;
}

int fleet_add(struct fleet *f, unsigned store, const char *name,
	const struct pluri_backend_ops *ops, struct pluri_backend *b,
	struct pluri_err *err)
{
	struct fleet_store *s = NULL;
	bool taken;
	int r;

	if (store >= PLURI_STORES_MAX || !fleet_sound(ops))
		return pluri_fail(err, EINVAL,
			"store %s: number %u of %u, or an incomplete plugin",
			name, store, PLURI_STORES_MAX);
	r = fleet_pool_new(f, name, ops, b, &s, err);
	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&f->lock);
	taken = f->stores[store] != NULL;
	if (!taken)
		f->stores[store] = s;
	(void)pthread_mutex_lock(&s->lock);
	s->hurry = f->hurry;
	(void)pthread_mutex_unlock(&s->lock);
	(void)pthread_mutex_unlock(&f->lock);
	if (!taken)
		return 0;
	s->backend = NULL; /* stays the caller's */
	fleet_pool_stop(f, s, true);
	fleet_pool_unref(s);
	return pluri_fail(
		err, EEXIST, "store %s: number %u is in use", name, store);
}

void fleet_limit(struct fleet *f, unsigned store, const struct fleet_limits *l)
{
	struct fleet_store *s = fleet_store_of(f, store);

	if (!s)
		return;
	fleet_pool_limit(f, s, l);
	fleet_pool_unref(s);
}

/* A stopped store leaves the table last, so that the watch sees it to then. */
static void fleet_forget(struct fleet *f, unsigned store, bool drop)
{
	struct fleet_store *s = fleet_store_of(f, store);

	if (!s)
		return;
	fleet_pool_stop(f, s, drop);
	(void)pthread_mutex_lock(&f->lock);
	if (f->stores[store] == s) {
		f->stores[store] = NULL;
		fleet_pool_unref(s);
	}
	(void)pthread_mutex_unlock(&f->lock);
	fleet_pool_unref(s);
}

void fleet_remove(struct fleet *f, unsigned store)
{
	fleet_forget(f, store, false);
}

void fleet_hurry(struct fleet *f)
{
	if (!f)
		return;
	(void)pthread_mutex_lock(&f->lock);
	f->hurry = true;
	for (unsigned i = 0; i < PLURI_STORES_MAX; i++) {
		struct fleet_store *s = f->stores[i];

		if (!s)
			continue;
		(void)pthread_mutex_lock(&s->lock);
		s->hurry = true;
		(void)pthread_mutex_unlock(&s->lock);
	}
	(void)pthread_mutex_unlock(&f->lock);
	fleet_watch_kick(f, 0); /* it tells them */
}

void fleet_free(struct fleet *f)
{
	if (!f)
		return;
	/* All at once, else each would wait for the hung calls of the last */
	for (unsigned i = 0; i < PLURI_STORES_MAX; i++) {
		struct fleet_store *s = f->stores[i];

		if (!s)
			continue;
		(void)pthread_mutex_lock(&s->lock);
		s->stopping = true;
		s->drop = true;
		(void)pthread_mutex_unlock(&s->lock);
	}
	for (unsigned i = 0; i < PLURI_STORES_MAX; i++)
		fleet_forget(f, i, true);
	fleet_watch_stop(f);
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
}
