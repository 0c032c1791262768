/*
 * fs/repack_int.h - the inside of fs/repack.h. All of it is the one thread's,
 * but for what the lock guards.
 */
#ifndef PLURI_FS_REPACK_INT_H
#define PLURI_FS_REPACK_INT_H

#include <pthread.h>

#include "fs/repack.h"
#include "meta/garbage.h"

#define REPACK_PACKS 64u	      /* to be copied from in one round */
#define REPACK_BYTES (64u << 20)      /* to be copied in one round, about */
#define REPACK_COPIES 4096u	      /* in memory at once */
#define REPACK_COOLING 1024u	      /* empty packs that wait */
#define REPACK_SOURCES 256u	      /* packs copied from, not switched yet */
#define REPACK_BAD 64u		      /* packs that cannot be read */

/* A chunk that stands at (pack, off) and, as a copy, at to's place. */
struct repack_copy {
	uint64_t pack, off;
	struct chunk_row to;
	bool seen; /* the objects of that pack were looked at */
	bool doubted; /* ... and were not as they should be, once */
};

/* Of a policy whose stores did not keep what they took: nothing is copied
 * before until_ms. */
struct repack_hold {
	uint64_t until_ms, wait_ms;
};

struct repack_cool { /* also: a pack that is not tried before due_ms */
	uint64_t pack, due_ms;
};

struct repack {
	struct volume *v;
	pthread_mutex_t lock; /* a leaf; guards stop and stats */
	pthread_cond_t wake;
	bool stop;
	struct repack_stats stats;
	pthread_t thread;
	bool started;

	struct garbage_pos at; /* of the scan */
	uint64_t scan_bytes, scan_live; /* so far */
	uint64_t scan_began_ms, scan_next_ms;
	unsigned poor;
	struct garbage_use pack[REPACK_PACKS]; /* of this round */
	unsigned copies, copy_cap;
	struct repack_copy *copy;
	unsigned sources; /* judged when none of their copies waits */
	uint64_t source[REPACK_SOURCES];
	unsigned cools;
	struct repack_cool cool[REPACK_COOLING];
	struct repack_cool bad[REPACK_BAD]; /* a ring */
	unsigned bads;
	struct repack_hold hold[PLURI_POLICIES_MAX]; /* by number */
	uint64_t pace_ms; /* nothing is copied before */
	uint64_t delete_next_ms; /* no grave is looked at before, */
	uint64_t look_next_ms; /* ... and no new pack's objects */
};

bool repack_stopped(struct repack *r);
/* Waits; false: stopped. */
bool repack_nap(struct repack *r, uint64_t ms);
/* Before so many bytes are copied: the rate, and a calm moment. */
bool repack_pace(struct repack *r, uint32_t bytes);

/* Living chunks of r->pack[] into open packs; what cannot be read stays. */
int repack_copy_all(struct repack *r, struct pluri_err *err);
/* Objects of new packs that are stored; copies in one whose objects are, twice,
 * not what was put are forgotten, and the policy rests. */
int repack_look(struct repack *r, struct pluri_err *err);
/* Does it? */
bool repack_look_held(const struct repack *r, uint32_t policy);
/* Copies whose pack was looked at take the chunk's row over. */
int repack_copy_switch(struct repack *r, struct pluri_err *err);

/* The pack may be empty: forget what is dead in it, and if nothing is left
 * have it wait for its readers. */
int repack_bury_settle(struct repack *r, uint64_t pack, struct pluri_err *err);
/* Empty packs that have waited long enough end. */
int repack_bury_due(struct repack *r, struct pluri_err *err);
/* Objects of those, at stores that are up. */
int repack_bury_delete(struct repack *r, struct pluri_err *err);

#endif
