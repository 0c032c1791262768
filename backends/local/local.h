/*
 * backends/local/local.h - inside of the local plugin: objects are files below
 * a root directory, named as their keys, so that any tool can copy them.
 *
 * Shared. The root is opened anew for every call and everything else is opened
 * below that descriptor: an object is only missing when the root was there.
 * Symbolic links are never followed. A part of a key is a file name, so it
 * ends at 255 bytes, and "a" and "a/b" cannot both exist: -EINVAL.
 *
 * A put writes to a file without a name, which is gone if the process is, and
 * gets its name when it is whole and synced. Where the filesystem has no such
 * files it is one in LOCAL_TMP, which is swept when it is an hour old.
 */
#ifndef PLURI_BACKENDS_LOCAL_LOCAL_H
#define PLURI_BACKENDS_LOCAL_LOCAL_H

#include <limits.h>
#include <stdbool.h>

#include "backends/backend.h"

#define LOCAL_PAGE_KEYS 1000u
#define LOCAL_CONCURRENCY 16u
#define LOCAL_OBJECT_MAX (UINT64_C(1) << 40)

/* '~' is in no key, so this directory is never an object's. */
#define LOCAL_TMP ".tmp~"
#define LOCAL_TMP_STALE_S 3600

struct pluri_backend {
	char root[PATH_MAX];
	bool create;	/* make the root at first use; not its parents */
	uint32_t used;	/* atomic: the root was there once */
	uint32_t swept; /* atomic: stale temporaries have been looked for */
	uint32_t named; /* atomic: files without a name got none there */
};

/* Tell errno `e` of doing `what` in our classes; returns the negative code. */
int local_fail(const struct pluri_backend *b, int e, const char *what,
	const char *key, struct pluri_err *err);

/* The root's descriptor, or -EAGAIN when it is not there. */
int local_root(struct pluri_backend *b, struct pluri_err *err);

/*
 * The descriptor of the directory that holds key, and key's last part.
 * make: missing directories are made and all of them brought to disk.
 * -ENOENT (without story) when one is missing.
 */
int local_parent(struct pluri_backend *b, const char *key, bool make,
	const char **ret_leaf, struct pluri_err *err);

/* Bring a directory's names to disk; 0 or -errno. */
int local_sync(int fd);

int local_put(struct pluri_backend *b, struct pluri_call *call,
	const char *key, const struct pluri_body *body, uint32_t flags,
	struct pluri_err *err);

int local_list(struct pluri_backend *b, struct pluri_call *call,
	const char *prefix, struct pluri_page *page, struct pluri_err *err);

#endif
