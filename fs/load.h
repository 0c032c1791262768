/*
 * fs/load.h - frames of many chunks into the cache, with few requests. One
 * struct is confined to its thread; what it works on is shared.
 *
 * Bytes are asked for one range of a chunk after the other; frames are pinned
 * and loaded LOAD_FRAMES at a time, or as many as LOAD_HELD_MAX allows: many
 * readers of small pieces of large frames would pin more than memory is there
 * for. What nobody else is loading is fetched in
 * spans: frames of one pack, in its order, up to FETCH_GAP_MAX apart and
 * FETCH_SPAN_MAX in all, whichever chunks and extents they belong to. All that
 * is its own to load is loaded before it waits for anybody else's: so nobody
 * waits for himself.
 */
#ifndef PLURI_FS_LOAD_H
#define PLURI_FS_LOAD_H

#include <sys/uio.h>

#include "fs/fetch.h"
#include "fs/nearby.h"

#define LOAD_FRAMES 96u /* of 8 MiB in chunks of any size, and more */
#define LOAD_HELD_MAX (4u << 20) /* bytes of frames that a reader pins */

struct cache_frame;

struct load_bit { /* what is wanted of one frame */
	const struct chunk_row *chunk;
	uint32_t frame;
	uint32_t from, len; /* bytes of it */
	uint8_t *to;
	struct cache_frame *pin; /* NULL: it is no business of ours */
	bool owner;
};

struct load {
	struct volume *v;
	struct nearby *nearby; /* of small chunks; NULL: bring none */
	bool stream; /* what is next will be wanted, too */
	bool ahead; /* nobody waits for it: the cache is enough */
	bool lend; /* all at once, and where they are will do */
	struct fetch_patience patience; /* but for when it began */
	unsigned n;
	uint32_t held; /* bytes of their frames */
	struct load_bit bit[LOAD_FRAMES];
};

/*
 * Bytes [off, off + len) of a chunk, within it, to `to`: there when load_end()
 * has returned 0, and *c is needed until then. Failures are those of an earlier
 * range, or of this one: as of fetch_frames(). -ECANCELED only when this
 * reader's own stop() said so. Nothing is pinned then.
 */
int load_add(struct load *l, const struct chunk_row *c, uint32_t off,
	uint32_t len, uint8_t *to, struct pluri_err *err);
int load_end(struct load *l, struct pluri_err *err);

/* Do two chunks, one behind the other, go in two requests, however short? */
bool load_apart(const struct chunk_row *a, const struct chunk_row *b);

/* What was lent, one range a bit, in order; there until load_free(). */
unsigned load_lent(const struct load *l, struct iovec *to);
void load_free(struct load *l); /* of one that was not lent, too */

#endif
