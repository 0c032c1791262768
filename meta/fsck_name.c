#include <errno.h>
#include <inttypes.h>

#include "meta/fsck_int.h"
#include "meta/tree_int.h"

struct name_row {
	uint64_t ino;
	uint32_t mode;
	int64_t nlink, parent;
	bool orphan;
	uint32_t names, subdirs; /* as they were counted */
};

/* --- repairs ------------------------------------------------------------- */

static int name_fix_nlink(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx, "UPDATE inode SET nlink = ?2 WHERE ino = ?1",
		META_INTS((int64_t)found->ino, found->value), err);
}

static int name_fix_orphan(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	const int r = meta_change(tx, "DELETE FROM orphan WHERE ino = ?1",
		META_INTS((int64_t)found->ino), err);

	return r < 0 ? r : name_fix_nlink(f, tx, found, err);
}

static int name_fix_unnamed(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	return fsck_attach(f, tx, found->ino, err);
}

/* Several names in one directory: the first in listings stays. */
static int name_fix_two(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	meta_touch(tx, META_TOUCHED_INODE, found->ino);
	meta_touch(tx, META_TOUCHED_INODE, found->dir);
	return fsck_change(tx,
		"DELETE FROM dentry WHERE parent = ?1 AND ino = ?2 AND cookie <"
		" (SELECT max(d.cookie) FROM dentry d WHERE d.parent = ?1"
		" AND d.ino = ?2)",
		META_INTS((int64_t)found->dir, (int64_t)found->ino), err);
}

/* One of a ring: its name goes, the rest hangs below it. */
static int name_fix_ring(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	int r;

	meta_touch(tx, META_TOUCHED_INODE, found->dir);
	r = meta_change(tx, "DELETE FROM dentry WHERE parent = ?1 AND ino = ?2",
		META_INTS((int64_t)found->dir, (int64_t)found->ino), err);
	return r < 0 ? r : fsck_attach(f, tx, found->ino, err);
}

/* --- does a directory lead to the root? ---------------------------------- */

struct name_walk {
	struct fsck *f;
	struct meta_tx *tx;
	uint64_t at, mark; /* mark: where it was a power of two of steps ago */
	unsigned steps;
};

enum name_end { WALK_ON, WALK_GOOD, WALK_ELSE, WALK_RING };

static uint32_t *name_flags(struct fsck *f, uint64_t ino)
{
	const size_t i = fsck_seen_find(&f->seen, ino);

	return i == FSCK_NONE ? NULL : &f->seen.more[i];
}

/* One step up: enum name_end, or -errno. */
static int name_up(struct name_walk *w, struct pluri_err *err)
{
	const uint32_t *flags = name_flags(w->f, w->at);
	int64_t up = 0;
	int r;

	if (w->at == TREE_ROOT || (flags && *flags & FSCK_GOOD))
		return WALK_GOOD;
	if ((flags && *flags & FSCK_BAD) || w->steps == FSCK_WALK)
		return WALK_ELSE;
	r = meta_ask(w->tx, "SELECT parent FROM inode WHERE ino = ?1",
		META_INTS((int64_t)w->at), &up, err);
	if (r <= 0 || up == 0)
		return r < 0 ? r : WALK_ELSE; /* parent-missing tells of it */
	w->f->took++;
	w->at = (uint64_t)up;
	if (w->at == w->mark)
		return WALK_RING;
	w->steps++;
	if ((w->steps & (w->steps - 1)) == 0)
		w->mark = w->at;
	return WALK_ON;
}

/* What stands from ino on up gets the flag that the walk has earned. */
static int name_mark(struct fsck *f, struct meta_tx *tx, uint64_t ino,
	uint32_t flag, struct pluri_err *err)
{
	int64_t up = (int64_t)ino;
	int r = 1;

	for (unsigned i = 0; r > 0 && up > 0 && i < FSCK_WALK; i++) {
		uint32_t *const flags = name_flags(f, (uint64_t)up);

		if (up == TREE_ROOT ||
			(flags && *flags & (FSCK_GOOD | FSCK_BAD)))
			break;
		if (flags)
			*flags |= flag;
		r = meta_ask(tx, "SELECT parent FROM inode WHERE ino = ?1",
			META_INTS(up), &up, err);
	}
	return r < 0 ? r : 0;
}

static int name_walk(struct fsck *f, struct meta_tx *tx,
	const struct name_row *n, struct pluri_err *err)
{
	static const struct fsck_rule ring = {"directory-ring",
		"takes one directory out of the ring, to lost+found", false,
		name_fix_ring};
	struct name_walk w = {f, tx, n->ino, n->ino, 0};
	struct fsck_finding *found;
	int64_t up = 0;
	int r;

	do
		r = name_up(&w, err);
	while (r == WALK_ON);
	if (r < 0)
		return r;
	if (r == WALK_ELSE && w.steps == FSCK_WALK)
		f->busy++;
	if (r == WALK_RING) { /* w.at is one of it */
		r = meta_ask(tx, "SELECT parent FROM inode WHERE ino = ?1",
			META_INTS((int64_t)w.at), &up, err);
		if (r < 0)
			return r;
		found = fsck_add(
			f, &ring, "the directories above it lead back to it");
		found->ino = w.at;
		found->dir = (uint64_t)up;
		r = WALK_RING;
	}
	return name_mark(
		f, tx, n->ino, r == WALK_GOOD ? FSCK_GOOD : FSCK_BAD, err);
}

