/*
 * fs/nearby.h - what of a pack a read of a small chunk brings along. Shared.
 *
 * Files written together lie together in a pack, in about that order, and are
 * often read together. So a cold read of a small chunk asks for a window of the
 * pack around it: NEARBY_MIN at first, twice that whenever half of what the
 * last one brought got used, half of it when hardly any did, and twice the miss
 * at least. It lies to the side to which misses walk, forward or backward
 * (listings begin with what was made last), else mostly behind the chunk.
 *
 * What is brought and never used is paid for: a byte costs a quarter of one of
 * credit, and what is used earns one. Without credit nothing is brought, until
 * a miss touches the one before it.
 */
#ifndef PLURI_FS_NEARBY_H
#define PLURI_FS_NEARBY_H

#include <stdint.h>

#include "base/err.h"
#include "base/own.h"

#define NEARBY_CHUNK (256u << 10) /* plain bytes: smaller chunks are small */
#define NEARBY_MIN (128u << 10)	  /* bytes of the pack, in all */
#define NEARBY_MAX (4u << 20)	  /* sensible */

struct nearby;

/* max: bytes of a window. */
int nearby_new(uint32_t max, struct nearby **ret, struct pluri_err *err);
void nearby_free(struct nearby *n);
PLURI_OWN(nearby);

struct nearby_range {
	uint64_t from, upto; /* bytes of the pack */
};

/*
 * `miss` of a pack of so many bytes has to be fetched: what to fetch, miss at
 * least. used: bytes brought along and used since the start (cache_stats).
 */
void nearby_ask(struct nearby *n, uint64_t pack, uint64_t pack_bytes,
	struct nearby_range miss, uint64_t used, struct nearby_range *ret);
/* So many bytes were brought along. */
void nearby_brought(struct nearby *n, uint64_t bytes);

#endif
