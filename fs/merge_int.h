/*
 * fs/merge_int.h - the inside of fs/merge.h. All of it is the one thread's, but
 * for what the lock guards.
 */
#ifndef PLURI_FS_MERGE_INT_H
#define PLURI_FS_MERGE_INT_H

#include <pthread.h>

#include "fs/batch.h"
#include "fs/merge.h"
#include "fs/merge_table.h"

#define MERGE_QUIET_MS 10000u
#define MERGE_EXTENTS EXTENT_STEP /* of one copy, and bracket */
#define MERGE_COPIES 64u /* that wait at once */
#define MERGE_LARGE (256u << 10) /* such an extent is left where it is */

/* A range that is stored anew, and not recorded yet. */
struct merge_copy {
	uint64_t ino, region;
	uint64_t from, to; /* in the file */
	uint64_t bytes;
	uint64_t began_ms;
	unsigned olds, news, items;
	struct extent *old;	 /* as they were read */
	struct extent *new;	 /* chunk: index of the item */
	struct batch_item *item; /* e.off: among the copied bytes */
	struct dedup dedup;
};

struct merge {
	struct volume *v;
	pthread_mutex_t lock; /* a leaf; guards the next four */
	pthread_cond_t wake;
	bool stop;
	struct merge_stats stats;
	struct merge_table table;
	pthread_t thread;
	bool started;

	unsigned copies;
	struct merge_copy *copy[MERGE_COPIES]; /* oldest first */
	struct merge_at after; /* the last region that was looked at */
	bool scanning;
	struct merge_at at; /* of the scan: the region it is in... */
	uint64_t scan_off;  /* ...and the last extent's offset */
	unsigned scan_extents; /* in that region, so far */
	uint64_t scan_bytes;
	uint64_t scan_next_ms; /* not before */
	uint64_t pace_ms; /* nothing is copied before */
	uint64_t quiet_ms; /* MERGE_QUIET_MS, but in tests */
};

bool merge_stopped(struct merge *m);
/* What became of a region, or of one of its copies. */
void merge_told(struct merge *m, struct merge_at at, enum merge_end how);
/* Before so many bytes are copied: the rate, and a calm moment. False: stopped.
 */
bool merge_pace(struct merge *m, uint64_t bytes);

/*
 * Steps 1 to 3 for one region. 1: copies wait now; 0: it is not worth it, or
 * was written to just now (*ret_busy).
 */
int merge_copy_region(struct merge *m, struct merge_at at, bool *ret_busy,
	struct pluri_err *err);
/* Step 4 for those that can. */
int merge_switch_all(struct merge *m, struct pluri_err *err);
void merge_switch_free(struct merge_copy *c);

#endif
