/*
 * fs/balance_job.h - moving shards: one job at a time, on a thread of its own.
 *
 *   job     the thread, and the row in the database
 *   pass    every pack's steps, done once
 *   move    one shard: copy, verify, switch, delete
 *
 * Lock order: balance.apply_lock -> balance.lock; no bracket is begun under
 * the latter. Of the two only apply_lock is held across a cloud call.
 */
#ifndef PLURI_FS_BALANCE_JOB_H
#define PLURI_FS_BALANCE_JOB_H

#include <pthread.h>

#include "base/work.h"
#include "fs/balance_int.h"

#define BALANCE_MOVERS 4u
#define BALANCE_MOVES 32u    /* rows of one round */
#define BALANCE_TROUBLE 256u /* shards in trouble that a job remembers */
#define BALANCE_TRIES 3u     /* of what waiting alone does not heal */

/* A shard that could not be moved, for a reason that may be final. */
struct balance_trouble {
	uint64_t pack;
	uint32_t index;
	unsigned tries;
	struct pluri_err why;
};

struct balance {
	struct volume *v;
	pthread_mutex_t apply_lock; /* one apply, or start, at a time */
	pthread_mutex_t lock;	    /* guards all below */
	pthread_cond_t wake;
	bool running; /* the thread has a job */
	bool joinable;
	bool stop;
	pthread_t thread;
	struct job_row job; /* num 0: only rows of earlier jobs */
	char message[PLURI_ERR_TEXT];
	/* The thread's own: */
	struct work *movers;
	struct balance_trouble trouble[BALANCE_TROUBLE];
	unsigned troubles;
	uint32_t pause_ms;
};

bool balance_job_stopped(struct balance *b);
/* What the job is waiting for, for "jobs". NULL: nothing. */
void balance_job_say(struct balance *b, const struct pluri_err *why);
void balance_job_moved(struct balance *b, uint64_t bytes);
/* The row, as far as it has come; a failure is only logged. */
void balance_job_save(struct balance *b);

/* One round over old rows and all packs. Only -errno of our own database. */
struct balance_tally {
	uint64_t did;  /* steps done */
	uint64_t left; /* to be tried again */
	uint64_t lost; /* given up for this job */
	struct pluri_err why;  /* something that is left */
	struct pluri_err loss; /* a pack that has no lawful place */
};
int balance_pass(struct balance *b, struct balance_tally *t,
	struct pluri_err *err);

enum balance_outcome {
	BALANCE_MOVED,
	BALANCE_LATER, /* a cloud is away: the row stays */
	BALANCE_BAD,   /* waiting alone will not do; the row stays */
	BALANCE_VOID,  /* the world moved on: the row went */
};

struct balance_move {
	struct balance *b;
	struct move_row row;
	enum balance_outcome outcome;
	struct pluri_err err; /* unless MOVED */
};
/* As far as it goes today. */
void balance_move_run(struct balance_move *m);

#endif
