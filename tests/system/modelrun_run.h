/*
 * modelrun_run.h - processes that do operations, and what is made of the
 * outcome.
 */
#ifndef TESTS_SYSTEM_MODELRUN_RUN_H
#define TESTS_SYSTEM_MODELRUN_RUN_H

#include "tests/system/modelrun.h"

/* --- modelrun_worker.c: processes ---------------------------------------- */
struct model_place {
	const char *ref, *mount, *work, *event;
	char trace[MODEL_PATH], why[MODEL_PATH + 8]; /* what is kept */
};

/* A subtree, its operations so far, and the processes that work in it. */
struct model_worker {
	const struct model_place *at;
	unsigned number;
	char ref[MODEL_PATH], mount[MODEL_PATH], base[MODEL_PATH];
	char trace[MODEL_PATH];
	struct model_gen gen;
	struct model_shared *shared;
	struct model_op *op; /* of the batch that ended last and before */
	size_t ops, room;
	int pid, to, from; /* its process, if pid */
	char why[MODEL_TEXT];
};

int model_worker_note(struct model_worker *w, const struct model_op *op);
void model_worker_go(struct model_worker *w, uint64_t steps);
/* As model_pair_do, for the batch; afterwards op holds what was done. */
int model_worker_wait(struct model_worker *w);
void model_worker_end(struct model_worker *w);
int model_event(const struct model_place *at, const char *what);
/* All of op[0..n) in fresh subtrees made from base: as model_pair_do. */
int model_replay(struct model_worker *w, const struct model_op *op, size_t n,
	char why[]);

/* All of op[0..*n) in w->mount itself; begin to kill the daemon so many
 * before the end. *n: how many were done, the last of them perhaps not. 1: an
 * answer differs. */
int model_replay_killed(struct model_worker *w, struct model_op *op,
	size_t before, size_t *n);

/* --- modelrun_keep.c: what stays of a failure ----------------------------- */

int model_trace_save(const char *path, const struct model_op *op, size_t n);
int model_trace_load(const char *path, struct model_op **ret, size_t *ret_n);
void model_keep_begin(struct model_place *at, uint64_t seed);
/* A line of why. */
void model_say(const struct model_place *at, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void model_keep(
	const struct model_worker *w, const struct model_op *op, size_t n);
void model_keep_tell(const struct model_place *at);

/* --- modelrun_crash.c, _shrink.c, _race.c, _own.c ------------------------- */

/* Is the mount's subtree what it may be after the daemon died? */
bool model_crash_check(struct model_worker *w, char why[]);
void model_shrink(struct model_worker *w);
/* Processes race in one directory: true, or why not. */
bool model_race(const struct model_place *at, unsigned procs, uint64_t seed,
	uint64_t steps, char why[]);
size_t model_own_cut(const struct model_op **ret); /* how many */

#endif
