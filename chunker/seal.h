/*
 * chunker/seal.h - AES-256-GCM, with nonces that cannot repeat.
 *
 * A sealed string belongs to one pack (its key) and stands at one offset in it
 * (its nonce: domain byte, three zero bytes, offset as 64-bit little endian).
 * What it must be (volume, chunk, index ...) goes in as associated data, so a
 * cloud that swaps, truncates or replays strings is caught by the tag.
 * Output is the plain length plus SEAL_TAG bytes. Confined per sealer; any
 * number of sealers per key.
 */
#ifndef PLURI_CHUNKER_SEAL_H
#define PLURI_CHUNKER_SEAL_H

#include "chunker/keys.h"

#define SEAL_TAG 16u

enum seal_domain {
	SEAL_HEAD = 1,	 /* a frame's header */
	SEAL_BODY = 2,	 /* a frame's bytes */
	SEAL_INDEX = 3,	 /* a pack's index */
	SEAL_FOOT = 4,	 /* a pack's footer */
	SEAL_VOLUME = 5, /* the volume descriptor (pack id: its random salt) */
};

struct sealer; /* one pack's key, ready to use */

int sealer_new(const struct keys *keys, const struct pluri_id *pack,
	struct sealer **ret, struct pluri_err *err);
void sealer_free(struct sealer *s);
PLURI_OWN(sealer);

/* to: plain.len + SEAL_TAG bytes; may equal plain.data. 0 or -EIO. */
int sealer_seal(struct sealer *s, enum seal_domain domain, uint64_t offset,
	struct pluri_span aad, struct pluri_span plain, uint8_t *to);

/* to: sealed.len - SEAL_TAG bytes. 0, -EBADMSG (not authentic), -EIO. */
int sealer_open(struct sealer *s, enum seal_domain domain, uint64_t offset,
	struct pluri_span aad, struct pluri_span sealed, uint8_t *to);

#endif
