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

/*
 * Plain bytes of frames [first, first + count) of a chunk: to[i] has room for
 * that frame's plain bytes (FRAME_PLAIN, less in the last) and gets len[i].
 * -EIO when no good copy can be had (the story names pack, shards and
 * stores) or the row is damaged, -ETIMEDOUT.
 */
int fetch_frames(struct volume *v, const struct chunk_row *c, uint32_t first,
	uint32_t count, uint8_t *const *to, uint32_t *ret_len,
	struct pluri_err *err);

/*
 * Download a whole pack into an empty file, from the first shards that yield
 * bytes of the pack's sum. For copies and repair. -EIO names every source.
 */
int fetch_pack(struct volume *v, const struct pack_row *p, int fd,
	struct pluri_err *err);

#endif
