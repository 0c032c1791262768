/*
 * meta/chunks.h - chunks: what is stored, where in which pack, how often
 * used. Confined to a bracket.
 */
#ifndef PLURI_META_CHUNKS_H
#define PLURI_META_CHUNKS_H

#include "meta/meta.h"

#define CHUNK_FRAMES_MAX 128u

struct chunk_row {
	uint64_t num;
	struct pluri_digest id;
	uint64_t pack;	 /* number */
	uint64_t off;	 /* in the pack */
	uint32_t bytes;	 /* in the pack, all frames */
	uint32_t plain;	 /* bytes of the chunk */
	uint32_t frames; /* 1..CHUNK_FRAMES_MAX */
	uint32_t frame[CHUNK_FRAMES_MAX]; /* bytes of each in the pack */
};

/* Which of n names are stored already: ret[i] is the number, 0 when new. */
int chunks_find(struct meta_tx *tx, const struct pluri_digest *ids,
	unsigned n, uint64_t *ret, struct pluri_err *err);

/*
 * Record a chunk (num is filled in) with no reference yet. When its id is
 * there already (another writer was quicker) *c becomes that one and 0 is
 * returned all the same: the new bytes are dead weight in their pack. -ESTALE:
 * its pack was collected since the bytes were put there; put them elsewhere.
 */
int chunks_add(struct meta_tx *tx, struct chunk_row *c,
	struct pluri_err *err);

int chunks_get(struct meta_tx *tx, uint64_t num, struct chunk_row *ret,
	struct pluri_err *err);

/* For extent.c: -EBADMSG below zero, -ENOENT when there is none to refer to. */
int chunks_ref(struct meta_tx *tx, uint64_t num, int delta,
	struct pluri_err *err);

/* The same chunk, copied: its place becomes c's (pack, off, bytes, frames). 1,
 * or 0 when there is no chunk c->num. */
int chunks_move(struct meta_tx *tx, const struct chunk_row *c,
	struct pluri_err *err);

/* Forget a chunk: its bytes are dead weight from now on. -EBUSY while it is
 * referred to. */
int chunks_drop(struct meta_tx *tx, uint64_t num, struct pluri_err *err);

/* Chunks of a pack, by offset, each() as in tree_list; it may change them. */
int chunks_of_pack(struct meta_tx *tx, uint64_t pack,
	int (*each)(void *arg, const struct chunk_row *c, uint64_t refs),
	void *arg, struct pluri_err *err);

/* The same from offset `from` on. */
int chunks_from(struct meta_tx *tx, uint64_t pack, uint64_t from,
	int (*each)(void *arg, const struct chunk_row *c, uint64_t refs),
	void *arg, struct pluri_err *err);

/* Where the last recorded chunk of a pack ends; 0 when it has none. */
int chunks_end(struct meta_tx *tx, uint64_t pack, uint64_t *ret,
	struct pluri_err *err);

#endif
