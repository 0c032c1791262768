/*
 * meta/extent_int.h - what the extents' files share. Confined to a bracket.
 */
#ifndef PLURI_META_EXTENT_INT_H
#define PLURI_META_EXTENT_INT_H

#include "meta/extent.h"
#include "meta/meta_int.h"

/* A range of a file that is being cleared. */
struct extent_cut {
	struct meta_tx *tx;
	uint64_t ino;
	uint64_t from, to; /* [from, to), to <= INT64_MAX */
	int64_t freed;	   /* bytes that extents no longer hold */
};

/* No extent in the range any more. */
int extent_clear(struct extent_cut *c, struct pluri_err *err);

/*
 * Clear the range and put n extents into it, ascending. New references before
 * old ones go: a chunk that is written over itself is never without one.
 */
int extent_put(struct extent_cut *c, const struct extent *e, unsigned n,
	struct pluri_err *err);

/*
 * What of a span may be shown: *ret_end is its end, no further than the largest
 * file, nor than where the dead begin. 1, or 0 when nothing is left of it.
 */
int extent_shown(struct meta_tx *tx, uint64_t ino, struct extent_span at,
	uint64_t *ret_end, struct pluri_err *err);

/* Where the first part of the range ends in which `limit` extents begin. */
int extent_bound(const struct extent_cut *c, unsigned limit, uint64_t *ret_to,
	struct pluri_err *err);

int extent_insert(struct meta_tx *tx, uint64_t ino, const struct extent *e,
	struct pluri_err *err);

/* So many bytes more, or less, in extents of ino. -ENOENT. */
int extent_count(struct meta_tx *tx, uint64_t ino, int64_t bytes,
	struct pluri_err *err);

/* Columns off, len, skip, chunk of a bound statement's next row: 1, 0,
 * -errno. */
int extent_one(struct meta_tx *tx, struct db_stmt *s, struct extent *ret,
	struct pluri_err *err);

/* May something be recorded that ends at `end`? -EBUSY: trim first. */
int extent_alive(struct meta_tx *tx, uint64_t ino, uint64_t end,
	struct pluri_err *err);

/* The last dead extent of ino is gone. */
int extent_trimmed(struct meta_tx *tx, uint64_t ino, struct pluri_err *err);

#endif