/* --- judging ------------------------------------------------------------- */

static int64_t name_links(const struct name_row *n)
{
	if (n->orphan && n->names == 0)
		return 0;
	return S_ISDIR(n->mode) ? 2 + (int64_t)n->subdirs : n->names;
}

static void name_add(
	struct fsck *f, const struct fsck_rule *rule, const struct name_row *n)
{
	struct fsck_finding *const found = fsck_add(f, rule,
		"%u names, %u subdirectories, %" PRId64 " links%s", n->names,
		n->subdirs, n->nlink, n->orphan ? ", to be removed" : "");

	found->ino = n->ino;
	found->value = name_links(n);
	found->dir = S_ISDIR(n->mode) ? (uint64_t)n->parent : 0;
}

/* The count is exact. */
static void name_judge(struct fsck *f, const struct name_row *n)
{
	static const struct fsck_rule unnamed = {"inode-unnamed",
		"an empty file or directory is removed at the next mount; "
		"anything else gets a name in lost+found",
		false, name_fix_unnamed};
	static const struct fsck_rule orphan = {"orphan-named",
		"keeps it: it has a name", false, name_fix_orphan};
	static const struct fsck_rule two = {"directory-two-names",
		"keeps the first name", false, name_fix_two};
	static const struct fsck_rule links = {"nlink-wrong",
		"sets the link count to what was counted", false,
		name_fix_nlink};

	if (n->names == 0 && !n->orphan && n->ino != TREE_ROOT)
		name_add(f, &unnamed, n);
	else if (n->names > 0 && n->orphan)
		name_add(f, &orphan, n);
	else if (n->nlink != name_links(n))
		name_add(f, &links, n);
	if (S_ISDIR(n->mode) && n->names > 1)
		name_add(f, &two, n);
}

static bool name_wrong(const struct name_row *n)
{
	if (n->ino != TREE_ROOT && (n->names > 0) == n->orphan)
		return true;
	return n->nlink != name_links(n) || (S_ISDIR(n->mode) && n->names > 1);
}

static int name_one(struct fsck *f, struct meta_tx *tx, struct name_row *n,
	size_t at, struct pluri_err *err)
{
	uint32_t *const count = &f->seen.count[at];
	int r = 0;

	if (*count & FSCK_SETTLED)
		return 0;
	n->names = *count & FSCK_COUNT;
	n->subdirs = f->seen.more[at] & FSCK_COUNT;
	if (name_wrong(n) && *count & FSCK_TOUCHED) {
		f->unsettled++;
		return 0;
	}
	*count |= FSCK_SETTLED;
	name_judge(f, n);
	if (S_ISDIR(n->mode) && n->names > 0)
		r = name_walk(f, tx, n, err);
	return r;
}

int fsck_name_judge(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err)
{
	const struct fsck_seen *const w = &f->seen;
	const int64_t last = w->n ? (int64_t)fsck_seen_num(w, w->n - 1) : 0;
	struct db_stmt *s = NULL;
	int told = 0;
	int r;

	if (!f->on)
		f->key[0] = w->n ? (int64_t)w->base - 1 : INT64_MAX;
	r = fsck_query(f, tx,
		"SELECT i.ino, i.mode, i.nlink, i.parent, o.ino IS NOT NULL"
		" FROM inode i LEFT JOIN orphan o ON o.ino = i.ino"
		" WHERE i.ino > ?1 ORDER BY i.ino LIMIT ?2",
		1, &s, err);
	while (r >= 0 && told == 0 && f->key[0] < last && fsck_go(f) &&
		(r = meta_step(tx, s, err)) > 0) {
		struct name_row n = {
			.ino = meta_u64(tx, s, 0),
			.mode = meta_u32(tx, s, 1),
			.nlink = meta_int(tx, s, 2),
			.parent = meta_int(tx, s, 3),
			.orphan = meta_int(tx, s, 4) != 0,
		};
		const size_t at = fsck_seen_find(w, n.ino);

		fsck_took(f);
		f->key[0] = (int64_t)n.ino;
		if (at != FSCK_NONE)
			told = name_one(f, tx, &n, at, err);
	}
	*ret_more = f->key[0] < last && (r > 0 || !fsck_go(f));
	if (told >= 0 && r >= 0 && !*ret_more)
		fsck_window(f, FSCK_AT_INODES, FSCK_AT_NAMES);
	return told < 0 ? told : r;
}
