/*
 * meta/extent.h - which chunk holds which range of a file. Confined to a
 * bracket.
 *
 * Extents of a file never overlap; gaps are holes and read as zeros. An
 * extent may point inside a chunk (skip), so overwriting never reads. Each
 * extent counts as one reference of its chunk; counts are kept here, exactly,
 * in the same bracket; tree_attr.bytes likewise.
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

/* Make [off, off + len) a hole. Removes at most `limit` whole extents and
 * tells in *ret_more whether some are left (then call again, later). */
int extent_punch(struct meta_tx *tx, uint64_t ino, uint64_t off,
	uint64_t len, unsigned limit, bool *ret_more, struct pluri_err *err);

/* An extent with all a reader needs to fetch it. */
struct extent_row {
	struct extent e;
	struct chunk_row chunk;
};

/* Bytes [off, off + len) of a file; a len beyond the largest file is fine. */
struct extent_span {
	uint64_t off, len;
};

/*
 * Extents that touch the span, ascending, at most max; *ret_n tells. When it
 * equals max there may be more.
 */
int extent_read(struct meta_tx *tx, uint64_t ino, struct extent_span at,
	struct extent_row *ret, unsigned max, unsigned *ret_n,
	struct pluri_err *err);

#endif
