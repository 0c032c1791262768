#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fs/acl.h"
#include "fs/commit.h"
#include "fs/node_int.h"
#include "fs/xattr.h"

#define XATTR_FACT "xattrs"

/* --- what there is at all ------------------------------------------------- */

static unsigned xattr_kind(const char *name)
{
	if (strcmp(name, ACL_ACCESS) == 0 || strcmp(name, ACL_DEFAULT) == 0)
		return XATTR_ANY | XATTR_ACL;
	return strcmp(name, XATTR_CAPS) == 0 ? XATTR_ANY | XATTR_CAP
					     : XATTR_ANY;
}

/* A volume that does not know yet: one look through its attributes. */
static int xattr_count(struct meta_tx *tx, int64_t *ret, struct pluri_err *err)
{
	static const char *const name[] = {
		NULL, ACL_ACCESS, ACL_DEFAULT, XATTR_CAPS};
	int64_t had = 0;
	int r = 0;

	for (size_t i = 0; i < sizeof(name) / sizeof(*name) && r >= 0; i++) {
		r = tree_xattr_used(tx, name[i], err);
		if (r > 0)
			had |= name[i] ? xattr_kind(name[i]) : XATTR_ANY;
	}
	if (r < 0)
		return r;
	*ret = had;
	return meta_set_fact(tx, XATTR_FACT, had, err);
}

int xattr_open(struct volume *v, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int64_t had = 0;
	int r = meta_begin(v->meta, &tx, err);

	if (r < 0)
		return r;
	r = meta_get_fact(tx, XATTR_FACT, &had, err);
	if (r == -ENOENT)
		r = xattr_count(tx, &had, err);
	r = meta_end(tx, r, err);
	if (r >= 0)
		atomic_store(&v->xattrs, (unsigned)had);
	return r;
}

static bool xattr_none(struct volume *v, const char *name)
{
	const unsigned kind = name ? xattr_kind(name) : XATTR_ANY;

	return (atomic_load(&v->xattrs) & kind) != kind;
}

/* The first of its kind: the fact, in its bracket. */
static int xattr_note(struct volume *v, struct meta_tx *tx, const char *name,
	struct pluri_err *err)
{
	int64_t had = 0;
	int r;

	if (!xattr_none(v, name))
		return 0;
	r = meta_get_fact(tx, XATTR_FACT, &had, err);
	return r < 0 ? r
		     : meta_set_fact(
			       tx, XATTR_FACT, had | xattr_kind(name), err);
}

/* --- one attribute -------------------------------------------------------- */

static bool xattr_is_list(const char *name)
{
	return (xattr_kind(name) & XATTR_ACL) != 0;
}

/* As local filesystems: unknown kinds of names are not taken. */
static int xattr_known(const char *name, struct pluri_err *err)
{
	static const char *const kind[] = {"user.", "trusted.", "security."};

	if (!name || xattr_is_list(name))
		return 0;
	for (size_t i = 0; i < sizeof(kind) / sizeof(*kind); i++) {
		const size_t len = strlen(kind[i]);

		if (strncmp(name, kind[i], len) == 0)
			return name[len] ? 0 : -EINVAL;
	}
	return pluri_fail(err, EOPNOTSUPP, "attribute %.64s is not kept", name);
}

static bool xattr_is_config(const char *name)
{
	return name && strcmp(name, XATTR_CONFIG) == 0;
}

static int xattr_config(const struct volume *v, struct pluri_room *to)
{
	const size_t len = strlen(v->config->file);

	if (to->cap > 0 && len > to->cap)
		return -ERANGE;
	if (to->cap > 0)
		memcpy(to->data, v->config->file, len);
	to->len = len;
	return 0;
}

static int xattr_begin(
	struct volume *v, struct meta_tx **ret, struct pluri_err *err)
{
	const int r = commit_broken(v->commit, err);

	return r < 0 ? r : meta_begin(v->meta, ret, err);
}

/* Not there before is fine, too. */
static int xattr_drop(struct meta_tx *tx, uint64_t ino, const char *name,
	int64_t now, struct pluri_err *err)
{
	const int r = tree_delxattr(tx, ino, name, now, err);

	return r == -ENODATA ? 0 : r;
}

/* The mode takes over what the list says of it; *ret_more as acl_to_mode(). */
static int xattr_list_mode(struct meta_tx *tx, const struct xattr_value *value,
	int64_t now, struct tree_attr *a, bool *ret_more, struct pluri_err *err)
{
	const uint32_t had = a->mode;

	*ret_more = acl_to_mode(value->bytes, &a->mode);
	if (value->kill_sgid)
		a->mode &= ~(uint32_t)S_ISGID;
	if (a->mode == had)
		return 0;
	a->ctime_ns = now;
	return tree_set(tx, TREE_SET_MODE | TREE_SET_CTIME, a, err);
}

/* In its bracket; *a is what the file has. What says nothing new changes no
 * time either. */
