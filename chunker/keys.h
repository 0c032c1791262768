/*
 * chunker/keys.h - every key of a volume, derived from the one in its file.
 *
 * HKDF-SHA-256 (RFC 5869): extract with the volume id as salt; expand with a
 * label per purpose: "plurifs chunk id", "plurifs seal", "plurifs check". The
 * key that seals a pack is expanded from "plurifs seal" with the pack's random
 * id, so no nonce can repeat under one key unless one pack had two different
 * byte strings at one offset; see chunker/pack.h for why it cannot, not even
 * in a state directory restored from an older copy.
 *
 * Memory that held keys is left out of core dumps and wiped on free; what
 * libcrypto expands from them while a sealer lives is only wiped. Shared:
 * immutable once made.
 */
#ifndef PLURI_CHUNKER_KEYS_H
#define PLURI_CHUNKER_KEYS_H

#include "base/err.h"
#include "base/own.h"
#include "base/types.h"

struct keys;

int keys_new(const uint8_t master[PLURI_KEY_BYTES],
	const struct pluri_id *volume, struct keys **ret,
	struct pluri_err *err);
void keys_free(struct keys *k); /* NULL is fine */
PLURI_OWN(keys);

const struct pluri_id *keys_volume(const struct keys *k);

/* 32 bytes that tell whether two people hold the same key, and nothing else. */
void keys_check(const struct keys *k, uint8_t ret[32]);

/*
 * For digest.c and seal.c alone. pack NULL: the volume's own seal key.
 * keys_hmac is HMAC-SHA-256 that leaves nothing of the key behind: 0 or -EIO.
 */
const uint8_t *keys_chunk_id(const struct keys *k);
const struct evp_cipher_st *keys_gcm(const struct keys *k); /* AES-256-GCM */
int keys_hmac(const struct keys *k, const uint8_t key[PLURI_KEY_BYTES],
	struct pluri_span bytes, uint8_t ret[32]);
int keys_seal(const struct keys *k, const struct pluri_id *pack,
	uint8_t ret[PLURI_KEY_BYTES]);

#endif
