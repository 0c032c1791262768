#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "base/log.h"
#include "chunker/pack_index.h"
#include "fs/commit.h"
#include "fs/repack_int.h"
#include "fs/roster.h"
#include "fs/trim.h"
#include "fs/upload.h"
#include "fs/write.h"

#define REPACK_SCAN_MAX_MS 60000u /* between two scans, beside... */
#define REPACK_SCAN_REST 20u /* ...so many times what one took */
#define REPACK_WAIT_MS 500u /* for copies to be stored */
#define REPACK_REST_MS 1000u
#define REPACK_AGAIN_MS 30000u /* after a failure */
#define REPACK_CALM_MS 200u /* nobody asked for that long: calm */
#define REPACK_BUSY_MS 2000u /* calm is not waited for longer */
#define REPACK_SHARE 8u /* of what may be pending: for copies */
#define REPACK_SPARE (256u << 20) /* bytes of disk that are left alone */

/* --- waiting -------------------------------------------------------------- */

bool repack_stopped(struct repack *r)
{
	bool stop;

	(void)pthread_mutex_lock(&r->lock);
	stop = r->stop;
	(void)pthread_mutex_unlock(&r->lock);
	return stop;
}

bool repack_nap(struct repack *r, uint64_t ms)
{
	const uint64_t until = clock_mono_ms(clock_system()) + ms;
	bool stop;

	(void)pthread_mutex_lock(&r->lock);
	while (!r->stop && clock_mono_ms(clock_system()) < until)
		(void)clock_wait(&r->wake, &r->lock, until);
	stop = r->stop;
	(void)pthread_mutex_unlock(&r->lock);
	return !stop;
}

void repack_yield(struct volume *v)
{
	atomic_store_explicit(&v->asked_ms, clock_mono_ms(clock_system()),
		memory_order_relaxed);
}

bool repack_busy(const struct volume *v)
{
	return atomic_load(&v->asked_ms) + REPACK_CALM_MS >
	       clock_mono_ms(clock_system());
}

bool repack_pace(struct repack *r, uint32_t bytes)
{
	const uint64_t rate = r->v->config->repack_rate;
	const uint64_t began = clock_mono_ms(clock_system());
	uint64_t now = began;

	while (now < r->pace_ms ||
		(repack_busy(r->v) && now < began + REPACK_BUSY_MS)) {
		const uint64_t rest = now < r->pace_ms ? r->pace_ms - now
						       : REPACK_CALM_MS / 4;

		if (!repack_nap(r, rest))
			return false;
		now = clock_mono_ms(clock_system());
	}
	r->pace_ms = now + (uint64_t)bytes * 1000 / rate;
	return !repack_stopped(r);
}

/* --- what to copy --------------------------------------------------------- */

/* Bytes of a pack that held what lives in this one, and nothing else. */
static uint64_t repack_size(const struct garbage_use *u)
{
	return PACK_HEAD + u->live + pack_index_bytes((uint32_t)u->chunks);
}

/* It could not be read lately, or has copies that wait already. */
static bool repack_tried(const struct repack *r, uint64_t pack)
{
	const uint64_t now = clock_mono_ms(clock_system());

	for (unsigned i = 0; i < REPACK_BAD && i < r->bads; i++)
		if (r->bad[i].pack == pack && r->bad[i].due_ms > now)
			return true;
	for (unsigned i = 0; i < r->sources; i++)
		if (r->source[i] == pack)
			return true;
	return false;
}

/* Is there room to remember what is copied? Packs that need no copies go all
 * the same. */
static bool repack_room(const struct repack *r)
{
	return r->copies < REPACK_COPIES / 2 &&
	       r->sources + r->poor < REPACK_SOURCES;
}

static bool repack_poor(const struct repack *r, const struct garbage_use *u)
{
	const int percent = r->v->config->repack_percent;

	if (!repack_room(r) || repack_tried(r, u->pack))
		return false;
	return repack_size(u) * 100 < u->bytes * (uint64_t)percent;
}

