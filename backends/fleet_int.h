/*
 * backends/fleet_int.h - the fleet's own structs; for fleet*.c and their tests.
 *
 * Lock order: fleet.lock (the table) -> fleet_store.lock (all of a store and
 * of its ops) -> fleet_wait.lock; fleet.watch_lock is a leaf of its own. No
 * lock is held across a plugin call or a callback.
 */
#ifndef PLURI_BACKENDS_FLEET_INT_H
#define PLURI_BACKENDS_FLEET_INT_H

#include "backends/fleet_budget.h"
#include "backends/fleet_op.h"
#include "backends/fleet_pace.h"
#include "backends/fleet_speed.h"
#include "backends/fleet_window.h"

#define FLEET_THREADS 16u	/* of a store, by default */
#define FLEET_THREADS_MAX 64u	/* ... with those for stuck ones */
#define FLEET_GRACE_MS 500u	/* of a put, between cancel and giving up */
#define FLEET_LEAVE_MS 1000u	/* of stopping, behind the last deadline */

/* Calls by their sort: fleet_turn.c. Gets are the first FLEET_GET_SORTS. */
enum fleet_sort { FLEET_WAITED, FLEET_AHEAD, FLEET_BACK, FLEET_OTHER };
#define FLEET_GET_SORTS 3u
#define FLEET_SORTS 4u

enum fleet_breaker { FLEET_CLOSED, FLEET_OPEN, FLEET_TRYING };

/* What is known of a store's health; its table is in fleet_health.c. */
struct fleet_pulse {
	enum fleet_breaker breaker;
	enum fleet_class class; /* of the last failure */
	char text[PLURI_ERR_TEXT];
	enum fleet_class mark; /* FLEET_OK: none */
	char why[PLURI_ERR_TEXT];
	unsigned fails; /* of class down, in a row */
	uint64_t trouble_ms; /* system monotonic: breaker not closed, or marked,
				since then; 0: neither */
	/* On the options' clock: */
	uint64_t pause_ms; /* how long the breaker was opened last */
	uint64_t try_ms;   /* when the next trial may pass */
	uint64_t busy_ms;  /* throttled until */
	uint64_t shy_ms;   /* ... so asked last until; nothing was said */
	unsigned throttles; /* in a row */
	uint64_t since_ms; /* class or mark changed */
	uint64_t calls[4]; /* by kind */
	uint64_t busy_us[4]; /* of calls that ended or were given up */
	uint64_t errors, bytes_out, bytes_in;
	uint64_t hedges, hedges_won;
};

struct fleet_thread {
	pthread_t id;
	bool over; /* joining will not wait */
	struct fleet_store *store;
};

struct fleet_store {
	/* Constant: */
	unsigned number;
	char name[PLURI_NAME_MAX + 1];
	const struct pluri_backend_ops *ops;
	struct pluri_limits limits;
	const struct clock *clock;
	_Atomic uint64_t bound; /* bytes/s; 0: none */
	atomic_uint refs; /* the table's, each thread's, each op's */
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t more;  /* for threads: work or the end */
	pthread_cond_t quiet; /* for fleet_pool_stop */
	struct pluri_backend *backend;
	struct fleet_ops queue, running;
	unsigned queued, in_flight, idle;
	unsigned queued_of[FLEET_SORTS];
	unsigned late;	    /* of in_flight: stuck beyond the deadline */
	unsigned running_of[FLEET_SORTS]; /* of in_flight, not late */
	bool read;	    /* the last that began was a read or prefetch */
	uint64_t passed;    /* bytes of reads that overtook those ahead */
	bool witness;	    /* one of them shows how slow it is */
	unsigned telling;   /* done() callbacks under way */
	uint64_t answer_ms; /* system monotonic: a plugin call returned, */
	uint64_t said_ms;   /* ... with an answer of the store */
	bool hurry;	    /* no puts that do not run yet */
	bool stopping;	    /* no new calls */
	bool drop;	    /* ... and forget queued ones */
	bool stop;	    /* threads go home */
	struct fleet_pulse pulse;
	struct fleet_speed speed; /* on the options' clock */
	struct fleet_window window; /* ... system monotonic */
	/* Likewise. down: of a sort of gets and of those before it */
	struct fleet_pace up, down[FLEET_GET_SORTS];
	unsigned started, alive, threads_max;
	struct fleet_thread threads[FLEET_THREADS_MAX];
};

struct fleet {
	struct fleet_options o; /* constant */
	pthread_mutex_t lock;	/* guards stores, hurry and budget */
	struct fleet_store *stores[PLURI_STORES_MAX];
	bool hurry; /* of stores yet to come, too */
	struct fleet_budget budget; /* of reads */
	pthread_t watch;
	pthread_mutex_t watch_lock; /* guards all below */
	pthread_cond_t watch_cond;
	uint64_t watch_ms; /* when it will look again */
	bool watch_stop;
	struct fleet_put *refused, *refused_last;
};

