/*
 * fs/trim.h - what was cut off huge files goes in the background. Shared.
 *
 * A cut removes few extents and leaves the rest to a thread (meta/extent.h has
 * the rule), which goes on after a crash. Its brackets are short, and it
 * rests after each, since brackets are handed out in no order.
 */
#ifndef PLURI_FS_TRIM_H
#define PLURI_FS_TRIM_H

#include "fs/volume.h"

struct trim;

int trim_new(struct volume *v, struct trim **ret, struct pluri_err *err);
void trim_free(struct trim *t); /* within a step; the rest can wait */
PLURI_OWN(trim);

/* Within the bracket of a cut that has left something to do. */
void trim_mark(struct volume *v);

/*
 * Would bytes of ino that end at `end` be recorded among the dead? With the
 * node's lock held, so that the answer holds as long as that. 1, 0, -errno.
 */
int trim_blocks(struct volume *v, uint64_t ino, uint64_t end,
	struct pluri_err *err);

/* Nothing of ino is dead any more when this returns 0. Takes as long as there
 * is to do; no lock may be held. */
int trim_finish(struct volume *v, uint64_t ino, struct pluri_err *err);

/* Between two brackets of many: who waits for one gets it. */
void trim_rest(void);

#endif
