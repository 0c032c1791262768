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

static inline struct volume *fuse_volume(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* Answer a failure: rc is -errno; stories of real trouble are logged. */
void fuse_answer_err(fuse_req_t req, int rc, const struct pluri_err *err);

void fuse_attr(const struct tree_attr *a, struct stat *ret);
void fuse_entry_fill(const struct tree_attr *a, struct fuse_entry_param *e);
/* With the kernel's reference counted. */
void fuse_answer_entry(fuse_req_t req, const struct tree_attr *a);
void fuse_answer_attr(fuse_req_t req, const struct tree_attr *a);

void fuse_files(struct fuse_lowlevel_ops *ops); /* fs/fuse_file.c */
void fuse_dirs(struct fuse_lowlevel_ops *ops);	/* fs/fuse_dir.c */
void fuse_entries(struct fuse_lowlevel_ops *ops); /* fs/fuse_entry.c */

#endif
