/*
 * meta/extent.h - which chunk holds which range of a file. Confined to a
 * bracket.
 *
 * Extents of a file never overlap; gaps are holes and read as zeros. An
 * extent may point inside a chunk (skip), so overwriting never reads. Each
 * extent counts as one reference of its chunk; counts are kept here, exactly,
 * in the same bracket; tree_attr.bytes likewise. Of a file that is being
 * trimmed the dead extents are never shown. None of the others ends behind the
 * file's size: whoever records one records the size in the same bracket, or
 * what lies behind would be shown when the file grows.
 */
#ifndef PLURI_META_EXTENT_H
#define PLURI_META_EXTENT_H

#include "meta/chunks.h"

struct extent {
	uint64_t off;  /* in the file */
	uint32_t len;  /* 1.. */
	uint32_t skip; /* in the chunk; skip + len <= its plain bytes */
	uint64_t chunk;
};

/*
 * Put extents (ascending, not overlapping) over whatever was there; older
 * extents are cut or removed under each new one's range.
 */
int extent_write(struct meta_tx *tx, uint64_t ino, const struct extent *e,
	unsigned n, struct pluri_err *err);

#define EXTENT_STEP 256u /* a limit that keeps a bracket to milliseconds */

/* Bytes [off, off + len) of a file; a len beyond the largest file is fine. */
struct extent_span {
	uint64_t off, len;
};

/*
 * Make [off, off + len) a hole, from its begin on: at most `limit` extents are
 * touched. *ret_more tells whether some are left: then call again, later.
 */
int extent_punch(struct meta_tx *tx, uint64_t ino, uint64_t off,
	uint64_t len, unsigned limit, bool *ret_more, struct pluri_err *err);
/* The same; *ret_upto is where the part ends that is a hole now. */
int extent_punch_step(struct meta_tx *tx, uint64_t ino,
	struct extent_span at, unsigned limit, uint64_t *ret_upto,
	struct pluri_err *err);

/*
 * --- cutting a file short in bounded time ---
 *
 * extent_cut() makes a hole of everything from off on, and removes at most
 * `limit` extents. When more are left they are dead, which a row (ino, off) of
 * table trim says until extent_trim() has removed the last of them, some at a
 * time, after a crash too. What the tables hold meanwhile:
 *
 * - Extents of trim.ino that begin at trim.off or behind are dead: nobody is
 *   shown them. They count in inode.bytes and chunk.refs until removed.
 * - No extent reaches over trim.off, and none is recorded at or behind it:
 *   extent_write() and extent_clone() say -EBUSY. Finish the trim before.
 * - inode.size may be less or more: the file may have grown again.
 * - trim.ino is a regular file, perhaps on the orphan list, perhaps without
 *   any dead extent; counter META_TRIMS is the number of rows. A row without
 *   its inode is what only damage leaves.
 */
int extent_cut(struct meta_tx *tx, uint64_t ino, uint64_t off,
	unsigned limit, bool *ret_more, struct pluri_err *err);

/* A step of the trim of ino, or with 0 of the first there is. *ret_more: that
 * one, or with 0 any, is still pending. */
int extent_trim(struct meta_tx *tx, uint64_t ino, unsigned limit,
	bool *ret_more, struct pluri_err *err);

/* Where the dead begin: 1 and *ret_off; 0 when nothing of ino is to be
 * trimmed, *ret_off is then UINT64_MAX. Free while there is no trim at all. */
int extent_dead(struct meta_tx *tx, uint64_t ino, uint64_t *ret_off,
	struct pluri_err *err);

/* An extent with all a reader needs to fetch it. */
struct extent_row {
	struct extent e;
	struct chunk_row chunk;
};

/*
 * Extents that touch the span, ascending, at most max; *ret_n tells. When it
 * equals max there may be more.
 */
int extent_read(struct meta_tx *tx, uint64_t ino, struct extent_span at,
	struct extent_row *ret, unsigned max, unsigned *ret_n,
	struct pluri_err *err);

/* The same without what a reader needs; extents of holes are not told. */
int extent_list(struct meta_tx *tx, uint64_t ino, struct extent_span at,
	struct extent *ret, unsigned max, unsigned *ret_n,
	struct pluri_err *err);

/* One of a file that its reader did not ask for by name. */
struct extent_of {
	uint64_t ino;
	struct extent e;
};

/* Extents of all files, by file and offset, behind (ino, off): at most max, the
 * dead, too. -EBADMSG: up to a damaged one, and ret[*ret_n].ino tells whose. */
int extent_walk(struct meta_tx *tx, uint64_t ino, uint64_t off,
	struct extent_of *ret, unsigned max, unsigned *ret_n,
	struct pluri_err *err);

/* A range of one file over a range of another, or of the same: then they must
 * not overlap (-EINVAL). */
struct extent_copy {
	uint64_t from, from_off;
	uint64_t to, to_off;
	uint64_t len;
};

/*
 * Let the target's range show what the source's does, holes too, by extents of
 * the same chunks. *ret_done: how many bytes, from the first, before `limit`
 * extents (1..EXTENT_STEP) were read or replaced; at least one when len is.
 * Sizes are the caller's.
 */
int extent_clone(struct meta_tx *tx, const struct extent_copy *c,
	unsigned limit, uint64_t *ret_done, struct pluri_err *err);

#endif
