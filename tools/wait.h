/*
 * tools/wait.h - asking again until long work has ended. Ctrl-C ends only the
 * asking; what runs in the daemon goes on.
 */
#ifndef PLURI_TOOLS_WAIT_H
#define PLURI_TOOLS_WAIT_H

#include "tools/ask.h"

/* Until all that was written before the call is in the clouds; of a store that
 * is down it is told that it is not waited for. */
int wait_sync(struct ask *a, bool silent, json_t **ret, struct pluri_err *err);

/* Until the kernel has given the daemon at dir all that it holds of writes.
 * old_too: earlier writes that failed are a failure, once; else they are only
 * told of. */
int wait_kernel(const char *dir, bool old_too, struct pluri_err *err);

/*
 * Until a job has ended: 0 with the job as it ended, also when its state is
 * "failed". started: what "rebalance" or "drain" answered.
 */
int wait_job(struct ask *a, const json_t *started, bool silent, json_t **ret,
	struct pluri_err *err);

/*
 * The whole of a moving verb: with dry set only what dry_call answers, else
 * the call and, unless in background, the wait for its job.
 */
struct wait_move {
	const char *volume;
	const char *call, *dry_call;
	const char *store; /* argument of both, or NULL */
	bool json, background, dry;
};
int wait_move(const struct wait_move *m); /* exit status; told */

#endif
