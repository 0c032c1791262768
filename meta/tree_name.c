#include <errno.h>

#include "meta/rows.h"
#include "meta/tree_int.h"

int tree_add_name(struct meta_tx *tx, uint64_t dir, struct tree_name name,
	const struct tree_attr *a, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	const int r = tree_query(tx,
		"INSERT INTO dentry (parent, ino, type, cookie, name)"
		" VALUES (?1, ?2, ?3, ?4, ?5)",
		META_INTS((int64_t)dir, (int64_t)a->ino, a->mode & S_IFMT,
			(int64_t)meta_next(tx, META_COOKIE)),
		name, &s, err);

	return r < 0 ? r : meta_step_done(tx, s, err);
}

int tree_del_name(struct meta_tx *tx, uint64_t dir, struct tree_name name,
	struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	const int r = tree_query(tx,
		"DELETE FROM dentry WHERE parent = ?1 AND name = ?2",
		META_INTS((int64_t)dir), name, &s, err);

	return r < 0 ? r : meta_step_done(tx, s, err);
}

int tree_touch(struct meta_tx *tx, uint64_t dir, int64_t now, int subdirs,
	struct pluri_err *err)
{
	struct rows_row row = {0};
	const int r = rows_get(tx, dir, &row, err);

	meta_touch(tx, META_TOUCHED_INODE, dir);
	if (r < 0) /* names of a directory that is lost may go */
		return r == -ENOENT ? 0 : r;
	row.a.mtime_ns = now;
	row.a.ctime_ns = now;
	row.a.nlink += (uint32_t)subdirs;
	return rows_set(tx, &row, err);
}

int tree_need_empty(struct meta_tx *tx, uint64_t dir, struct pluri_err *err)
{
	int64_t yes = 0;
	const int r =
		meta_ask(tx, "SELECT 1 FROM dentry WHERE parent = ?1 LIMIT 1",
			META_INTS((int64_t)dir), &yes, err);

	return r > 0 ? -ENOTEMPTY : r;
}

/* Link count and ctime of *a as they stand in it. */
static int tree_count(
	struct meta_tx *tx, const struct tree_attr *a, struct pluri_err *err)
{
	struct rows_row row = {0};
	const int r = rows_get(tx, a->ino, &row, err);

	meta_touch(tx, META_TOUCHED_INODE, a->ino);
	if (r < 0)
		return r;
	row.a.nlink = a->nlink;
	row.a.ctime_ns = a->ctime_ns;
	return rows_set(tx, &row, err);
}

int tree_lose(struct meta_tx *tx, struct tree_attr *a, int64_t now,
	struct pluri_err *err)
{
	int r;

	a->nlink = S_ISDIR(a->mode) || a->nlink == 0 ? 0 : a->nlink - 1;
	a->ctime_ns = now;
	r = tree_count(tx, a, err);
	if (r < 0 || a->nlink > 0)
		return r;
	return meta_change(tx, "INSERT INTO orphan (ino) VALUES (?1)",
		META_INTS((int64_t)a->ino), err);
}

int tree_link(struct meta_tx *tx, uint64_t ino, uint64_t dir,
	struct tree_name name, int64_t now, struct tree_attr *ret,
	struct pluri_err *err)
{
	struct tree_attr a = {0};
	struct tree_attr in = {0};
	int r = tree_check_name(name);

	if (r == 0)
		r = tree_get(tx, ino, &a, err);
	if (r == 0)
		r = tree_need_dir(tx, dir, &in, err);
	if (r < 0)
		return r;
	if (S_ISDIR(a.mode))
		return -EPERM;
	if (a.nlink >= TREE_NLINK_MAX)
		return -EMLINK;
	if (a.nlink == 0) /* made without a name: the kernel knows the others */
		r = meta_change(tx, "DELETE FROM orphan WHERE ino = ?1",
			META_INTS((int64_t)a.ino), err);
	if (r < 0)
		return r;
	a.nlink++;
	a.ctime_ns = now;
	r = tree_add_name(tx, dir, name, &a, err);
	if (r == 0)
		r = tree_count(tx, &a, err);
	if (r == 0)
		r = tree_touch(tx, dir, now, 0, err);
	if (r < 0)
		return r;
	*ret = a;
	return 0;
}

int tree_unlink(struct meta_tx *tx, uint64_t dir, struct tree_name name,
	bool is_dir, int64_t now, struct tree_attr *ret, struct pluri_err *err)
{
	struct tree_attr a = {0};
	int r = tree_lookup(tx, dir, name, &a, err);

	if (r < 0)
		return r;
	if (is_dir && !S_ISDIR(a.mode))
		return -ENOTDIR;
	if (!is_dir && S_ISDIR(a.mode))
		return -EISDIR;
	if (is_dir)
		r = tree_need_empty(tx, a.ino, err);
	if (r == 0)
		r = tree_del_name(tx, dir, name, err);
	if (r == 0)
		r = tree_lose(tx, &a, now, err);
	if (r == 0)
		r = tree_touch(tx, dir, now, is_dir ? -1 : 0, err);
	if (r < 0)
		return r;
	*ret = a;
	return 0;
}
