#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "chunker/stripe.h"
#include "fs/commit.h"
#include "fs/repack_int.h"
#include "fs/roster.h"
#include "fs/staging_int.h"
#include "fs/trim.h"
#include "fs/watch.h"

#define BURY_ROWS 256u /* chunks forgotten in one bracket */
#define BURY_BATCH 64u
#define BURY_AGAIN_MS 10000u /* for a store that was in trouble */
#define BURY_PATIENCE 3u /* timeouts that a read may take */

/* --- empty ---------------------------------------------------------------- */

/* 1: more to forget; 0: done, *ret_empty tells whether anything is left. */
static int bury_forget(
	struct repack *r, uint64_t pack, bool *ret_empty, struct pluri_err *err)
{
	pluri_auto_mem struct chunk_row *one = malloc(sizeof(*one));
	struct meta_tx *tx = NULL;
	unsigned gone = 0;
	unsigned left = 0;
	int e;

	if (!one)
		return pluri_fail(err, ENOMEM, "repack: no memory");
	e = meta_begin(r->v->meta, &tx, err);
	if (e < 0)
		return e;
	e = garbage_fit(tx, pack, err);
	if (e == 0) { /* it is moved just now, or gone */
		(void)meta_end(tx, 0, NULL);
		*ret_empty = false;
		return 0;
	}
	if (e > 0)
		e = garbage_forget(tx, pack, BURY_ROWS, &gone, err);
	if (e >= 0 && gone < BURY_ROWS)
		e = garbage_live(tx, pack, NULL, one, 1, &left, err);
	e = meta_end(tx, e, err);
	if (e < 0)
		return e;
	(void)pthread_mutex_lock(&r->lock);
	r->stats.forgotten += gone;
	(void)pthread_mutex_unlock(&r->lock);
	*ret_empty = gone < BURY_ROWS && left == 0;
	return gone == BURY_ROWS;
}

int repack_bury_settle(struct repack *r, uint64_t pack, struct pluri_err *err)
{
	bool empty = false;
	int e;

	while ((e = bury_forget(r, pack, &empty, err)) > 0 &&
		!repack_stopped(r))
		trim_rest();
	if (e < 0 || !empty || r->cools == REPACK_COOLING)
		return e < 0 ? e : 0; /* the next scan finds it again */
	for (unsigned i = 0; i < r->cools; i++)
		if (r->cool[i].pack == pack)
			return 0;
	r->cool[r->cools++] = (struct repack_cool){pack,
		clock_mono_ms(clock_system()) +
			BURY_PATIENCE * (uint64_t)r->v->config->timeout_ms};
	return 0;
}

/* --- buried --------------------------------------------------------------- */

/* 1: its rows are gone; 0: not now. */
static int bury_one(struct repack *r, uint64_t pack, struct pack_row *ret,
	struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int e = meta_begin(r->v->meta, &tx, err);

	if (e < 0)
		return e;
	e = packs_get(tx, pack, ret, err);
	if (e >= 0)
		e = garbage_bury(tx, pack, clock_real_ns(r->v->clock), err);
	e = meta_end(tx, e, err);
	if (e == -ENOENT || e == -EBUSY || e == -EAGAIN)
		return 0; /* the next scan judges anew */
	return e < 0 ? e : 1;
}

static void bury_files(
	struct repack *r, const struct pack_row *pack, unsigned n)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < n; i++) {
		char name[STAGING_NAME];

		bytes += pack[i].bytes;
		if (unlinkat(r->v->packs_fd, staging_name(&pack[i].id, name),
			    0) < 0 &&
			errno != ENOENT)
			log_line(LOG_WARN, "cannot remove local pack %s: %s",
				name, strerror(errno));
	}
	(void)pthread_mutex_lock(&r->lock);
	r->stats.buried += n;
	r->stats.buried_bytes += bytes;
	(void)pthread_mutex_unlock(&r->lock);
}

int repack_bury_due(struct repack *r, struct pluri_err *err)
{
	const uint64_t now = clock_mono_ms(clock_system());
	struct pack_row pack[BURY_BATCH];
	unsigned n = 0;
	unsigned keep = 0;
	int e = 0;

	for (unsigned i = 0; i < r->cools; i++) {
		const bool due = r->cool[i].due_ms <= now && n < BURY_BATCH;

		if (e >= 0 && due)
			e = bury_one(r, r->cool[i].pack, &pack[n], err);
		else
			r->cool[keep++] = r->cool[i];
		n += e > 0 && due;
	}
	r->cools = keep;
	if (n == 0)
		return e < 0 ? e : 0;
	/* That no row leads there must outlive a power cut before anything
	 * goes: also what was buried before a failure. */
	e = commit_now(r->v->commit, true, err);
	if (e < 0)
		return e;
	bury_files(r, pack, n);
	return 0;
}

