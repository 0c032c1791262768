/*
 * fs/upload_int.h - the inside of fs/upload.h: debts by store, and what each
 * pack still lacks.
 */
#ifndef PLURI_FS_UPLOAD_INT_H
#define PLURI_FS_UPLOAD_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/work.h"
#include "fs/upload.h"

/*
 * A debt: QUEUED at its store -> PAYING on a pool thread -> gone, or QUEUED
 * again (at the front: oldest first) with the store paused.
 */
struct debt {
	struct work_item item; /* while PAYING */
	struct upload *u;
	struct shard_row shard;
	uint64_t next_ms; /* not before; 0: at once */
	bool held; /* the last try failed, and not for the store's fault */
	struct debt *next;
};

struct debtor { /* one store */
	struct debt *head, **tail;
	unsigned queued, paying;
	unsigned held; /* of both: who knows whether these can be paid */
	uint64_t next_ms; /* not before */
	uint64_t pause_ms; /* the last pause */
	_Atomic bool met; /* its descriptor was seen since the open */
};

/* What a pack still lacks. */
struct owed {
	uint64_t pack;
	uint64_t missing; /* bit set of shards; one may be paid twice */
	uint64_t bytes; /* of the pack */
	unsigned may_miss; /* shards, and be safe all the same */
	bool pending; /* it is not: its bytes are in upload.pending */
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
	_Atomic uint64_t pending; /* bytes of packs that lack their quorum */
	uint64_t settled; /* bytes of those that got it since the open */
	bool lost; /* memory failed: some of what is owed is not here */
	struct work *pool;
	pthread_t thread;
};

/* All of them with the lock held. */

/* again: it was there before, and goes back to its place by age. */
void upload_queue(struct upload *u, struct debt *d, bool again);
/* The first one that may be tried now; else NULL, and *until is when. */
struct debt *upload_pop(struct debtor *s, uint64_t now, uint64_t *until);

/* Held or not, until its next try says otherwise. */
void upload_hold(struct upload *u, struct debt *d, bool held);

/* A shard that is to be paid. -ENOMEM, -EBADMSG (no such store). */
int upload_add(struct upload *u, const struct shard_row *shard);
/* Its pack, of so many bytes, lacks these n shards; may_miss of them, and is
 * safe. -ENOMEM. */
int upload_owe(struct upload *u, const struct shard_row *rows, unsigned n,
	unsigned may_miss, uint64_t bytes);
/* One of them is stored; telling it twice is fine. */
void upload_settle(struct upload *u, const struct shard_row *shard);
/* See upload_wait(). */
bool upload_clear(const struct upload *u, uint64_t upto, bool all);

/* None of these n packs is below its quorum. */
bool upload_clear_of(const struct upload *u, const uint64_t *packs, unsigned n);
/* Their debts are the next to be paid, at every store. */
void upload_hurry(struct upload *u, const uint64_t *packs, unsigned n);

void upload_forget(struct upload *u);
/*
 * Forget, and read all debts from the database. One that is being paid may be
 * queued twice: whoever comes second finds the shard stored and is done.
 */
int upload_read(struct upload *u, struct pluri_err *err);

#endif
