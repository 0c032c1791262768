/*
 * chunker/digest.h - names and checksums of bytes.
 *
 * A chunk's name is HMAC-SHA-256 under a key derived from the volume key, so
 * equal content in two volumes does not show, and nobody without the key can
 * test a cloud for a known file. Checksums (XXH3, 64 bit) only find accidents;
 * against malice there is the AEAD tag of every frame.
 */
#ifndef PLURI_CHUNKER_DIGEST_H
#define PLURI_CHUNKER_DIGEST_H

#include "base/types.h"
#include "chunker/keys.h"

/* Any thread, with the same keys. 0 or -EIO (the library failed). */
int digest_chunk(const struct keys *keys, struct pluri_span plain,
	struct pluri_digest *ret);

uint64_t digest_sum(struct pluri_span bytes); /* XXH3-64, seed 0 */

/* The same over pieces. Confined. NULL when out of memory. */
struct digest_run;
struct digest_run *digest_run_new(void);
void digest_run_add(struct digest_run *d, struct pluri_span bytes);
uint64_t digest_run_sum(const struct digest_run *d); /* so far; may go on */
void digest_run_free(struct digest_run *d);
PLURI_OWN(digest_run);

#endif
