/* Tried as it is, and with its last 8 bytes replaced by the right sum. */
#include <string.h>

#include "base/wire.h"
#include "chunker/digest.h"
#include "chunker/stripe.h"

#include "tests/fuzz/fuzz.h"

static void try_head(const uint8_t bytes[SHARD_HEAD])
{
	uint8_t again[SHARD_HEAD];
	struct shard_head h;

	if (shard_head_decode(bytes, &h, NULL) < 0)
		return;
	FUZZ_CHECK(layout_shards(&h.layout) <= PLURI_SHARDS_MAX);
	shard_head_encode(&h, again);
	FUZZ_CHECK(memcmp(again, bytes, SHARD_HEAD) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t summed[SHARD_HEAD];
	struct wire_out w = {summed + SHARD_HEAD - 8, 8, false};

	if (size != SHARD_HEAD)
		return 0;
	try_head(data);
	memcpy(summed, data, SHARD_HEAD);
	wire_put(&w, digest_sum((struct pluri_span){data, SHARD_HEAD - 8}), 8);
	try_head(summed);
	return 0;
}
