/*
 * base/types.h - nouns that cross folders, and the ceilings of their sizes.
 */
#ifndef PLURI_BASE_TYPES_H
#define PLURI_BASE_TYPES_H

#include <stddef.h>
#include <stdint.h>

#define PLURI_ID_BYTES 16u
#define PLURI_DIGEST_BYTES 32u
#define PLURI_KEY_BYTES 32u

#define PLURI_NAME_MAX 64u	  /* stores, policies, volumes: bytes */
#define PLURI_OBJECT_KEY_MAX 432u /* object names: bytes without the NUL */
#define PLURI_STORES_MAX 64u	  /* stores of one volume */
#define PLURI_SHARDS_MAX 32u	  /* k + m, or copies, of one pack */
#define PLURI_POLICIES_MAX 64u
#define PLURI_CHUNK_MAX (16u << 20) /* plain bytes of one chunk */
#define PLURI_PACK_MAX (1ull << 30) /* bytes of one pack */
#define PLURI_FILE_MAX (INT64_C(1) << 53) /* bytes of one file: 8 PiB */

/* A volume's or pack's identity: 128 random bits. */
struct pluri_id {
	uint8_t b[PLURI_ID_BYTES];
};

/* A chunk's name: keyed hash of its plain bytes. */
struct pluri_digest {
	uint8_t b[PLURI_DIGEST_BYTES];
};

/* Bytes borrowed for reading until the call returns. */
struct pluri_span {
	const void *data;
	size_t len;
};

/* The caller's memory for an answer: cap is given, len is set. */
struct pluri_room {
	void *data;
	size_t cap;
	size_t len;
};

#endif
