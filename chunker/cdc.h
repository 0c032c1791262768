/*
 * chunker/cdc.h - where to cut a byte stream, chosen by content.
 *
 * FastCDC with normalised chunking (Xia et al., USENIX ATC 2016): a gear hash
 * rolls over the bytes; a cut falls where masked bits are zero, with a harder
 * mask before avg and an easier one after it. Equal bytes cut equally wherever
 * they stand, so an insertion disturbs only the chunks near it. With
 * min == avg == max every cut is at max: fixed chunking.
 *
 * The gear table and mask rule are format (docs/FORMAT.md), not tuning: they
 * decide what deduplicates. Pure: no allocation, no I/O, no state.
 */
#ifndef PLURI_CHUNKER_CDC_H
#define PLURI_CHUNKER_CDC_H

#include "base/err.h"
#include "base/types.h"

/* Bytes: 64 <= min <= avg <= max <= PLURI_CHUNK_MAX, avg a power of two. */
struct cdc {
	uint32_t min, avg, max;
};

/* The defaults: 256 KiB, 1 MiB, 4 MiB; and 1 MiB fixed. */
extern const struct cdc cdc_default;
extern const struct cdc cdc_fixed;

/* Judge parameters from outside: 0, or -EINVAL with the story in *err. */
int cdc_check(const struct cdc *c, struct pluri_err *err);

/*
 * Length in bytes, within [min, max], of the first chunk of buf[0..len).
 * 0: no cut yet, come back with more; never when len >= max. At end of file
 * the caller takes whatever is left as the last chunk. buf is only borrowed.
 */
size_t cdc_cut(const struct cdc *c, const uint8_t *buf, size_t len);

#endif
