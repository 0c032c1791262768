/*
 * fs/fuse_wire.h - what the kernel says and libfuse does not pass on.
 *
 * The kernel's protocol (linux/fuse.h) is richer than the library's handlers:
 * who clears set-id bits (FUSE_HANDLE_KILLPRIV_V2), the extended setxattr
 * (FUSE_SETXATTR_EXT), files without a name (FUSE_TMPFILE). Requests are read
 * and answers written by functions of ours, which agree to those abilities in
 * the answer to INIT, keep for the handler what the library drops, and turn
 * the rest into what it knows. Everything else stays the library's.
 *
 * The questions below are answered for the request that the calling thread has
 * in hand: handlers run in the thread that read the request.
 */
#ifndef PLURI_FS_FUSE_WIRE_H
#define PLURI_FS_FUSE_WIRE_H

#include <stdbool.h>

#include "base/err.h"

struct fuse_session;

/* A file without a name comes as a create of this name, which no program can
 * ask for. */
#define FUSE_WIRE_NAMELESS "/"

/* After fuse_session_mount(). */
int fuse_wire_attach(struct fuse_session *se, struct pluri_err *err);

/* A write, truncation or chown has to clear set-user-id, set-group-id and file
 * capabilities. */
bool fuse_wire_kills(void);
/* Setting this access list has to clear set-group-id. */
bool fuse_wire_kills_sgid(void);

#endif
