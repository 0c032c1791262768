/*
 * fs/write.h - the way down: dirty ranges, flush, truncate. Shared.
 *
 * All dirty bytes of a mount are bounded (config.dirty): a write that would
 * pass the bound waits for the flush, and fails with the flush's own error
 * when that cannot go on (ENOSPC), never silently.
 */
#ifndef PLURI_FS_WRITE_H
#define PLURI_FS_WRITE_H

#include "fs/node.h"

struct writer;

int writer_new(struct volume *v, struct writer **ret, struct pluri_err *err);
void writer_free(struct writer *w); /* stops threads, does not flush */
PLURI_OWN(writer);

struct write_ask {
	uint64_t off; /* the kernel says where appending goes */
	struct pluri_span data;
	int (*stop)(void *arg); /* as upload_wait; may be NULL */
	int (*leaves)(void *arg); /* the mount ends: wait for no cloud; the
				     same; about ten times a second, too */
	void *arg;
};

/*
 * Takes all of it or fails; -ECANCELED when stop() said so before there was
 * room. Comes back later the more the clouds are behind (fs/pace.h), with
 * -ENOSPC when write_staging_max() bytes wait for them and none takes any.
 */
int write_bytes(struct volume *v, struct node *n, const struct write_ask *ask,
	struct pluri_err *err);

/* Bytes that may wait here for the clouds, in packs below their quorum: the
 * volume's `cache`, but at least WRITE_STAGING. What lacks no more than the
 * shards of a store that is away is not counted, and may take the disk. */
#define WRITE_STAGING (UINT64_C(256) << 20)
static inline uint64_t write_staging_max(const struct volume *v)
{
	return v->config->cache > WRITE_STAGING ? v->config->cache
						: WRITE_STAGING;
}

/* Bytes were read: the access time moves as with relatime, unless the mount
 * says noatime. */
void write_accessed(struct volume *v, struct node *n);

/*
 * Set what mask (TREE_SET_*, meta/tree.h) names from *a, the size included:
 * shrinking drops what lies behind, growing shows zeros. *a is the whole
 * answer, as stat() shows it. now: for what changes by itself.
 */
int write_setattr(struct volume *v, struct node *n, unsigned mask,
	int64_t now, struct tree_attr *a, struct pluri_err *err);

/* Grow the file to end if it is shorter, with zeros; it counts as written to
 * anyhow. Never cuts, whatever is written meanwhile. */
int write_grow(struct volume *v, struct node *n, uint64_t end,
	struct pluri_err *err);

/* Make [off, off + len) a hole of zeros; the size stays. */
int write_punch(struct volume *v, struct node *n, uint64_t off, uint64_t len,
	struct pluri_err *err);

/* Everything written to n before is in packs and recorded (not synced). */
int write_flush(struct volume *v, struct node *n, struct pluri_err *err);
/* Of all nodes. */
int write_flush_all(struct volume *v, struct pluri_err *err);

/*
 * fsync: flushed, committed durably; with a `cloud` policy at quorum in the
 * clouds too. stop: as upload_wait.
 */
int write_sync(struct volume *v, struct node *n, int (*stop)(void *arg),
	void *arg, struct pluri_err *err);

uint64_t write_dirty_bytes(struct volume *v);

#endif
