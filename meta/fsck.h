/*
 * meta/fsck.h - does the metadata agree with itself?
 *
 * A check walks all tables once, a slice of bounded size in each bracket, so
 * that others get their turns in between. It reports only what is so: whatever
 * a row says is judged against other rows in the same bracket; what has to be
 * counted over a whole table (names of an inode, references of a chunk, bytes
 * of a file, totals) is judged only where nobody changed it while it was being
 * counted. Counting starts over for what was busy, FSCK_PASSES times; what
 * is busy even then is told as not judged, and is no finding.
 *
 * Memory: 12 bytes an inode, then 8 bytes a chunk, both in windows of a fixed
 * size: a volume with more has its names (or extents) read once for each
 * window.
 *
 * Reports and repairs are made inside the same bracket. A repair never drops
 * what might be data: an extent whose chunk is lost stays, and reads of it go
 * on failing with EIO.
 *
 *   what has lost its name   empty files and directories become orphans, which
 *                            the next mount removes; all else gets the name
 *                            #INO in the directory lost+found of the root
 *
 * Confined, and one at a time on a database; brackets of others may come at any
 * time between steps.
 */
#ifndef PLURI_META_FSCK_H
#define PLURI_META_FSCK_H

#include "meta/meta.h"
#include "meta/tree.h"

#define FSCK_FINDINGS 64u /* of one step */
#define FSCK_ROWS 4096u	  /* of one bracket, unless told otherwise */
#define FSCK_PASSES 4u
#define FSCK_INODES (4u << 20) /* of one window: 48 MiB */
#define FSCK_CHUNKS (8u << 20) /* of one window: 64 MiB */
#define FSCK_LOST "lost+found"

struct fsck; /* a check under way */

enum fsck_state {
	FSCK_LEFT = 0,	   /* repair was not asked for, or cannot */
	FSCK_REPAIRED = 1,
};

struct fsck_finding {
	const char *code;   /* "dentry-dangling": stable */
	const char *action; /* what a repair does, or why there is none */
	bool grave;	    /* bytes of files are lost */
	enum fsck_state state;
	/* Where; 0: does not apply. */
	uint64_t ino, dir; /* dir: the directory that has the name */
	uint64_t off;	   /* of an extent in its file, a chunk in its pack */
	uint64_t chunk, pack;
	uint32_t index;	   /* of a shard */
	int64_t value;	   /* what it should be, where there is such */
	uint8_t name[TREE_NAME_MAX]; /* as far as it fits */
	size_t name_len;
	char text[160];	   /* what is wrong: numbers alone, no names */
	/* For fsck*.c: makes it good in the same bracket; 1 done, 0 not. */
	int (*fix)(struct fsck *f, struct meta_tx *tx,
		struct fsck_finding *found, struct pluri_err *err);
};

struct fsck_options {
	bool repair;
	unsigned rows;		 /* of one bracket; 0: FSCK_ROWS */
	unsigned inodes, chunks; /* of one window; 0: as above */
	int64_t now_ns;		 /* ctime of what is repaired */
};

/* -EBUSY: there is a check under way. */
int fsck_new(struct meta *m, const struct fsck_options *o, struct fsck **ret,
	struct pluri_err *err);
void fsck_free(struct fsck *f); /* at any time between steps */
PLURI_OWN(fsck);

/*
 * One bracket. ret: FSCK_FINDINGS of them. *ret_done: that was the last one.
 * A repair is undone by the failure of its bracket, as any change.
 */
int fsck_step(struct fsck *f, struct fsck_finding *ret, unsigned *ret_n,
	bool *ret_done, struct pluri_err *err);

struct fsck_progress {
	const char *phase; /* "names" */
	unsigned at, phases; /* number of it, from 0, of how many */
	uint64_t rows;	   /* read so far */
	uint64_t busy;	   /* not judged: changed while being counted */
	uint64_t memory;   /* bytes, the most so far */
};
void fsck_progress(const struct fsck *f, struct fsck_progress *ret);

/*
 * Paths of inodes, for the telling: one slice of all names. want: n of them;
 * dir, name and name_len of those that are found under *after and behind are
 * filled in. *ret_more: again, with the cursor as it is.
 */
struct fsck_cursor {
	uint64_t dir;
	uint8_t name[TREE_NAME_MAX];
	size_t name_len;
	bool on; /* false: from the first */
};
int fsck_find(struct meta_tx *tx, struct fsck_cursor *at,
	struct fsck_finding *want, unsigned n, bool *ret_more,
	struct pluri_err *err);

/* The path of a directory below the root, "/" at its end: 1; 0 when it cannot
 * be told, or is longer than cap, or stands in too large directories. */
int fsck_path(struct meta_tx *tx, uint64_t dir, char *to, size_t cap,
	struct pluri_err *err);

#endif
