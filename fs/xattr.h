/*
 * fs/xattr.h - extended attributes, and those among them that mean something:
 * access control lists (fs/acl.h) and file capabilities. Shared.
 *
 * Whether a volume has any attribute at all, any list, any capabilities is
 * remembered (a fact that is never taken back), so that the kernel's questions
 * before every first write and every foreign access cost nothing where there
 * are none. Names and permissions are judged by the kernel: user. on files and
 * directories, trusted. and security. for the privileged.
 */
#ifndef PLURI_FS_XATTR_H
#define PLURI_FS_XATTR_H

#include "fs/volume.h"
#include "meta/tree.h"

#define XATTR_CAPS "security.capability"
/* Every object has it, and no list names it: the INI's path, for the tools,
 * which find it here when -o fsname= took its place in the mount table. */
#define XATTR_CONFIG "user.pluri.config"

/* What a volume has had: bits of volume.xattrs. */
#define XATTR_ANY 1u
#define XATTR_ACL 2u
#define XATTR_CAP 4u

/* At the volume's opening. */
int xattr_open(struct volume *v, struct pluri_err *err);

struct xattr_value {
	struct pluri_span bytes;
	int flags;	/* XATTR_CREATE, XATTR_REPLACE */
	bool kill_sgid; /* of a list: the setter may not keep set-group-id */
};

/* As meta/tree.h; -EOPNOTSUPP for system.* that are no lists. A list is taken
 * over into the mode, and kept only if it says more. */
int xattr_set(struct volume *v, uint64_t ino, const char *name,
	const struct xattr_value *value, struct pluri_err *err);
/* name NULL: the list of names. */
int xattr_get(struct volume *v, uint64_t ino, const char *name,
	struct pluri_room *to, struct pluri_err *err);
int xattr_del(struct volume *v, uint64_t ino, const char *name,
	struct pluri_err *err);

/* Clear set-user-id, set-group-id and capabilities, as a change of content or
 * owner by somebody else demands: set-group-id stays on what its group may not
 * execute, if who changes it is a member. 1: there were some. */
struct xattr_who {
	bool (*member)(void *arg, uint32_t gid);
	void *arg;
};
int xattr_strip(struct volume *v, uint64_t ino, const struct xattr_who *who,
	struct pluri_err *err);

/* After chmod, in its bracket: the access list follows. */
int xattr_follow_mode(struct volume *v, struct meta_tx *tx, uint64_t ino,
	uint32_t mode, int64_t now, struct pluri_err *err);

/* What something new inherits; zero to begin with. */
struct xattr_heir {
	uint8_t *access, *deflt; /* owned; of len bytes, or NULL */
	size_t len;
};

/* Before it is made: its mode, by the directory's default list or else the
 * umask. */
int xattr_inherit(struct volume *v, struct meta_tx *tx, uint64_t dir,
	uint32_t umask, struct tree_attr *a, struct xattr_heir *ret,
	struct pluri_err *err);
/* Afterwards, in the same bracket. */
int xattr_bequeath(struct meta_tx *tx, uint64_t ino,
	const struct xattr_heir *h, int64_t now, struct pluri_err *err);
void xattr_heir_free(struct xattr_heir *h);

#endif
