#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/wire.h"

#include "meta/fsck_int.h"
#include "meta/tree_int.h"

/* An ACL as the kernel hands it to us: a version, then entries. */
#define ATTR_ACL_VERSION 2u
#define ATTR_ACL_HEAD 4u
#define ATTR_ACL_ENTRY 8u
enum {
	ATTR_USER_OBJ = 1,
	ATTR_USER = 2,
	ATTR_GROUP_OBJ = 4,
	ATTR_GROUP = 8,
	ATTR_MASK = 16,
	ATTR_OTHER = 32
};

static const char attr_access[] = "system.posix_acl_access";
static const char attr_default[] = "system.posix_acl_default";

static int attr_fix_del(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	const struct tree_name name = {
		(const char *)found->name, found->name_len};
	struct db_stmt *s = NULL;
	int r;

	(void)f;
	if (found->value >
		(int64_t)sizeof(found->name)) /* cut in the telling */
		return fsck_change(tx,
			"DELETE FROM xattr WHERE ino = ?1"
			" AND length(name) > ?2",
			META_INTS((int64_t)found->ino, TREE_XATTR_NAME_MAX),
			err);
	r = tree_query(tx, "DELETE FROM xattr WHERE ino = ?1 AND name = ?2",
		META_INTS((int64_t)found->ino), name, &s, err);
	if (r == 0)
		r = meta_step_done(tx, s, err);
	return r < 0 ? r : 1;
}

/* With the ACL goes its mask, which the group's bits of the mode are: nobody
 * may get more than it gave. */
static int attr_fix_acl(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	int r = 0;

	if (found->name_len == sizeof(attr_access) - 1 &&
		memcmp(found->name, attr_access, found->name_len) == 0)
		r = meta_change(tx,
			"UPDATE inode SET mode = mode & ~56 WHERE ino = ?1",
			META_INTS((int64_t)found->ino), err);
	return r < 0 ? r : attr_fix_del(f, tx, found, err);
}

/* Entries come in the order of their tags; those of the objects once. */
static bool attr_acl_lawful(struct pluri_span v)
{
	struct wire_in w = {.p = v.data, .left = v.len};
	uint32_t had = 0;
	uint32_t last = 0;

	if (v.len < ATTR_ACL_HEAD ||
		(v.len - ATTR_ACL_HEAD) % ATTR_ACL_ENTRY != 0 ||
		wire_u32(&w) != ATTR_ACL_VERSION)
		return false;
	if (v.len == ATTR_ACL_HEAD)
		return true;
	while (w.left > 0) {
		const uint32_t tag = wire_u16(&w);
		const uint32_t perm = wire_u16(&w);
		const bool many = tag == ATTR_USER || tag == ATTR_GROUP;

		(void)wire_u32(&w);
		if (tag == 0 || tag > ATTR_OTHER || (tag & (tag - 1)) ||
			perm > 7 || tag < last || (tag == last && !many))
			return false;
		had |= tag;
		last = tag;
	}
	if ((had & (ATTR_USER | ATTR_GROUP)) && !(had & ATTR_MASK))
		return false;
	return (had & ATTR_USER_OBJ) && (had & ATTR_GROUP_OBJ) &&
	       (had & ATTR_OTHER);
}

struct attr_row {
	uint64_t ino;
	struct pluri_span name, value;
	bool there;
	uint32_t mode;
};

static bool attr_is(const struct attr_row *a, const char *name)
{
	return a->name.len == strlen(name) &&
	       memcmp(a->name.data, name, a->name.len) == 0;
}

static void attr_add(struct fsck *f, const struct fsck_rule *rule,
	const struct attr_row *a, const char *what)
{
	struct fsck_finding *const found =
		fsck_add(f, rule, "%s (a name of %zu bytes, a value of %zu)",
			what, a->name.len, a->value.len);

	found->ino = a->ino;
	found->value = (int64_t)a->name.len;
	fsck_name(found, a->name);
}

static void attr_judge(struct fsck *f, const struct attr_row *a)
{
	static const struct fsck_rule none = {
		"xattr-no-inode", "removes the attribute", false, attr_fix_del};
	static const struct fsck_rule invalid = {"xattr-invalid",
		"removes the attribute, which nobody can ask for", false,
		attr_fix_del};
	static const struct fsck_rule acl = {"acl-malformed",
		"removes the ACL, and with it the rights of the group", false,
		attr_fix_acl};
	const bool of_dir = attr_is(a, attr_default);

	if (!a->there)
		attr_add(f, &none, a, "there is no such inode");
	else if (a->name.len == 0 || a->name.len > TREE_XATTR_NAME_MAX ||
		 memchr(a->name.data, 0, a->name.len) ||
		 a->value.len > TREE_XATTR_VALUE_MAX)
		attr_add(f, &invalid, a, "cannot be");
	else if ((of_dir || attr_is(a, attr_access)) &&
		 (!attr_acl_lawful(a->value) || (of_dir && !S_ISDIR(a->mode))))
		attr_add(f, &acl, a, "no list of rights");
}

int fsck_attr(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err)
{
	struct attr_row a = {0};
	struct db_stmt *s = NULL;
	int r = fsck_query_name(f, tx,
		"SELECT x.ino, x.name, x.value, i.ino IS NOT NULL, i.mode"
		" FROM xattr x LEFT JOIN inode i ON i.ino = x.ino"
		" WHERE (x.ino, x.name) > (?1, ?3)"
		" ORDER BY x.ino, x.name LIMIT ?2",
		&s, err);

	while (r >= 0 && fsck_go(f) && (r = meta_step(tx, s, err)) > 0) {
		a.ino = meta_u64(tx, s, 0);
		a.name = tx->ops->get_blob(s, 1);
		a.value = tx->ops->get_blob(s, 2);
		a.there = meta_int(tx, s, 3) != 0;
		a.mode = meta_u32(tx, s, 4);
		attr_judge(f, &a);
		fsck_took_name(f, (int64_t)a.ino, a.name);
	}
	*ret_more = r > 0 || !fsck_go(f);
	return r;
}
