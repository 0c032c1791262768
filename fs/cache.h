/*
 * fs/cache.h - decoded frames in memory: bounded, least recently used goes
 * first, one fetch at a time per frame. Shared.
 *
 *   EMPTY -> LOADING (one owner fetches, others wait) -> READY | FAILED
 *
 * A FAILED frame leaves the cache with its last pin; the next reader tries
 * again.
 */
#ifndef PLURI_FS_CACHE_H
#define PLURI_FS_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/own.h"

struct cache;
struct cache_frame; /* pinned: its bytes stay until cache_unpin */

int cache_new(uint64_t bytes, struct cache **ret, struct pluri_err *err);
void cache_free(struct cache *c); /* nothing may be pinned */
PLURI_OWN(cache);

/* *ret_owner: the caller must end the load with cache_ready or cache_failed.
 * bytes: the room it needs, always the same for one frame. -ENOMEM. */
int cache_pin(struct cache *c, uint64_t chunk, uint32_t frame,
	uint32_t bytes, struct cache_frame **ret, bool *ret_owner);
uint8_t *cache_room(struct cache_frame *f); /* the owner's, while LOADING */
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
};
void cache_stats(struct cache *c, struct cache_stats *ret);

#endif
