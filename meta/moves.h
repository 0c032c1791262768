/*
 * meta/moves.h - shards on their way from one store to another. Confined to a
 * bracket.
 *
 *   COPY    the target may hold nothing, a part or all; the source rules
 *   DELETE  the target is verified and is the shard's store (switched in the
 *           same bracket); the source's object is to be deleted
 *   (row gone: done)
 *
 * Copy, verify, switch, delete: killed between any two steps, the row says
 * where to go on, and each step may be repeated.
 */
#ifndef PLURI_META_MOVES_H
#define PLURI_META_MOVES_H

#include "meta/packs.h"

enum move_step { MOVE_COPY = 0, MOVE_DELETE = 1 };

struct move_row {
	uint64_t num;
	uint64_t job;
	uint64_t pack;
	uint32_t index;
	uint32_t from, to; /* stores */
	enum move_step step;
};

/* num and step (COPY) are filled in. -EEXIST when that shard is under way
 * already, -ESTALE when it is not on `from`, -ENOENT: unknown shard, store. */
int moves_add(struct meta_tx *tx, struct move_row *m, struct pluri_err *err);
/* COPY -> DELETE: the shard's store becomes `to`, STORED. Again: 0. -ESTALE
 * when the shard went elsewhere in the meantime: cancel the move. */
int moves_switch(struct meta_tx *tx, uint64_t num, struct pluri_err *err);
/* The source's object is gone: the row goes too. -EBUSY in COPY. */
int moves_done(struct meta_tx *tx, uint64_t num, struct pluri_err *err);
/* A COPY that is no longer wanted: the row goes. -EBUSY in DELETE. */
int moves_cancel(struct meta_tx *tx, uint64_t num, struct pluri_err *err);
/* With num > after, ascending, at most max. */
int moves_list(struct meta_tx *tx, uint64_t after, struct move_row *ret,
	unsigned max, unsigned *ret_n, struct pluri_err *err);

enum job_state { JOB_RUNNING = 0, JOB_DONE = 1, JOB_FAILED = 2 };
enum job_kind { JOB_REBALANCE = 0, JOB_DRAIN = 1 };

struct job_row {
	uint64_t num;
	enum job_kind kind;
	uint32_t store; /* of a drain; else UINT32_MAX */
	enum job_state state;
	int64_t started_ns, ended_ns;
	uint64_t shards, bytes;		  /* moved so far */
	uint64_t total_shards, total_bytes; /* planned when it began */
	char text[PLURI_ERR_TEXT];	  /* why it failed */
};

int moves_put_job(struct meta_tx *tx, struct job_row *j,
	struct pluri_err *err); /* num 0: new, filled in; else changed */
int moves_list_jobs(struct meta_tx *tx, struct job_row *ret, unsigned max,
	unsigned *ret_n, struct pluri_err *err); /* newest first */

#endif
