/*
 * tests/golden/golden.h - what the golden files were made of.
 *
 * Everything is fixed, zstd's output too, so that neither chance nor another
 * zstd changes a byte. Used by make.c, which wrote the files once, and by
 * test_golden.c, which expects the code to write them still.
 */
#ifndef PLURI_TESTS_GOLDEN_H
#define PLURI_TESTS_GOLDEN_H

#include <stdlib.h>

#include "chunker/cdc.h"
#include "chunker/descriptor.h"
#include "chunker/digest.h"
#include "chunker/pack.h"
#include "chunker/stripe.h"

#define GOLDEN_CHUNKS 3u
#define GOLDEN_TEXT "E pluribus unum.\n"
#define GOLDEN_BIG (FRAME_PLAIN + 8u)
#define GOLDEN_STREAM (1u << 20)

/* FRAME_PLAIN zeros: one RLE block under a 4-byte content size. */
static const uint8_t golden_zeros[] = { 0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0x00,
	0x00, 0x02, 0x00, 0x03, 0x00, 0x10, 0x00 };

/* 128 times 'u', likewise, under a 1-byte content size. */
static const uint8_t golden_us[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x80, 0x03,
	0x04, 0x00, 'u' };

static const struct cdc golden_cdc = { 2048, 8192, 32768 };

static const struct descriptor golden_descriptor = { "photos", "nas",
	1790000000000000000 };

/* Sixteen bytes that count up from first. */
static inline struct pluri_id golden_id(uint8_t first)
{
	struct pluri_id id;

	for (unsigned i = 0; i < PLURI_ID_BYTES; i++)
		id.b[i] = (uint8_t)(first + i);
	return id;
}

/* Master key: 00 01 .. 1f. Volume: a0 .. af. */
static inline int golden_keys(struct keys **ret)
{
	const struct pluri_id volume = golden_id(0xa0);
	uint8_t master[PLURI_KEY_BYTES];

	for (unsigned i = 0; i < PLURI_KEY_BYTES; i++)
		master[i] = (uint8_t)i;
	return keys_new(master, &volume, ret, NULL);
}

/* Chunk 0: text; 1: 128 'u'; 2: FRAME_PLAIN zeros and "12345678". malloc'd. */
static inline uint8_t *golden_plain(unsigned chunk, size_t *ret_len)
{
	static const size_t sizes[] = { sizeof(GOLDEN_TEXT) - 1, 128,
		GOLDEN_BIG };
	uint8_t *p = calloc(1, sizes[chunk]);

	*ret_len = sizes[chunk];
	if (!p)
		return NULL;
	if (chunk == 0)
		memcpy(p, GOLDEN_TEXT, sizes[0]);
	else if (chunk == 1)
		memset(p, 'u', sizes[1]);
	else
		memcpy(p + FRAME_PLAIN, "12345678", 8);
	return p;
}

static inline int golden_encoded(const struct keys *keys, unsigned chunk,
	struct encoded *to)
{
	size_t len = 0;
	pluri_auto_mem uint8_t *p = golden_plain(chunk, &len);

	if (!p)
		return -1;
	*to = (struct encoded){ .plain = (uint32_t)len, .frames = 1 };
	if (chunk == 0) {
		to->frame[0] = (struct encoded_frame){ (uint32_t)len,
			(uint32_t)len, false, (const uint8_t *)GOLDEN_TEXT };
	} else if (chunk == 1) {
		to->frame[0] = (struct encoded_frame){ 128, sizeof(golden_us),
			true, golden_us };
	} else {
		to->frames = 2;
		to->frame[0] = (struct encoded_frame){ FRAME_PLAIN,
			sizeof(golden_zeros), true, golden_zeros };
		to->frame[1] = (struct encoded_frame){ 8, 8, false,
			(const uint8_t *)"12345678" };
	}
	return digest_chunk(keys, (struct pluri_span){ p, len }, &to->id);
}

/* Pack b0 .. bf of these chunks, into an empty file. */
static inline int golden_pack(const struct keys *keys, int fd,
	struct pack_seal *ret)
{
	const struct pluri_id id = golden_id(0xb0);
	pluri_auto(pack_writer) w = NULL;
	struct pack_place at;
	int r = pack_create(keys, &id, fd, &w, NULL);

	for (unsigned i = 0; r == 0 && i < GOLDEN_CHUNKS; i++) {
		struct encoded e;

		r = golden_encoded(keys, i, &e);
		if (r == 0)
			r = pack_append(w, &e, &at, NULL);
	}
	return r < 0 ? r : pack_close(w, ret, NULL);
}

/* Shard 1 (others cannot be) of mirror:2 of that pack. */
static inline void golden_shard(const struct keys *keys,
	const struct pack_seal *seal, uint8_t index, uint8_t to[SHARD_HEAD])
{
	const struct shard_head h = { *keys_volume(keys), golden_id(0xb0),
		{ STRIPE_MIRROR, 1, 1 }, index, seal->bytes, seal->sum,
		seal->bytes, seal->sum };

	shard_head_encode(&h, to);
}

/* A stream for cutting: x = x * 6364136223846793005 + 1, its top bytes. */
static inline void golden_stream(uint8_t *to)
{
	uint64_t x = 0;

	for (size_t i = 0; i < GOLDEN_STREAM; i++) {
		x = x * UINT64_C(6364136223846793005) + 1;
		to[i] = (uint8_t)(x >> 56);
	}
}

#endif
