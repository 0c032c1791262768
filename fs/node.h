/*
 * fs/node.h - inodes that somebody has in hand, or with bytes not yet flushed,
 * or lately used. Which ones the kernel knows is counted apart (fs/lookups.h).
 *
 * A node knows what the database does not know yet (dirty ranges, size, times)
 * and orders what must not overlap on one file. Its lock may be held across a
 * metadata bracket, never across a cloud call, a flush to disk, or a reply.
 * nodes_get() and friends: shared. Fields: under node->lock.
 */
#ifndef PLURI_FS_NODE_H
#define PLURI_FS_NODE_H

#include <pthread.h>

#include "fs/dirty.h"
#include "fs/owing.h"
#include "fs/volume.h"
#include "meta/tree.h"

#define NODE_FLUSH_MS 3000u	/* dirty bytes wait no longer than this */

struct node {
	uint64_t ino;
	pthread_mutex_t lock;
	pthread_cond_t idle; /* flushing turned false */

	bool known;	     /* size and times below are set */
	uint64_t size;	     /* what readers see */
	int64_t atime_ns, mtime_ns, ctime_ns;
	uint32_t mode, gid;  /* as in the database */
	bool attr_dirty;     /* size or times are ahead of the database */
	uint32_t policy;

	struct owing owing;  /* where what was recorded may be on its way */
	struct dirty dirty;  /* written, not being flushed */
	struct dirty flight; /* being flushed: older than dirty */
	bool flushing;	     /* one flush at a time */
	bool queued;	     /* waits for a background flush */
	_Atomic uint64_t dirty_since_ms; /* oldest byte or time that is not
					    recorded, in flight too; 0: clean */
	_Atomic uint64_t due_ms; /* background flush, monotonic; 0: clean */
	uint64_t fresh_ms; /* oldest since the flush in flight began */
	uint64_t recorded; /* moment of the last flush's rows */

	/* The table's, under its lock: */
	uint32_t refs;	     /* pins */
	struct node *next;   /* in its bucket */
	struct node *newer, *older; /* among the idle; NULL at the ends */
	bool idle_listed;
	bool gone;	     /* no name is left: reap when nobody has it */
};

struct nodes;

int nodes_new(struct volume *v, struct nodes **ret, struct pluri_err *err);
void nodes_free(struct nodes *n); /* dirty bytes are lost: flush before */
PLURI_OWN(nodes);

/* Pin the node of ino, made on demand. -ENOMEM. */
int node_pin(struct nodes *n, uint64_t ino, struct node **ret);
/* Pin it only when it exists already; else NULL. */
struct node *node_peek(struct nodes *n, uint64_t ino);
void node_unpin(struct nodes *n, struct node *node);

/* The kernel's references. forget may be the last thing heard of an inode:
 * one without a name is then reaped in the background. */
int node_looked_up(struct nodes *n, uint64_t ino);
void node_forget(struct nodes *n, uint64_t ino, uint64_t count);

/* The inode has lost its last name (nlink 0). */
void node_gone(struct nodes *n, uint64_t ino);
/* It has got one again: the kernel linked what was open without a name. */
void node_named(struct nodes *n, uint64_t ino);

/* Fill size, times and policy from the database when not yet known; with
 * node->lock held. -ENOENT. */
int node_know(struct volume *v, struct node *node, struct pluri_err *err);

/* Does a read move the access time? As with relatime: once after a change, and
 * once a day. */
static inline bool node_atime_due(
	int64_t atime_ns, int64_t mtime_ns, int64_t ctime_ns, int64_t now)
{
	return atime_ns <= mtime_ns || atime_ns <= ctime_ns ||
	       now - atime_ns >= INT64_C(86400000000000);
}

/*
 * What stat() shows: *a from the database, overlaid by what the node knows.
 * since: nodes_moment() before *a was read. False: meanwhile the node has
 * told the database what *a does not have yet: read it again.
 */
uint64_t nodes_moment(const struct nodes *n);
bool node_overlay(struct volume *v, uint64_t since, struct tree_attr *a);
/* The same with node->lock held all the while. */
void node_lay_over(const struct node *node, struct tree_attr *a);
/* With node->lock held: size and times have been recorded just now. */
void node_recorded(struct nodes *n, struct node *node);

/*
 * Pin nodes that are dirty since before ms, or (due) whose background flush is
 * due at ms; at most max. *at: where to go on, 0 to begin with; afterwards 0
 * when all have been seen.
 */
unsigned nodes_dirty(struct nodes *n, uint64_t ms, bool due, size_t *at,
	struct node **ret, unsigned max);

/* Since when the oldest byte or time waits to be recorded, monotonic; 0: none
 * does. */
uint64_t nodes_oldest_ms(struct nodes *n);

/* At open: remove extents and rows of inodes that lost their last name
 * before a crash; of huge ones in the background. */
int nodes_reap(struct nodes *n, struct pluri_err *err);

/* Twice a second or so: what waited for calm is reaped (fs/reap.h). */
void nodes_tick(struct nodes *n);

#endif
