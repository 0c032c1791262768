/*
 * fs/fuse.h - the kernel's requests, decoded and answered; nothing else in the
 * house knows FUSE.
 *
 * Every request is answered once. Only we change the volume, so the kernel may
 * cache names and attributes without limit of time. A request that waits for
 * clouds looks for its interrupt.
 */
#ifndef PLURI_FS_FUSE_H
#define PLURI_FS_FUSE_H

#include "fs/volume.h"

struct fuse;

/*
 * Mount v at dir; options: what the -o string has for kernel and libfuse.
 * -EINVAL (an option), -EPERM, -ENODEV (no /dev/fuse)...
 */
int fuse_start(struct volume *v, const char *dir, const char *options,
	struct fuse **ret, struct pluri_err *err);

/* Serve until it is unmounted, or SIGINT, SIGTERM or SIGHUP ask. */
int fuse_serve(struct fuse *f, struct pluri_err *err);

/* Unmount if it still is; NULL is fine. */
void fuse_stop(struct fuse *f);

#endif
