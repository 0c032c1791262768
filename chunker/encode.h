/*
 * chunker/encode.h - one chunk made ready for a pack: named, cut into frames,
 * each compressed when that pays; not yet sealed (sealing needs the place).
 *
 * Every frame but the last holds exactly FRAME_PLAIN bytes, so that a small
 * read fetches little and knows which frame to fetch. zstd steps aside when it
 * saves less than 1/16 of a frame, and after the chunk's first frame did not
 * pay it is tried only on every eighth one.
 * Pure but for allocation; any thread.
 */
#ifndef PLURI_CHUNKER_ENCODE_H
#define PLURI_CHUNKER_ENCODE_H

#include <stdbool.h>

#include "chunker/keys.h"

#define FRAME_PLAIN (128u << 10)
#define FRAMES_MAX (PLURI_CHUNK_MAX / FRAME_PLAIN)

struct encode_options {
	bool compress;
	int level; /* zstd level 1..19 */
};

struct encoded_frame {
	uint32_t plain;	 /* bytes before compression */
	uint32_t stored; /* bytes after it */
	bool zstd;
	const uint8_t *data; /* stored bytes, owned by struct encoded */
};

struct encoded {
	struct pluri_digest id;
	uint32_t plain;	 /* bytes of the chunk, 1..PLURI_CHUNK_MAX */
	uint32_t frames; /* 1..FRAMES_MAX */
	struct encoded_frame frame[FRAMES_MAX];
	uint8_t *data; /* the compressed bytes; incompressible ones stay in
			  the caller's span, which must outlive this */
};

/*
 * What zstd wants of memory, kept from one call to the next: to make it anew
 * costs more than a small chunk does. It changes no byte. Made as it is needed,
 * some 1.3 MiB for compressing and 0.2 MiB for undoing it. Confined.
 */
struct encode_kit;
struct encode_kit *encode_kit_new(void); /* NULL: out of memory */
void encode_kit_free(struct encode_kit *kit);
PLURI_OWN(encode_kit);

/*
 * id: the chunk's name, already computed by digest_chunk (deduplication asks
 * before it pays for compression). 0, -EINVAL (size), -ENOMEM.
 */
int encode_chunk(const struct encode_options *o, const struct pluri_digest *id,
	struct pluri_span plain, struct encoded **ret, struct pluri_err *err);
/* The same; kit NULL: none is at hand. */
int encode_chunk_with(struct encode_kit *kit, const struct encode_options *o,
	const struct pluri_digest *id, struct pluri_span plain,
	struct encoded **ret, struct pluri_err *err);
void encoded_free(struct encoded *e);
PLURI_OWN(encoded);

/*
 * Undo one frame's compression. to has room for plain bytes. 0, -ENOMEM, or
 * -EBADMSG when stored does not decompress to exactly plain bytes.
 */
int encode_undo(bool zstd, struct pluri_span stored, uint32_t plain,
	uint8_t *to);
int encode_undo_with(struct encode_kit *kit, bool zstd,
	struct pluri_span stored, uint32_t plain, uint8_t *to);

#endif
