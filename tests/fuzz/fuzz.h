/*
 * tests/fuzz/fuzz.h - what every fuzz target needs.
 *
 * A target is one decoder: it must not crash, and what it accepts must encode
 * to the same bytes again. Under libFuzzer the library brings main(); in a
 * plain `meson test`, replay.c runs the committed corpus.
 */
#ifndef PLURI_TESTS_FUZZ_H
#define PLURI_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The oracle; not assert(), which a release build leaves out. */
#define FUZZ_CHECK(x)                                                         \
	do {                                                                  \
		if (!(x))                                                     \
			abort();                                              \
	} while (0)

#endif
