#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fs/fuse_int.h"
#include "fs/fuse_wire.h"
#include "fs/node.h"
#include "fs/xattr.h"

static void fuse_lookup(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	struct tree_attr a = {0};
	struct pluri_err err = {0};
	const int r = names_lookup(fuse_volume(req), dir, name, &a, &err);

	if (r == -ENOENT) {
		/* Remembered by the kernel, too: only it can make the name. */
		const struct fuse_entry_param none = {.entry_timeout = 86400.0};

		(void)fuse_reply_entry(req, &none);
	} else if (r < 0) {
		fuse_answer_err(req, r, &err);
	} else {
		fuse_answer_entry(req, &a);
	}
}

static void fuse_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	node_forget(fuse_volume(req)->nodes, ino, count);
	fuse_reply_none(req);
}

static void fuse_forget_multi(
	fuse_req_t req, size_t n, struct fuse_forget_data *f)
{
	for (size_t i = 0; i < n; i++)
		node_forget(fuse_volume(req)->nodes, f[i].ino, f[i].nlookup);
	fuse_reply_none(req);
}

static void fuse_getattr(
	fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct tree_attr a = {0};
	struct pluri_err err = {0};
	const int r = names_stat(fuse_volume(req), ino, &a, &err);

	(void)fi;
	if (r < 0)
		fuse_answer_err(req, r, &err);
	else
		fuse_answer_attr(req, &a);
}

static int64_t fuse_ns(const struct timespec *t)
{
	return tree_time(t->tv_sec, t->tv_nsec);
}

static unsigned fuse_set_mask(
	const struct stat *st, int to_set, int64_t now, struct tree_attr *a)
{
	unsigned mask = 0;

	if (to_set & FUSE_SET_ATTR_MODE) {
		mask |= TREE_SET_MODE;
		a->mode = st->st_mode;
	}
	if (to_set & FUSE_SET_ATTR_UID) {
		mask |= TREE_SET_UID;
		a->uid = st->st_uid;
	}
	if (to_set & FUSE_SET_ATTR_GID) {
		mask |= TREE_SET_GID;
		a->gid = st->st_gid;
	}
	if (to_set & FUSE_SET_ATTR_SIZE) {
		mask |= TREE_SET_SIZE;
		a->size = (uint64_t)st->st_size;
	}
	if (to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW)) {
		mask |= TREE_SET_ATIME;
		a->atime_ns = to_set & FUSE_SET_ATTR_ATIME_NOW
				      ? now
				      : fuse_ns(&st->st_atim);
	}
	if (to_set & FUSE_SET_ATTR_CTIME) { /* the kernel's own account of it */
		mask |= TREE_SET_CTIME;
		a->ctime_ns = fuse_ns(&st->st_ctim);
	}
	if (to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)) {
		mask |= TREE_SET_MTIME;
		a->mtime_ns = to_set & FUSE_SET_ATTR_MTIME_NOW
				      ? now
				      : fuse_ns(&st->st_mtim);
	}
	return mask;
}

/*
 * Owner and group to what they are: set-id bits go, but not by anybody. A
 * write of others looks the same; it takes the bits away when it comes. Only
 * where the kernel keeps the times is it known to be a chown (sure): then who
 * may not take them is refused.
 */
static int fuse_chown_nothing(
	fuse_req_t req, fuse_ino_t ino, bool sure, struct pluri_err *err)
{
	const struct xattr_who who = fuse_who(req);
	struct volume *v = fuse_volume(req);
	const uid_t uid = fuse_req_ctx(req)->uid;
	struct tree_attr a = {0};
	const int r = names_stat(v, ino, &a, err);

	if (r < 0 || S_ISDIR(a.mode) || !(a.mode & (S_ISUID | S_ISGID)))
		return r;
	if (uid == 0 || uid == a.uid)
		return xattr_strip(v, ino, &who, err);
	if (!(a.mode & (S_ISUID | S_IXGRP)) && who.member(who.arg, a.gid))
		return 0; /* the group may not run it: that one stays */
	return sure ? -EPERM : 0;
}

static void fuse_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st,
	int to_set, struct fuse_file_info *fi)
{
	struct volume *v = fuse_volume(req);
	const int64_t now = clock_real_ns(v->clock);
	const struct xattr_who who = fuse_who(req);
	struct tree_attr a = {.ino = ino};
	struct pluri_err err = {0};
	struct node *n = NULL;
	const unsigned mask = fuse_set_mask(st, to_set, now, &a);
	int r = node_pin(v->nodes, ino, &n);

	(void)fi;
	if (r >= 0 && fuse_wire_kills())
		r = xattr_strip(v, ino, &who, &err);
	else if (r >= 0 && (to_set & ~FUSE_SET_ATTR_CTIME) == 0)
		r = fuse_chown_nothing(req, ino, to_set != 0, &err);
	if (r >= 0)
		r = write_setattr(v, n, mask, now, &a, &err);
	node_unpin(v->nodes, n);
	if (r < 0)
		fuse_answer_err(req, r, &err);
	else
		fuse_answer_attr(req, &a);
}

