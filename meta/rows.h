/*
 * meta/rows.h - rows of inodes, remembered and written late.
 *
 * Most operations on names change the same few rows again and again: the
 * directory's times, and of a file that is linked, renamed and told its new
 * ctime by the kernel one row, three times. So rows are read once and changed
 * in memory; the table has them at the commit, in the transaction of the names
 * they belong to, which is all that a crash can tell. Whoever asks the table
 * itself for what may change in a row (but for type, target, generation and
 * device, which never do) settles first, or looks here for each row it got.
 *
 * What a bracket changes here is undone with it. Confined to a bracket.
 */
#ifndef PLURI_META_ROWS_H
#define PLURI_META_ROWS_H

#include "meta/meta_int.h"
#include "meta/tree.h"

#define ROWS_MAX 4096u	     /* remembered; 160 bytes each */
#define ROWS_DIRTY_MAX 1024u /* of them not written yet */

struct rows_row {
	struct tree_attr a;
	uint64_t parent; /* of a directory; else 0 */
};

/* Columns of `inode i`, to be read by rows_read() from the at-th on. */
#define ROWS_COLUMNS                                                   \
	"i.ino, i.gen, i.mode, i.uid, i.gid, i.nlink, i.rdev, i.size," \
	" i.bytes, i.atime, i.mtime, i.ctime, i.policy, i.parent"

/* The row s stands on, or what it has become meanwhile. */
void rows_read(struct meta_tx *tx, struct db_stmt *s, int at,
	struct rows_row *ret);
/* The same, and it is likely to be asked for again. */
void rows_learn(struct meta_tx *tx, struct db_stmt *s, int at,
	struct rows_row *ret);

int rows_get(struct meta_tx *tx, uint64_t ino, struct rows_row *ret,
	struct pluri_err *err); /* -ENOENT */

/* A row that rows_get() or rows_learn() gave, changed. -ENOSPC as if it were
 * written now. */
int rows_set(struct meta_tx *tx, const struct rows_row *row,
	struct pluri_err *err);

/* A statement has just added it, or removed it. */
int rows_made(struct meta_tx *tx, const struct rows_row *row,
	struct pluri_err *err);
int rows_gone(struct meta_tx *tx, uint64_t ino, struct pluri_err *err);

/* The table has everything. */
int rows_settle(struct meta_tx *tx, struct pluri_err *err);

/* To the end of the bracket the table is read and changed by itself, by
 * statements that know nothing of this: everything is settled and forgotten,
 * and nothing remembered. */
int rows_direct(struct meta_tx *tx, struct pluri_err *err);

/* meta.c's: life, and the ends of brackets. keep: has anything changed? */
int rows_new(struct rows **ret, struct pluri_err *err);
void rows_free(struct rows *r); /* NULL is fine */
void rows_begin(struct rows *r);
bool rows_keep(struct rows *r);
void rows_undo(struct rows *r);

#endif
