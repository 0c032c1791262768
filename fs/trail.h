/*
 * fs/trail.h - what the reads of a file have looked like lately, so that a
 * reader that goes on where it ended is recognised. Shared.
 *
 * Requests carry no handle (the kernel opens files by itself), so a stream is
 * known by its file and by where it would go on: several streams of one file
 * have a trail each. A bounded table; the longest unused trail is forgotten.
 */
#ifndef PLURI_FS_TRAIL_H
#define PLURI_FS_TRAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/own.h"

struct trails;

int trails_new(struct trails **ret, struct pluri_err *err);
void trails_free(struct trails *t);
PLURI_OWN(trails);

struct trail_step {
	bool on;	/* the read goes on where one ended, or begins a file */
	uint64_t from, upto; /* prefetch this; empty when from >= upto */
};

/*
 * A read of [off, off + len) came; what to prefetch for it, in multiples of
 * align, no further than window_max ahead. The kernel's own read-ahead sends
 * requests that overtake each other: a little out of order is still on.
 */
void trail_note(struct trails *t, uint64_t ino, uint64_t off, uint64_t len,
	uint32_t align, uint32_t window_max, struct trail_step *ret);

#endif
