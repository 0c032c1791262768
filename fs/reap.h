/*
 * fs/reap.h - inodes that nothing leads to any more: their extents and rows
 * are removed in the background, in bounded steps, small ones many at once.
 * What a crash leaves is on the orphan list of the database. Shared.
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
/* Now and then: those that were told of lately have waited for company. */
void reap_tick(struct reap *r);

/* At open: everything on the orphan list; huge ones go on in the background. */
int reap_all(struct reap *r, struct pluri_err *err);

#endif
