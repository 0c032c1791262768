/*
 * fs/cache.h - decoded frames in memory: bounded, resistant to scans, one fetch
 * at a time per frame. Shared.
 *
 *   EMPTY -> LOADING (one owner fetches, others wait) -> READY | FAILED
 *
 * A FAILED frame leaves the cache with its last pin; the next reader tries
 * again.
 *
 * Three queues, after 2Q (Johnson and Shasha, VLDB 1994), with the correlated
 * reference period of LRU-K (O'Neil et al., SIGMOD 1993) in the place of its
 * list of what has gone:
 *
 *   AHEAD  brought unasked, not used yet
 *   ONCE   used, as by a stream that passes: several requests touch a frame,
 *          but close together
 *   HOT    used again when CACHE_AGAIN other uses lay between
 *
 * When room is needed the oldest of ONCE goes first, so a stream takes its room
 * from what it has passed. AHEAD comes before it while it has more than half of
 * the room, or its oldest has seen as much loaded as there is room; HOT only
 * while it has more than three quarters, or when nothing else is left.
 */
#ifndef PLURI_FS_CACHE_H
#define PLURI_FS_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/own.h"
#include "base/wish.h"

#define CACHE_AGAIN 64u

struct cache;
struct cache_frame; /* pinned: its bytes stay until cache_unpin */

int cache_new(uint64_t bytes, struct cache **ret, struct pluri_err *err);
void cache_free(struct cache *c); /* nothing may be pinned */
PLURI_OWN(cache);

/* *ret_owner: the caller must end the load with cache_ready or cache_failed.
 * bytes: the room it needs, always the same for one frame. -ENOMEM. */
int cache_pin(struct cache *c, uint64_t chunk, uint32_t frame,
	uint32_t bytes, struct cache_frame **ret, bool *ret_owner);
/* The same for a frame that nobody asks for yet. 1: the caller is its owner,
 * as above; 0: it is there or under way, and not pinned. wish: told when
 * somebody pins it while it is LOADING; may be NULL. neighbour: for
 * cache_stats. */
int cache_claim(struct cache *c, uint64_t chunk, uint32_t frame,
	uint32_t bytes, struct wish *wish, bool neighbour,
	struct cache_frame **ret);
/* The same to write to, the owner's, while LOADING; or to hand on as it is. */
uint8_t *cache_room(struct cache_frame *f);
void cache_ready(struct cache *c, struct cache_frame *f, uint32_t len);
void cache_failed(struct cache *c, struct cache_frame *f,
	const struct pluri_err *why);
/*
 * Wait while LOADING (the owner's deadline ends it). 0, or the failure, or
 * -ECANCELED when stop() says so (as upload_wait; may be NULL). An owner that
 * gave up, -ECANCELED to cache_failed, says nothing of the bytes: all hear
 * -EAGAIN, unpin the frame and pin anew.
 */
int cache_wait(struct cache *c, struct cache_frame *f,
	int (*stop)(void *arg), void *arg, struct pluri_err *err);
/* READY: the bytes. */
const uint8_t *cache_bytes(const struct cache_frame *f, uint32_t *ret_len);
void cache_unpin(struct cache *c, struct cache_frame *f);

void cache_drop_all(struct cache *c); /* what is not pinned */

struct cache_stats {
	uint64_t hits, misses, bytes;
	uint64_t ahead; /* bytes of AHEAD */
	uint64_t used;  /* bytes of neighbours used at last, since the start */
};
void cache_stats(struct cache *c, struct cache_stats *ret);

#endif