/* It has its turn to end, or it is empty until copies in it take rows over. */
static bool repack_waiting(const struct repack *r, uint64_t pack)
{
	for (unsigned i = 0; i < r->cools; i++)
		if (r->cool[i].pack == pack)
			return true;
	for (unsigned i = 0; i < r->copies; i++)
		if (r->copy[i].to.pack == pack)
			return true;
	return false;
}

static int repack_scan_step(
	struct repack *r, struct garbage_use *ret, struct pluri_err *err)
{
	const int64_t age = (int64_t)r->v->config->repack_age_ms * 1000000;
	struct meta_tx *tx = NULL;
	int e = meta_begin(r->v->meta, &tx, err);

	if (e < 0)
		return e;
	e = garbage_scan(
		tx, &r->at, clock_real_ns(r->v->clock) - age, ret, err);
	return meta_end(tx, e, err);
}

static uint64_t repack_scan_rest(const struct repack *r, uint64_t now)
{
	const uint64_t took = (now - r->scan_began_ms) * REPACK_SCAN_REST;
	uint64_t rest = r->v->config->repack_age_ms / 10;

	rest = rest < REPACK_REST_MS ? REPACK_REST_MS : rest;
	rest = rest < REPACK_SCAN_MAX_MS ? rest : REPACK_SCAN_MAX_MS;
	return took > rest ? took : rest;
}

static void repack_scan_add(struct repack *r, const struct garbage_use *u)
{
	r->scan_bytes += u->bytes;
	r->scan_live += u->live;
}

static void repack_scan_told(struct repack *r)
{
	(void)pthread_mutex_lock(&r->lock);
	r->stats.scanned_bytes = r->scan_bytes;
	r->stats.scanned_live = r->scan_live;
	(void)pthread_mutex_unlock(&r->lock);
	r->scan_bytes = 0;
	r->scan_live = 0;
}

/*
 * Go on until a round's worth is found, or the end: 1: there may be more.
 * Packs without anything in them that lives need no copying.
 */
static int repack_scan(struct repack *r, struct pluri_err *err)
{
	const uint64_t max = write_staging_max(r->v) / REPACK_SHARE;
	uint64_t bytes = 0;

	r->poor = 0;
	if (r->at.pack == 0)
		r->scan_began_ms = clock_mono_ms(clock_system());
	while (r->poor < REPACK_PACKS && bytes < REPACK_BYTES &&
		(bytes < max || r->poor == 0)) {
		struct garbage_use u = {0};
		int e = repack_scan_step(r, &u, err);
		const uint64_t now = clock_mono_ms(clock_system());

		trim_rest();
		if (e == -ENOENT) {
			repack_scan_told(r);
			r->scan_next_ms = now + repack_scan_rest(r, now);
			return 0;
		}
		if (e > 0)
			repack_scan_add(r, &u);
		if (e > 0 && u.chunks == 0 && !repack_waiting(r, u.pack))
			e = repack_bury_settle(r, u.pack, err);
		else if (e > 0 && u.chunks > 0 && repack_poor(r, &u)) {
			bytes += u.live;
			r->pack[r->poor++] = u;
		}
		if (e < 0)
			return e;
		if (repack_stopped(r))
			return 0;
	}
	return 1;
}

bool repack_well(struct volume *v, uint32_t policy)
{
	pluri_auto_mem struct store_row *row =
		calloc(PLURI_STORES_MAX, sizeof(*row));
	pluri_auto_mem struct roster_policy *pol = calloc(1, sizeof(*pol));
	const unsigned n = row ? roster_stores(v->roster, row) : 0;

	if (!row || !pol || roster_policy(v->roster, policy, pol) < 0)
		return false;
	for (unsigned i = 0; i < n; i++) {
		struct fleet_health h = {0};

		if (!(pol->members >> row[i].num & 1) ||
			row[i].state != STORE_ACTIVE)
			continue;
		if (fleet_health(v->fleet, row[i].num, &h) < 0 || !h.up ||
			h.class != FLEET_OK)
			return false;
	}
	return true;
}

/* Copies are made to be stored soon, must not slow down writers by what they
 * add to the uploads, and not take a full disk's rest. */
