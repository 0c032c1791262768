/*
 * fs/upload.h - paying the debt: every shard that should be in a cloud and is
 * not yet, oldest pack first, for each store on its own.
 *
 * A put that fails leaves the debt, to be tried again when the store answers
 * (a store that was down is greeted first). "Already there" is read back: our
 * own bytes count as done, other bytes are a conflict that is reported and
 * never overwritten. Shared.
 */
#ifndef PLURI_FS_UPLOAD_H
#define PLURI_FS_UPLOAD_H

#include "chunker/stripe.h"
#include "fs/volume.h"
#include "meta/packs.h"

struct upload;

int upload_new(struct volume *v, struct upload **ret, struct pluri_err *err);
/* Stops; waits for puts in flight up to their deadline. */
void upload_free(struct upload *u);
PLURI_OWN(upload);

/* The shards of a pack of so many bytes that was closed (committed). */
void upload_pack(struct upload *u, const struct shard_row *shards,
	unsigned n, uint64_t bytes);

/* Read all debts again from the database (after apply, a move, a repair). */
int upload_rescan(struct upload *u, struct pluri_err *err);

/*
 * Wait until no pack numbered <= upto is below its quorum (or, with all, until
 * none of its shards is owed). 0, -ETIMEDOUT at deadline_ms (monotonic),
 * -ECANCELED when stop() says so (asked about ten times a second; may be
 * NULL).
 */
int upload_wait(struct upload *u, uint64_t upto, bool all,
	uint64_t deadline_ms, int (*stop)(void *arg), void *arg,
	struct pluri_err *err);

/* Wait until these packs have their quorum, and let them go before others
 * meanwhile. They were closed. Fails as upload_wait, without a deadline. */
int upload_wait_packs(struct upload *u, const uint64_t *packs, unsigned n,
	int (*stop)(void *arg), void *arg, struct pluri_err *err);

/*
 * How far the clouds are behind: bytes of closed packs below their quorum. The
 * first is one atomic read; the other takes the lock.
 */
struct upload_backlog {
	uint64_t pending;
	uint64_t paid; /* since the open: got their quorum */
	bool moves; /* a store that is owed something is up, its last put did
		       not fail, and some of it could be paid, as far as
		       is known */
};
uint64_t upload_pending(const struct upload *u);
void upload_backlog(struct upload *u, struct upload_backlog *ret);

/* Its descriptor was seen just now, so the next put need not look. */
void upload_met(struct upload *u, uint32_t store);

/* A store answers again: try its debts now. */
void upload_kick(struct upload *u, uint32_t store);

/*
 * One shard object, made from pack bytes that are known to be right: the local
 * file, or a temporary copy that was fetched from other shards and checked.
 * Used by upload and balance. Free it after the put is done.
 */
struct shard_job;
struct fetch_pace; /* fs/fetch.h: of such a copy */
int shard_job_new(struct volume *v, const struct pack_row *p, unsigned index,
	const struct fetch_pace *how, struct shard_job **ret,
	struct pluri_err *err);
const struct pluri_body *shard_job_body(const struct shard_job *j);
const struct shard_head *shard_job_head(const struct shard_job *j);
/* Does the object at (store, key) have exactly this shard's header and size?
 * 1 yes, 0 no (*err says what differs), or -errno when it cannot be told. */
int shard_job_same(struct volume *v, const struct shard_job *j,
	uint32_t store, const char *key, struct pluri_err *err);
/* The clouds have it: memory keeps the local file no longer (what programs read
 * again, the kernel has as theirs), and the disk still does. */
void shard_job_forget(const struct shard_job *j);
void shard_job_free(struct shard_job *j);
PLURI_OWN(shard_job);

/* Put it and wait; an equal object already there is success, a different one
 * -ESTALE. One attempt, bounded by the fleet's deadlines. */
int shard_job_put(struct volume *v, const struct shard_job *j,
	uint32_t store, struct pluri_err *err);

#endif
