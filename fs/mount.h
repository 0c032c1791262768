/*
 * fs/mount.h - serve one volume at one directory until it is unmounted.
 *
 * The caller has become a daemon already, if it wants to be one: this function
 * starts threads, so nobody may fork behind it. Confined: once per process.
 */
#ifndef PLURI_FS_MOUNT_H
#define PLURI_FS_MOUNT_H

#include <stdbool.h>

#include "base/err.h"
#include "fs/config.h"

struct mount_request {
	const char *dir;     /* the mount point; absolute unless foreground */
	bool foreground;     /* log to the terminal, stop by Ctrl-C */
	const char *options; /* the -o string, or NULL */
	int ready_fd;	     /* written to once and closed; -1: nobody waits */
};

/*
 * Returns when the volume is unmounted and everything that can be is in the
 * clouds: 0, or the story of why it could not start (nothing is mounted then).
 *
 * ready_fd gets one byte 0 when the mount answers, and is closed. On failure
 * nothing is written to it: the caller, who has the story, tells it on a
 * duplicate of his own.
 *
 * options: the kernel's and libfuse's (allow_other, ro, dev, suid, ...), and
 * ours; an unknown one is -EINVAL with the nearest known name. The source
 * field in /proc/self/mountinfo reads "pluri:" and c->file, absolute.
 */
int mount_volume(const struct config *c, const struct mount_request *r,
	struct pluri_err *err);

#endif
