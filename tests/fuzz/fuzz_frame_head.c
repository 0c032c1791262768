#include <string.h>

#include "chunker/frame.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[FRAME_HEAD_PLAIN];
	struct frame_head h;

	if (size != FRAME_HEAD_PLAIN || frame_head_decode(data, &h, NULL) < 0)
		return 0;
	frame_head_encode(&h, again);
	FUZZ_CHECK(memcmp(again, data, FRAME_HEAD_PLAIN) == 0);
	return 0;
}
