/*
 * fs/trail.h - what the reads of a file have looked like lately, so that a
 * reader who goes on as he did is recognised. Shared.
 *
 * Requests carry no handle (the kernel opens files by itself), so a stream is
 * known by its file and by where it would go on: several streams of one file
 * have a trail each. There are three kinds: one read touches the end of another
 * (or begins a file); each third read is as far from the second, forward or
 * backward, as that from the first; and the same in strides so wide that what
 * lies between is left out. A stream is looked for among the last few reads of
 * the file, so streams may take turns; random reads make none. A bounded
 * table; the longest unused trail is forgotten.
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

#define TRAIL_STEP_MIN (1u << 20) /* bytes of one prefetch */
#define TRAIL_STEP_MAX (8u << 20)

struct trail_step {
	bool on; /* the read is of a stream */
	/* Prefetch `count` ranges, each `stride` behind the one before it;
	 * the first is: */
	uint64_t from, upto;
	int64_t stride;
	unsigned count;
};

/* How far to go ahead: one stream, and all that were seen lately together, of
 * which each has an equal part. */
struct trail_room {
	uint64_t window, all; /* bytes */
	uint64_t now_ms; /* monotonic */
};

/*
 * A read of [off, off + len) came; what to prefetch for it. The window grows
 * fourfold whenever a quarter of it was read; steps grow with it. It is no more
 * than what the stream took in 5 s at its pace, and 1 MiB at least: what a slow
 * line has been asked for must not hold up for long what is wanted next, nor
 * take longer than a call may. The kernel's
 * own read-ahead sends requests that overtake each other: a little out of order
 * is still on.
 */
void trail_note(struct trails *t, uint64_t ino, uint64_t off, uint64_t len,
	const struct trail_room *room, struct trail_step *ret);

#endif
