#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "meta/rows.h"
#include "meta/tree_int.h"

/* Numbers are never given twice, so one generation is enough. */
#define TREE_GENERATION 1

int tree_get(struct meta_tx *tx, uint64_t ino, struct tree_attr *ret,
	struct pluri_err *err)
{
	struct rows_row row = {0};
	const int r = rows_get(tx, ino, &row, err);

	if (r == 0)
		*ret = row.a;
	return r;
}

int tree_check_name(struct tree_name name)
{
	if (name.len > TREE_NAME_MAX)
		return -ENAMETOOLONG;
	if (name.len == 0 || memchr(name.data, '/', name.len) ||
		memchr(name.data, '\0', name.len))
		return -EINVAL;
	if (name.data[0] == '.' &&
		(name.len == 1 || (name.len == 2 && name.data[1] == '.')))
		return -EINVAL;
	return 0;
}

int tree_query(struct meta_tx *tx, const char *sql, const int64_t *v, size_t n,
	struct tree_name name, struct db_stmt **ret, struct pluri_err *err)
{
	const struct pluri_span bytes = {name.data, name.len};
	const int r = meta_query(tx, sql, v, n, ret, err);

	if (r == 0)
		tx->ops->bind_blob(*ret, (int)n + 1, bytes);
	return r;
}

int tree_lookup(struct meta_tx *tx, uint64_t dir, struct tree_name name,
	struct tree_attr *ret, struct pluri_err *err)
{
	struct rows_row row = {0};
	struct db_stmt *s = NULL;
	int r = tree_check_name(name);

	if (r == 0)
		r = tree_query(tx,
			"SELECT " ROWS_COLUMNS " FROM dentry d JOIN inode i ON"
			" i.ino = d.ino WHERE d.parent = ?1 AND d.name = ?2",
			META_INTS((int64_t)dir), name, &s, err);
	if (r == 0)
		r = meta_step(tx, s, err);
	if (r <= 0)
		return r == 0 ? -ENOENT : r;
	rows_learn(tx, s, 0, &row);
	*ret = row.a;
	return 0;
}

int tree_parent(
	struct meta_tx *tx, uint64_t dir, uint64_t *ret, struct pluri_err *err)
{
	struct rows_row row = {0};
	const int r = rows_get(tx, dir, &row, err);

	if (r < 0)
		return r;
	if (row.parent == 0)
		return -ENOTDIR;
	*ret = row.parent;
	return 0;
}

int tree_need_dir(struct meta_tx *tx, uint64_t dir, struct tree_attr *ret,
	struct pluri_err *err)
{
	const int r = tree_get(tx, dir, ret, err);

	if (r < 0)
		return r;
	if (!S_ISDIR(ret->mode))
		return -ENOTDIR;
	return ret->nlink == 0 ? -ENOENT : 0;
}

/* A new row for a; target NULL but for a symbolic link. */
static int tree_insert(struct meta_tx *tx, const struct tree_attr *a,
	uint64_t parent, const char *target, struct pluri_err *err)
{
	const struct pluri_span to = {target, target ? strlen(target) : 0};
	const struct rows_row row = {*a, parent};
	struct db_stmt *s = NULL;
	int r = meta_query(tx,
		"INSERT INTO inode (ino, gen, mode, uid, gid, nlink, rdev,"
		" size, bytes, atime, mtime, ctime, policy, parent, target)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9, ?9, ?9, ?10,"
		" ?11, ?12)",
		META_INTS((int64_t)a->ino, (int64_t)a->generation, a->mode,
			a->uid, a->gid, a->nlink, a->rdev, (int64_t)a->size,
			a->ctime_ns, a->policy, (int64_t)parent),
		&s, err);

	if (r < 0)
		return r;
	tx->ops->bind_blob(s, 12, to);
	meta_touch(tx, META_TOUCHED_INODE, a->ino);
	meta_total(tx, a->ino, 1, 0);
	r = meta_step_done(tx, s, err);
	return r < 0 ? r : rows_made(tx, &row, err);
}

int tree_root(struct meta_tx *tx, uint32_t uid, uint32_t gid, int64_t now,
	struct pluri_err *err)
{
	const struct tree_attr root = {
		.ino = TREE_ROOT,
		.generation = TREE_GENERATION,
		.mode = S_IFDIR | 0755,
		.uid = uid,
		.gid = gid,
		.nlink = 2,
		.atime_ns = now,
		.mtime_ns = now,
		.ctime_ns = now,
	};

	tx->counter[META_INO] = TREE_ROOT;
	return tree_insert(tx, &root, TREE_ROOT, NULL, err);
}

static int tree_check_target(
	const char *target, uint32_t mode, uint64_t *ret_len)
{
	const size_t len = target ? strnlen(target, TREE_SYMLINK_MAX + 1) : 0;

	if ((target != NULL) != S_ISLNK(mode))
		return -EINVAL;
	if (target && len == 0)
		return -ENOENT; /* as symlink(2) */
	if (len > TREE_SYMLINK_MAX)
		return -ENAMETOOLONG;
	*ret_len = len;
	return 0;
}

