#include <errno.h>
#include <stdlib.h>

#include "fs/fuse_int.h"
#include "fs/fuse_wire.h"
#include "fs/xattr.h"

static void fuse_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
	const char *data, size_t size, int flags)
{
	const struct xattr_value value = {.bytes = {data, size},
		.flags = flags,
		.kill_sgid = fuse_wire_kills_sgid()};
	struct pluri_err err = {0};

	fuse_answer_err(req,
		xattr_set(fuse_volume(req), ino, name, &value, &err), &err);
}

static void fuse_xattr_answer(
	fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct pluri_room room = {
		.data = size ? malloc(size) : NULL, .cap = size};
	struct pluri_err err = {0};
	int r;

	if (size && !room.data) {
		fuse_answer_err(req, -ENOMEM, NULL);
		return;
	}
	r = xattr_get(fuse_volume(req), ino, name, &room, &err);
	if (r < 0)
		fuse_answer_err(req, r, &err);
	else if (size == 0)
		(void)fuse_reply_xattr(req, room.len);
	else
		(void)fuse_reply_buf(req, room.data, room.len);
	free(room.data);
}

static void fuse_getxattr(
	fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	fuse_xattr_answer(req, ino, name, size);
}

static void fuse_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	fuse_xattr_answer(req, ino, NULL, size);
}

static void fuse_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct pluri_err err = {0};

	fuse_answer_err(
		req, xattr_del(fuse_volume(req), ino, name, &err), &err);
}

void fuse_xattrs(struct fuse_lowlevel_ops *ops)
{
	ops->setxattr = fuse_setxattr;
	ops->getxattr = fuse_getxattr;
	ops->listxattr = fuse_listxattr;
	ops->removexattr = fuse_removexattr;
}
