/*
 * tests/unit/chunker/sample.h - fixed keys and deterministic bytes for tests.
 */
#ifndef PLURI_TESTS_CHUNKER_SAMPLE_H
#define PLURI_TESTS_CHUNKER_SAMPLE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "chunker/digest.h"
#include "chunker/encode.h"

/* Incompressible, the same on every machine (splitmix64). */
__attribute__((unused)) static void sample_noise(void *to, size_t len,
	uint64_t seed)
{
	uint8_t *p = to;

	for (size_t i = 0; i < len; i++) {
		uint64_t z = seed + (i / 8 + 1) * 0x9e3779b97f4a7c15u;

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
		z = (z ^ z >> 27) * 0x94d049bb133111ebu;
		p[i] = (uint8_t)((z ^ z >> 31) >> 8 * (i % 8));
	}
}

__attribute__((unused)) static struct pluri_id sample_id(uint8_t first)
{
	struct pluri_id id;

	for (unsigned i = 0; i < PLURI_ID_BYTES; i++)
		id.b[i] = (uint8_t)(first + i);
	return id;
}

/* Keys of volume sample_id(volume) under a master key of equal bytes. */
__attribute__((unused)) static struct keys *sample_keys(uint8_t master,
	uint8_t volume)
{
	const struct pluri_id id = sample_id(volume);
	uint8_t bytes[PLURI_KEY_BYTES];
	struct keys *k = NULL;

	memset(bytes, master, sizeof(bytes));
	assert_int_equal(keys_new(bytes, &id, &k, NULL), 0);
	return k;
}

/* A chunk, encoded; compressed when compress. */
__attribute__((unused)) static struct encoded *sample_chunk(
	const struct keys *keys, const void *data, size_t len, bool compress)
{
	const struct encode_options o = { compress, 3 };
	const struct pluri_span plain = { data, len };
	struct pluri_digest id;
	struct encoded *e = NULL;

	assert_int_equal(digest_chunk(keys, plain, &id), 0);
	assert_int_equal(encode_chunk(&o, &id, plain, &e, NULL), 0);
	return e;
}

#endif
