/*
 * fs/merge.h - many small extents become few: what programs that overwrite a
 * file page by page leave behind is put together in the background.
 *
 * Each small overwrite that is synced has a chunk and an extent of its own, or
 * shares a chunk with others that are far away in the file. So a MiB of a
 * database comes to lie in hundreds of places, and a chunk lives on for one of
 * its pages.
 *
 *   CALM     a region, an aligned MiB of a file, that nothing is known of
 *    |       a flush recorded something small in it (merge_note), or the scan
 *    v       saw that it has many extents
 *   NOTED    due when it was left alone for MERGE_QUIET_MS, and no sooner than
 *    |       its back-off says
 *    | 1 its extents are looked at: is it worth it? 2 the bytes of those that
 *    |   are small are read, of the chunks they name, 3 cut without the holes
 *    |   between them, named, and what is not stored is appended to the open
 *    v   pack, as any new bytes
 *   COPIED   in memory alone: the extents that were read, and what is to come
 *    |       in their place
 *    | 4 when all packs with those chunks are STORED as a whole: one bracket
 *    |   finds the very same extents in the range, and lets the new ones take
 *    v   their place
 *   CALM     but for a back-off that doubles, 20 s to 1 h, lest a region be
 *            copied as often as it is overwritten
 *
 * Invariants, beside those of docs/DESIGN.md, section 6:
 *
 * - (4) changes no byte, hole, size or time of a file, nor what anyone has to
 *   wait for: a chunk never changes what it holds, numbers of chunks are never
 *   given twice, and rows are compared in the bracket that replaces them. So no
 *   lock of a node is needed, and whoever wrote, cut, punched, cloned or
 *   removed meanwhile has won: the copy is forgotten. Dirty bytes are laid over
 *   extents, whichever these are.
 * - Never fewer good copies than before, since (4) wants every shard STORED, as
 *   fs/repack.h does. Killed before (4), copies are bytes without a row in an
 *   open pack, or in one that is repacked.
 * - What was replaced lost references, as with any overwrite; chunks without
 *   any are garbage, and fs/repack.h collects them. Where that is off, this is.
 *
 * What cannot be read, or stored, now is left as it is and tried again when the
 * back-off is over. Nothing is begun while a store of the file's policy is in
 * trouble, or uploads are behind. Work yields: merge_rate bytes a second, none
 * while programs read and write (but for 2 s at most a range).
 *
 * Shared, but for merge_round: by one thread.
 */
#ifndef PLURI_FS_MERGE_H
#define PLURI_FS_MERGE_H

#include "fs/volume.h"

#define MERGE_SMALL (64u << 10) /* bytes of an extent that is noted: fewer */

struct merge;

int merge_new(struct volume *v, struct merge **ret, struct pluri_err *err);
/* From now on, on a thread: of a volume that is mounted for writing. */
int merge_start(struct merge *m, struct pluri_err *err);
void merge_stop(struct merge *m); /* what is left can wait */
void merge_free(struct merge *m); /* stops */
PLURI_OWN(merge);

/* These were recorded, of ino. Cheap; may be called with any lock held. */
struct batch;
void merge_note(struct volume *v, uint64_t ino, const struct batch *b);

/*
 * One round, for who has not started it: copies that wait for their pack, then
 * some regions that are due, then a step of the scan. *ret_more: there is more
 * to do at once.
 */
int merge_round(struct merge *m, bool *ret_more, struct pluri_err *err);

struct merge_stats { /* since the open */
	uint64_t ranges;	   /* (4) was done of */
	uint64_t before, after;	   /* extents of these */
	uint64_t bytes;		   /* of these, without holes */
	uint64_t copied_bytes;	   /* read, also in vain */
	uint64_t vain;		   /* copies that were forgotten */
	uint64_t waiting;	   /* copies whose packs are not STORED; now */
};
void merge_stats(struct merge *m, struct merge_stats *ret);

#endif
