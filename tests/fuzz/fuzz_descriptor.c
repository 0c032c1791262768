/*
 * The input is a byte for the salt and the 184 bytes that a descriptor seals;
 * what is accepted must encode to the same bytes. It is also tried as it is.
 */
#include "base/wire.h"
#include "chunker/descriptor.h"
#include "chunker/digest.h"

#include "tests/fuzz/keyed.h"

#define PLAIN 48u
#define SECRET 184u

static void try_secret(const struct keys *keys, const uint8_t *data)
{
	uint8_t bytes[DESCRIPTOR_BYTES] = "PLURIVOL\1";
	uint8_t again[DESCRIPTOR_BYTES];
	struct wire_out w = {bytes + DESCRIPTOR_BYTES - 8, 8, false};
	const struct pluri_id salt = keyed_id(data[0]);
	struct descriptor d;

	memcpy(bytes + 16, keys_volume(keys)->b, PLURI_ID_BYTES);
	memcpy(bytes + 32, salt.b, PLURI_ID_BYTES);
	keyed_seal(keys, data[0], SEAL_VOLUME, 0,
		(struct pluri_span){bytes, PLAIN},
		(struct pluri_span){data + 1, SECRET}, bytes + PLAIN);
	wire_put(&w,
		digest_sum((struct pluri_span){bytes, DESCRIPTOR_BYTES - 8}),
		8);
	if (descriptor_decode(keys, (struct pluri_span){bytes, sizeof(bytes)},
		    &d, NULL, NULL) < 0)
		return;
	FUZZ_CHECK(descriptor_encode(keys, &d, &salt, again) == 0);
	FUZZ_CHECK(memcmp(again, bytes, sizeof(bytes)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	pluri_auto(keys) keys = keyed_keys();
	struct descriptor d;

	(void)descriptor_decode(
		keys, (struct pluri_span){data, size}, &d, NULL, NULL);
	if (size == 1 + SECRET)
		try_secret(keys, data);
	return 0;
}
