/*
 * fs/fetch.h - bytes of stored chunks, from the nearest place that has them
 * right: the local pack file, else the clouds, any good shard. Shared.
 *
 * Frames that lie near each other in a pack are fetched together, whichever
 * chunks they are of: one read of the local file, or one request. Every frame
 * is authenticated by itself before anyone sees it. A store that returned
 * wrong bytes, or says that it does not have what it should, is noted against
 * the shard and logged; what was good of its answer is kept, and only from the
 * first to the last frame that is missing is asked of another.
 *
 * Where a pack is, is read anew for each fetch: one bracket of two indexed
 * queries, some 20 us for up to 8 MiB. Remembering it was rejected: moves,
 * uploads, evictions and repacking each would have to be told, and what a stale
 * place costs, a wrong accusation in the log, is more than what it saves.
 */
#ifndef PLURI_FS_FETCH_H
#define PLURI_FS_FETCH_H

#include "chunker/frame.h"
#include "fs/volume.h"
#include "meta/chunks.h"
#include "meta/packs.h"

#define FETCH_SPAN_MAX (9u << 20) /* bytes of a pack that go together */
#define FETCH_GAP_MAX (64u << 10) /* unwanted bytes between two frames */

/* How long to go on for bytes. */
struct fetch_patience {
	uint64_t began_ms; /* the read did, system monotonic */
	bool again; /* ask stores in trouble again, for config.timeout_ms */
	int (*stop)(void *arg); /* as upload_wait; may be NULL */
	void *arg;
	bool background; /* give way to programs */
	struct wish *ahead; /* ... until this is told; NULL: somebody waits */
};

/* One frame: where it is in its pack, and where its plain bytes go. */
struct fetch_piece {
	struct frame_id id;
	uint64_t off;	/* in the pack */
	uint32_t bytes; /* there */
	uint32_t plain; /* bytes of room at to: all that it holds */
	uint8_t *to;
	bool extra; /* nobody waits for it: not worth a second request */
	bool got;   /* out: `plain` bytes are at to */
	void *arg;  /* the caller's */
};

/* All of a piece but the caller's part. -EIO: the row is damaged. */
int fetch_piece(const struct chunk_row *c, uint32_t frame,
	struct fetch_piece *ret, struct pluri_err *err);

/* Where a pack is now. */
struct fetch_place {
	struct pack_row pack;
	struct fleet_source src[PLURI_SHARDS_MAX]; /* shards that are STORED */
	unsigned n;
};

/* -ESTALE: there is no such pack any more. */
int fetch_place(struct meta_tx *tx, uint64_t pack, struct fetch_place *ret,
	struct pluri_err *err);

struct fetch_want {
	const struct fetch_place *place;
	/* Ascending, not overlapping; FETCH_SPAN_MAX or one frame in all. */
	struct fetch_piece *piece;
	unsigned n;
	struct fetch_patience patience;
};

/*
 * 0: every piece but extras is there. -EIO when no good copy can be had (the
 * story names pack, shards and stores); -ESTALE when the pack is gone: look the
 * chunk up again; -ETIMEDOUT three times config.timeout_ms after the read
 * began; -ECANCELED when stop() says so. Pieces that are there are good
 * whatever is returned. Bad bytes from all sources are told at once: only what
 * is not known is asked for again.
 */
int fetch_frames(struct volume *v, const struct fetch_want *w,
	struct pluri_err *err);

/* How a whole pack is fetched; NULLs: at once, and to the end. */
struct fetch_pace {
	/* Before so many bytes are asked for; may wait. Not 0: stop. */
	int (*turn)(void *arg, uint32_t bytes);
	int (*stop)(void *arg); /* asked ten times a second; likewise */
	void *arg;
};

/*
 * Download a whole pack into an empty file, from the first shards that yield
 * an authentic one: a sum alone could be matched by a provider that lies. For
 * copies and repair. -EIO names every source; -ECANCELED: stopped.
 */
int fetch_pack(struct volume *v, const struct pack_row *p, int fd,
	const struct fetch_pace *how, struct pluri_err *err);

#endif
