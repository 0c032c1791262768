#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/work.h"
#include "fs/roster.h"
#include "fs/upload.h"
#include "fs/watch.h"

#define WATCH_WELL_MS 30000u
#define WATCH_ILL_MS 2000u
#define WATCH_TICK_MS 500u
#define WATCH_REHEARSALS 3u /* tries */

struct visit {
	struct work_item item;
	struct watch *w;
	uint32_t store;
	bool busy; /* a greeting is under way */
	bool met;
	bool ill;
	uint64_t next_ms;
	struct work_item rehearsal;
	bool rehearses; /* one is under way */
	unsigned rehearsed; /* how often */
	uint64_t rehearse_ms; /* not before */
};

struct watch {
	struct volume *v;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t wake;
	bool stop;
	struct visit visit[PLURI_STORES_MAX];
	struct work *pool;
	pthread_t thread;
};

static void watch_run(struct work_item *item)
{
	struct visit *i = work_of(item, struct visit, item);
	struct watch *w = i->w;
	struct pluri_err err = {0};
	const int r = volume_greet(w->v, i->store, &err);
	struct store_row row = {0};
	bool back;
	bool lost;

	(void)roster_store(w->v->roster, i->store, &row);
	(void)pthread_mutex_lock(&w->lock);
	back = r >= 0 && i->ill;
	lost = r < 0 && !i->ill;
	i->ill = r < 0;
	i->met = true;
	i->busy = false;
	i->next_ms = clock_mono_ms(clock_system()) +
		     (r < 0 ? WATCH_ILL_MS : WATCH_WELL_MS);
	(void)pthread_mutex_unlock(&w->lock);
	if (back)
		log_line(LOG_INFO, "store %s is back", row.name);
	if (lost)
		log_line(LOG_WARN, "store %s: %s", row.name, err.text);
	if (r >= 0)
		upload_met(w->v->upload, i->store);
	if (back)
		upload_kick(w->v->upload, i->store);
}

static void watch_rehearse(struct work_item *item)
{
	struct visit *i = work_of(item, struct visit, rehearsal);
	struct watch *w = i->w;
	struct pluri_err err = {0};
	const int r = volume_rehearse(w->v, i->store, &err);

	if (r < 0)
		log_line(LOG_DEBUG, "what puts may rely on: %s", err.text);
	(void)pthread_mutex_lock(&w->lock);
	i->rehearses = false;
	i->rehearsed = r < 0 ? i->rehearsed + 1 : WATCH_REHEARSALS;
	i->rehearse_ms = clock_mono_ms(clock_system()) + WATCH_WELL_MS;
	(void)pthread_mutex_unlock(&w->lock);
}

/* With the lock held. */
static void watch_due(struct watch *w, struct visit *at, uint64_t now)
{
	if (!atomic_load(&w->v->puts) || !at->met || at->ill || at->rehearses ||
		at->rehearsed >= WATCH_REHEARSALS || at->rehearse_ms > now)
		return;
	at->rehearses = true;
	at->next_ms = now; /* beside it, so two lines stand open for packs */
	at->rehearsal.run = watch_rehearse;
	work_submit(w->pool, &at->rehearsal);
}

/* With the lock held; rows: what is registered now. */
static void watch_round(
	struct watch *w, const struct store_row *rows, unsigned n)
{
	const uint64_t now = clock_mono_ms(clock_system());
	struct fleet_health h;

	for (unsigned i = 0; i < n; i++) {
		struct visit *at = &w->visit[rows[i].num];

		watch_due(w, at, now);
		if (at->busy || rows[i].state == STORE_DRAINED)
			continue;
		/* Traffic may have found out before the next visit. */
		if (!at->ill &&
			fleet_health(w->v->fleet, rows[i].num, &h) == 0 &&
			h.class != FLEET_OK && at->next_ms > now + WATCH_ILL_MS)
			at->next_ms = now;
		if (at->next_ms > now)
			continue;
		at->busy = true;
		at->item.run = watch_run;
		work_submit(w->pool, &at->item);
	}
}

static void *watch_main(void *arg)
{
	struct watch *w = arg;
	struct store_row *rows = calloc(PLURI_STORES_MAX, sizeof(*rows));

	(void)pthread_mutex_lock(&w->lock);
	while (!w->stop && rows) {
		unsigned n;

		(void)pthread_mutex_unlock(&w->lock);
		n = roster_stores(w->v->roster, rows);
		(void)pthread_mutex_lock(&w->lock);
		if (!w->stop)
			watch_round(w, rows, n);
		if (!w->stop)
			(void)clock_wait(&w->wake, &w->lock,
				clock_mono_ms(clock_system()) + WATCH_TICK_MS);
	}
	(void)pthread_mutex_unlock(&w->lock);
	free(rows);
	return NULL;
}

bool watch_met(struct watch *w, uint32_t store)
{
	bool met;

	if (store >= PLURI_STORES_MAX)
		return false;
	(void)pthread_mutex_lock(&w->lock);
	met = w->visit[store].met;
	(void)pthread_mutex_unlock(&w->lock);
	return met;
}

int watch_new(struct volume *v, struct watch **ret, struct pluri_err *err)
{
	struct watch *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return pluri_fail(err, ENOMEM, "watch: no memory");
	w->v = v;
	for (uint32_t i = 0; i < PLURI_STORES_MAX; i++) {
		w->visit[i].w = w;
		w->visit[i].store = i;
	}
	(void)pthread_mutex_init(&w->lock, NULL);
	clock_cond_init(&w->wake);
	r = work_new(PLURI_STORES_MAX, "watch", &w->pool, err);
	if (r >= 0) {
		r = -pthread_create(&w->thread, NULL, watch_main, w);
		if (r < 0)
			(void)pluri_fail(err, -r,
				"watch: cannot start a "
				"thread: %s",
				strerror(-r));
	}
	if (r < 0) {
		w->thread = 0;
		watch_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	(void)pthread_mutex_lock(&w->lock);
	w->stop = true;
	(void)pthread_cond_signal(&w->wake);
	(void)pthread_mutex_unlock(&w->lock);
	if (w->thread)
		(void)pthread_join(w->thread, NULL);
	work_free(w->pool);
	(void)pthread_cond_destroy(&w->wake);
	(void)pthread_mutex_destroy(&w->lock);
	free(w);
}
