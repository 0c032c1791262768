/*
 * backends/fleet_op.h - one attempt of the fleet, and who waits for it; for
 * fleet*.c and their tests. Locks: fleet_int.h.
 */
#ifndef PLURI_BACKENDS_FLEET_OP_H
#define PLURI_BACKENDS_FLEET_OP_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "backends/fleet.h"
#include "base/buf.h"

#define FLEET_FORCE 0x100u /* passes the breaker, not a mark: last resort */

enum fleet_kind { FLEET_GET, FLEET_PUT, FLEET_DEL, FLEET_LIST };

/* Where one caller waits for some of its ops; lives on the caller's stack. */
struct fleet_wait {
	pthread_mutex_t lock; /* guards told */
	pthread_cond_t cond;
	unsigned told;
};

/*
 * One attempt. It owns all memory the plugin gets, so it may be left behind.
 *
 *   QUEUED -> RUNNING -> GONE     the plugin returned
 *   QUEUED -> GONE                expired, refused or dropped before it ran
 *   RUNNING -> LATE -> GONE       the deadline passed; still in the plugin
 *
 * Guarded by the store's lock, except what only the running thread uses.
 */
enum fleet_step { FLEET_QUEUED, FLEET_RUNNING, FLEET_LATE, FLEET_GONE };

struct fleet_op {
	TAILQ_ENTRY(fleet_op) link; /* of the store's queue or running */
	struct fleet_op *tell_next;
	struct fleet_store *store; /* counted */
	atomic_uint refs;
	enum fleet_kind kind;
	enum fleet_step step;
	unsigned flags;	    /* FLEET_BARE, _BACKGROUND, _FORCE */
	bool ahead;	    /* a get that nobody waits for yet */
	bool promoted;	    /* ... that somebody came to wait for */
	bool trial;	    /* the one call of a half-open breaker */
	bool counted;	    /* the store's health has heard of it */
	bool settled;	    /* its outcome is fixed; the body is fenced off */
	bool told;	    /* ... and was handed over */
	bool unwanted;	    /* nobody waits for it any more */
	bool witness;	    /* ... but it goes on, for its time */
	bool body_failed;   /* the caller's body, not the store, failed */
	unsigned readers;   /* of the caller's body, right now */
	uint64_t born_ms;   /* these three: system monotonic */
	uint64_t span_ms;   /* what one attempt may take */
	uint64_t deadline_ms;
	uint64_t most_ms; /* of fleet_put(): renewed no further, as it moves */
	uint64_t start_us;
	unsigned beside; /* calls that its store had then, with itself */
	uint32_t cancel;
	int code; /* the outcome, and its story */
	struct pluri_err err;
	uint64_t retry_after_ms;
	struct fleet_wait *wait; /* NULL: nobody */
	struct fleet_put *put;	 /* NULL: not of fleet_put() */
	char key[PLURI_OBJECT_KEY_MAX + 1];
	uint64_t off;
	struct pluri_room room; /* malloc'd: get's answer, put_one's body */
	uint64_t size;		/* of the whole object */
	struct pluri_body body; /* put: the caller's */
	struct pluri_page page;
	struct buf keys; /* list: size, length and bytes of each key */
};
TAILQ_HEAD(fleet_ops, fleet_op);

/* fleet_op.c */
struct fleet_op *fleet_op_new(struct fleet_store *s, enum fleet_kind kind,
	const char *key, struct pluri_err *err);
void fleet_op_free(struct fleet_op *op); /* drops a reference */
PLURI_OWN(fleet_op);
/* The plugin call. */
int fleet_op_run(struct fleet_op *op, uint64_t *ret_retry_after_ms,
	struct pluri_err *err);
/* With the store's lock; ops to be told (without it) are chained to *tell. */
void fleet_op_settle(struct fleet_op *op, int code, const char *text,
	struct fleet_op **tell);
void fleet_op_tell(struct fleet_op *chain);

/* fleet_wait.c: a caller's side. */
void fleet_wait_init(struct fleet_wait *w);
void fleet_wait_fini(struct fleet_wait *w);
void fleet_wait_wake(struct fleet_wait *w);
/* Until *seen is outdated (it is renewed) or until_ms. */
void fleet_wait_for(struct fleet_wait *w, unsigned *seen, uint64_t until_ms);

#endif
