/*
 * chunker/frame.h - one sealed frame, as it stands in a pack.
 *
 *   sealed header (FRAME_HEAD = 80 + 16) | sealed body (stored + 16)
 *
 * Both are ciphertext: a provider sees neither lengths nor boundaries. The
 * header is sealed under the pack that holds it, the body under the pack where
 * it was first written (its origin): repacking copies bodies as they are and
 * seals new headers. The body's associated data is volume, chunk id, index,
 * count, chunk bytes, flags and plain length, taken from what the reader asked
 * for, so that a valid frame in the wrong place is refused.
 */
#ifndef PLURI_CHUNKER_FRAME_H
#define PLURI_CHUNKER_FRAME_H

#include "chunker/encode.h"
#include "chunker/seal.h"

#define FRAME_HEAD_PLAIN 80u
#define FRAME_HEAD (FRAME_HEAD_PLAIN + SEAL_TAG)
#define FRAME_OVERHEAD (FRAME_HEAD + SEAL_TAG)
#define FRAME_STORED_MAX (FRAME_PLAIN + FRAME_OVERHEAD) /* bytes in a pack */

/* Which frame it is; what a reader knows before it reads. */
struct frame_id {
	struct pluri_digest chunk;
	uint32_t chunk_bytes; /* plain bytes of the whole chunk */
	uint32_t index;	      /* < count */
	uint32_t count;	      /* frames in the chunk */
};

/* The opened header. */
struct frame_head {
	struct frame_id id;
	uint32_t plain;	 /* 1..FRAME_PLAIN */
	uint32_t stored; /* 1..FRAME_PLAIN: body bytes without the tag */
	bool zstd;
	struct pluri_id origin; /* pack under which the body is sealed */
	uint64_t origin_off;	/* and the frame's offset there */
};

/* Header bytes <-> struct. decode: 0 or -EBADMSG (unknown version or flags,
 * non-zero reserved bytes, sizes beyond their ceilings or inconsistent). */
void frame_head_encode(const struct frame_head *h,
	uint8_t to[FRAME_HEAD_PLAIN]);
int frame_head_decode(const uint8_t from[FRAME_HEAD_PLAIN],
	struct frame_head *ret, struct pluri_err *err);

/*
 * Seal one frame for offset off of the sealer's pack (whose id is pack).
 * to: f->stored + FRAME_OVERHEAD bytes. 0 or -EIO.
 */
int frame_seal(struct sealer *s, const struct keys *keys,
	const struct pluri_id *pack, uint64_t off, const struct frame_id *id,
	const struct encoded_frame *f, uint8_t *to);

/* What a frame's bytes are read against. */
struct frame_at {
	const struct keys *keys;
	struct pluri_id pack; /* the pack that holds it */
	uint64_t off;	      /* its offset there */
};

/* Open just the header of bytes (>= FRAME_HEAD of them). 0 or -EBADMSG. */
int frame_peek(const struct frame_at *at, struct pluri_span bytes,
	struct frame_head *ret, struct pluri_err *err);

/*
 * Open a whole frame: authentic, of that identity, decompressed into to (cap
 * >= its plain bytes; FRAME_PLAIN is always enough). bytes may be longer than
 * the frame. 0, -EBADMSG with the story, -ENOMEM, -EIO.
 */
int frame_open(const struct frame_at *at, struct pluri_span bytes,
	const struct frame_id *want, struct pluri_room *to,
	struct pluri_err *err);

/* Opens frames of one pack, whose key is set up once. Confined. kit: borrowed,
 * NULL is fine. 0, -ENOMEM, -EIO. */
struct frame_opener;
int frame_opener_new(const struct keys *keys, const struct pluri_id *pack,
	struct encode_kit *kit, struct frame_opener **ret,
	struct pluri_err *err);
void frame_opener_free(struct frame_opener *o);
PLURI_OWN(frame_opener);

/* As frame_open(), at offset off of the pack. */
int frame_opener_open(struct frame_opener *o, uint64_t off,
	struct pluri_span bytes, const struct frame_id *want,
	struct pluri_room *to, struct pluri_err *err);

#endif
