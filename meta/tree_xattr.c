#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "meta/tree_int.h"

/* As setxattr(2) and its kin answer to names. */
static int tree_xattr_name(const char *name, struct tree_name *ret)
{
	const size_t len = strnlen(name, TREE_XATTR_NAME_MAX + 1);

	if (len == 0 || len > TREE_XATTR_NAME_MAX)
		return -ERANGE;
	*ret = (struct tree_name){name, len};
	return 0;
}

static int tree_xattr_ctime(
	struct meta_tx *tx, uint64_t ino, int64_t now, struct pluri_err *err)
{
	struct tree_attr a = {.ino = ino, .ctime_ns = now};
	const int r = tree_set(tx, TREE_SET_CTIME, &a, err);

	return r == -ENOENT ? 0 : r; /* its attributes may go */
}

/* 1: there is one, 0: no. */
static int tree_xattr_there(struct meta_tx *tx, uint64_t ino,
	struct tree_name name, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	const int r = tree_query(tx,
		"SELECT 1 FROM xattr WHERE ino = ?1 AND name = ?2",
		META_INTS((int64_t)ino), name, &s, err);

	return r < 0 ? r : meta_step(tx, s, err);
}

/* A list that listxattr could not return must not come to be. */
static int tree_xattr_room(
	struct meta_tx *tx, uint64_t ino, size_t len, struct pluri_err *err)
{
	int64_t used = 0;
	const int r = meta_ask(tx,
		"SELECT COALESCE(SUM(LENGTH(name) + 1), 0) FROM xattr"
		" WHERE ino = ?1",
		META_INTS((int64_t)ino), &used, err);

	if (r < 0)
		return r;
	return (uint64_t)used + len + 1 > TREE_XATTR_LIST_MAX ? -ENOSPC : 0;
}

static int tree_xattr_check(struct meta_tx *tx, uint64_t ino,
	struct tree_name name, int flags, struct pluri_err *err)
{
	struct tree_attr a = {0};
	int r = tree_get(tx, ino, &a, err);

	if (r == 0)
		r = tree_xattr_there(tx, ino, name, err);
	if (r < 0)
		return r;
	if (r > 0)
		return (flags & XATTR_CREATE) ? -EEXIST : 0;
	if (flags & XATTR_REPLACE)
		return -ENODATA;
	return tree_xattr_room(tx, ino, name.len, err);
}

int tree_setxattr(struct meta_tx *tx, uint64_t ino, const char *name,
	struct pluri_span value, int flags, int64_t now, struct pluri_err *err)
{
	const struct pluri_span v = {value.len ? value.data : "", value.len};
	struct tree_name key = {0};
	struct db_stmt *s = NULL;
	int r = tree_xattr_name(name, &key);

	if (r < 0)
		return r;
	if (value.len > TREE_XATTR_VALUE_MAX)
		return -E2BIG;
	if (flags & ~(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	r = tree_xattr_check(tx, ino, key, flags, err);
	if (r == 0)
		r = tree_query(tx,
			"INSERT INTO xattr (ino, name, value)"
			" VALUES (?1, ?2, ?3) ON CONFLICT (ino, name)"
			" DO UPDATE SET value = excluded.value"
			" WHERE value IS NOT excluded.value",
			META_INTS((int64_t)ino), key, &s, err);
	if (r < 0)
		return r;
	tx->ops->bind_blob(s, 3, v);
	r = meta_step_done(tx, s, err);
	if (r < 0 || tx->ops->changes(tx->db) == 0)
		return r;
	return tree_xattr_ctime(tx, ino, now, err);
}

int tree_getxattr(struct meta_tx *tx, uint64_t ino, const char *name,
	struct pluri_room *to, struct pluri_err *err)
{
	struct tree_name key = {0};
	struct pluri_span v = {0};
	struct db_stmt *s = NULL;
	int r = tree_xattr_name(name, &key);

	if (r == 0)
		r = tree_query(tx,
			"SELECT value FROM xattr WHERE ino = ?1 AND name = ?2",
			META_INTS((int64_t)ino), key, &s, err);
	if (r == 0)
		r = meta_step(tx, s, err);
	if (r <= 0)
		return r == 0 ? -ENODATA : r;
	v = tx->ops->get_blob(s, 0);
	if (to->cap > 0 && v.len > to->cap)
		return -ERANGE;
	if (to->cap > 0 && v.len > 0)
		memcpy(to->data, v.data, v.len);
	to->len = v.len;
	return 0;
}

int tree_listxattr(struct meta_tx *tx, uint64_t ino, struct pluri_room *to,
	struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	size_t len = 0;
	int r = meta_query(tx,
		"SELECT name FROM xattr WHERE ino = ?1 ORDER BY name",
		META_INTS((int64_t)ino), &s, err);

	while (r == 0 && (r = meta_step(tx, s, err)) > 0) {
		const struct pluri_span v = tx->ops->get_blob(s, 0);

		if (to->cap > 0) {
			if (v.len + 1 > to->cap - len)
				return -ERANGE;
			memcpy((char *)to->data + len, v.data, v.len);
			((char *)to->data)[len + v.len] = '\0';
		}
		len += v.len + 1;
		r = 0;
	}
	if (r < 0)
		return r;
	to->len = len;
	return 0;
}

int tree_delxattr(struct meta_tx *tx, uint64_t ino, const char *name,
	int64_t now, struct pluri_err *err)
{
	struct tree_name key = {0};
	struct db_stmt *s = NULL;
	int r = tree_xattr_name(name, &key);

	if (r == 0)
		r = tree_query(tx,
			"DELETE FROM xattr WHERE ino = ?1 AND name = ?2",
			META_INTS((int64_t)ino), key, &s, err);
	if (r == 0)
		r = meta_step_done(tx, s, err);
	if (r < 0)
		return r;
	if (tx->ops->changes(tx->db) == 0)
		return -ENODATA;
	return tree_xattr_ctime(tx, ino, now, err);
}

int tree_xattr_used(struct meta_tx *tx, const char *name, struct pluri_err *err)
{
	struct tree_name key = {0};
	struct db_stmt *s = NULL;
	int64_t yes = 0;
	int r;

	if (!name)
		return meta_ask(
			tx, "SELECT 1 FROM xattr LIMIT 1", NULL, 0, &yes, err);
	r = tree_xattr_name(name, &key);
	if (r == 0)
		r = tree_query(tx,
			"SELECT 1 FROM xattr WHERE name = ?1 LIMIT 1", NULL, 0,
			key, &s, err);
	return r < 0 ? r : meta_step(tx, s, err);
}
