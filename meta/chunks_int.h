/*
 * meta/chunks_int.h - how a chunk stands in its table, for chunks.c and
 * extent.c, which joins it. Pure.
 */
#ifndef PLURI_META_CHUNKS_INT_H
#define PLURI_META_CHUNKS_INT_H

#include "meta/chunks.h"
#include "meta/db.h"

/* A row's columns in the order that chunks_row() reads; the table is c. */
#define CHUNKS_COLUMNS "c.num, c.id, c.pack, c.off, c.bytes, c.plain, c.frames"

/*
 * The row that s stands on, its columns from number `at` on. -EBADMSG when
 * any of them is beyond its ceiling; *c is then half filled.
 */
int chunks_row(const struct db_ops *ops, struct db_stmt *s, int at,
	struct chunk_row *c, struct pluri_err *err);

/*
 * Frame lengths as a blob: little-endian u32 each, only when there is more
 * than one frame (one is as long as the chunk). Returns bytes written, 0
 * when there is nothing to keep.
 */
size_t chunks_frames_encode(
	const struct chunk_row *c, uint8_t to[4 * CHUNK_FRAMES_MAX]);

/* c->bytes is set; fills in frames and frame[]. Empty blob: one frame. */
int chunks_frames_decode(
	struct pluri_span blob, struct chunk_row *c, struct pluri_err *err);

#endif
