/*
 * meta/tree.h - names and inodes. Confined to a bracket.
 *
 * Rules of POSIX that need no caller's identity are enforced here (type
 * clashes, emptiness, loops, link counts, NAME_MAX); permissions are the
 * kernel's (default_permissions). Every change sets the ctime and mtime that
 * POSIX asks for, from the `now` given. Failures are plain errno codes as
 * POSIX names them; they are ordinary answers, so err is only for others.
 */
#ifndef PLURI_META_TREE_H
#define PLURI_META_TREE_H

#include "meta/meta.h"

#define TREE_ROOT 1u
#define TREE_NAME_MAX 255u
#define TREE_SYMLINK_MAX 4095u
#define TREE_NLINK_MAX 65000u
#define TREE_XATTR_NAME_MAX 255u
#define TREE_XATTR_VALUE_MAX 65536u
#define TREE_XATTR_LIST_MAX 65536u

struct tree_attr {
	uint64_t ino;
	uint64_t generation;
	uint32_t mode; /* type and permissions, S_IF* */
	uint32_t uid, gid;
	uint32_t nlink;
	uint32_t rdev;
	uint64_t size;
	uint64_t bytes; /* held by extents; st_blocks is this / 512 */
	int64_t atime_ns, mtime_ns, ctime_ns;
	uint32_t policy; /* number of the policy for new data, inherited */
};

/*
 * Times are counted in ns since 1970; before 1679 and after 2261, where that
 * would leave 64 bits, in whole seconds from there on: always in order.
 */
#define TREE_TIME_FINE INT64_C(9200000000) /* seconds */
static inline int64_t tree_time(int64_t sec, int64_t nsec)
{
	const int64_t end = TREE_TIME_FINE * 1000000000;
	const int64_t most = INT64_MAX - end;

	if (sec >= TREE_TIME_FINE)
		return sec - TREE_TIME_FINE < most ? sec - TREE_TIME_FINE + end
						   : INT64_MAX;
	if (sec < -TREE_TIME_FINE)
		return sec + TREE_TIME_FINE > -most ? sec + TREE_TIME_FINE - end
						    : -INT64_MAX;
	return sec * 1000000000 + nsec;
}
static inline void tree_time_split(int64_t t, int64_t *sec, int64_t *nsec)
{
	const int64_t end = TREE_TIME_FINE * 1000000000;

	*nsec = t > end || t < -end ? 0 : t % 1000000000;
	if (t > end)
		*sec = TREE_TIME_FINE + (t - end);
	else if (t < -end)
		*sec = -TREE_TIME_FINE + (t + end);
	else
		*sec = t / 1000000000;
	if (*nsec < 0) {
		*nsec += 1000000000;
		*sec -= 1;
	}
}

/* A name: bytes, 1..TREE_NAME_MAX, no '/' or NUL; not "." or "..". */
struct tree_name {
	const char *data;
	size_t len;
};

int tree_get(struct meta_tx *tx, uint64_t ino, struct tree_attr *ret,
	struct pluri_err *err); /* -ENOENT */
int tree_lookup(struct meta_tx *tx, uint64_t dir, struct tree_name name,
	struct tree_attr *ret, struct pluri_err *err);
/* The parent of a directory ("..") */
int tree_parent(struct meta_tx *tx, uint64_t dir, uint64_t *ret,
	struct pluri_err *err);

/*
 * A new inode under a new name. In *a: mode, uid, gid, rdev (the caller has
 * applied umask and setgid rules); the rest is filled in. target: of a
 * symbolic link, else NULL. -EEXIST, -ENOENT (dir is gone), -ENAMETOOLONG.
 */
int tree_make(struct meta_tx *tx, uint64_t dir, struct tree_name name,
	const char *target, int64_t now, struct tree_attr *a,
	struct pluri_err *err);
/* The same without a name: nlink 0, on the orphan list until it is linked. */
int tree_make_nameless(struct meta_tx *tx, uint64_t dir, int64_t now,
	struct tree_attr *a, struct pluri_err *err);
int tree_link(struct meta_tx *tx, uint64_t ino, uint64_t dir,
	struct tree_name name, int64_t now, struct tree_attr *ret,
	struct pluri_err *err); /* -EMLINK, -EPERM (a directory) */

