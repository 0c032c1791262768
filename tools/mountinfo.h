/*
 * tools/mountinfo.h - which mounted volume a path lies in, as the kernel tells
 * in /proc/self/mountinfo. Never touches the filesystem behind a mount point,
 * since its daemon may be dead.
 */
#ifndef PLURI_TOOLS_MOUNTINFO_H
#define PLURI_TOOLS_MOUNTINFO_H

#include <limits.h>

#include "base/err.h"

struct mountinfo {
	char dir[PATH_MAX];    /* the mount point, absolute */
	char config[PATH_MAX]; /* the volume's INI, absolute */
	char path[PATH_MAX];   /* the asked path below dir, "" for itself */
};

/* -ENOENT when path is not in a mounted volume, with what it is in. */
int mountinfo_find(const char *path, struct mountinfo *ret,
	struct pluri_err *err);

/*
 * The same for an absolute path without ".", ".." or symbolic links and the
 * text of a mountinfo file.
 */
int mountinfo_match(const char *text, const char *path, struct mountinfo *ret,
	struct pluri_err *err);

#endif
