/*
 * backends/fleet.h - all clouds of a volume at once.
 *
 * Runs plugin calls on its own threads, so that no caller ever waits longer
 * than its deadline, whatever a plugin does (but see fleet_limits): a call that
 * hangs is left behind with memory of its own. Keeps each store's health and
 * counters, limits its concurrency, repeats what may be repeated
 * (backends/retry.h). What it knows of its stores: backends/fleet_health.h.
 *
 * Stores are numbered by the caller (0..PLURI_STORES_MAX-1), added and removed
 * at any time; a removed store's calls finish first. Shared.
 */
#ifndef PLURI_BACKENDS_FLEET_H
#define PLURI_BACKENDS_FLEET_H

#include <stdbool.h>

#include "backends/backend.h"
#include "backends/fleet_health.h"
#include "base/clock.h"
#include "base/own.h"
#include "base/wish.h"

struct fleet;

struct fleet_options {
	const struct clock *clock; /* for health and back-off */
	uint32_t timeout_ms;	   /* of one attempt; default 10000 */
	uint32_t retry_ms;	   /* first back-off; default 100 */
	unsigned threads;	   /* ceiling of one store, so that a store that
				      hangs takes none of the others'; default
				      16, at most 64, never more at once than
				      the store's limits().concurrency; how
				      many of these are used adapts:
				      backends/fleet_window.h */
	uint64_t pace_bytes;	   /* slowest acceptable transfer, bytes/s: an
				      attempt's deadline grows by size/pace;
				      default 100 KiB/s; a lower bandwidth
				      of its store takes its place */
};

int fleet_new(const struct fleet_options *o, struct fleet **ret,
	struct pluri_err *err);
/*
 * Forgets queued calls (puts: -ECANCELED), waits for running ones up to their
 * deadline and a second, then leaves hung ones behind: their threads, memory
 * and backend instance live on until the plugin returns. Nobody may be inside
 * another function of f.
 */
void fleet_free(struct fleet *f);
PLURI_OWN(fleet);

/*
 * The end is near: from now on fleet_put()s that do not run yet, and all new
 * ones, end with -ECANCELED, which says nothing of their stores; and time runs
 * for what `bandwidth` holds back. Running calls go on. NULL is fine.
 */
void fleet_hurry(struct fleet *f);

/*
 * Takes b: the fleet closes it when its last call has returned. -EEXIST when
 * the number is in use. On failure b stays the caller's.
 */
int fleet_add(struct fleet *f, unsigned store, const char *name,
	const struct pluri_backend_ops *ops, struct pluri_backend *b,
	struct pluri_err *err);
/* What an administrator grants a store, at any time; an unknown one is fine. */
struct fleet_limits {
	uint32_t connections; /* calls at once, in place of options.threads */
	uint64_t bandwidth;   /* bytes/s each way; 0: no bound. A call waits in
				 the queue for its turn: fleet_pace.h. As long
				 as that holds it back its time does not run;
				 it does from when the store is DOWN or marked
				 until it is not */
};
void fleet_limit(struct fleet *f, unsigned store, const struct fleet_limits *l);
/* Waits as fleet_free, but queued calls are run. Unknown is fine. */
void fleet_remove(struct fleet *f, unsigned store);

/* --- one store, waiting ------------------------------------------------- */

/*
 * As the plugin operations, with retries (down, throttled) until
 * deadline_ms, system monotonic; retries only with FLEET_RETRY. 0: the time of
 * one attempt. The caller's memory is touched only before the call returns;
 * page->each runs on the caller's thread once the page is whole. FLEET_BARE
 * ignores breaker and mark: for probes. A store that is unknown, marked or
 * DOWN: -EAGAIN. Rooms and bodies: <= PLURI_PACK_MAX.
 * fleet_put_one implies PLURI_PUT_NEW; after a repetition -EEXIST may be the
 * caller's own put.
 */
#define FLEET_RETRY 1u
#define FLEET_BARE 2u
#define FLEET_BACKGROUND 4u /* a get that gives way: fleet_turn.c */

