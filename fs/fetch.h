/*
 * fs/fetch.h - bytes of stored chunks, from the nearest place that has them
 * right: the local pack file, else the clouds, any good shard. Shared.
 *
 * Every frame is authenticated before anyone sees it. A store that returned
 * wrong bytes, or says that it does not have what it should, is noted against
 * the shard and logged; the read goes on with another.
 */
#ifndef PLURI_FS_FETCH_H
#define PLURI_FS_FETCH_H

#include "fs/volume.h"
#include "meta/chunks.h"
#include "meta/packs.h"

/* How long to go on for bytes. */
struct fetch_patience {
	uint64_t began_ms; /* the read did, system monotonic */
	bool again; /* ask stores in trouble again, for config.timeout_ms */
	int (*stop)(void *arg); /* as upload_wait; may be NULL */
	void *arg;
};

/* Plain bytes of frames [first, first + count) of a chunk: to[i] has room for
 * that frame's plain bytes (FRAME_PLAIN, less in the last), ret_len[i] says
 * how many they are. */
struct fetch_want {
	const struct chunk_row *chunk;
	uint32_t first, count;
	uint8_t *const *to;
	uint32_t *ret_len;
	struct fetch_patience patience;
};

/*
 * -EIO when no good copy can be had (the story names pack, shards and
 * stores) or the row is damaged; -ETIMEDOUT three times config.timeout_ms
 * after the read began; -ECANCELED when stop() says so. Bad bytes from all
 * sources are told at once: only what is not known is asked for again.
 */
int fetch_frames(struct volume *v, const struct fetch_want *w,
	struct pluri_err *err);

/*
 * Download a whole pack into an empty file, from the first shards that yield
 * an authentic one: a sum alone could be matched by a provider that lies. For
 * copies and repair. -EIO names every source.
 */
int fetch_pack(struct volume *v, const struct pack_row *p, int fd,
	struct pluri_err *err);

#endif