/*
 * Take a name away. *ret is the inode afterwards: with nlink 0 it is on the
 * orphan list until tree_drop(). is_dir says which of unlink and rmdir it is:
 * -EISDIR, -ENOTDIR, -ENOTEMPTY, -ENOENT.
 */
int tree_unlink(struct meta_tx *tx, uint64_t dir, struct tree_name name,
	bool is_dir, int64_t now, struct tree_attr *ret,
	struct pluri_err *err);

#define TREE_NOREPLACE 1u
#define TREE_EXCHANGE 2u
struct tree_move {
	uint64_t from_dir, to_dir;
	struct tree_name from, to;
	unsigned flags; /* TREE_* */
};
/* *ret_lost: what was replaced, ino 0 when nothing; on the orphan list when
 * its nlink is 0. With TREE_EXCHANGE: the other, which has changed as well. All
 * rules of rename(2), -EINVAL for a loop. */
int tree_rename(struct meta_tx *tx, const struct tree_move *mv, int64_t now,
	struct tree_attr *ret_moved, struct tree_attr *ret_lost,
	struct pluri_err *err);

#define TREE_SET_MODE 1u
#define TREE_SET_UID 2u
#define TREE_SET_GID 4u
#define TREE_SET_SIZE 8u /* the number alone: extents are extent.h's */
#define TREE_SET_ATIME 16u
#define TREE_SET_MTIME 32u
#define TREE_SET_CTIME 64u
#define TREE_SET_POLICY 128u
/* Set what mask names from *a; a->ino tells which. *a is the whole answer. */
int tree_set(struct meta_tx *tx, unsigned mask, struct tree_attr *a,
	struct pluri_err *err);

/* to: TREE_SYMLINK_MAX + 1 bytes, NUL-terminated. */
int tree_readlink(struct meta_tx *tx, uint64_t ino, char *to,
	struct pluri_err *err);

/*
 * Entries of dir with cookie > after, those made last first. Cookies are unique
 * and never reused, and a rename inside the directory keeps them, so a reader
 * who comes back meets every name that stayed, once, and none that he makes
 * meanwhile. each() non-zero stops the listing and
 * is not a failure. With attributes when with_attr, else only ino and type in
 * mode. "." and ".." are the caller's. each() may use the bracket, but must not
 * list again.
 */
struct tree_entry {
	struct tree_name name;
	uint64_t cookie;
	struct tree_attr attr;
};
int tree_list(struct meta_tx *tx, uint64_t dir, uint64_t after,
	bool with_attr, int (*each)(void *arg, const struct tree_entry *e),
	void *arg, struct pluri_err *err);

/* Extended attributes. flags: XATTR_CREATE, XATTR_REPLACE. -ENODATA, -EEXIST.
 * now: ctime, if anything changes; the value that is there already does not.
 * get: to->cap 0 only asks for the length; -ERANGE when it does not fit. */
int tree_setxattr(struct meta_tx *tx, uint64_t ino, const char *name,
	struct pluri_span value, int flags, int64_t now,
	struct pluri_err *err);
int tree_getxattr(struct meta_tx *tx, uint64_t ino, const char *name,
	struct pluri_room *to, struct pluri_err *err);
int tree_listxattr(struct meta_tx *tx, uint64_t ino, struct pluri_room *to,
	struct pluri_err *err);
int tree_delxattr(struct meta_tx *tx, uint64_t ino, const char *name,
	int64_t now, struct pluri_err *err);

/* 1: some inode has an attribute of this name (NULL: any), 0: none. Looks
 * through all of them. */
int tree_xattr_used(struct meta_tx *tx, const char *name,
	struct pluri_err *err);

/* Inodes without a name, after a crash too: up to max with numbers beyond
 * `after`, ascending. What claims to be one and counts links is damage, and
 * fsck.h's business. */
int tree_orphans(struct meta_tx *tx, uint64_t after, uint64_t *ret,
	unsigned max, unsigned *ret_n, struct pluri_err *err);
/* Remove an orphan's row and attributes; its extents must be gone: -EBUSY. */
int tree_drop(struct meta_tx *tx, uint64_t ino, struct pluri_err *err);

struct tree_totals {
	uint64_t inodes, bytes; /* sum of sizes */
};
int tree_totals(struct meta_tx *tx, struct tree_totals *ret,
	struct pluri_err *err); /* constant time */

#endif
