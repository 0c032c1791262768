/*
 * fs/staging.h - local pack files: open ones that take chunks, closed ones
 * until (and, as a read cache, after) the clouds have them.
 *
 * One open pack per policy, and while programs call fsync, one more for what
 * is few: their commits then have no stream's bytes to wait for, since those
 * that are many go to the disk before they are recorded, and outside the gate
 * (staging_way). A pack closes when it is full, older than the
 * policy's pack_age, or when someone waits for the clouds. Closing writes the
 * index, decides the placement, records it, commits durably (so that a pack
 * that a cloud may have seen can never be replayed differently), and hands it
 * to fs/upload.h.
 *
 * Shared.
 */
#ifndef PLURI_FS_STAGING_H
#define PLURI_FS_STAGING_H

#include "chunker/pack.h"
#include "fs/volume.h"
#include "meta/packs.h"

struct staging;

/* Recovers: open packs of a crash are cut after their last recorded chunk and
 * closed; files that no row names are removed. */
int staging_open(struct volume *v, struct staging **ret,
	struct pluri_err *err);
/* Start its timer: when everything else of the volume stands. */
int staging_run(struct staging *s, struct pluri_err *err);
/* Stop it: nothing is closed by age, or handed to fs/upload.h, any more. */
void staging_halt(struct staging *s);
void staging_free(struct staging *s); /* halts; files stay */
PLURI_OWN(staging);

/* A program waits for so many bytes to be durable; if they are few, others will
 * soon be waited for. */
void staging_hurry(struct staging *s, uint64_t bytes);

struct staging_to {
	uint32_t policy;
	bool few;   /* into the open pack of those that are few */
	bool later; /* no commit syncs it: first staging_stable(), then rows */
};

/* How so many bytes, that are recorded together, are to be added. */
struct staging_to staging_way(
	struct staging *s, uint32_t policy, uint64_t bytes);

/* Append one chunk to the policy's open pack. -ENOSPC, -EIO. */
int staging_add(struct staging *s, struct staging_to to,
	const struct encoded *e, uint64_t *ret_pack, struct pack_place *ret,
	struct pluri_err *err);

/* What was added to the pack `later`, up to `end`, is safe on the disk: it may
 * be recorded. Waits for the disk, with no lock of the caller's. A failure is
 * final, as that of staging_sync(). */
int staging_stable(struct staging *s, uint64_t pack, uint64_t end,
	struct pluri_err *err);

/* Close every open pack that has chunks, now. */
int staging_close(struct staging *s, struct pluri_err *err);

/* The highest pack number given out so far, in earlier lives too; 0: none. */
uint64_t staging_last(struct staging *s);

/* For fs/commit.c: sync every file that has got what may be recorded since the
 * last time, or put that into the transaction that is committed next, when it
 * is little. */
int staging_sync(struct staging *s, struct pluri_err *err);

/*
 * A read-only descriptor of a pack's local file, for the caller to close;
 * -ENOENT when there is none. Marks it as used for eviction.
 */
int staging_file(struct staging *s, const struct pluri_id *pack);

/* Packs that the clouds lack a part of, and whose local file was gone, or could
 * not be closed, at open. */
unsigned staging_missing(struct staging *s);

struct staging_dropped {
	uint64_t dropped, dropped_bytes, kept, kept_bytes;
};
/* Drop local files of packs that are fully redundant in the clouds, least
 * recently used first, until local bytes <= keep. Others are never dropped. */
int staging_evict(struct staging *s, uint64_t keep,
	struct staging_dropped *ret, struct pluri_err *err);

#endif
