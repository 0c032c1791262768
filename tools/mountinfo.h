/*
 * tools/mountinfo.h - which mounted volume a path lies in, as the kernel tells
 * in /proc/self/mountinfo. The filesystem behind a mount point is not touched,
 * since its daemon may be dead; only a FUSE mount that bears another name
 * (-o fsname=, -o subtype=) is asked whether it is one of ours.
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
 * text of a mountinfo file. config is "" for a mount that has to be asked.
 */
int mountinfo_match(const char *text, const char *path, struct mountinfo *ret,
	struct pluri_err *err);

#endif