static int xattr_set_list(struct meta_tx *tx, const char *name,
	const struct xattr_value *value, int64_t now, struct tree_attr *a,
	struct pluri_err *err)
{
	const uint64_t ino = a->ino;
	const bool none = value->bytes.len <= 4; /* a head without entries */
	const bool deflt = strcmp(name, ACL_DEFAULT) == 0;
	bool more = true;
	int r = acl_check(value->bytes);

	if (r < 0)
		return r;
	if (deflt && !S_ISDIR(a->mode))
		return none ? 0 : -EACCES;
	if (none)
		return xattr_drop(tx, ino, name, now, err);
	if (!deflt)
		r = xattr_list_mode(tx, value, now, a, &more, err);
	if (r < 0)
		return r;
	return more ? tree_setxattr(tx, ino, name, value->bytes, value->flags,
			      now, err)
		    : xattr_drop(tx, ino, name, now, err);
}

static int xattr_set_rows(struct volume *v, const char *name,
	const struct xattr_value *value, int64_t now, struct tree_attr *a,
	struct pluri_err *err)
{
	const uint64_t ino = a->ino;
	struct meta_tx *tx = NULL;
	int r = xattr_begin(v, &tx, err);

	if (r < 0)
		return r;
	r = tree_get(tx, ino, a, err);
	if (r >= 0)
		r = xattr_note(v, tx, name, err);
	if (r >= 0 && xattr_is_list(name))
		r = xattr_set_list(tx, name, value, now, a, err);
	else if (r >= 0)
		r = tree_setxattr(
			tx, ino, name, value->bytes, value->flags, now, err);
	if (r >= 0)
		r = tree_get(tx, ino, a, err); /* what it has afterwards */
	r = meta_end(tx, r, err);
	if (r >= 0) /* not before: what failed left no fact */
		(void)atomic_fetch_or(&v->xattrs, xattr_kind(name));
	return r;
}

/* With node->lock held: what the node remembers is what the rows have. */
static void xattr_tell(struct node *n, uint32_t mode, int64_t ctime_ns)
{
	if (!n->known)
		return;
	n->mode = mode;
	if (ctime_ns > n->ctime_ns)
		n->ctime_ns = ctime_ns;
}

int xattr_set(struct volume *v, uint64_t ino, const char *name,
	const struct xattr_value *value, struct pluri_err *err)
{
	const int64_t now = clock_real_ns(v->clock);
	struct tree_attr a = {.ino = ino};
	struct node *n = NULL;
	int r = xattr_is_config(name) ? -EPERM : xattr_known(name, err);

	if (r >= 0)
		r = node_pin(v->nodes, ino, &n);
	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&n->lock);
	r = xattr_set_rows(v, name, value, now, &a, err);
	if (r >= 0)
		xattr_tell(n, a.mode, a.ctime_ns);
	(void)pthread_mutex_unlock(&n->lock);
	node_unpin(v->nodes, n);
	return r;
}

int xattr_get(struct volume *v, uint64_t ino, const char *name,
	struct pluri_room *to, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int r = xattr_known(name, err);

	if (xattr_is_config(name))
		return xattr_config(v, to);
	if (r == 0 && xattr_none(v, name)) {
		to->len = 0;
		return name ? -ENODATA : 0;
	}
	if (r == 0)
		r = meta_begin(v->meta, &tx, err);
	if (r < 0)
		return r;
	r = name ? tree_getxattr(tx, ino, name, to, err)
		 : tree_listxattr(tx, ino, to, err);
	return meta_end(tx, r, err);
}

int xattr_del(
	struct volume *v, uint64_t ino, const char *name, struct pluri_err *err)
{
	const int64_t now = clock_real_ns(v->clock);
	struct meta_tx *tx = NULL;
	struct node *n = NULL;
	int r = xattr_is_config(name) ? -EPERM : xattr_known(name, err);

	if (r == 0)
		r = node_pin(v->nodes, ino, &n);
	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&n->lock);
	r = xattr_begin(v, &tx, err);
	if (r >= 0) {
		r = tree_delxattr(tx, ino, name, now, err);
		r = meta_end(tx, r, err);
	}
	if (r >= 0)
		xattr_tell(n, n->mode, now);
	(void)pthread_mutex_unlock(&n->lock);
	node_unpin(v->nodes, n);
	/* of lists, what is not there may be taken away */
	return r == -ENODATA && xattr_is_list(name) ? 0 : r;
}

/* --- set-id bits and capabilities ----------------------------------------- */

/* With node->lock held. */
static uint32_t xattr_stripped(
	const struct node *n, const struct xattr_who *who)
{
	uint32_t mode = n->mode & ~(uint32_t)S_ISUID;

	if ((mode & S_ISGID) &&
		((mode & S_IXGRP) || !who->member(who->arg, n->gid)))
		mode &= ~(uint32_t)S_ISGID;
	return mode;
}

