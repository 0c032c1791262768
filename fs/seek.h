/*
 * fs/seek.h - where the bytes of a file are, and where its holes. Shared.
 */
#ifndef PLURI_FS_SEEK_H
#define PLURI_FS_SEEK_H

#include "fs/node.h"

/*
 * As lseek(2) with SEEK_DATA, or with SEEK_HOLE when hole: where from off on
 * the next byte is that somebody wrote, recorded or not, or the next that
 * nobody did; the end counts as a hole. -ENXIO: off is behind the end, or no
 * byte follows.
 *
 * What only the kernel knows yet, in pages that it has not written back, is a
 * hole here: with a write-back cache nobody may be told.
 */
int seek_next(struct volume *v, struct node *n, bool hole, uint64_t off,
	uint64_t *ret, struct pluri_err *err);

#endif
