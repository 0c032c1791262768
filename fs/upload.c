#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/text.h"
#include "base/work.h"
#include "fs/fetch.h"
#include "fs/upload_int.h"

#define UPLOAD_PER_STORE 8u /* shards under way to one store */
/* Enough for all: stores that hang must not take the others' threads. */
#define UPLOAD_THREADS (PLURI_STORES_MAX * UPLOAD_PER_STORE)
#define UPLOAD_PAUSE_MS 1000u
#define UPLOAD_PAUSE_MAX_MS 30000u
#define UPLOAD_CONFLICT_MS 60000u
#define UPLOAD_SOURCE_MS 10000u /* no good bytes of the pack to be had */

/* --- paying one ---------------------------------------------------------- */

struct upload_state { /* of a debt, as the database has it */
	struct pack_row pack;
	bool owed; /* still */
	bool last; /* of the pack's shards */
};

/* In a bracket, so that the answer holds as long as that. 1: the shard is owed,
 * but to another store by now. */
static int upload_owed(struct meta_tx *tx, const struct debt *d,
	struct upload_state *ret, struct pluri_err *err)
{
	struct shard_row shard[PLURI_SHARDS_MAX];
	unsigned n = 0;
	int r = packs_get(tx, d->shard.pack, &ret->pack, err);

	*ret = (struct upload_state){.pack = ret->pack, .last = true};
	if (r == -ENOENT)
		return 0; /* nobody needs the pack any more */
	if (r >= 0)
		r = packs_shards(
			tx, d->shard.pack, shard, PLURI_SHARDS_MAX, &n, err);
	for (unsigned i = 0; i < n && r >= 0; i++) {
		if (shard[i].state == SHARD_STORED)
			continue;
		if (shard[i].index != d->shard.index) {
			ret->last = false;
			continue;
		}
		ret->owed = shard[i].store == d->shard.store;
		r = !ret->owed;
	}
	return r;
}

static int upload_load(struct upload *u, const struct debt *d,
	struct upload_state *ret, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int r = meta_begin(u->v->meta, &tx, err);

	if (r < 0)
		return r;
	r = upload_owed(tx, d, ret, err);
	return meta_end(tx, r, err);
}

/* It may have been moved meanwhile: then the row says something else (1). */
static int upload_mark(struct upload *u, const struct debt *d,
	struct upload_state *ret, struct pluri_err *err)
{
	struct shard_row done = d->shard;
	struct meta_tx *tx = NULL;
	int r = meta_begin(u->v->meta, &tx, err);

	if (r < 0)
		return r;
	done.state = SHARD_STORED;
	r = upload_owed(tx, d, ret, err);
	if (r >= 0 && ret->owed)
		r = packs_set_shard(tx, &done, err);
	return meta_end(tx, r, err);
}

/* Ours, before anything is put: an unmounted disk looks like an empty one. */
static int upload_meet(struct upload *u, uint32_t store, struct pluri_err *err)
{
	struct fleet_health h = {0};
	int r;

	if (atomic_load(&u->store[store].met) &&
		(fleet_health(u->v->fleet, store, &h) < 0 ||
			h.class == FLEET_OK))
		return 0;
	r = volume_greet(u->v, store, err);
	atomic_store(&u->store[store].met, r >= 0);
	return r;
}

static int upload_stop(void *arg)
{
	struct upload *u = arg;
	bool stop;

	(void)pthread_mutex_lock(&u->lock);
	stop = u->stop;
	(void)pthread_mutex_unlock(&u->lock);
	return stop;
}

/* 1: as upload_owed. *ret_hold: how long this debt alone should wait, since the
 * store is not to blame; 0: it is. */
static int upload_pay(struct upload *u, const struct debt *d,
	uint64_t *ret_hold, struct pluri_err *err)
{
	const struct fetch_pace how = {.stop = upload_stop, .arg = u};
	pluri_auto(shard_job) job = NULL;
	struct upload_state now = {0};
	int r = upload_load(u, d, &now, err);

	*ret_hold = 0;
	if (r < 0 || !now.owed)
		return r;
	r = upload_meet(u, d->shard.store, err);
	if (r < 0)
		return r;
	r = shard_job_new(u->v, &now.pack, d->shard.index, &how, &job, err);
	if (r < 0) {
		*ret_hold = UPLOAD_SOURCE_MS;
		return r;
	}
	r = shard_job_put(u->v, job, d->shard.store, err);
	if (r == -ESTALE)
		*ret_hold = UPLOAD_CONFLICT_MS;
	if (r >= 0)
		r = upload_mark(u, d, &now, err);
	if (r == 0 && now.last)
		shard_job_forget(job);
	return r;
}

