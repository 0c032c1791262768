/*
 * fs/fsck_int.h - the inside of a check, for fs/fsck*.c.
 *
 * The thread alone touches what is its own; the rest is under the lock.
 */
#ifndef PLURI_FS_FSCK_INT_H
#define PLURI_FS_FSCK_INT_H

#include <pthread.h>

#include "fs/fsck.h"
#include "meta/fsck.h"

enum fsck_run_state { RUN_NONE, RUN_ON, RUN_DONE, RUN_FAILED, RUN_STOPPED };

struct fsck_item {
	struct fsck_finding f;
	char file[48]; /* in packs/, or "" */
};

struct fsck_run {
	struct volume *v;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t wake;
	pthread_t thread;
	bool joinable, stop;
	uint64_t id;
	enum fsck_run_state state;
	bool repair;
	unsigned round;
	struct fsck_progress at;
	uint64_t started_ms, ended_ms;
	struct pluri_err err;
	json_t *findings; /* once it has ended */
	uint64_t found, repaired, left;
	/* The thread's own: */
	struct fsck_item *item; /* FSCK_LIST_MAX of them */
	unsigned items;
	uint64_t round_left, round_repaired;
};

bool fsck_run_stopped(struct fsck_run *c);
/* Wait, unless stopped: false then. */
bool fsck_run_nap(struct fsck_run *c, uint32_t ms);
/* One more finding of this round. */
void fsck_run_add(struct fsck_run *c, const struct fsck_item *i);

/* What is registered of stores and policies: can it be put in force? */
int fsck_apply(struct fsck_run *c, bool repair, struct pluri_err *err);

/* Local pack files against rows; of a volume that is bare no file is called
 * unknown, since nothing has been recovered yet. */
int fsck_local(struct fsck_run *c, bool repair, struct pluri_err *err);

/* What was found as JSON, with paths as far as they are known. */
int fsck_tell(struct fsck_run *c, json_t **ret, struct pluri_err *err);

#endif
