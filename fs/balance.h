/*
 * fs/balance.h - what is where, what should be, and moving the difference.
 *
 * plan: the INI against what is registered, and every shard against placement.
 * A job moves shards one by one: copy (PUT_NEW from the local pack or any good
 * shard, sum checked), verify (read back from the target), switch (one
 * bracket, committed durably), delete. Rows in the database: after kill -9 the
 * next open goes on by itself. A drain ends when the store holds no object of
 * ours, the descriptor included. Shared.
 */
#ifndef PLURI_FS_BALANCE_H
#define PLURI_FS_BALANCE_H

#include <jansson.h>

#include "fs/volume.h"

struct balance;

int balance_new(struct volume *v, struct balance **ret,
	struct pluri_err *err);
/* Stops between two steps; the rows stay. */
void balance_free(struct balance *b);
PLURI_OWN(balance);

/* Go on with what the database says is under way. */
int balance_resume(struct balance *b, struct pluri_err *err);

/*
 * Answers of the calls "plan", "apply", "drain-plan" (fs/control.h). want: the
 * INI as it is now; NULL for the one that was opened.
 */
int balance_plan(struct balance *b, const struct config *want, json_t **ret,
	struct pluri_err *err);
int balance_apply(struct balance *b, const struct config *want,
	json_t **ret, struct pluri_err *err);
int balance_drain_plan(struct balance *b, const char *store, json_t **ret,
	struct pluri_err *err);

/* Start a job; answers of "rebalance" and "drain". -EBUSY while one runs. */
int balance_start(struct balance *b, json_t **ret, struct pluri_err *err);
int balance_drain(struct balance *b, const char *store, json_t **ret,
	struct pluri_err *err);
int balance_jobs(struct balance *b, json_t **ret, struct pluri_err *err);

#endif
