#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/text.h"
#include "base/work.h"
#include "fs/upload.h"

#define UPLOAD_THREADS 16u
#define UPLOAD_PER_STORE 4u /* shards under way to one store */
#define UPLOAD_SCAN 65536u
#define UPLOAD_PAUSE_MS 1000u
#define UPLOAD_PAUSE_MAX_MS 30000u
#define UPLOAD_CONFLICT_MS 60000u

/*
 * A debt: QUEUED at its store -> PAYING on a pool thread -> gone, or QUEUED
 * again (at the front: oldest first) with the store paused.
 */
struct debt {
	struct work_item item; /* while PAYING */
	struct upload *u;
	struct shard_row shard;
	struct debt *next;
};

struct debtor { /* one store */
	struct debt *head, **tail;
	unsigned queued, paying;
	uint64_t next_ms; /* not before */
	uint64_t pause_ms; /* the last pause */
};

/* What a pack still lacks. */
struct owed {
	uint64_t pack;
	unsigned missing; /* shards */
	unsigned quorum; /* shards to quorum; 0: safe */
	struct owed *next;
};

struct upload {
	struct volume *v;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t wake; /* the scheduler */
	pthread_cond_t paid;
	bool stop;
	struct debtor store[PLURI_STORES_MAX];
	struct owed *owed; /* ascending by pack */
	struct work *pool;
	pthread_t thread;
};

/* --- what is owed; with the lock held ------------------------------------- */

static struct owed **upload_owed_at(struct upload *u, uint64_t pack)
{
	struct owed **at = &u->owed;

	while (*at && (*at)->pack < pack)
		at = &(*at)->next;
	return at;
}

static void upload_owe(
	struct upload *u, uint64_t pack, unsigned missing, unsigned quorum)
{
	struct owed **at = upload_owed_at(u, pack);
	struct owed *o = calloc(1, sizeof(*o));

	if (!o || (*at && (*at)->pack == pack)) {
		free(o);
		return;
	}
	o->pack = pack;
	o->missing = missing;
	o->quorum = quorum;
	o->next = *at;
	*at = o;
}

static void upload_settle(struct upload *u, uint64_t pack)
{
	struct owed **at = upload_owed_at(u, pack);
	struct owed *o = *at;

	if (o && o->pack == pack) {
		if (o->quorum > 0)
			o->quorum--;
		if (--o->missing == 0) {
			*at = o->next;
			free(o);
		}
	}
	(void)pthread_cond_broadcast(&u->paid);
}

static void upload_queue(struct upload *u, struct debt *d, bool front)
{
	struct debtor *s = &u->store[d->shard.store];

	if (front) {
		d->next = s->head;
		if (!s->head)
			s->tail = &d->next;
		s->head = d;
	} else {
		d->next = NULL;
		*s->tail = d;
		s->tail = &d->next;
	}
	s->queued++;
}

static struct debt *upload_pop(struct debtor *s)
{
	struct debt *d = s->head;

	s->head = d->next;
	if (!s->head)
		s->tail = &s->head;
	s->queued--;
	return d;
}

/* --- paying one ------------------------------------------------------------ */

static int upload_load(struct upload *u, const struct debt *d,
	struct pack_row *ret_pack, bool *ret_owed, struct pluri_err *err)
{
	struct shard_row shard[PLURI_SHARDS_MAX];
	struct meta_tx *tx = NULL;
	unsigned n = 0;
	int r = meta_begin(u->v->meta, &tx, err);

	if (r < 0)
		return r;
	r = packs_get(tx, d->shard.pack, ret_pack, err);
	if (r >= 0)
		r = packs_shards(
			tx, d->shard.pack, shard, PLURI_SHARDS_MAX, &n, err);
	r = meta_end(tx, r, err);
	*ret_owed = false;
	for (unsigned i = 0; i < n && r >= 0; i++)
		if (shard[i].index == d->shard.index &&
			shard[i].store == d->shard.store &&
			shard[i].state != SHARD_STORED)
			*ret_owed = true;
	return r;
}

