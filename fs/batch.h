/*
 * fs/batch.h - bytes of one file on their way into packs: name, ask what is
 * new, encode, append, record. What a flush does with dirty bytes, and whoever
 * else stores bytes of a file. Confined.
 *
 * An item is a chunk that is to be: bytes come to batch_end(), and batch_add()
 * makes an item of the first of them. Naming and encoding are done by all
 * cores at once, with no lock held.
 *
 * Small writes here and there in a file, as a database makes them, would each
 * be a chunk, and cost more for that than for their bytes. So those of one
 * batch share chunks of up to BATCH_JOIN bytes, in the file's order
 * (batch_join): an extent for each, a name, a frame and a row for all.
 */
#ifndef PLURI_FS_BATCH_H
#define PLURI_FS_BATCH_H

#include "fs/dedup.h"
#include "fs/owing.h"
#include "fs/roster.h"
#include "fs/staging.h"
#include "meta/extent.h"

#define BATCH_BYTES (8u << 20)
#define BATCH_CHUNKS 64u
#define BATCH_JOIN (64u << 10) /* within one frame */
#define BATCH_SMALL (16u << 10) /* what may join others */
#define BATCH_PARTS 1024u /* that have joined, in all */

struct batch_item { /* one chunk */
	struct extent e; /* of its first bytes; of all unless others joined */
	uint32_t bytes;
	bool small;
	struct pluri_digest id;
	const uint8_t *data; /* in the arena */
	int code; /* of its naming or encoding, -errno */
	struct encoded *enc; /* owned, until it is appended */
	bool fresh; /* appended by this batch: row is to be added */
	struct chunk_row row;
};

struct batch_part { /* joined that item */
	struct extent e;
	unsigned item;
};

struct batch {
	struct volume *v;
	struct roster_policy pol;
	struct dedup dedup;
	struct staging_to to; /* of what was appended last */
	uint8_t *arena;
	size_t cap, len;
	unsigned items;
	unsigned parts;
	struct batch_item item[BATCH_CHUNKS];
	struct batch_part part[BATCH_PARTS]; /* ascending */
};

/* For at most `bytes`, and BATCH_BYTES, at once; under the default policy when
 * the one asked for is no longer there. */
int batch_open(struct batch *b, struct volume *v, uint32_t policy,
	uint64_t bytes, struct pluri_err *err);
void batch_close(struct batch *b); /* of what batch_open() refused, too */

/* Where the next item's bytes go, and for how many there is room. */
uint8_t *batch_end(struct batch *b);
size_t batch_room(const struct batch *b); /* 0: of items, too */
/* len bytes at batch_end() are those of the file at off. */
void batch_add(struct batch *b, uint64_t off, size_t len);
/* The same of a small range that stands alone in the file: together with those
 * before it, where that is possible. */
void batch_join(struct batch *b, uint64_t off, size_t len);
void batch_clear(struct batch *b); /* no items */
/* Only the first n items from now on. */
void batch_keep(struct batch *b, unsigned n);
/* Where the last item ends, in the file; how many bytes all have. */
uint64_t batch_upto(const struct batch *b);
uint64_t batch_bytes(const struct batch *b);

/*
 * Chunks that are not stored yet go into packs, in the file's order. *ret_kept:
 * how many items, from the first, are stored; also on failure. With `dedup =
 * verify` it reads back what it finds, and may wait for clouds (fs/dedup.h).
 */
int batch_store(struct batch *b, unsigned *ret_kept, struct pluri_err *err);

/* Before batch_rows(), with no lock held: what no commit would wait for is on
 * the disk. A failure is final. */
int batch_stable(const struct batch *b, struct pluri_err *err);

/*
 * Record chunks and extents, within a bracket and the gate. -ESTALE: a chunk
 * that nothing refers to was forgotten after it was found, or a pack has ended
 * after it was written to (fs/repack.h): batch_again(), and store anew.
 */
int batch_rows(struct batch *b, struct meta_tx *tx, uint64_t ino,
	struct pluri_err *err);
/* Of these, the chunks alone: each item's e.chunk and row.num. */
int batch_chunks(const struct dedup *d, struct batch_item *it, unsigned n,
	struct meta_tx *tx, struct pluri_err *err);
void batch_again(struct batch *b);

/* Where the items lie now. Of content that was stored already nobody asked. */
void batch_owe(const struct batch *b, struct owing *owing);

#endif
