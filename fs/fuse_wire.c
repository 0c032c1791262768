#include <errno.h>
#include <linux/fuse.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fs/fuse_int.h"
#include "fs/fuse_tally.h"
#include "fs/fuse_wire.h"

/* Agreed to when the kernel offers them. */
#define FUSE_WIRE_WANTED (FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT)

/* Bytes of the setxattr that the library knows, and of the kernel's. */
#define FUSE_WIRE_SETXATTR_OLD FUSE_COMPAT_SETXATTR_IN_SIZE
#define FUSE_WIRE_SETXATTR_NEW sizeof(struct fuse_setxattr_in)

/* The request in hand; one for each of the library's threads. */
static _Thread_local struct {
	uint32_t opcode;
	uint32_t offered; /* of INIT: the kernel's flags */
	bool kills, kills_sgid;
} fuse_wire_now;

/* The body as a T, or NULL when the request is shorter. */
#define FUSE_WIRE_BODY(T, body, len) \
	((len) >= sizeof(T) ? (const T *)(const void *)(body) : NULL)

/* The library expects the shorter form, and takes lengths from it. */
static ssize_t fuse_wire_setxattr(uint8_t *body, size_t len)
{
	const struct fuse_setxattr_in *in =
		FUSE_WIRE_BODY(struct fuse_setxattr_in, body, len);
	const size_t gone = FUSE_WIRE_SETXATTR_NEW - FUSE_WIRE_SETXATTR_OLD;

	if (!in)
		return 0;
	fuse_wire_now.kills_sgid =
		(in->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID) != 0;
	memmove(body + FUSE_WIRE_SETXATTR_OLD, body + FUSE_WIRE_SETXATTR_NEW,
		len - FUSE_WIRE_SETXATTR_NEW);
	return (ssize_t)gone;
}

/* Look at a request, change what the library would not take. Returns by how
 * many bytes it became shorter. */
static ssize_t fuse_wire_look(
	struct fuse_in_header *head, uint8_t *body, size_t len)
{
	const struct fuse_init_in *init;
	const struct fuse_write_in *write;
	const struct fuse_setattr_in *set;

	fuse_wire_now.opcode = head->opcode;
	fuse_wire_now.kills = false;
	fuse_wire_now.kills_sgid = false;
	switch (head->opcode) {
	case FUSE_INIT:
		init = FUSE_WIRE_BODY(struct fuse_init_in, body, len);
		fuse_wire_now.offered = init ? init->flags : 0;
		return 0;
	case FUSE_WRITE:
		write = FUSE_WIRE_BODY(struct fuse_write_in, body, len);
		fuse_wire_now.kills =
			write && (write->write_flags & FUSE_WRITE_KILL_SUIDGID);
		return 0;
	case FUSE_SETATTR:
		set = FUSE_WIRE_BODY(struct fuse_setattr_in, body, len);
		fuse_wire_now.kills = set && (set->valid & FATTR_KILL_SUIDGID);
		return 0;
	case FUSE_SETXATTR:
		return fuse_wire_setxattr(body, len);
	case FUSE_TMPFILE: /* the same body and answer; the name is "/" */
		head->opcode = FUSE_CREATE;
		return 0;
	default:
		return 0;
	}
}

static ssize_t fuse_wire_read(int fd, void *buf, size_t len, void *userdata)
{
	struct fuse_in_header *head = buf;
	const ssize_t n = read(fd, buf, len);
	const struct fuse *f = userdata;
	ssize_t gone;

	if (n < (ssize_t)sizeof(*head))
		return n;
	fuse_tally_asked(f->v->stats, head->opcode);
	gone = fuse_wire_look(head, (uint8_t *)buf + sizeof(*head),
		(size_t)n - sizeof(*head));
	head->len -= (uint32_t)gone;
	return n - gone;
}

static ssize_t fuse_wire_writev(
	int fd, struct iovec *iov, int count, void *userdata)
{
	const struct fuse *f = userdata;
	struct fuse_init_out *out;

	if (fuse_wire_now.opcode == FUSE_INIT && count == 2 &&
		iov[1].iov_len >= sizeof(*out)) {
		out = iov[1].iov_base;
		out->flags |= fuse_wire_now.offered & FUSE_WIRE_WANTED;
		fuse_wire_now.opcode = 0;
	}
	fuse_tally_answered(f->v->stats, iov, count);
	return writev(fd, iov, count);
}

int fuse_wire_attach(struct fuse_session *se, struct pluri_err *err)
{
	const struct fuse_custom_io io = {
		.read = fuse_wire_read, .writev = fuse_wire_writev};
	const int r = fuse_session_custom_io(se, &io, fuse_session_fd(se));

	return r < 0 ? pluri_fail(err, -r, "mount: libfuse: %s", strerror(-r))
		     : 0;
}

bool fuse_wire_kills(void)
{
	return fuse_wire_now.kills;
}

bool fuse_wire_kills_sgid(void)
{
	return fuse_wire_now.kills_sgid;
}