static int upload_mark(
	struct upload *u, const struct debt *d, struct pluri_err *err)
{
	struct shard_row done = d->shard;
	struct meta_tx *tx = NULL;
	int r = meta_begin(u->v->meta, &tx, err);

	if (r < 0)
		return r;
	done.state = SHARD_STORED;
	return meta_end(tx, packs_set_shard(tx, &done, err), err);
}

static int upload_pay(
	struct upload *u, const struct debt *d, struct pluri_err *err)
{
	pluri_auto(shard_job) job = NULL;
	struct fleet_health h = {0};
	struct pack_row pack = {0};
	bool owed = false;
	int r = upload_load(u, d, &pack, &owed, err);

	if (r < 0 || !owed)
		return r;
	if (fleet_health(u->v->fleet, d->shard.store, &h) == 0 &&
		h.class != FLEET_OK) {
		r = volume_greet(u->v, d->shard.store, err);
		if (r < 0)
			return r;
	}
	r = shard_job_new(u->v, &pack, d->shard.index, &job, err);
	if (r >= 0)
		r = shard_job_put(u->v, job, d->shard.store, err);
	if (r >= 0)
		r = upload_mark(u, d, err);
	return r;
}

/* A pause after a failure doubles; with the lock held. */
static void upload_pause(struct debtor *s, uint64_t now, int code)
{
	if (s->next_ms > now)
		return; /* others of the same burst said so already */
	s->pause_ms = s->pause_ms ? 2 * s->pause_ms : UPLOAD_PAUSE_MS;
	if (s->pause_ms > UPLOAD_PAUSE_MAX_MS)
		s->pause_ms = UPLOAD_PAUSE_MAX_MS;
	s->next_ms = now + (code == -ESTALE ? UPLOAD_CONFLICT_MS : s->pause_ms);
}

static void upload_run(struct work_item *item)
{
	struct debt *d = work_of(item, struct debt, item);
	struct upload *u = d->u;
	struct debtor *s = &u->store[d->shard.store];
	struct pluri_err err = {0};
	const int r = upload_pay(u, d, &err);

	if (r < 0)
		log_line(r == -ESTALE ? LOG_ERROR : LOG_DEBUG,
			"shard %u of pack number %llu stays owed: %s",
			d->shard.index, (unsigned long long)d->shard.pack,
			err.text);
	(void)pthread_mutex_lock(&u->lock);
	s->paying--;
	if (r < 0) {
		upload_pause(s, clock_mono_ms(clock_system()), r);
		/* A conflict must not hold up the others behind it. */
		upload_queue(u, d, r != -ESTALE);
		d = NULL;
	} else {
		s->pause_ms = 0;
		s->next_ms = 0;
		upload_settle(u, d->shard.pack);
	}
	(void)pthread_cond_signal(&u->wake);
	(void)pthread_mutex_unlock(&u->lock);
	free(d);
}

