#include <errno.h>
#include <inttypes.h>

#include "meta/rows.h"
#include "meta/tree_int.h"

/* Steps to the root of any honest tree; a ring in a damaged one is longer. */
#define TREE_DEPTH_MAX (1u << 20)

/* -EINVAL when dir is top or lies below it. */
static int tree_move_loop(
	struct meta_tx *tx, uint64_t top, uint64_t dir, struct pluri_err *err)
{
	for (unsigned i = 0; i < TREE_DEPTH_MAX; i++) {
		int r;

		if (dir == top)
			return -EINVAL;
		if (dir == TREE_ROOT)
			return 0;
		r = tree_parent(tx, dir, &dir, err);
		if (r < 0)
			return pluri_fail(err, EBADMSG,
				"database: directory %" PRIu64
				" has no parent; it is damaged",
				dir);
	}
	return pluri_fail(err, EBADMSG,
		"database: the directories above %" PRIu64
		" form a ring; it is damaged",
		dir);
}

/* What stands at both ends; lost->ino 0 when the target is free. */
static int tree_move_load(struct meta_tx *tx, const struct tree_move *mv,
	struct tree_attr *moved, struct tree_attr *lost, struct pluri_err *err)
{
	struct tree_attr dir = {0};
	int r = tree_check_name(mv->from);

	if (r == 0)
		r = tree_check_name(mv->to);
	if (r == 0)
		r = tree_need_dir(tx, mv->from_dir, &dir, err);
	if (r == 0)
		r = tree_need_dir(tx, mv->to_dir, &dir, err);
	if (r == 0)
		r = tree_lookup(tx, mv->from_dir, mv->from, moved, err);
	if (r < 0)
		return r;
	r = tree_lookup(tx, mv->to_dir, mv->to, lost, err);
	return r == -ENOENT && !(mv->flags & TREE_EXCHANGE) ? 0 : r;
}

/* The rules of rename(2) about what may meet what. */
static int tree_move_check(struct meta_tx *tx, const struct tree_move *mv,
	const struct tree_attr *moved, const struct tree_attr *lost,
	struct pluri_err *err)
{
	int r = 0;

	if (lost->ino && (mv->flags & TREE_NOREPLACE))
		return -EEXIST;
	if (S_ISDIR(moved->mode))
		r = tree_move_loop(tx, moved->ino, mv->to_dir, err);
	if (r < 0 || !lost->ino)
		return r;
	if (mv->flags & TREE_EXCHANGE)
		return S_ISDIR(lost->mode) ? tree_move_loop(tx, lost->ino,
						     mv->from_dir, err)
					   : 0;
	if (S_ISDIR(moved->mode) && !S_ISDIR(lost->mode))
		return -ENOTDIR;
	if (!S_ISDIR(moved->mode) && S_ISDIR(lost->mode))
		return -EISDIR;
	return S_ISDIR(lost->mode) ? tree_need_empty(tx, lost->ino, err) : 0;
}

/* a now hangs in dir: ctime, and what ".." is. */
static int tree_move_adopt(struct meta_tx *tx, struct tree_attr *a,
	uint64_t dir, int64_t now, struct pluri_err *err)
{
	struct rows_row row = {0};
	const int r = rows_get(tx, a->ino, &row, err);

	meta_touch(tx, META_TOUCHED_INODE, a->ino);
	if (r < 0)
		return r;
	a->ctime_ns = now;
	row.a.ctime_ns = now;
	row.parent = S_ISDIR(a->mode) ? dir : 0;
	return rows_set(tx, &row, err);
}

/* Both directories changed; so many subdirectories went from one to other. */
static int tree_move_touch(struct meta_tx *tx, const struct tree_move *mv,
	int64_t now, int left, int came, struct pluri_err *err)
{
	int r;

	if (mv->from_dir == mv->to_dir)
		return tree_touch(tx, mv->to_dir, now, came - left, err);
	r = tree_touch(tx, mv->from_dir, now, -left, err);
	return r < 0 ? r : tree_touch(tx, mv->to_dir, now, came, err);
}

/*
 * In one directory a name keeps its cookie: who renames what a listing shows
 * him does not meet it again at the end, for ever.
 */
