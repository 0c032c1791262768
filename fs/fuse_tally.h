/*
 * fs/fuse_tally.h - the kernel's requests, counted and timed at the one door
 * through which all of them come and all answers leave (fs/fuse_wire.c).
 *
 * A request is answered by the thread that took it, before it takes another.
 * It is counted when its answer is complete, just before the kernel gets that:
 * whoever has seen the answer finds it counted.
 */
#ifndef PLURI_FS_FUSE_TALLY_H
#define PLURI_FS_FUSE_TALLY_H

#include <stdint.h>
#include <sys/uio.h>

#include "fs/stats.h"

/* The calling thread has taken a request: an opcode of linux/fuse.h. */
void fuse_tally_asked(struct stats *s, uint32_t opcode);
/* Its answer, or a notice of ours to the kernel, which is not counted. */
void fuse_tally_answered(struct stats *s, const struct iovec *iov, int count);

#endif