/* Start what may start; returns when to look again. With the lock held. */
static uint64_t upload_schedule(struct upload *u)
{
	const uint64_t now = clock_mono_ms(clock_system());
	uint64_t until = UINT64_MAX;

	for (unsigned i = 0; i < PLURI_STORES_MAX; i++) {
		struct debtor *s = &u->store[i];

		/* One try alone after a failure, then the rest. */
		while (s->head && s->next_ms <= now &&
			s->paying < (s->pause_ms ? 1 : UPLOAD_PER_STORE)) {
			struct debt *d = upload_pop(s);

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
	}
	(void)pthread_mutex_unlock(&u->lock);
	return NULL;
}

/* --- from outside ------------------------------------------------------------ */

static int upload_add(struct upload *u, const struct shard_row *shard)
{
	struct debt *d;

	if (shard->store >= PLURI_STORES_MAX)
		return -EBADMSG;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->u = u;
	d->shard = *shard;
	upload_queue(u, d, false);
	return 0;
}

void upload_pack(struct upload *u, const struct shard_row *shards, unsigned n)
{
	const unsigned quorum = n > 1 ? n - 1 : n;

	(void)pthread_mutex_lock(&u->lock);
	upload_owe(u, shards[0].pack, n, quorum);
	for (unsigned i = 0; i < n; i++)
		(void)upload_add(u, &shards[i]);
	(void)pthread_cond_signal(&u->wake);
	(void)pthread_mutex_unlock(&u->lock);
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

static void upload_forget(struct upload *u)
{
	for (unsigned i = 0; i < PLURI_STORES_MAX; i++)
		while (u->store[i].head)
			free(upload_pop(&u->store[i]));
	while (u->owed) {
		struct owed *o = u->owed;

		u->owed = o->next;
		free(o);
	}
}

static unsigned upload_quorum(const struct pack_row *p)
{
	const struct layout l = {
		.kind = (enum stripe_kind)p->kind, .k = p->k, .m = p->m};

	return layout_quorum(&l);
}

/* What one pack of the scan owes; rows of a pack stand together. */
static int upload_scan_pack(struct upload *u, struct meta_tx *tx,
	const struct shard_row *rows, unsigned n, struct pluri_err *err)
{
	struct pack_row p = {0};
	unsigned stored;
	unsigned quorum;
	int r = packs_get(tx, rows[0].pack, &p, err);

	if (r < 0)
		return r;
	stored = (unsigned)(p.k + p.m) - n;
	quorum = upload_quorum(&p);
	upload_owe(u, p.num, n, quorum > stored ? quorum - stored : 0);
	for (unsigned i = 0; i < n && r >= 0; i++)
		r = upload_add(u, &rows[i]);
	return r < 0 ? pluri_fail(err, -r, "upload: %s", strerror(-r)) : 0;
}

static int upload_scan(
	struct upload *u, struct shard_row *rows, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	unsigned n = 0;
	int r = meta_begin(u->v->meta, &tx, err);

	if (r < 0)
		return r;
	r = packs_debt(tx, rows, UPLOAD_SCAN, &n, err);
	for (unsigned i = 0; i < n && r >= 0;) {
		unsigned same = 1;

		while (i + same < n && rows[i + same].pack == rows[i].pack)
			same++;
		r = upload_scan_pack(u, tx, rows + i, same, err);
		i += same;
	}
	return meta_end(tx, r, err);
}

int upload_rescan(struct upload *u, struct pluri_err *err)
{
	struct shard_row *rows = calloc(UPLOAD_SCAN, sizeof(*rows));
	int r;

	if (!rows)
		return pluri_fail(err, ENOMEM, "upload: no memory");
	/* A debt that is being paid may be queued twice: whoever comes second
	 * finds the shard stored and is done. */
	(void)pthread_mutex_lock(&u->lock);
	upload_forget(u);
	r = upload_scan(u, rows, err);
	for (unsigned i = 0; i < PLURI_STORES_MAX; i++)
		u->store[i].next_ms = 0;
	(void)pthread_cond_signal(&u->wake);
	(void)pthread_cond_broadcast(&u->paid);
	(void)pthread_mutex_unlock(&u->lock);
	free(rows);
	return r;
}

/* With the lock held. */
static bool upload_clear(const struct upload *u, uint64_t upto, bool all)
{
	for (const struct owed *o = u->owed; o && o->pack <= upto; o = o->next)
		if (all || o->quorum > 0)
			return false;
	return true;
}

int upload_wait(struct upload *u, uint64_t upto, bool all, uint64_t deadline_ms,
	int (*stop)(void *arg), void *arg, struct pluri_err *err)
{
	int r = 0;

	(void)pthread_mutex_lock(&u->lock);
	while (r == 0 && !upload_clear(u, upto, all)) {
		const uint64_t now = clock_mono_ms(clock_system());
		const uint64_t tick = now + 100;

		if (now >= deadline_ms)
			r = -ETIMEDOUT;
		else if (u->stop || (stop && stop(arg)))
			r = -ECANCELED;
		else
			(void)clock_wait(&u->paid, &u->lock,
				tick < deadline_ms ? tick : deadline_ms);
	}
	(void)pthread_mutex_unlock(&u->lock);
	if (r < 0)
		return pluri_fail(err, -r, "waiting for the clouds: %s",
			r == -ETIMEDOUT ? "the deadline passed" : "stopped");
	return 0;
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
