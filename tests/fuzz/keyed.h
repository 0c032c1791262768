/*
 * tests/fuzz/keyed.h - fixed keys, so that targets can seal what they fuzz:
 * no random input gets past a tag, yet a decoder must survive a bug, or a
 * malice, that holds the key.
 */
#ifndef PLURI_TESTS_FUZZ_KEYED_H
#define PLURI_TESTS_FUZZ_KEYED_H

#include <string.h>

#include "chunker/seal.h"

#include "tests/fuzz/fuzz.h"

#define KEYED_VOLUME 0xa0
#define KEYED_PACK 0xb0

static inline struct pluri_id keyed_id(uint8_t first)
{
	struct pluri_id id;

	for (unsigned i = 0; i < PLURI_ID_BYTES; i++)
		id.b[i] = (uint8_t)(first + i);
	return id;
}

/* Those of the golden files. */
static inline struct keys *keyed_keys(void)
{
	const struct pluri_id volume = keyed_id(KEYED_VOLUME);
	uint8_t master[PLURI_KEY_BYTES];
	struct keys *k = NULL;

	for (unsigned i = 0; i < PLURI_KEY_BYTES; i++)
		master[i] = (uint8_t)i;
	FUZZ_CHECK(keys_new(master, &volume, &k, NULL) == 0);
	return k;
}

/* Seal len bytes into to, under keyed_id(pack). */
static inline void keyed_seal(const struct keys *keys, uint8_t pack,
	enum seal_domain domain, uint64_t off, struct pluri_span aad,
	struct pluri_span plain, uint8_t *to)
{
	const struct pluri_id id = keyed_id(pack);
	pluri_auto(sealer) s = NULL;

	FUZZ_CHECK(sealer_new(keys, &id, &s, NULL) == 0);
	FUZZ_CHECK(sealer_seal(s, domain, off, aad, plain, to) == 0);
}

/* Volume id and pack id: the associated data of all but frame bodies. */
static inline struct pluri_span keyed_aad(const struct keys *keys,
	uint8_t to[2 * PLURI_ID_BYTES])
{
	const struct pluri_id id = keyed_id(KEYED_PACK);

	memcpy(to, keys_volume(keys)->b, PLURI_ID_BYTES);
	memcpy(to + PLURI_ID_BYTES, id.b, PLURI_ID_BYTES);
	return (struct pluri_span){ to, 2 * PLURI_ID_BYTES };
}

#endif