struct fleet_at { /* one object of one store, and how long */
	unsigned store;
	const char *key;
	uint64_t deadline_ms;
	unsigned flags;
	/* May be NULL; asked about ten times a second, on the caller's thread:
	 * not 0: -ECANCELED. */
	int (*stop)(void *arg);
	void *stop_arg;
};
int fleet_get(struct fleet *f, const struct fleet_at *at, uint64_t off,
	struct pluri_room *into, uint64_t *ret_size, struct pluri_err *err);
int fleet_put_one(struct fleet *f, unsigned store, const char *key,
	struct pluri_span body, uint64_t deadline_ms, unsigned flags,
	struct pluri_err *err);
int fleet_del(struct fleet *f, unsigned store, const char *key,
	uint64_t deadline_ms, unsigned flags, struct pluri_err *err);
int fleet_list(struct fleet *f, unsigned store, const char *prefix,
	struct pluri_page *page, uint64_t deadline_ms, unsigned flags,
	struct pluri_err *err);

/* --- all at once --------------------------------------------------------- */

/*
 * Put one object on one store without waiting. done() is called exactly once,
 * on a fleet thread, after the last touch of body; it may free everything and
 * call fleet_put(), but not fleet_remove() or fleet_free(). It should be short.
 * PLURI_PUT_NEW is implied; -EEXIST is passed on. No retries: the caller
 * keeps the debt. A put may wait in the queue as long as one attempt may take
 * (-ETIMEDOUT), then has that time for itself, anew with each piece of body
 * that the plugin takes, but eight times as long at most: a slow line that many
 * share carries. A plugin that hangs beyond it is fenced off from body half a
 * second later (-ETIMEDOUT).
 */
struct fleet_put {
	unsigned store;
	char key[PLURI_OBJECT_KEY_MAX + 1];
	struct pluri_body body;
	void (*done)(struct fleet_put *p, int code, const struct pluri_err *e);
	void *arg;
	void *fleet_private[8];
};
void fleet_put(struct fleet *f, struct fleet_put *p);

/* One place where a shard is. */
struct fleet_source {
	unsigned store;
	unsigned index; /* the shard's, handed to judge */
	char key[PLURI_OBJECT_KEY_MAX + 1];
};

/*
 * Read object bytes [off, off + len) from `need` of n sources, first good ones
 * win. Asked first are stores that are up, then local ones, then those whose
 * answer should come first, with all that they have to do. One more is asked
 * when one fails, or is slow: for longer than its store's p95 (see
 * backends/fleet_speed.h) if the budget allows, one hedge for twenty reads;
 * after hedge_ms in any case, sooner when it is silent for far too long;
 * hedge_ms 0: never. Stores that have just throttled are asked late, and those
 * that are DOWN when nobody else is left. judge() says whether the bytes are
 * good (0) or -EBADMSG, or 1: some are, which will do, and the others count
 * against the store all the same. It runs on the caller's thread, at most once
 * a source, and gets bytes of exactly len.
 * Failing sources are told in bad[] (n of them, may be NULL): 0 not asked or
 * good, else -errno.
 *
 * 0: ret[] has `need` answers, each malloc'd: the caller frees
 * ret[i].bytes. Failure codes: -EBADMSG when every source was reached and too
 * few had good bytes; -EIO with the stories of all sources otherwise (what
 * bad[] says of each tells whether asking again may help); -ETIMEDOUT at
 * deadline_ms; -ECANCELED when stop() says so, which is asked about ten times
 * a second while nothing else happens.
 */
struct fleet_answer {
	unsigned source; /* which of the sources */
	uint8_t *bytes;
};
struct fleet_read {
	const struct fleet_source *sources;
	unsigned n, need; /* n <= PLURI_SHARDS_MAX */
	uint64_t off;
	size_t len; /* <= PLURI_PACK_MAX */
	uint64_t deadline_ms;
	uint32_t hedge_ms;
	bool background;    /* gives way to those that are not */
	struct wish *ahead; /* nobody waits for it until this is told: gives
			       way, too, without end while its store answers
			       others, and has all of its time from then on;
			       NULL: somebody does */
	int (*judge)(void *arg, unsigned index, struct pluri_span bytes,
		struct pluri_err *err);
	void *arg;		   /* of judge */
	int (*stop)(void *arg);	   /* may be NULL; on the caller's thread */
	void *stop_arg;
};
int fleet_read(struct fleet *f, const struct fleet_read *r,
	struct fleet_answer *ret, int *bad, struct pluri_err *err);

#endif
