/*
 * fs/reap.h - inodes that nothing leads to any more: their extents and rows
 * are removed in the background, in bounded steps, small ones many at once.
 * While many are told of they wait, or who removes would wait for them: until
 * it is calm, or two seconds, or some 16,000. What a crash or an unmount leaves
 * is on the orphan list of the database. Shared.
 */
#ifndef PLURI_FS_REAP_H
#define PLURI_FS_REAP_H

#include "fs/volume.h"

struct reap;

/* held: is somebody using the inode? Then it is left alone. */
int reap_new(struct volume *v, bool (*held)(void *arg, uint64_t ino),
	void *arg, struct reap **ret, struct pluri_err *err);
void reap_free(struct reap *r); /* what is left can wait */

/* It is not in use any more, and has no name. */
void reap_soon(struct reap *r, uint64_t ino);
/* Twice a second or so: for the calm it is looked then. */
void reap_tick(struct reap *r);

/* At open: everything on the orphan list; huge ones go on in the background. */
int reap_all(struct reap *r, struct pluri_err *err);

#endif
