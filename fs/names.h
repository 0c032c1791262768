/*
 * fs/names.h - operations on names, for whoever asks: the rules that need the
 * caller's identity or the nodes in hand, over meta/tree.h. Shared.
 *
 * Failures are the errno codes that POSIX names. What an operation answers is
 * as stat() shows it, bytes not yet flushed included. Permissions are the
 * kernel's business.
 */
#ifndef PLURI_FS_NAMES_H
#define PLURI_FS_NAMES_H

#include "fs/volume.h"
#include "meta/tree.h"

int names_stat(struct volume *v, uint64_t ino, struct tree_attr *ret,
	struct pluri_err *err);
/* "." and ".." too: an inode whose handle came from elsewhere. */
int names_lookup(struct volume *v, uint64_t dir, const char *name,
	struct tree_attr *ret, struct pluri_err *err);

/*
 * A new inode: *a brings mode, uid, gid, rdev of the caller and takes the
 * answer; in a set-group-id directory the group is the directory's, and new
 * directories have the bit too. The directory's default access list bounds the
 * mode and is inherited; without one the umask does. Without a name it lives
 * until the kernel forgets it, or links it.
 */
struct names_new {
	const char *name;   /* NULL: none */
	const char *target; /* of a symbolic link, else NULL */
	uint32_t umask;
};
int names_make(struct volume *v, uint64_t dir, const struct names_new *new,
	struct tree_attr *a, struct pluri_err *err);
int names_link(struct volume *v, uint64_t ino, uint64_t dir,
	const char *name, struct tree_attr *ret, struct pluri_err *err);
int names_unlink(struct volume *v, uint64_t dir, const char *name,
	bool is_dir, struct pluri_err *err);
int names_rename(struct volume *v, const struct tree_move *mv,
	struct pluri_err *err);
int names_readlink(struct volume *v, uint64_t ino,
	char to[TREE_SYMLINK_MAX + 1], struct pluri_err *err);

/*
 * Entries of a directory behind a cookie, as tree_list() has them, without
 * attributes. each() runs inside the bracket: it is quick, and asks nothing.
 */
int names_walk(struct volume *v, uint64_t dir, uint64_t after,
	int (*each)(void *arg, const struct tree_entry *e), void *arg,
	struct pluri_err *err);

/* The same with attributes, a page at most; names are copied. */
struct names_entry {
	char name[TREE_NAME_MAX + 1];
	uint64_t cookie;
	struct tree_attr attr;
};
struct names_page { /* the caller brings entry and max; n is the answer */
	struct names_entry *entry;
	unsigned max, n;
};
int names_list(struct volume *v, uint64_t dir, uint64_t after,
	struct names_page *ret, struct pluri_err *err);
int names_parent(struct volume *v, uint64_t dir, uint64_t *ret,
	struct pluri_err *err);

/* A directory was listed, or a link read: the access time, sparingly. A
 * failure is nobody's concern. */
void names_accessed(struct volume *v, uint64_t ino);

#endif
