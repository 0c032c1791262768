/*
 * meta/tree_int.h - what the files of tree.h share.
 *
 * tree.c has inodes, tree_name.c adds and removes names, tree_move.c moves
 * them, tree_xattr.c has extended attributes. Confined to a bracket.
 */
#ifndef PLURI_META_TREE_INT_H
#define PLURI_META_TREE_INT_H

#include <sys/stat.h>

#include "meta/meta_int.h"
#include "meta/tree.h"

/*
 * The table has the counter's number as a name's cookie, and its index grows at
 * the end alone. Listings begin there, so that who makes names as he lists a
 * directory does not meet them, and comes to an end: what they tell as cookies
 * is how far below this the numbers are. No counter comes near half of it.
 */
#define TREE_COOKIE_TOP (INT64_C(1) << 47)
#define TREE_COOKIE_MAX (TREE_COOKIE_TOP / 2) /* beyond it is damage */
/* While numbers are small, so are offsets: programs of 32 bits read no others.
 * When a volume passes that, once, a listing under way begins anew. */
#define TREE_COOKIE_SMALL (INT64_C(1) << 30)
static inline int64_t tree_cookie_top(const struct meta_tx *tx)
{
	return tx->counter[META_COOKIE] < TREE_COOKIE_SMALL
		       ? 2 * TREE_COOKIE_SMALL - 16
		       : TREE_COOKIE_TOP;
}

/* 0, -EINVAL, -ENAMETOOLONG. */
int tree_check_name(struct tree_name name);

/* As meta_query(), with the name as the parameter after the integers. */
int tree_query(struct meta_tx *tx, const char *sql, const int64_t *v,
	size_t n, struct tree_name name, struct db_stmt **ret,
	struct pluri_err *err);

/* A directory that can take names: -ENOENT (also when removed), -ENOTDIR. */
int tree_need_dir(struct meta_tx *tx, uint64_t dir, struct tree_attr *ret,
	struct pluri_err *err);

/* -ENOTEMPTY or 0. */
int tree_need_empty(struct meta_tx *tx, uint64_t dir, struct pluri_err *err);

/* A name for a; -EEXIST. */
int tree_add_name(struct meta_tx *tx, uint64_t dir, struct tree_name name,
	const struct tree_attr *a, struct pluri_err *err);
int tree_del_name(struct meta_tx *tx, uint64_t dir, struct tree_name name,
	struct pluri_err *err);

/* Names in dir changed: mtime, ctime, and so many subdirectories more. */
int tree_touch(struct meta_tx *tx, uint64_t dir, int64_t now, int subdirs,
	struct pluri_err *err);

/* *a lost a name that was deleted: count down, orphan at 0. */
int tree_lose(struct meta_tx *tx, struct tree_attr *a, int64_t now,
	struct pluri_err *err);

#endif
