/*
 * modelrun_attr.c - one operation on one side: modes, owners, times, extended
 * attributes, access lists.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/system/modelrun.h"

static int64_t attr_code(int64_t r)
{
	return r < 0 ? -errno : r;
}

static int64_t attr_mode(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	char p[MODEL_PATH];

	(void)r;
	if (op->kind == MODEL_FCHMOD)
		return attr_code(fchmod(model_slot(s, op), op->mode & 07777));
	return attr_code(
		fchmodat(s->base, model_path(op->p, p), op->mode & 07777, 0));
}

static int64_t attr_owner(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	static const uid_t ids[] = {0, 1001, 1002, (uid_t)-1, 1001, 70000};
	/* of what changes nothing the mount cannot know that it may not */
	const uid_t uid = ids[op->who ? op->flags % 3 : op->flags % 6];
	const gid_t gid = ids[op->flags / 6 % 6];
	char p[MODEL_PATH];

	(void)r;
	if (op->kind == MODEL_FCHOWN)
		return attr_code(fchown(model_slot(s, op), uid, gid));
	return attr_code(fchownat(s->base, model_path(op->p, p), uid, gid,
		op->flags & 0x8000 ? 0 : AT_SYMLINK_NOFOLLOW));
}

/* All far from now, so that nobody takes one for the present. */
static struct timespec attr_time(uint32_t n, uint64_t tag)
{
	static const time_t second[] = {0, 1, -1, -500000000, -2000000000,
		951782400, INT64_C(2147483647), INT64_C(2147483648),
		INT64_C(4102444800), INT64_C(4294967296), INT64_C(8000000000)};
	struct timespec t = {.tv_nsec = UTIME_NOW};

	if (n % 8 == 0)
		return t;
	t.tv_nsec = UTIME_OMIT;
	if (n % 8 == 1)
		return t;
	t.tv_sec = second[n / 8 % 11];
	t.tv_nsec = (long)(model_hash(tag) % 1000000000);
	return t;
}

static int64_t attr_times(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	const struct timespec t[2] = {attr_time(op->flags, op->tag),
		attr_time(op->flags >> 7, op->tag + 1)};
	char p[MODEL_PATH];

	(void)r;
	if (op->kind == MODEL_FUTIMES)
		return attr_code(futimens(model_slot(s, op), t));
	return attr_code(utimensat(s->base, model_path(op->p, p), t,
		op->flags & 0x8000 ? 0 : AT_SYMLINK_NOFOLLOW));
}

/* --- extended attributes --- */

static const char *attr_name(const struct model_op *op, char to[300])
{
	static const char *const names[] = {"user.a", "user.b", "user.",
		"trusted.t", "security.model", "system.posix_acl_access",
		"system.posix_acl_default", "system.posix_acl_access"};

	(void)strcpy(to, names[op->mode % 8]);
	if (op->mode % 8 == 2 && op->tag % 8) {
		memset(to + 5, 'x', 245);
		to[250] = 0;
	}
	if (op->mode % 8 == 4 && op->tag % 8 == 0)
		(void)strcpy(to, "bogus.name");
	return to;
}

struct attr_acl {
	uint8_t bytes[4 + 8 * 8];
	size_t len;
};

static void attr_acl_add(
	struct attr_acl *a, uint16_t type, uint64_t perm, uint32_t id)
{
	const uint16_t bits[2] = {type, (uint16_t)(perm % 8)};

	memcpy(a->bytes + a->len, bits, 4);
	memcpy(a->bytes + a->len + 4, &id, 4);
	a->len += 8;
}

/* As the kernel writes them, here and there with something missing. */
static void attr_acl_make(struct attr_acl *a, uint64_t tag)
{
	const uint32_t version = 2;
	const uint64_t h = model_hash(tag);

	memcpy(a->bytes, &version, 4);
	a->len = 4;
	attr_acl_add(a, 1, h >> 3, UINT32_MAX);
	if (h & 1)
		attr_acl_add(a, 2, h >> 6, 1001);
	if (h & 2)
		attr_acl_add(a, 2, h >> 9, 1002);
	attr_acl_add(a, 4, h >> 12, UINT32_MAX);
	if (h & 4)
		attr_acl_add(a, 8, h >> 15, 1001);
	if ((h & 7) && h >> 40 & 31)
		attr_acl_add(a, 16, h >> 18, UINT32_MAX);
	if (h >> 50 & 31)
		attr_acl_add(a, 32, h >> 21, UINT32_MAX);
}

static int64_t attr_set(struct model_side *s, const struct model_op *op,
	const char *path, const char *name)
{
	uint8_t value[256];
	struct attr_acl acl;
	const int fd = model_slot(s, op);
	const bool by_fd = op->tag % 5 == 0;

	model_fill(value, 0, sizeof(value), op->tag);
	if (op->mode % 8 >= 5) {
		attr_acl_make(&acl, op->tag);
		return attr_code(setxattr(path, name, acl.bytes, acl.len, 0));
	}
	if (by_fd)
		return attr_code(
			fsetxattr(fd, name, value, op->len, (int)op->flags));
	return attr_code(lsetxattr(path, name, value, op->len, (int)op->flags));
}

/* The daemon's own are not the file's. */
static int64_t attr_list(const char *path, struct model_result *r)
{
	char *const list = (char *)r->bytes;
	const ssize_t n = llistxattr(path, list, 65536);
	char *end = list;
	char *sorted[256];
	size_t count = 0;

	if (n < 0)
		return -errno;
	for (char *at = list; at < list + n && count < 256;
		at += strlen(at) + 1)
		if (strncmp(at, "user.pluri.", 11) != 0)
			sorted[count++] = strdup(at);
	for (size_t i = 0; i + 1 < count; i++)
		for (size_t j = i + 1; j < count; j++)
			if (strcmp(sorted[i], sorted[j]) > 0) {
				char *const x = sorted[i];

				sorted[i] = sorted[j];
				sorted[j] = x;
			}
	for (size_t i = 0; i < count; i++) {
		end = stpcpy(end, sorted[i]) + 1;
		free(sorted[i]);
	}
	r->len = (size_t)(end - list);
	return (int64_t)r->len;
}

/* By /proc: these calls know no directory to begin at. */
static int64_t attr_extended(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	const size_t room = op->off;
	char path[MODEL_PATH + 64];
	char p[MODEL_PATH];
	char name[300];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", s->base,
		model_path(op->p, p));
	(void)attr_name(op, name);
	switch (op->kind) {
	case MODEL_SETX:
		return attr_set(s, op, path, name);
	case MODEL_REMX:
		return attr_code(lremovexattr(path, name));
	case MODEL_LISTX:
		return attr_list(path, r);
	default:
		n = op->tag % 5 ? lgetxattr(path, name, r->bytes, room)
				: fgetxattr(model_slot(s, op), name, r->bytes,
					  room);
		r->len = n > 0 && room > 0 ? (size_t)n : 0;
		return attr_code(n);
	}
}

model_do_fn *model_do_attr(uint32_t kind)
{
	static model_do_fn *const table[MODEL_KINDS] = {
		[MODEL_CHMOD] = attr_mode,
		[MODEL_FCHMOD] = attr_mode,
		[MODEL_CHOWN] = attr_owner,
		[MODEL_FCHOWN] = attr_owner,
		[MODEL_UTIMES] = attr_times,
		[MODEL_FUTIMES] = attr_times,
		[MODEL_SETX] = attr_extended,
		[MODEL_GETX] = attr_extended,
		[MODEL_LISTX] = attr_extended,
		[MODEL_REMX] = attr_extended,
	};

	return table[kind];
}