/* A pause after a failure doubles; with the lock held. */
static void upload_pause(struct debtor *s, uint64_t now)
{
	if (s->next_ms > now)
		return; /* others of the same burst said so already */
	s->pause_ms = s->pause_ms ? 2 * s->pause_ms : UPLOAD_PAUSE_MS;
	if (s->pause_ms > UPLOAD_PAUSE_MAX_MS)
		s->pause_ms = UPLOAD_PAUSE_MAX_MS;
	s->next_ms = now + s->pause_ms;
}

static void upload_run(struct work_item *item)
{
	struct debt *d = work_of(item, struct debt, item);
	struct upload *u = d->u;
	struct debtor *s = &u->store[d->shard.store];
	struct pluri_err err = {0};
	uint64_t hold = 0;
	const int r = upload_pay(u, d, &hold, &err);

	if (r < 0)
		log_line(r == -ESTALE ? LOG_ERROR : LOG_DEBUG,
			"shard %u of pack number %llu stays owed: %s",
			d->shard.index, (unsigned long long)d->shard.pack,
			err.text);
	(void)pthread_mutex_lock(&u->lock);
	s->paying--;
	upload_hold(u, d, r < 0 && hold > 0);
	if (r < 0 && hold > 0) { /* it does not hold up the others */
		d->next_ms = clock_mono_ms(clock_system()) + hold;
		upload_queue(u, d, false);
		d = NULL;
	} else if (r < 0) {
		upload_pause(s, clock_mono_ms(clock_system()));
		upload_queue(u, d, true);
		d = NULL;
	} else {
		s->pause_ms = 0;
		s->next_ms = 0;
		if (r == 0)
			upload_settle(u, &d->shard);
		else /* nothing is stored: who owes it is read anew */
			u->lost = true;
	}
	(void)pthread_cond_signal(&u->wake);
	(void)pthread_mutex_unlock(&u->lock);
	free(d);
}

/* Start what may start; returns when to look again. With the lock held. */
static uint64_t upload_schedule(struct upload *u)
{
	const uint64_t now = clock_mono_ms(clock_system());
	uint64_t until = u->lost ? now + UPLOAD_PAUSE_MS : UINT64_MAX;

	for (unsigned i = 0; i < PLURI_STORES_MAX; i++) {
		struct debtor *s = &u->store[i];

		/* One try alone after a failure, then the rest. */
		while (s->head && s->next_ms <= now &&
			s->paying < (s->pause_ms ? 1 : UPLOAD_PER_STORE)) {
			struct debt *d = upload_pop(s, now, &until);

			if (!d)
				break;
			s->paying++;
			d->item.run = upload_run;
			work_submit(u->pool, &d->item);
		}
		if (s->head && s->next_ms > now && s->next_ms < until)
			until = s->next_ms;
	}
	return until;
}

static void *upload_main(void *arg)
{
	struct upload *u = arg;

	(void)pthread_mutex_lock(&u->lock);
	while (!u->stop) {
		const uint64_t until = upload_schedule(u);

		(void)clock_wait(&u->wake, &u->lock, until);
		if (u->lost && !u->stop)
			(void)upload_read(u, NULL);
	}
	(void)pthread_mutex_unlock(&u->lock);
	return NULL;
}

/* --- from outside -------------------------------------------------------- */

void upload_pack(struct upload *u, const struct shard_row *shards, unsigned n,
	uint64_t bytes)
{
	(void)pthread_mutex_lock(&u->lock);
	if (upload_owe(u, shards, n, n > 1, bytes) < 0)
		u->lost = true;
	for (unsigned i = 0; i < n; i++)
		if (upload_add(u, &shards[i]) < 0)
			u->lost = true;
	(void)pthread_cond_signal(&u->wake);
	(void)pthread_mutex_unlock(&u->lock);
}

void upload_met(struct upload *u, uint32_t store)
{
	if (store < PLURI_STORES_MAX)
		atomic_store(&u->store[store].met, true);
}

void upload_kick(struct upload *u, uint32_t store)
{
	if (store >= PLURI_STORES_MAX)
		return;
	(void)pthread_mutex_lock(&u->lock);
	u->store[store].next_ms = 0;
	(void)pthread_cond_signal(&u->wake);
	(void)pthread_mutex_unlock(&u->lock);
}

int upload_rescan(struct upload *u, struct pluri_err *err)
{
	int r;

	(void)pthread_mutex_lock(&u->lock);
	r = upload_read(u, err);
	for (unsigned i = 0; i < PLURI_STORES_MAX; i++)
		u->store[i].next_ms = 0;
	(void)pthread_cond_signal(&u->wake);
	(void)pthread_cond_broadcast(&u->paid);
	(void)pthread_mutex_unlock(&u->lock);
	return r;
}