static void fuse_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char to[TREE_SYMLINK_MAX + 1];
	struct pluri_err err = {0};
	const int r = names_readlink(fuse_volume(req), ino, to, &err);

	if (r < 0) {
		fuse_answer_err(req, r, &err);
		return;
	}
	names_accessed(fuse_volume(req), ino);
	(void)fuse_reply_readlink(req, to);
}

/* In the caller's name. */
static int fuse_new(fuse_req_t req, fuse_ino_t dir, const char *name,
	const char *target, struct tree_attr *a, struct pluri_err *err)
{
	const struct fuse_ctx *who = fuse_req_ctx(req);
	const struct names_new new = {
		.name = name, .target = target, .umask = who->umask};

	a->uid = who->uid;
	a->gid = who->gid;
	return names_make(fuse_volume(req), dir, &new, a, err);
}

static void fuse_make(fuse_req_t req, fuse_ino_t dir, const char *name,
	const char *target, struct tree_attr *a)
{
	struct pluri_err err = {0};
	const int r = fuse_new(req, dir, name, target, a, &err);

	if (r < 0)
		fuse_answer_err(req, r, &err);
	else
		fuse_answer_entry(req, a);
}

/* A file is made by mknod, which needs no release; but for one without a name
 * (O_TMPFILE) the kernel knows no other way. */
static void fuse_create(fuse_req_t req, fuse_ino_t dir, const char *name,
	mode_t mode, struct fuse_file_info *fi)
{
	struct volume *v = fuse_volume(req);
	struct tree_attr a = {.mode = S_IFREG | (mode & 07777)};
	struct fuse_entry_param e;
	struct pluri_err err = {0};
	int r = -ENOSYS;

	if (strcmp(name, FUSE_WIRE_NAMELESS) == 0)
		r = fuse_new(req, dir, NULL, NULL, &a, &err);
	if (r >= 0)
		r = node_looked_up(v->nodes, a.ino);
	if (r < 0) {
		fuse_answer_err(req, r, &err);
		return;
	}
	node_gone(v->nodes, a.ino);
	fuse_entry_fill(&a, &e);
	fi->keep_cache = 1;
	if (fuse_reply_create(req, &e, fi) < 0)
		node_forget(v->nodes, a.ino, 1);
}

static void fuse_mknod(fuse_req_t req, fuse_ino_t dir, const char *name,
	mode_t mode, dev_t rdev)
{
	struct tree_attr a = {.mode = mode, .rdev = (uint32_t)rdev};

	fuse_make(req, dir, name, NULL, &a);
}

static void fuse_mkdir(
	fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode)
{
	struct tree_attr a = {.mode = S_IFDIR | (mode & 07777)};

	fuse_make(req, dir, name, NULL, &a);
}

static void fuse_symlink(
	fuse_req_t req, const char *target, fuse_ino_t dir, const char *name)
{
	struct tree_attr a = {.mode = S_IFLNK | 0777};

	fuse_make(req, dir, name, target, &a);
}

static void fuse_unlink(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	struct pluri_err err = {0};

	fuse_answer_err(req,
		names_unlink(fuse_volume(req), dir, name, false, &err), &err);
}

static void fuse_rmdir(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	struct pluri_err err = {0};

	fuse_answer_err(req,
		names_unlink(fuse_volume(req), dir, name, true, &err), &err);
}

static void fuse_rename(fuse_req_t req, fuse_ino_t dir, const char *name,
	fuse_ino_t to_dir, const char *to, unsigned flags)
{
	struct tree_move mv = {.from_dir = dir,
		.to_dir = to_dir,
		.from = {name, strlen(name)},
		.to = {to, strlen(to)}};
	struct pluri_err err = {0};

	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) {
		fuse_answer_err(req, -EINVAL, NULL);
		return;
	}
	mv.flags = (flags & RENAME_NOREPLACE ? TREE_NOREPLACE : 0) |
		   (flags & RENAME_EXCHANGE ? TREE_EXCHANGE : 0);
	fuse_answer_err(req, names_rename(fuse_volume(req), &mv, &err), &err);
}

static void fuse_link(
	fuse_req_t req, fuse_ino_t ino, fuse_ino_t dir, const char *name)
{
	struct tree_attr a = {0};
	struct pluri_err err = {0};
	const int r = names_link(fuse_volume(req), ino, dir, name, &a, &err);

	if (r < 0)
		fuse_answer_err(req, r, &err);
	else
		fuse_answer_entry(req, &a);
}

void fuse_entries(struct fuse_lowlevel_ops *ops)
{
	ops->lookup = fuse_lookup;
	ops->forget = fuse_forget;
	ops->forget_multi = fuse_forget_multi;
	ops->getattr = fuse_getattr;
	ops->setattr = fuse_setattr;
	ops->readlink = fuse_readlink;
	ops->mknod = fuse_mknod;
	ops->create = fuse_create;
	ops->mkdir = fuse_mkdir;
	ops->symlink = fuse_symlink;
	ops->unlink = fuse_unlink;
	ops->rmdir = fuse_rmdir;
	ops->rename = fuse_rename;
	ops->link = fuse_link;
}
