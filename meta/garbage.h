/*
 * meta/garbage.h - what is not referred to any more, in rows. Confined to a
 * bracket.
 *
 *   chunk:  refs 0 (may be referred to again) -> its row gone
 *           refs > 0: its place becomes another pack's (num, refs, id stay)
 *   pack:   CLOSED, without a chunk -> its rows gone, and one grave for each
 *           shard's object
 *   grave:  an object that no shard row leads to, still to be deleted -> gone
 *
 * Every decision is made in the bracket that acts on it, by rows alone: what a
 * scan or a listing said before is a hint.
 */
#ifndef PLURI_META_GARBAGE_H
#define PLURI_META_GARBAGE_H

#include "meta/chunks.h"
#include "meta/packs.h"

#define GARBAGE_ROWS 1024u /* chunks looked at in one bracket */

/* What a closed, fully stored pack holds that files have. */
struct garbage_use {
	uint64_t pack, bytes;	/* of the pack */
	uint64_t live, chunks;	/* bytes and number of chunks with refs > 0 */
	uint64_t dead;		/* chunks without a reference */
};

/* Where the scan is; zero: at the beginning. */
struct garbage_pos {
	uint64_t pack, off, num;
	bool inside; /* a part of pack is counted, in use */
	struct garbage_use use;
};

/*
 * Go on by at most GARBAGE_ROWS chunks or packs: 1: *ret is counted, come
 * again; 0: come again; -ENOENT: there are no more, *at is at the beginning.
 * Told are packs made before before_ns, none of whose shards is missing or
 * being moved.
 */
int garbage_scan(struct meta_tx *tx, struct garbage_pos *at, int64_t before_ns,
	struct garbage_use *ret, struct pluri_err *err);

/* The same judgement of one pack, now: 1 yes, 0 no. */
int garbage_fit(struct meta_tx *tx, uint64_t pack, struct pluri_err *err);

/* Forget up to max chunks of the pack that nothing refers to. *ret: how many
 * went; less than max: there were no more. */
int garbage_forget(struct meta_tx *tx, uint64_t pack, unsigned max,
	unsigned *ret, struct pluri_err *err);

/* Chunks of the pack that are referred to, by place, behind `after` (NULL: from
 * the first). */
int garbage_live(struct meta_tx *tx, uint64_t pack,
	const struct chunk_row *after, struct chunk_row *ret, unsigned max,
	unsigned *ret_n, struct pluri_err *err);

/*
 * A copy of chunk to->num stands at to's place: have the row say so. 1 done; 0:
 * nothing to do any more, since the chunk is gone, is not referred to, or is
 * not at (pack, off) now. -EAGAIN: the pack it would go to lacks a shard.
 * -ESTALE: there is no such pack any more.
 */
int garbage_switch(struct meta_tx *tx, uint64_t pack, uint64_t off,
	const struct chunk_row *to, struct pluri_err *err);

/*
 * A closed, fully stored pack without chunks ends: its rows go, its objects
 * get graves. -EBUSY when it has chunks, or a shard of it is being moved;
 * -EAGAIN when a shard is not stored (a put may be under way); -ENOENT.
 */
int garbage_bury(struct meta_tx *tx, uint64_t pack, int64_t now_ns,
	struct pluri_err *err);

struct garbage_grave {
	uint64_t pack; /* its number while it had one */
	uint32_t index, store;
	struct pluri_id id;
	int64_t at_ns; /* when it was buried */
};

/* Oldest first, behind `after` (NULL: from the first), buried by before_ns, at
 * most max. */
int garbage_graves(struct meta_tx *tx, const struct garbage_grave *after,
	int64_t before_ns, struct garbage_grave *ret, unsigned max,
	unsigned *ret_n, struct pluri_err *err);
/* The object is gone, or its store: 0, also when it was done before. */
int garbage_done(struct meta_tx *tx, uint64_t pack, uint32_t index,
	struct pluri_err *err);
/* Was a pack of that id buried, and not all of it is deleted yet? 1, 0. */
int garbage_known(struct meta_tx *tx, const struct pluri_id *id,
	struct pluri_err *err);

/* Objects of that store that are still to be deleted. */
int garbage_of_store(struct meta_tx *tx, uint32_t store, uint64_t *ret,
	struct pluri_err *err);

struct garbage_totals {
	uint64_t graves;
	int64_t oldest_ns; /* 0: none */
};
int garbage_total(struct meta_tx *tx, struct garbage_totals *ret,
	struct pluri_err *err);

#endif
