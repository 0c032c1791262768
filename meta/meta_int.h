/*
 * meta/meta_int.h - the inside of a bracket, for the modules of meta/ alone.
 *
 * Confined to a bracket, like everything that takes a struct meta_tx.
 */
#ifndef PLURI_META_INT_H
#define PLURI_META_INT_H

#include "meta/db.h"
#include "meta/meta.h"

/*
 * Numbers that brackets give out or keep up to date. They live in memory,
 * follow the bracket when it is undone, and are written in the same
 * transaction as the changes they count. Their order is format.
 */
enum meta_counter {
	META_INO = 0,	 /* last inode number given */
	META_COOKIE = 1, /* last directory cookie given */
	META_CHUNK = 2,	 /* last numbers given, likewise */
	META_PACK = 3,
	META_MOVE = 4,
	META_JOB = 5,
	META_INODES = 6, /* inodes there are */
	META_BYTES = 7,	 /* sum of the sizes of regular files */
	META_TRIMS = 8,	 /* files that are being trimmed, meta/extent.h */
	META_COUNTERS = 9
};

/*
 * Somebody who counts over a whole table, a slice in each bracket, and must
 * know what changed meanwhile: see fsck.h. Whoever changes a name, a link
 * count or the extents of an inode, or the references of a chunk, says so by
 * meta_touch(), in the same bracket; totals change by meta_total() alone.
 */
enum meta_touched {
	META_NOTHING = 0,
	META_TOUCHED_INODE = 1,
	META_TOUCHED_CHUNK = 2,
};

struct meta_watch {
	void (*touched)(struct meta_watch *w, enum meta_touched what,
		uint64_t num);
	int64_t upto; /* inodes up to this number are counted already */
	int64_t inodes, bytes; /* what became of them since; as counters do,
				  these follow a bracket that is undone */
	int64_t before[2];
};

struct rows;
struct meta_tx {
	struct meta *meta;
	const struct db_ops *ops;
	struct db *db;
	struct rows *rows; /* meta/rows.h */
	int64_t *counter; /* META_COUNTERS of them */
	struct meta_watch *watch; /* NULL: nobody */
};

/* -EBUSY when there is one. NULL takes it away. Not inside a bracket. */
int meta_set_watch(struct meta *m, struct meta_watch *w,
	struct pluri_err *err);

static inline void meta_touch(struct meta_tx *tx, enum meta_touched what,
	uint64_t num)
{
	if (tx->watch)
		tx->watch->touched(tx->watch, what, num);
}

/* Sizes of sparse files add up to more than 64 bits hold: the sum wraps, and
 * what is taken off again wraps back. */
static inline int64_t meta_wrap(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

/* The totals change by so much, on account of that inode. */
static inline void meta_total(struct meta_tx *tx, uint64_t ino,
	int64_t inodes, int64_t bytes)
{
	tx->counter[META_INODES] += inodes;
	tx->counter[META_BYTES] = meta_wrap(tx->counter[META_BYTES], bytes);
	if (tx->watch && (int64_t)ino <= tx->watch->upto) {
		tx->watch->inodes += inodes;
		tx->watch->bytes = meta_wrap(tx->watch->bytes, bytes);
	}
}

/* A number never given before, 1 first; never reused once committed. */
static inline uint64_t meta_next(struct meta_tx *tx, enum meta_counter which)
{
	return (uint64_t)++tx->counter[which];
}

/* Integers for ?1, ?2, ...: META_INTS(ino, off). */
#define META_INTS(...)                                                        \
	(const int64_t[]){ __VA_ARGS__ },                                     \
		sizeof((const int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)

/*
 * A statement with its first n parameters bound; sql is a string literal and
 * so is known by its address. One literal is one statement: do not use it
 * again while its rows are still being read.
 */
int meta_query(struct meta_tx *tx, const char *sql, const int64_t *v,
	size_t n, struct db_stmt **ret, struct pluri_err *err);

/* The same, run to its end, rows ignored. */
int meta_change(struct meta_tx *tx, const char *sql, const int64_t *v,
	size_t n, struct pluri_err *err);

/* Run a bound statement to its end: 0 or -errno. */
int meta_step_done(struct meta_tx *tx, struct db_stmt *s,
	struct pluri_err *err);

/* 1 and the first column of the first row, 0 when there is no row. */
int meta_ask(struct meta_tx *tx, const char *sql, const int64_t *v, size_t n,
	int64_t *ret, struct pluri_err *err);

/* Next row: 1, 0 at the end, -errno. */
static inline int meta_step(struct meta_tx *tx, struct db_stmt *s,
	struct pluri_err *err)
{
	return tx->ops->step(s, err);
}

/* Columns count from 0, parameters from 1. */
static inline int64_t meta_int(struct meta_tx *tx, struct db_stmt *s, int at)
{
	return tx->ops->get_int(s, at);
}

static inline uint64_t meta_u64(struct meta_tx *tx, struct db_stmt *s, int at)
{
	return (uint64_t)tx->ops->get_int(s, at);
}

static inline uint32_t meta_u32(struct meta_tx *tx, struct db_stmt *s, int at)
{
	return (uint32_t)tx->ops->get_int(s, at);
}

/* Exactly len bytes of a blob, or -EBADMSG. */
int meta_bytes(struct meta_tx *tx, struct db_stmt *s, int at, void *to,
	size_t len, struct pluri_err *err);

/* A text that must fit with its NUL, or -EBADMSG. Null reads as "". */
int meta_text(struct meta_tx *tx, struct db_stmt *s, int at, char *to,
	size_t cap, struct pluri_err *err);

/* tree.c: the root directory of a new volume. */
int tree_root(struct meta_tx *tx, uint32_t uid, uint32_t gid, int64_t now,
	struct pluri_err *err);

#endif
