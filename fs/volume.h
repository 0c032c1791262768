/*
 * fs/volume.h - building the house and taking it down.
 *
 * An open volume is the engine without a mount: tools use it for a volume that
 * is not mounted, fs/mount.c for one that is. The modules of fs/ reach each
 * other through it; each guards its own inside. Lock order: docs/DESIGN.md.
 */
#ifndef PLURI_FS_VOLUME_H
#define PLURI_FS_VOLUME_H

#include <stdatomic.h>

#include "backends/fleet.h"
#include "base/clock.h"
#include "chunker/keys.h"
#include "fs/config.h"
#include "meta/meta.h"

#define VOLUME_DB "volume.db"	   /* in the state directory */
#define VOLUME_LOCK "lock"	   /* flock'ed by whoever has it open */
#define VOLUME_SOCKET "control.sock"
#define VOLUME_PACKS "packs"	   /* local pack files */

struct volume {
	struct config *config; /* as it was when opened */
	struct meta_volume info;
	const struct clock *clock;
	int state_fd; /* the state directory */
	int packs_fd; /* its packs/ */
	int lock_fd;
	struct keys *keys;
	struct meta *meta;
	struct fleet *fleet;
	struct roster *roster;	   /* fs/roster.h */
	struct commit *commit;	   /* fs/commit.h */
	struct staging *staging;   /* fs/staging.h */
	struct cache *cache;	   /* fs/cache.h */
	struct kits *kits;	   /* fs/kits.h */
	struct upload *upload;	   /* fs/upload.h */
	struct nodes *nodes;	   /* fs/node.h */
	struct trim *trim;	   /* fs/trim.h */
	struct writer *writer;	   /* fs/write.h */
	struct crew *crew;	   /* cores for long work on bytes */
	struct reader *reader;	   /* fs/read.h */
	struct balance *balance;   /* fs/balance.h */
	struct watch *watch;	   /* fs/watch.h */
	struct sync *sync;	   /* fs/sync.h */
	struct repack *repack;	   /* fs/repack.h */
	struct merge *merge;	   /* fs/merge.h */
	struct fsck_run *fsck;	   /* fs/fsck.h */
	struct stats *stats;	   /* fs/stats.h */
	bool bare; /* volume_open_bare() */
	struct pluri_err why; /* ... */
	char mounted[CONFIG_PATH_MAX]; /* mount point, "" when not mounted */
	uint64_t opened_ms;
	int64_t opened_ns; /* since 1970 */
	bool noatime;	/* the mount's wishes */
	bool writeback; /* the kernel gathers writes: sizes and times of what
			   it holds are its own */
	_Atomic unsigned xattrs; /* fs/xattr.h */
	_Atomic bool puts; /* bytes came in, or a pack was begun: there will be
			      some */
	_Atomic uint64_t asked_ms; /* repack_yield() */
	_Atomic uint64_t doubt_ms; /* fs/dedup.c: nothing is read back before */
};

/*
 * Take the lock, open database, keys, plugins and stores, recover what a crash
 * left (open packs are closed, half-done drops finished, moves go on), start
 * the background threads. Does not wait for clouds. Failures: -ENOENT (no such
 * volume: says how to create it), -EBUSY (open elsewhere, with the pid),
 * -EACCES (wrong key; state directory not writable), -ENOTSUP (newer schema),
 * -ENOSPC, the plugin's own. config is taken on success.
 */
int volume_open(struct config *config, struct volume **ret,
	struct pluri_err *err);

/*
 * What does not open, as *why tells: the lock, the database and the key alone.
 * Nothing is recovered, no store is spoken to, and nothing but fs/fsck.h may be
 * asked.
 */
int volume_open_bare(struct config *config, const struct pluri_err *why,
	struct volume **ret, struct pluri_err *err);

/* The volume is about to be closed: who waits for the lock may wait longer. */
void volume_leave(struct volume *v);

/*
 * Flush, commit, stop the threads. What is not in the clouds yet stays in the
 * state directory and is sent after the next open. volume_free() is still to
 * be called, and lets the lock go.
 */
int volume_close(struct volume *v, struct pluri_err *err);
/* As after kill -9 for whatever is not committed. NULL is fine. */
void volume_free(struct volume *v);
PLURI_OWN(volume);

/* Is the state directory locked by someone? 1 with *ret_pid, 0, or -errno. */
int volume_locked(const struct config *c, int *ret_pid);

/*
 * Look at the descriptor on a store and mark the store in the fleet: ours: OK;
 * another volume's, key's or store's: FOREIGN; none on a registered store:
 * MISSING. Waits for the cloud up to its timeout. 0 or -errno.
 */
int volume_greet(struct volume *v, uint32_t store, struct pluri_err *err);

/*
 * claim_repeat() of a store that was greeted well, if its plugin may learn from
 * it. Not of one that is being left, whose descriptor may go any moment, nor
 * with `bandwidth`, where the put might wait for long: 0 as well. Waits for the
 * cloud up to its timeout.
 */
int volume_rehearse(struct volume *v, uint32_t store, struct pluri_err *err);

/* Write our descriptor to a store: -EEXIST when another volume's is there;
 * ours already there is fine. */
int volume_claim(struct volume *v, uint32_t store, struct pluri_err *err);

#endif
