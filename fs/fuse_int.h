/*
 * fs/fuse_int.h - the inside of fs/fuse.h.
 */
#ifndef PLURI_FS_FUSE_INT_H
#define PLURI_FS_FUSE_INT_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include "fs/names.h"
#include "fs/read.h"
#include "fs/write.h"
#include "fs/xattr.h"

/* What all requests share: the session's userdata. */
struct fuse_drain { /* asking the kernel for what it has not written yet */
	struct fuse *f;
	pthread_t thread;
	int done_fd; /* an eventfd; -1: nobody asks */
};
struct fuse {
	struct volume *v;
	const char *dir; /* the caller's */
	struct fuse_session *se;
	struct fuse_drain drain;
	_Atomic bool drains; /* the kernel's cache is asked for */
	bool signals;
	bool mounted;
};

static inline struct volume *fuse_volume(fuse_req_t req)
{
	return ((struct fuse *)fuse_req_userdata(req))->v;
}

/* The kernel is to ask for the attributes again. */
static inline void fuse_stale(fuse_req_t req, uint64_t ino)
{
	(void)fuse_lowlevel_notify_inval_inode(
		((struct fuse *)fuse_req_userdata(req))->se, ino, -1, 0);
}

/* Answer a failure: rc is -errno; stories of real trouble are logged. */
void fuse_answer_err(fuse_req_t req, int rc, const struct pluri_err *err);

void fuse_attr(const struct tree_attr *a, struct stat *ret);
void fuse_entry_fill(const struct tree_attr *a, struct fuse_entry_param *e);
/* With the kernel's reference counted. */
void fuse_answer_entry(fuse_req_t req, const struct tree_attr *a);
void fuse_answer_attr(fuse_req_t req, const struct tree_attr *a);

/* Is who asks privileged, or in the group? */
bool fuse_member(void *req, uint32_t gid);
static inline struct xattr_who fuse_who(fuse_req_t req)
{
	return (struct xattr_who){.member = fuse_member, .arg = req};
}

/* A write clears set-id bits and capabilities. 1: there were some. */
int fuse_strip(fuse_req_t req, fuse_ino_t ino, struct pluri_err *err);

void fuse_files(struct fuse_lowlevel_ops *ops); /* fs/fuse_file.c */
void fuse_ranges(struct fuse_lowlevel_ops *ops); /* fs/fuse_range.c */
void fuse_dirs(struct fuse_lowlevel_ops *ops);	/* fs/fuse_dir.c */
void fuse_entries(struct fuse_lowlevel_ops *ops); /* fs/fuse_entry.c */
void fuse_xattrs(struct fuse_lowlevel_ops *ops);  /* fs/fuse_xattr.c */

#endif