int tree_make(struct meta_tx *tx, uint64_t dir, struct tree_name name,
	const char *target, int64_t now, struct tree_attr *a,
	struct pluri_err *err)
{
	struct tree_attr new = *a;
	struct tree_attr in = {0};
	int r = tree_check_name(name);

	if (r == 0)
		r = tree_check_target(target, a->mode, &new.size);
	if (r == 0)
		r = tree_need_dir(tx, dir, &in, err);
	if (r < 0)
		return r;
	new.ino = meta_next(tx, META_INO);
	new.generation = TREE_GENERATION;
	new.nlink = S_ISDIR(new.mode) ? 2 : 1;
	new.bytes = 0;
	new.atime_ns = new.mtime_ns = new.ctime_ns = now;
	new.policy = in.policy;
	r = tree_add_name(tx, dir, name, &new, err);
	if (r == 0)
		r = tree_insert(
			tx, &new, S_ISDIR(new.mode) ? dir : 0, target, err);
	if (r == 0)
		r = tree_touch(tx, dir, now, S_ISDIR(new.mode) ? 1 : 0, err);
	if (r < 0)
		return r;
	*a = new;
	return 0;
}

int tree_make_nameless(struct meta_tx *tx, uint64_t dir, int64_t now,
	struct tree_attr *a, struct pluri_err *err)
{
	struct tree_attr new = *a;
	struct tree_attr in = {0};
	int r = tree_need_dir(tx, dir, &in, err);

	if (r < 0)
		return r;
	new.ino = meta_next(tx, META_INO);
	new.generation = TREE_GENERATION;
	new.nlink = 0;
	new.bytes = 0;
	new.size = 0;
	new.atime_ns = new.mtime_ns = new.ctime_ns = now;
	new.policy = in.policy;
	r = tree_insert(tx, &new, 0, NULL, err);
	if (r == 0)
		r = meta_change(tx, "INSERT INTO orphan (ino) VALUES (?1)",
			META_INTS((int64_t) new.ino), err);
	if (r < 0)
		return r;
	*a = new;
	return 0;
}

static void tree_merge(
	struct tree_attr *to, const struct tree_attr *from, unsigned mask)
{
	if (mask & TREE_SET_MODE)
		to->mode =
			(to->mode & (uint32_t)S_IFMT) | (from->mode & 07777u);
	if (mask & TREE_SET_UID)
		to->uid = from->uid;
	if (mask & TREE_SET_GID)
		to->gid = from->gid;
	if (mask & TREE_SET_SIZE)
		to->size = from->size;
	if (mask & TREE_SET_ATIME)
		to->atime_ns = from->atime_ns;
	if (mask & TREE_SET_MTIME)
		to->mtime_ns = from->mtime_ns;
	if (mask & TREE_SET_CTIME)
		to->ctime_ns = from->ctime_ns;
	if (mask & TREE_SET_POLICY)
		to->policy = from->policy;
}

int tree_set(struct meta_tx *tx, unsigned mask, struct tree_attr *a,
	struct pluri_err *err)
{
	struct rows_row row = {0};
	struct tree_attr old = {0};
	int r = rows_get(tx, a->ino, &row, err);

	if (r < 0)
		return r;
	old = row.a;
	if ((mask & TREE_SET_SIZE) &&
		(!S_ISREG(old.mode) || a->size > INT64_MAX))
		return S_ISDIR(old.mode)   ? -EISDIR
		       : S_ISREG(old.mode) ? -EFBIG
					   : -EINVAL;
	tree_merge(&row.a, a, mask);
	r = rows_set(tx, &row, err);
	if (r < 0)
		return r;
	meta_total(tx, a->ino, 0, (int64_t)(row.a.size - old.size));
	*a = row.a;
	return 0;
}

int tree_readlink(
	struct meta_tx *tx, uint64_t ino, char *to, struct pluri_err *err)
{
	struct pluri_span target = {0};
	struct db_stmt *s = NULL;
	int r = meta_query(tx, "SELECT mode, target FROM inode WHERE ino = ?1",
		META_INTS((int64_t)ino), &s, err);

	if (r == 0)
		r = meta_step(tx, s, err);
	if (r <= 0)
		return r == 0 ? -ENOENT : r;
	if (!S_ISLNK(meta_u32(tx, s, 0)))
		return -EINVAL;
	target = tx->ops->get_blob(s, 1);
	if (target.len == 0 || target.len > TREE_SYMLINK_MAX)
		return pluri_fail(err, EBADMSG,
			"database: symbolic link %" PRIu64
			" has a target of %zu bytes; it is damaged",
			ino, target.len);
	memcpy(to, target.data, target.len);
	to[target.len] = '\0';
	return 0;
}