static int xattr_strip_rows(struct volume *v, struct node *n, uint32_t mode,
	bool caps, struct pluri_err *err)
{
	struct tree_attr a = {.ino = n->ino, .mode = mode};
	const int64_t now = clock_real_ns(v->clock);
	struct meta_tx *tx = NULL;
	bool dropped = false;
	int r = xattr_begin(v, &tx, err);

	if (r < 0)
		return r;
	if (mode != n->mode)
		r = tree_set(tx, TREE_SET_MODE, &a, err);
	if (r >= 0 && caps) {
		r = tree_delxattr(tx, n->ino, XATTR_CAPS, now, err);
		dropped = r >= 0;
		r = r == -ENODATA ? 0 : r;
	}
	r = meta_end(tx, r, err);
	if (r < 0)
		return r;
	xattr_tell(n, mode, dropped ? now : n->ctime_ns);
	return 1;
}

int xattr_strip(struct volume *v, uint64_t ino, const struct xattr_who *who,
	struct pluri_err *err)
{
	const bool caps = !xattr_none(v, XATTR_CAPS);
	struct node *n = NULL;
	uint32_t mode;
	int r = node_pin(v->nodes, ino, &n);

	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&n->lock);
	r = node_know(v, n, err);
	if (r >= 0 && !S_ISDIR(n->mode)) {
		mode = xattr_stripped(n, who);
		if (caps || mode != n->mode)
			r = xattr_strip_rows(v, n, mode, caps, err);
	}
	(void)pthread_mutex_unlock(&n->lock);
	node_unpin(v->nodes, n);
	return r;
}

/* --- lists and modes ------------------------------------------------------ */

/* *ret owned, NULL when there is none (then *ret_len is 0). */
static int xattr_list(struct meta_tx *tx, uint64_t ino, const char *name,
	uint8_t **ret, size_t *ret_len, struct pluri_err *err)
{
	struct pluri_room room = {.cap = 0};
	int r = tree_getxattr(tx, ino, name, &room, err);

	*ret = NULL;
	*ret_len = 0;
	if (r == -ENODATA)
		return 0;
	if (r < 0)
		return r;
	if (room.len <= 4)
		return pluri_fail(err, EBADMSG,
			"database: an access list of %zu bytes; it is damaged",
			room.len);
	room.cap = room.len;
	room.data = malloc(room.len);
	if (!room.data)
		return pluri_fail(err, ENOMEM, "no memory for an access list");
	r = tree_getxattr(tx, ino, name, &room, err);
	if (r >= 0 && acl_check((struct pluri_span){room.data, room.len}) < 0)
		r = pluri_fail(
			err, EBADMSG, "database: an access list is damaged");
	if (r < 0) {
		free(room.data);
		return r;
	}
	*ret = room.data;
	*ret_len = room.len;
	return 0;
}

int xattr_follow_mode(struct volume *v, struct meta_tx *tx, uint64_t ino,
	uint32_t mode, int64_t now, struct pluri_err *err)
{
	uint8_t *list = NULL;
	size_t len = 0;
	int r;

	if (xattr_none(v, ACL_ACCESS))
		return 0;
	r = xattr_list(tx, ino, ACL_ACCESS, &list, &len, err);
	if (r < 0 || !list)
		return r;
	acl_follow_mode(list, len, mode);
	r = tree_setxattr(tx, ino, ACL_ACCESS, (struct pluri_span){list, len},
		0, now, err);
	free(list);
	return r;
}

void xattr_heir_free(struct xattr_heir *h)
{
	free(h->access);
	free(h->deflt);
	*h = (struct xattr_heir){0};
}

int xattr_inherit(struct volume *v, struct meta_tx *tx, uint64_t dir,
	uint32_t umask, struct tree_attr *a, struct xattr_heir *ret,
	struct pluri_err *err)
{
	struct xattr_heir h = {0};
	int r = 0;

	if (S_ISLNK(a->mode))
		return 0;
	if (!xattr_none(v, ACL_DEFAULT))
		r = xattr_list(tx, dir, ACL_DEFAULT, &h.deflt, &h.len, err);
	if (r < 0)
		return r;
	if (!h.deflt) {
		a->mode &= ~(umask & 0777);
		return 0;
	}
	h.access = malloc(h.len);
	if (!h.access) {
		xattr_heir_free(&h);
		return pluri_fail(err, ENOMEM, "no memory for an access list");
	}
	memcpy(h.access, h.deflt, h.len);
	if (!acl_create(h.access, h.len, &a->mode)) {
		free(h.access); /* the mode says it all */
		h.access = NULL;
	}
	*ret = h;
	return 0;
}

int xattr_bequeath(struct meta_tx *tx, uint64_t ino, const struct xattr_heir *h,
	int64_t now, struct pluri_err *err)
{
	struct tree_attr a = {0};
	int r = 0;

	if (!h->deflt)
		return 0;
	r = tree_get(tx, ino, &a, err);
	if (r >= 0 && h->access)
		r = tree_setxattr(tx, ino, ACL_ACCESS,
			(struct pluri_span){h->access, h->len}, 0, now, err);
	if (r >= 0 && S_ISDIR(a.mode))
		r = tree_setxattr(tx, ino, ACL_DEFAULT,
			(struct pluri_span){h->deflt, h->len}, 0, now, err);
	return r;
}