/* fleet.c: the store with a reference of its own, or NULL. */
struct fleet_store *fleet_store_of(struct fleet *f, unsigned store);
uint64_t fleet_now_ms(void); /* system monotonic */
/* What one attempt may take; s may be NULL: any store. */
uint64_t fleet_span_ms(
	const struct fleet *f, struct fleet_store *s, uint64_t bytes);

/* fleet_health.c: all with the store's lock. */
int fleet_health_admit(struct fleet_store *s, struct fleet_op *op,
	uint64_t *ret_wait_ms, struct pluri_err *err);
void fleet_health_note(struct fleet_store *s, bool trial, enum fleet_kind kind,
	uint64_t retry_after_ms, int code, const char *text);
bool fleet_health_up(const struct fleet_store *s);

/* fleet_queue.c: the way of an op through its store. */
/* Queue op, or refuse it with the breaker's story. */
int fleet_queue_add(struct fleet *f, struct fleet_op *op,
	uint64_t *ret_wait_ms, struct pluri_err *err);
/* Expires op first if it is due; else *ret_due_ms says when it will be. */
bool fleet_queue_told(struct fleet_op *op, uint64_t *ret_due_ms);
void fleet_queue_abandon(struct fleet_op *op); /* nobody wants it any more */
void fleet_queue_promote(struct fleet_op *op); /* somebody waits for it now */
/* The same, but a get of moderate size that is under way goes on, one of a
 * store at a time: given up, it would never show how slow the store is. */
void fleet_queue_witness(struct fleet_op *op);
/* When it began, system monotonic us; 0: it waits in the queue. */
uint64_t fleet_queue_began(struct fleet_op *op);
uint64_t fleet_queue_now_us(void);
uint64_t fleet_queue_sweep(struct fleet_store *s, struct fleet_op **tell);
/* With the store's lock: the next that may run; the plugin has returned. */
struct fleet_op *fleet_queue_take(struct fleet_store *s,
	struct fleet_op **tell);
void fleet_queue_return(struct fleet_op *op, int code, uint64_t retry_after_ms,
	const char *text, struct fleet_op **tell);

/* fleet_turn.c: who comes first; with the store's lock. */
enum fleet_sort fleet_turn_sort(const struct fleet_op *op);
unsigned fleet_turn_calls(const struct fleet_store *s); /* in the window */
/* When one that is queued has waited too long: not for its turn alone. */
uint64_t fleet_turn_due_ms(const struct fleet_op *op);
struct fleet_op *fleet_turn_first(const struct fleet_store *s); /* may run */
void fleet_turn_begin(const struct fleet_op *op); /* it runs */
/* When one that is queued may run though nothing else happens, system
 * monotonic; UINT64_MAX: none. */
uint64_t fleet_turn_ms(const struct fleet_store *s);

/* fleet_pool.c */
int fleet_pool_new(const struct fleet *f, const char *name,
	const struct pluri_backend_ops *ops, struct pluri_backend *b,
	struct fleet_store **ret, struct pluri_err *err);
void fleet_pool_limit(const struct fleet *f, struct fleet_store *s,
	const struct fleet_limits *l);
void fleet_pool_unref(struct fleet_store *s);
void fleet_pool_grow(struct fleet_store *s); /* if needed; with its lock */
/* No new calls; drop: forget queued ones. Closes the backend if it can. */
void fleet_pool_stop(struct fleet *f, struct fleet_store *s, bool drop);

/* fleet_watch.c: the thread that sees to deadlines nobody waits for. */
int fleet_watch_start(struct fleet *f, struct pluri_err *err);
void fleet_watch_stop(struct fleet *f);
void fleet_watch_kick(struct fleet *f, uint64_t due_ms);
void fleet_watch_refuse(struct fleet *f, struct fleet_put *p, int code,
	const struct pluri_err *err);

/* fleet_rank.c: the order in which stores are asked. */
struct fleet_rank {
	bool up, local;
	uint64_t latency_us; /* expected; 0: unknown */
	uint32_t load; /* by which that takes longer: 256 is not at all */
};
void fleet_rank_order(const struct fleet_rank *ranks, unsigned n,
	unsigned *ret_order);
/* What is known of a store that is to be asked for `bytes`. */
struct fleet_rank fleet_rank_of(
	struct fleet_store *s, uint64_t bytes, enum fleet_sort sort);

/* fleet_sample.c: ask a store that has not been for long, for its speed. */
void fleet_sample(struct fleet *f, struct fleet_store *s, const char *key,
	uint64_t off, size_t len);

#endif
