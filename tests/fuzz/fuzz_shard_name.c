#include <string.h>

#include "chunker/stripe.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *name = malloc(size + 1);
	char again[PLURI_OBJECT_KEY_MAX + 1];
	struct pluri_id pack;
	unsigned index;

	FUZZ_CHECK(name);
	memcpy(name, data, size);
	name[size] = 0;
	if (shard_name_parse(name, &pack, &index) == 0) {
		shard_name(&pack, index, again);
		FUZZ_CHECK(strcmp(again, name) == 0);
	}
	free(name);
	return 0;
}
