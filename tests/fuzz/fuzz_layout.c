#include <string.h>

#include "chunker/stripe.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	char again[LAYOUT_TEXT];
	struct pluri_err err;
	struct layout l;

	FUZZ_CHECK(text);
	memcpy(text, data, size);
	text[size] = 0;
	if (layout_parse(text, &l, &err) == 0) {
		FUZZ_CHECK(layout_shards(&l) <= PLURI_SHARDS_MAX);
		FUZZ_CHECK(strcmp(layout_text(&l, again), text) == 0);
	}
	free(text);
	return 0;
}
