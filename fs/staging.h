/*
 * fs/staging.h - local pack files: open ones that take chunks, closed ones
 * until (and, as a read cache, after) the clouds have them.
 *
 * One open pack per policy. A pack closes when it is full, older than the
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

/* Append one chunk to the policy's open pack. -ENOSPC, -EIO. */
int staging_add(struct staging *s, uint32_t policy, const struct encoded *e,
	uint64_t *ret_pack, struct pack_place *ret, struct pluri_err *err);

/* Close every open pack that has chunks, now. */
int staging_close(struct staging *s, struct pluri_err *err);

/* The highest pack number given out so far, in earlier lives too; 0: none. */
uint64_t staging_last(struct staging *s);

/* For fs/commit.c: sync every file written since the last time, or put what was
 * written into the transaction that is committed next, when it is little. */
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
