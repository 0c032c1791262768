/*
 * fs/repack.h - overwritten and deleted data: what nothing refers to leaves the
 * packs, and packs that have little else leave the stores.
 *
 *   FULL     live share at or above the limit: left alone
 *   POOR     below it, older than repack_age, all shards STORED, none moving
 *    | 1 dead chunks are forgotten; 2 living ones copied into the open pack of
 *    |   their policy, as any new chunk is; 3 once that pack is STORED as a
 *    v   whole, and its objects were looked at, their rows change place
 *   EMPTY    no chunk row leads to it; readers get time to end
 *    | 4 rows out, graves in, one bracket, durable; 5 the local file goes
 *    v
 *   GRAVES   one for each object: 6 deleted at the store, when keep_deleted is
 *            over, 7 the row goes; a store that is down keeps its own
 *
 * Invariants, beside those of docs/DESIGN.md, section 6:
 *
 * - Copies are not recorded before step 3: which they are is in memory alone.
 *   Killed in 1 or 2, a chunk is where it was, and the copies are bytes without
 *   a row in an open pack (cut off, or dropped) or in one that is POOR by them.
 * - A row changes place (3) when every shard of its new pack is STORED, in the
 *   same bracket in which that is read, so there are never fewer good copies
 *   than the policy wants, and a power cut forgets the change before it forgets
 *   what it stands on: both are in one log, in order.
 * - A new pack's bodies are not read back, as a move does: each object's
 *   length, and its header with the sums of pack and body, are asked for before
 *   (3). Its bytes are believed as those of any fresh pack are (A1), frames are
 *   authenticated (I9), and the old objects are there for keep_deleted. What a
 *   store has lost, or garbled, is looked at twice; then the policy rests.
 * - A pack ends (4) in a bracket that finds no chunk and no move in it. From
 *   then on no row can lead there: a chunk's row is made for a pack that has a
 *   row (chunks_add), numbers are never given twice. Before anything is deleted
 *   that is durable (I2). Killed between 4 and 5, the next open finds the grave
 *   and removes the file; between 6 and 7, deleting again succeeds.
 * - No listing decides anything, and no scan: each bracket judges for itself.
 *
 * Who holds on to what is taken away here starts over: a flush that found a
 * chunk by name, or appended to a pack, hears -ESTALE from its own bracket; a
 * reader whose plan fails asks repack_moved(), and plans anew. Its bytes cannot
 * be wrong: frames are opened against the chunk's name and the pack's id (I9).
 *
 * An older copy of the database, put back, still leads to packs that were
 * emptied later: their objects are there for keep_deleted.
 *
 * Work yields: repack_rate bytes a second are fetched and copied, in one
 * account, none while programs read and write (but for 2 s at most a chunk),
 * and only while all stores are well that their policy may choose; what waits
 * for a store waits in memory, some thousand copies at most, and holds up
 * nothing else. A pack that could not be read is tried again ten minutes later.
 *
 * Shared, but for repack_round: by one thread.
 */
#ifndef PLURI_FS_REPACK_H
#define PLURI_FS_REPACK_H

#include "fs/volume.h"
#include "meta/extent.h"

struct repack;

int repack_new(struct volume *v, struct repack **ret, struct pluri_err *err);
/* Collect from now on, on a thread: of a volume that is mounted. */
int repack_start(struct repack *r, struct pluri_err *err);
void repack_stop(struct repack *r); /* what is left can wait */
void repack_free(struct repack *r); /* stops */
PLURI_OWN(repack);

/* A program reads or writes. */
void repack_yield(struct volume *v);

/* A program did so a moment ago: what can wait does. */
bool repack_busy(const struct volume *v);
/* May bytes be copied that nobody waits for? Not while uploads are behind, or
 * the disk is nearly full. */
bool repack_able(struct volume *v);
/* Can copies of that policy's chunks be stored now, by all that is known? */
bool repack_well(struct volume *v, uint32_t policy);

/* Is any of these chunks elsewhere by now, or forgotten? */
bool repack_moved(struct volume *v, const struct extent_row *rows, size_t n);

/*
 * One round, for who has not started it: graves, empty packs, copies that wait
 * for their pack, and, if none does, what the scan finds to copy. *ret_more:
 * there is more to do at once.
 */
int repack_round(struct repack *r, bool *ret_more, struct pluri_err *err);

struct repack_stats { /* since the open */
	uint64_t forgotten; /* chunks */
	uint64_t copied, copied_bytes, switched; /* likewise */
	uint64_t buried, buried_bytes; /* packs */
	uint64_t deleted; /* objects */
	uint64_t waiting; /* copies whose pack is not STORED yet; now */
	/* Bytes of the packs of the last whole scan, of those that live; both 0
	 * before there was one */
	uint64_t scanned_bytes, scanned_live;
};
void repack_stats(struct repack *r, struct repack_stats *ret);

#endif