uint64_t upload_pending(const struct upload *u)
{
	return atomic_load(&u->pending);
}

/* With the lock held. */
static bool upload_moves(struct upload *u)
{
	struct fleet_health h;

	for (unsigned i = 0; i < PLURI_STORES_MAX; i++) {
		const struct debtor *s = &u->store[i];

		if (s->queued + s->paying > s->held && s->pause_ms == 0 &&
			fleet_health(u->v->fleet, i, &h) == 0 && h.up)
			return true;
	}
	return false;
}

void upload_backlog(struct upload *u, struct upload_backlog *ret)
{
	(void)pthread_mutex_lock(&u->lock);
	*ret = (struct upload_backlog){
		.pending = atomic_load(&u->pending),
		.paid = u->settled,
		.moves = upload_moves(u),
	};
	(void)pthread_mutex_unlock(&u->lock);
}

/* What somebody waits for: all up to a number, or some packs, first. */
struct upload_goal {
	uint64_t upto;
	bool all;
	const uint64_t *packs;
	unsigned n; /* 0: all up to upto */
	uint64_t deadline_ms;
	int (*stop)(void *arg);
	void *arg;
};

static bool upload_reached(struct upload *u, const struct upload_goal *g)
{
	if (g->n == 0)
		return upload_clear(u, g->upto, g->all);
	if (upload_clear_of(u, g->packs, g->n))
		return true;
	/* again and again, since debts are read anew, and fail */
	upload_hurry(u, g->packs, g->n);
	return false;
}

static int upload_until(
	struct upload *u, const struct upload_goal *g, struct pluri_err *err)
{
	int r = 0;

	(void)pthread_mutex_lock(&u->lock);
	while (r == 0 && !upload_reached(u, g)) {
		const uint64_t now = clock_mono_ms(clock_system());
		const uint64_t tick = now + 100;

		if (now >= g->deadline_ms)
			r = -ETIMEDOUT;
		else if (u->stop || (g->stop && g->stop(g->arg)))
			r = -ECANCELED;
		else
			(void)clock_wait(&u->paid, &u->lock,
				tick < g->deadline_ms ? tick : g->deadline_ms);
	}
	(void)pthread_mutex_unlock(&u->lock);
	if (r < 0)
		return pluri_fail(err, -r, "waiting for the clouds: %s",
			r == -ETIMEDOUT ? "the deadline passed" : "stopped");
	return 0;
}

int upload_wait(struct upload *u, uint64_t upto, bool all, uint64_t deadline_ms,
	int (*stop)(void *arg), void *arg, struct pluri_err *err)
{
	const struct upload_goal g = {.upto = upto,
		.all = all,
		.deadline_ms = deadline_ms,
		.stop = stop,
		.arg = arg};

	return upload_until(u, &g, err);
}

int upload_wait_packs(struct upload *u, const uint64_t *packs, unsigned n,
	int (*stop)(void *arg), void *arg, struct pluri_err *err)
{
	const struct upload_goal g = {.packs = packs,
		.n = n,
		.deadline_ms = UINT64_MAX,
		.stop = stop,
		.arg = arg};

	return n == 0 ? 0 : upload_until(u, &g, err);
}

int upload_new(struct volume *v, struct upload **ret, struct pluri_err *err)
{
	struct upload *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return pluri_fail(err, ENOMEM, "upload: no memory");
	u->v = v;
	for (unsigned i = 0; i < PLURI_STORES_MAX; i++)
		u->store[i].tail = &u->store[i].head;
	(void)pthread_mutex_init(&u->lock, NULL);
	clock_cond_init(&u->wake);
	clock_cond_init(&u->paid);
	r = work_new(UPLOAD_THREADS, "upload", &u->pool, err);
	if (r >= 0)
		r = upload_rescan(u, err);
	if (r >= 0) {
		r = -pthread_create(&u->thread, NULL, upload_main, u);
		if (r < 0)
			(void)pluri_fail(err, -r,
				"upload: cannot start a "
				"thread: %s",
				strerror(-r));
	}
	if (r < 0) {
		u->thread = 0;
		upload_free(u);
		return r;
	}
	*ret = u;
	return 0;
}

void upload_free(struct upload *u)
{
	if (!u)
		return;
	(void)pthread_mutex_lock(&u->lock);
	u->stop = true;
	(void)pthread_cond_signal(&u->wake);
	(void)pthread_cond_broadcast(&u->paid);
	(void)pthread_mutex_unlock(&u->lock);
	if (u->thread)
		(void)pthread_join(u->thread, NULL);
	work_free(u->pool);
	upload_forget(u);
	(void)pthread_cond_destroy(&u->paid);
	(void)pthread_cond_destroy(&u->wake);
	(void)pthread_mutex_destroy(&u->lock);
	free(u);
}
