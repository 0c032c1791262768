/*
 * meta/fsck_int.h - the inside of a check, for fsck*.c.
 *
 * A phase reads one table in the order of its key, or judges what was counted.
 * Its step stops where fsck_go() says so and leaves the cursor behind the last
 * row it has judged. Repairs run when the step's statement is done with. A
 * new table is a new phase: a step, and a line in fsck.c's list.
 */
#ifndef PLURI_META_FSCK_INT_H
#define PLURI_META_FSCK_INT_H

#include "meta/fsck.h"
#include "meta/meta_int.h"

#define FSCK_ROOM 8u /* findings that one row may add */
#define FSCK_WALK 65536u /* directories up to the root, in one bracket */

/* How often each number of a window was met, and what is known of it. */
#define FSCK_TOUCHED (UINT32_C(1) << 31) /* changed since counting began */
#define FSCK_SETTLED (UINT32_C(1) << 30) /* judged */
#define FSCK_COUNT (FSCK_SETTLED - 1)
#define FSCK_GOOD (UINT32_C(1) << 31) /* in more: leads to the root */
#define FSCK_BAD (UINT32_C(1) << 30)  /* in more: does not, and that is told */

struct fsck_seen {
	enum meta_touched kind; /* of the numbers; META_NOTHING: no window */
	uint64_t base;	/* of rel */
	uint32_t *rel;	/* ascending */
	uint32_t *count;
	uint32_t *more; /* subdirectories; of inodes only */
	size_t n, cap, max;
	uint64_t next;	/* where the next window begins, if... */
	bool full;	/* ...there is more than this window held */
};

#define FSCK_NONE SIZE_MAX
size_t fsck_seen_find(const struct fsck_seen *s, uint64_t num);
/* Add one to *count or *more, short of its flags. */
void fsck_seen_add(uint32_t *to);
/* Numbers come ascending. 1: taken; 0: the window is full; -ENOMEM. */
int fsck_seen_load(struct fsck_seen *s, uint64_t num, struct pluri_err *err);
/* Count again whatever is not settled. */
void fsck_seen_reset(struct fsck_seen *s);
void fsck_seen_clear(struct fsck_seen *s);
uint64_t fsck_seen_memory(const struct fsck_seen *s);
static inline uint64_t fsck_seen_num(const struct fsck_seen *s, size_t i)
{
	return s->base + s->rel[i];
}

struct fsck {
	struct meta_watch watch;
	struct meta *meta;
	struct fsck_options o;
	unsigned rows;
	unsigned phase, jump; /* the next one, when it is not the following */
	unsigned took;	      /* rows of this bracket */
	uint64_t total_rows, busy, memory;
	struct fsck_finding *out; /* the caller's */
	unsigned n;

	/* The phase's place: nothing of it is true after another phase. */
	bool on;	    /* not at its beginning */
	int64_t key[3];	    /* of the last row */
	uint8_t name[2 * TREE_NAME_MAX]; /* as well */
	uint8_t bound[2 * TREE_NAME_MAX]; /* its copy, while rows are read */
	size_t name_len;

	struct fsck_seen seen;
	unsigned pass;	    /* over this window */
	bool counting;	    /* rows were judged before: only count */
	uint64_t unsettled; /* of this pass */

	uint64_t file, file_end; /* whose extents are being read */
	bool file_touched;
	bool file_past; /* what lies behind its end is told */
	int64_t file_sum;
	uint64_t pack_end; /* of the chunks of pack key[0] */
	int64_t inodes, bytes, off_inodes, off_bytes;
	bool recount, uncounted;
	bool low[META_COUNTERS]; /* told */
};

static inline bool fsck_go(const struct fsck *f)
{
	return f->took < f->rows && f->n + FSCK_ROOM <= FSCK_FINDINGS;
}

/* What a rule says of all its findings. */
struct fsck_rule {
	const char *code, *action;
	bool grave;
	int (*fix)(struct fsck *f, struct meta_tx *tx,
		struct fsck_finding *found, struct pluri_err *err);
};

/* A new finding; never NULL inside of a row's FSCK_ROOM. */
struct fsck_finding *fsck_add(struct fsck *f, const struct fsck_rule *rule,
	const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void fsck_name(struct fsck_finding *found, struct pluri_span name);

/* The rest of a step: one row, and the end of the slice. */
static inline void fsck_took(struct fsck *f)
{
	f->took++;
	f->total_rows++;
	f->on = true;
}

/* A repair that is one statement: 1, or -errno. */
int fsck_change(struct meta_tx *tx, const char *sql, const int64_t *v,
	size_t n, struct pluri_err *err);

/* A number in use beyond its counter, told once for each. */
void fsck_counter(struct fsck *f, struct meta_tx *tx, enum meta_counter which,
	int64_t used);

/* A total that is not what was counted. */
void fsck_total(struct fsck *f, const struct meta_tx *tx,
	enum meta_counter which, int64_t seen);

/* Statement with the phase's key of n integers, then the limit. */
int fsck_query(struct fsck *f, struct meta_tx *tx, const char *sql,
	unsigned n, struct db_stmt **ret, struct pluri_err *err);
/* The same for a key of an integer and a name, which is ?3. */
int fsck_query_name(struct fsck *f, struct meta_tx *tx, const char *sql,
	struct db_stmt **ret, struct pluri_err *err);
/* That row is done with. A name longer than any may be has no place in the
 * cursor: what follows under the same number waits until it is gone. */
void fsck_took_name(struct fsck *f, int64_t num, struct pluri_span name);

/* A place for what has no name; 1 or -errno. */
int fsck_attach(struct fsck *f, struct meta_tx *tx, uint64_t ino,
	struct pluri_err *err);
/* "#INO", or with a suffix, that is free in dir. */
int fsck_attach_free(struct meta_tx *tx, uint64_t dir, uint64_t ino,
	char to[32], struct pluri_err *err);

/* Places of fsck.c's list that others go back to. */
#define FSCK_AT_INODES 5u /* windows of numbers... */
#define FSCK_AT_NAMES 6u  /* ...and what counts them */
#define FSCK_AT_CHUNKS 10u
#define FSCK_AT_EXTENTS 11u

/* A step that loads a window: sql reads the numbers behind ?1, ?2 of them. */
int fsck_seen_read(struct fsck *f, struct meta_tx *tx, const char *sql,
	bool *ret_more, struct pluri_err *err);

/* A window is judged: count what was busy again, or take the next window. */
void fsck_window(struct fsck *f, unsigned load, unsigned count);

/* Steps. *ret_more: there is more of this phase. */
int fsck_counters(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err);
int fsck_store(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err);
int fsck_policy(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err);
int fsck_orphan(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err);
int fsck_inode(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err);
int fsck_inode_load(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err);
int fsck_dentry(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err);
int fsck_name_judge(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err);
int fsck_attr(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err);
int fsck_extent_load(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err);
int fsck_extent(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err);
int fsck_extent_judge(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err);
int fsck_trim(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err);
int fsck_chunk(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err);
int fsck_pack(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err);
int fsck_shard(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err);
int fsck_tail(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err);
int fsck_move(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err);
int fsck_job(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err);
int fsck_grave(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err);

#endif
