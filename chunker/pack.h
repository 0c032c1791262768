/*
 * chunker/pack.h - the pack: many encoded chunks in one immutable sequence.
 *
 *   header (PACK_HEAD, plain) | frames ... | sealed index | sealed footer
 *
 * While open it is a local append-only file: staging log, write-back journal
 * and read cache in one. Nonces are pack offsets, so the rule that keeps them
 * from repeating: bytes once sealed for an offset are never replaced by other
 * bytes. Hence a pack whose append failed takes no more appends, and a pack
 * found open at mount (crash, or a state directory restored from an older
 * copy) is never appended to: it is cut after its last recorded chunk and
 * closed. The index has a nonce domain of its own and is a function of the
 * frames before it, so closing twice writes the same bytes.
 *
 * Confined: the caller serialises appends to one writer.
 */
#ifndef PLURI_CHUNKER_PACK_H
#define PLURI_CHUNKER_PACK_H

#include "chunker/frame.h"

#define PACK_HEAD 64u
#define PACK_FOOT 80u		   /* 64 + tag */
#define PACK_CHUNKS_MAX (1u << 20) /* chunks of one pack */

struct pack_writer;

/*
 * Start a pack in an empty file (-EEXIST when it is not). keys and fd are
 * borrowed until the writer is freed; fd is open for reading and writing. 0,
 * -ENOSPC, -EIO...
 */
int pack_create(const struct keys *keys, const struct pluri_id *id, int fd,
	struct pack_writer **ret, struct pluri_err *err);
void pack_writer_free(struct pack_writer *w); /* the file stays */
PLURI_OWN(pack_writer);

/* Bytes so far, header included, index not. */
uint64_t pack_bytes(const struct pack_writer *w);

/* Where a chunk stands. */
struct pack_place {
	uint64_t off;	/* of its first frame */
	uint32_t bytes; /* of all its frames, which are contiguous */
	uint32_t frame[FRAMES_MAX]; /* bytes of each frame in the pack */
};

/*
 * Seal and append one chunk. 0 or -errno (-ENOSPC also when the pack would
 * pass PLURI_PACK_MAX); after a failure the writer refuses
 * every further append with -EIO (close what was recorded).
 */
int pack_append(struct pack_writer *w, const struct encoded *e,
	struct pack_place *ret, struct pluri_err *err);

/* A closed pack, as shards are made of it. */
struct pack_seal {
	uint64_t bytes; /* of the whole pack */
	uint64_t sum;	/* digest_sum over them */
};

/* Append index and footer; repeatable. The file is not synced. */
int pack_close(struct pack_writer *w, struct pack_seal *ret,
	struct pluri_err *err);

/* One entry of the index. */
struct pack_entry {
	struct pluri_digest id;
	uint64_t off;
	uint32_t bytes;	 /* in the pack, all frames */
	uint32_t plain;	 /* of the chunk */
	uint32_t frames; /* count */
};

/*
 * Finish a pack that a crash left open: everything from end on is cut off,
 * the frames before it are walked and authenticated, index and footer are
 * written. end: where the last recorded chunk ends (PACK_HEAD when none).
 * -EBADMSG, and the file untouched, when a frame before end is not authentic.
 */
int pack_replay(const struct keys *keys, const struct pluri_id *id, int fd,
	uint64_t end, struct pack_seal *ret, struct pluri_err *err);

/*
 * Where pack bytes come from: a file, a cloud. Fills exactly len bytes or
 * fails with -errno.
 */
struct pack_source {
	int (*read)(void *arg, uint64_t off, void *to, size_t len,
		struct pluri_err *err);
	void *arg;
	uint64_t bytes; /* of the whole pack */
};

/* Header bytes. check: 0 or -EBADMSG (magic, version, flags, volume, id). */
void pack_head_encode(const struct pluri_id *vol, const struct pluri_id *id,
	uint8_t to[PACK_HEAD]);
int pack_head_check(const uint8_t head[PACK_HEAD], const struct pluri_id *vol,
	const struct pluri_id *id, struct pluri_err *err);

/* The index of a closed pack; *ret_entries is malloc'd. Or -EBADMSG... */
int pack_index(const struct keys *keys, const struct pluri_id *id,
	const struct pack_source *src, struct pack_entry **ret_entries,
	uint32_t *ret_count, struct pluri_err *err);

/*
 * Is the closed pack in fd what its key holder wrote, every frame, index and
 * footer? A checksum finds accidents; a provider that lies can match one, so
 * copies from a cloud are judged by this. 0, -EBADMSG, -ENOMEM, -EIO.
 */
int pack_verify(const struct keys *keys, const struct pluri_id *id, int fd,
	uint64_t bytes, struct pluri_err *err);

#endif