bool repack_able(struct volume *v)
{
	struct statvfs fs;

	if (upload_pending(v->upload) > write_staging_max(v) / REPACK_SHARE)
		return false;
	return fstatvfs(v->packs_fd, &fs) == 0 &&
	       (uint64_t)fs.f_bavail * fs.f_frsize >
		       (uint64_t)REPACK_BYTES + REPACK_SPARE;
}

/* --- rounds --------------------------------------------------------------- */

static int repack_find(struct repack *r, bool *ret_more, struct pluri_err *err)
{
	int e;

	if (clock_mono_ms(clock_system()) < r->scan_next_ms)
		return 0;
	e = repack_scan(r, err);
	if (e < 0)
		return e;
	*ret_more = e > 0;
	return r->poor > 0 && repack_able(r->v) ? repack_copy_all(r, err) : 0;
}

int repack_round(struct repack *r, bool *ret_more, struct pluri_err *err)
{
	int e;

	*ret_more = false;
	if (r->v->config->repack_percent < 0)
		return 0;
	e = commit_broken(r->v->commit, err);
	if (e >= 0)
		e = repack_copy_switch(r, err);
	if (e >= 0)
		e = repack_bury_due(r, err);
	if (e >= 0)
		e = repack_bury_delete(r, err);
	if (e >= 0)
		e = repack_find(r, ret_more, err);
	(void)pthread_mutex_lock(&r->lock);
	r->stats.waiting = r->copies;
	(void)pthread_mutex_unlock(&r->lock);
	return e < 0 ? e : 0;
}

static void *repack_main(void *arg)
{
	struct repack *r = arg;
	uint64_t rest = REPACK_REST_MS;

	while (repack_nap(r, rest)) {
		struct pluri_err err = {0};
		bool more = false;
		const int e = repack_round(r, &more, &err);

		rest = more || r->copies > 0 ? REPACK_WAIT_MS : REPACK_REST_MS;
		if (e == 0 || e == -ECANCELED)
			continue;
		log_line(LOG_WARN, "collecting what is deleted: %s", err.text);
		rest = REPACK_AGAIN_MS;
	}
	return NULL;
}

void repack_stats(struct repack *r, struct repack_stats *ret)
{
	(void)pthread_mutex_lock(&r->lock);
	*ret = r->stats;
	(void)pthread_mutex_unlock(&r->lock);
}

bool repack_moved(struct volume *v, const struct extent_row *rows, size_t n)
{
	struct meta_tx *tx = NULL;
	struct chunk_row now;
	bool moved = false;

	if (meta_begin(v->meta, &tx, NULL) < 0)
		return false;
	for (size_t i = 0; i < n && !moved; i++) {
		const struct chunk_row *c = &rows[i].chunk;
		const int r = chunks_get(tx, c->num, &now, NULL);

		moved = r == -ENOENT ||
			(r == 0 && (now.pack != c->pack || now.off != c->off));
	}
	(void)meta_end(tx, 0, NULL);
	return moved;
}

int repack_new(struct volume *v, struct repack **ret, struct pluri_err *err)
{
	struct repack *r = calloc(1, sizeof(*r));

	if (!r)
		return pluri_fail(err, ENOMEM, "repack: no memory");
	r->v = v;
	(void)pthread_mutex_init(&r->lock, NULL);
	clock_cond_init(&r->wake);
	*ret = r;
	return 0;
}

int repack_start(struct repack *r, struct pluri_err *err)
{
	const int e = pthread_create(&r->thread, NULL, repack_main, r);

	if (e)
		return pluri_fail(err, e, "repack: cannot start a thread: %s",
			strerror(e));
	(void)pthread_setname_np(r->thread, "repack");
	r->started = true;
	return 0;
}

void repack_stop(struct repack *r)
{
	(void)pthread_mutex_lock(&r->lock);
	r->stop = true;
	(void)pthread_cond_broadcast(&r->wake);
	(void)pthread_mutex_unlock(&r->lock);
	if (r->started)
		(void)pthread_join(r->thread, NULL);
	r->started = false;
}

void repack_free(struct repack *r)
{
	if (!r)
		return;
	repack_stop(r);
	free(r->copy);
	(void)pthread_cond_destroy(&r->wake);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}