static int tree_move_name(struct meta_tx *tx, const struct tree_move *mv,
	const struct tree_attr *a, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r;

	if (mv->from_dir != mv->to_dir) {
		r = tree_del_name(tx, mv->from_dir, mv->from, err);
		return r < 0 ? r
			     : tree_add_name(tx, mv->to_dir, mv->to, a, err);
	}
	r = tree_query(tx,
		"UPDATE dentry SET name = ?3 WHERE parent = ?1 AND name = ?2",
		META_INTS((int64_t)mv->from_dir), mv->from, &s, err);
	if (r < 0)
		return r;
	tx->ops->bind_blob(s, 3, (struct pluri_span){mv->to.data, mv->to.len});
	return meta_step_done(tx, s, err);
}

static int tree_move_replace(struct meta_tx *tx, const struct tree_move *mv,
	int64_t now, struct tree_attr *moved, struct tree_attr *lost,
	struct pluri_err *err)
{
	const int is_dir = S_ISDIR(moved->mode) ? 1 : 0;
	int r = 0;

	if (lost->ino) {
		r = tree_del_name(tx, mv->to_dir, mv->to, err);
		if (r == 0)
			r = tree_lose(tx, lost, now, err);
	}
	if (r == 0)
		r = tree_move_name(tx, mv, moved, err);
	if (r == 0)
		r = tree_move_adopt(tx, moved, mv->to_dir, now, err);
	if (r < 0)
		return r;
	/* A directory that was replaced leaves the target's count as it is. */
	return tree_move_touch(
		tx, mv, now, is_dir, lost->ino ? 0 : is_dir, err);
}

/* The name stays, with its cookie: a listing meets it once all the same. */
static int tree_move_repoint(struct meta_tx *tx, uint64_t dir,
	struct tree_name name, const struct tree_attr *a, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	const int r = tree_query(tx,
		"UPDATE dentry SET ino = ?2, type = ?3"
		" WHERE parent = ?1 AND name = ?4",
		META_INTS((int64_t)dir, (int64_t)a->ino, a->mode & S_IFMT),
		name, &s, err);

	return r < 0 ? r : meta_step_done(tx, s, err);
}

static int tree_move_swap(struct meta_tx *tx, const struct tree_move *mv,
	int64_t now, struct tree_attr *one, struct tree_attr *two,
	struct pluri_err *err)
{
	const int shift =
		(S_ISDIR(one->mode) ? 1 : 0) - (S_ISDIR(two->mode) ? 1 : 0);
	int r = tree_move_repoint(tx, mv->to_dir, mv->to, one, err);

	if (r == 0)
		r = tree_move_repoint(tx, mv->from_dir, mv->from, two, err);
	if (r == 0)
		r = tree_move_adopt(tx, one, mv->to_dir, now, err);
	if (r == 0)
		r = tree_move_adopt(tx, two, mv->from_dir, now, err);
	return r < 0 ? r : tree_move_touch(tx, mv, now, shift, shift, err);
}

int tree_rename(struct meta_tx *tx, const struct tree_move *mv, int64_t now,
	struct tree_attr *ret_moved, struct tree_attr *ret_lost,
	struct pluri_err *err)
{
	const unsigned both = TREE_NOREPLACE | TREE_EXCHANGE;
	struct tree_attr moved = {0};
	struct tree_attr lost = {0};
	int r;

	if ((mv->flags & ~both) != 0 || (mv->flags & both) == both)
		return -EINVAL;
	r = tree_move_load(tx, mv, &moved, &lost, err);
	if (r == 0)
		r = tree_move_check(tx, mv, &moved, &lost, err);
	if (r < 0)
		return r;
	if (moved.ino == lost.ino) { /* two names of one inode: both stay */
		lost = (struct tree_attr){0};
	} else if (mv->flags & TREE_EXCHANGE) {
		r = tree_move_swap(tx, mv, now, &moved, &lost, err);
	} else {
		r = tree_move_replace(tx, mv, now, &moved, &lost, err);
	}
	if (r < 0)
		return r;
	*ret_moved = moved;
	*ret_lost = lost;
	return 0;
}