int tree_list(struct meta_tx *tx, uint64_t dir, uint64_t after, bool with_attr,
	int (*each)(void *arg, const struct tree_entry *e), void *arg,
	struct pluri_err *err)
{
	const int64_t top = tree_cookie_top(tx);
	struct rows_row row = {0};
	struct tree_entry e = {0};
	struct db_stmt *s = NULL;
	int r = meta_query(tx,
		with_attr ? "SELECT d.name, d.cookie, " ROWS_COLUMNS
			    " FROM dentry d JOIN inode i ON i.ino = d.ino"
			    " WHERE d.parent = ?1 AND d.cookie > 0"
			    " AND d.cookie < ?2 ORDER BY d.cookie DESC"
			  : "SELECT name, cookie, ino, type FROM dentry"
			    " WHERE parent = ?1 AND cookie > 0"
			    " AND cookie < ?2 ORDER BY cookie DESC",
		META_INTS((int64_t)dir, top - (int64_t)after), &s, err);

	while (r == 0 && (r = meta_step(tx, s, err)) > 0) {
		const struct pluri_span name = tx->ops->get_blob(s, 0);

		if (name.len > TREE_NAME_MAX)
			return pluri_fail(err, EBADMSG,
				"database: a name in directory %" PRIu64
				" has %zu bytes; it is damaged: pluri fsck "
				"tells which",
				dir, name.len);
		e.name = (struct tree_name){name.data, name.len};
		e.cookie = (uint64_t)top - meta_u64(tx, s, 1);
		if (with_attr) {
			rows_read(tx, s, 2, &row);
			e.attr = row.a;
		} else {
			e.attr.ino = meta_u64(tx, s, 2);
			e.attr.mode = meta_u32(tx, s, 3);
		}
		if (each(arg, &e) != 0)
			return 0;
		r = 0;
	}
	return r;
}

int tree_orphans(struct meta_tx *tx, uint64_t after, uint64_t *ret,
	unsigned max, unsigned *ret_n, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	unsigned n = 0;
	int r = rows_settle(tx, err);

	if (r == 0)
		r = meta_query(tx,
			"SELECT o.ino FROM orphan o JOIN inode i"
			" ON i.ino = o.ino WHERE o.ino > ?1 AND i.nlink = 0"
			" ORDER BY o.ino LIMIT ?2",
			META_INTS((int64_t)after, max), &s, err);
	while (r == 0 && n < max && (r = meta_step(tx, s, err)) > 0) {
		ret[n++] = meta_u64(tx, s, 0);
		r = 0;
	}
	if (r < 0)
		return r;
	*ret_n = n;
	return 0;
}

/* Has it extents, alive or dead? */
static int tree_full(struct meta_tx *tx, uint64_t ino, struct pluri_err *err)
{
	int64_t yes = 0;
	int r = meta_ask(tx, "SELECT 1 FROM extent WHERE ino = ?1 LIMIT 1",
		META_INTS((int64_t)ino), &yes, err);

	if (r == 0 && tx->counter[META_TRIMS] != 0)
		r = meta_ask(tx, "SELECT 1 FROM trim WHERE ino = ?1",
			META_INTS((int64_t)ino), &yes, err);
	return r;
}

/* May it go? Then it is no orphan any more. */
static int tree_drop_orphan(struct meta_tx *tx, uint64_t ino,
	struct tree_attr *ret, struct pluri_err *err)
{
	int r = tree_get(tx, ino, ret, err);

	if (r == 0 && ret->nlink == 0) {
		r = tree_full(tx, ino, err);
		if (r > 0)
			return pluri_fail(err, EBUSY,
				"inode %" PRIu64 " still has extents", ino);
		if (r == 0)
			r = meta_change(tx, "DELETE FROM orphan WHERE ino = ?1",
				META_INTS((int64_t)ino), err);
		if (r < 0 || tx->ops->changes(tx->db) > 0)
			return r;
	}
	return r < 0 ? r
		     : pluri_fail(err, EINVAL,
			       "inode %" PRIu64 " still has a name", ino);
}

int tree_drop(struct meta_tx *tx, uint64_t ino, struct pluri_err *err)
{
	struct tree_attr a = {0};
	int r = tree_drop_orphan(tx, ino, &a, err);

	if (r == 0)
		r = meta_change(tx, "DELETE FROM xattr WHERE ino = ?1",
			META_INTS((int64_t)ino), err);
	if (r == 0)
		r = meta_change(tx, "DELETE FROM inode WHERE ino = ?1",
			META_INTS((int64_t)ino), err);
	if (r == 0)
		r = rows_gone(tx, ino, err);
	if (r < 0)
		return r;
	meta_touch(tx, META_TOUCHED_INODE, ino);
	meta_total(tx, ino, -1, S_ISREG(a.mode) ? -(int64_t)a.size : 0);
	return 0;
}

int tree_totals(
	struct meta_tx *tx, struct tree_totals *ret, struct pluri_err *err)
{
	(void)err;
	ret->inodes = (uint64_t)tx->counter[META_INODES];
	ret->bytes = tx->counter[META_BYTES] < 0
			     ? INT64_MAX /* it wrapped, see meta_total() */
			     : (uint64_t)tx->counter[META_BYTES];
	return 0;
}