/* --- deleted -------------------------------------------------------------- */

/* 1: delete it; 0: not now; -ENOENT: there is nothing to delete. */
static int bury_judge(struct repack *r, const struct garbage_grave *g,
	const struct store_row *store)
{
	struct fleet_health h = {0};

	if (store->state == STORE_DRAINED)
		return -ENOENT;
	/* As with moves: never at a place that nobody has looked at. */
	if (!watch_met(r->v->watch, g->store))
		return 0;
	return fleet_health(r->v->fleet, g->store, &h) == 0 && h.up &&
	       (h.class == FLEET_OK || h.class == FLEET_FULL ||
		       h.class == FLEET_CORRUPT);
}

/* In rows: is there a pack of that id after all? Then not a byte goes. */
static int bury_lives(
	struct repack *r, const struct garbage_grave *g, struct pluri_err *err)
{
	struct pack_row pack;
	struct meta_tx *tx = NULL;
	int e = meta_begin(r->v->meta, &tx, err);

	if (e < 0)
		return e;
	e = packs_find(tx, &g->id, &pack, err);
	(void)meta_end(tx, 0, NULL);
	if (e == -ENOENT)
		return 0;
	if (e >= 0)
		log_line(LOG_ERROR,
			"pack number %llu is to be deleted, and is in use: run "
			"pluri fsck",
			(unsigned long long)g->pack);
	return e < 0 ? e : 1;
}

static int bury_done(
	struct repack *r, const struct garbage_grave *g, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	const int e = meta_begin(r->v->meta, &tx, err);

	if (e < 0)
		return e;
	return meta_end(tx, garbage_done(tx, g->pack, g->index, err), err);
}

static int bury_delete(struct repack *r, const struct garbage_grave *g,
	uint64_t *away, struct pluri_err *err)
{
	const uint64_t bit = UINT64_C(1) << g->store;
	char key[PLURI_OBJECT_KEY_MAX + 1];
	struct store_row store = {0};
	int e = -ENOENT;

	if (*away & bit)
		return 0;
	if (roster_store(r->v->roster, g->store, &store) >= 0)
		e = bury_judge(r, g, &store);
	if (e == -ENOENT) /* nobody will ever look there again */
		return bury_done(r, g, err);
	if (e == 0)
		*away |= bit;
	if (e == 0)
		return 0;
	e = bury_lives(r, g, err);
	if (e != 0)
		return e < 0 ? e : 0;
	shard_name(&g->id, g->index, key);
	e = fleet_del(r->v->fleet, g->store, key,
		clock_mono_ms(clock_system()) + r->v->config->timeout_ms, 0,
		err);
	if (e < 0) { /* it stays owed */
		log_line(LOG_DEBUG, "store %s: %s stays to be deleted: %s",
			store.name, key, err ? err->text : "");
		*away |= bit;
		return 0;
	}
	(void)pthread_mutex_lock(&r->lock);
	r->stats.deleted++;
	(void)pthread_mutex_unlock(&r->lock);
	return bury_done(r, g, err);
}

/* A batch of those that were kept long enough. */
static int bury_graves(struct repack *r, const struct garbage_grave *after,
	struct garbage_grave *ret, unsigned *ret_n, struct pluri_err *err)
{
	const int64_t keep = (int64_t)r->v->config->keep_deleted_ms * 1000000;
	struct meta_tx *tx = NULL;
	int e = meta_begin(r->v->meta, &tx, err);

	if (e < 0)
		return e;
	e = garbage_graves(tx, after, clock_real_ns(r->v->clock) - keep, ret,
		BURY_BATCH, ret_n, err);
	return meta_end(tx, e, err);
}

int repack_bury_delete(struct repack *r, struct pluri_err *err)
{
	struct garbage_grave g[BURY_BATCH];
	struct garbage_grave after;
	unsigned n = BURY_BATCH;
	uint64_t away = 0; /* stores, as bits */
	bool first = true;
	int e = 0;

	if (clock_mono_ms(clock_system()) < r->delete_next_ms)
		return 0;
	while (e >= 0 && n == BURY_BATCH && !repack_stopped(r)) {
		e = bury_graves(r, first ? NULL : &after, g, &n, err);
		first = false;
		for (unsigned i = 0; i < n && e >= 0 && !repack_stopped(r); i++)
			e = bury_delete(r, &g[i], &away, err);
		if (n > 0)
			after = g[n - 1];
	}
	if (away != 0)
		r->delete_next_ms =
			clock_mono_ms(clock_system()) + BURY_AGAIN_MS;
	return e < 0 ? e : 0;
}
