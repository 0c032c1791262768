/*
 * fs/owing.h - which packs a file's bytes may wait for on their way to the
 * clouds.
 *
 * An fsync that promises the clouds waits for the packs that got bytes of the
 * file, not for whatever others write: a lock file is not to wait behind a
 * backup. Few packs are remembered one by one; what is not known that exactly
 * (content that was stored already, a copy by reference, a file that was
 * written before it was looked at, many packs) is remembered as "all up to".
 *
 * Pure. Confined: with node->lock held.
 */
#ifndef PLURI_FS_OWING_H
#define PLURI_FS_OWING_H

#include <stdint.h>

#define OWING_MAX 8u

struct owing {
	uint64_t upto; /* all packs up to this number; 0: none so */
	unsigned n;
	uint64_t pack[OWING_MAX]; /* numbers; those above upto matter */
};

void owing_add(struct owing *o, uint64_t pack);
void owing_upto(struct owing *o, uint64_t upto);
/* What `seen` says is safe in the clouds; *o may have got more since. */
void owing_settle(struct owing *o, const struct owing *seen);

#endif
