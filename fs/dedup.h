/*
 * fs/dedup.h - which chunks are stored already, and whether that is believed.
 * A policy says so, `dedup`:
 *
 *   on      A chunk's name is made from its content; what is stored under that
 *           name is taken.
 *   verify  It is taken when its bytes, read back, are those to be written.
 *           When they differ or cannot be had, what is to be written is stored
 *           under a name by chance. Whoever refers to the old chunk goes on
 *           doing so: its place is not changed, since nobody knows which of
 *           the two is wrong.
 *   off     Names are by chance, and nobody asks.
 *
 * A name by chance is found by nobody again, so it is stored once for each
 * time it is written. Apart from that a chunk's name has no meaning to whoever
 * reads it (FORMAT.md 1.2).
 *
 * Reading back goes the way of all reads (fs/load.h), and may wait for clouds:
 * for one flush as long as config.timeout_ms in all, then the rest of it is
 * believed nothing. After DEDUP_UNREAD chunks that could not be had, too.
 *
 * Confined: one struct for each batch (fs/batch.h), and so for each flush. No
 * lock may be held.
 */
#ifndef PLURI_FS_DEDUP_H
#define PLURI_FS_DEDUP_H

#include "fs/volume.h"
#include "meta/chunks.h"

#define DEDUP_MAX 64u /* chunks asked about at once */
#define DEDUP_UNREAD 4u

struct dedup {
	struct volume *v;
	enum config_dedup mode;
	/* the rest is dedup.c's, zero at first */
	uint64_t until_ms;
	unsigned unread;
	bool over;
};

struct dedup_item {
	struct pluri_digest id; /* may become one by chance */
	struct pluri_span data;
	uint64_t chunk; /* out: the stored one's number; 0: none is taken */
};

/* Name a chunk. Any thread. 0 or -EIO. */
int dedup_name(const struct dedup *d, struct pluri_span data,
	struct pluri_digest *ret);

/* Which of n <= DEDUP_MAX named chunks need not be stored. */
int dedup_find(struct dedup *d, struct dedup_item *it, unsigned n,
	struct pluri_err *err);

/*
 * chunks_add(). With verify, -ESTALE when somebody else's bytes were stored
 * under that name meanwhile: ask dedup_find() again.
 */
int dedup_add(const struct dedup *d, struct meta_tx *tx, struct chunk_row *c,
	struct pluri_err *err);

#endif
