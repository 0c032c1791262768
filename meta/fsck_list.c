#include <errno.h>
#include <inttypes.h>

#include "meta/fsck_int.h"
#include "meta/tree_int.h"

/* --- what is to be removed ----------------------------------------------- */

static int list_fix_orphan(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx, "DELETE FROM orphan WHERE ino = ?1",
		META_INTS((int64_t)found->ino), err);
}

int fsck_orphan(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err)
{
	static const struct fsck_rule none = {"orphan-no-inode",
		"forgets the orphan", false, list_fix_orphan};
	struct db_stmt *s = NULL;
	int r = fsck_query(f, tx,
		"SELECT o.ino, i.ino IS NOT NULL FROM orphan o LEFT JOIN inode"
		" i ON i.ino = o.ino WHERE o.ino > ?1 ORDER BY o.ino LIMIT ?2",
		1, &s, err);

	while (r >= 0 && fsck_go(f) && (r = meta_step(tx, s, err)) > 0) {
		f->key[0] = meta_int(tx, s, 0);
		fsck_took(f);
		if (meta_int(tx, s, 1) == 0)
			fsck_add(f, &none, "what is to be removed is not there")
				->ino = (uint64_t)f->key[0];
	}
	*ret_more = r > 0 || !fsck_go(f);
	return r;
}

/* --- what is to be cut short --------------------------------------------- */

static int list_fix_trim(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	const int r = meta_change(tx, "DELETE FROM trim WHERE ino = ?1",
		META_INTS((int64_t)found->ino), err);

	(void)f;
	tx->counter[META_TRIMS] -= r == 0;
	return r < 0 ? r : 1;
}

static int list_fix_off(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx,
		"UPDATE trim SET off = (SELECT max(size, 0) FROM inode"
		" WHERE inode.ino = ?1) WHERE ino = ?1",
		META_INTS((int64_t)found->ino), err);
}

/* The extent that reaches over the cut ends there. */
static int list_fix_over(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	meta_touch(tx, META_TOUCHED_INODE, found->ino);
	return fsck_change(tx,
		"UPDATE extent SET len = ?2 - off"
		" WHERE ino = ?1 AND off < ?2 AND off + len > ?2",
		META_INTS((int64_t)found->ino, found->value), err);
}

struct list_trim {
	uint64_t ino;
	int64_t off, end; /* end: of the extent before it */
	bool there;
	uint32_t mode;
};

static void list_judge_trim(struct fsck *f, const struct list_trim *t)
{
	static const struct fsck_rule none = {
		"trim-no-file", "forgets the trim", false, list_fix_trim};
	static const struct fsck_rule absurd = {"trim-absurd",
		"trims what is behind the file's end", false, list_fix_off};
	static const struct fsck_rule over = {"trim-overlap",
		"ends the extent where the file was cut", false, list_fix_over};
	const struct fsck_rule *rule = NULL;
	struct fsck_finding *found;

	if (!t->there || !S_ISREG(t->mode))
		rule = &none;
	else if (t->off < 0)
		rule = &absurd;
	else if (t->end > t->off)
		rule = &over;
	if (!rule)
		return;
	found = fsck_add(f, rule,
		"cut short at %" PRId64 ", an extent before ends at %" PRId64,
		t->off, t->end);
	found->ino = t->ino;
	found->value = t->off;
}

static const char list_trim_sql[] =
	"SELECT t.ino, t.off, i.ino IS NOT NULL, i.mode,"
	" (SELECT e.off + e.len FROM extent e WHERE e.ino = t.ino"
	" AND e.off < t.off ORDER BY e.off DESC LIMIT 1)"
	" FROM trim t LEFT JOIN inode i ON i.ino = t.ino"
	" WHERE t.ino > ?1 ORDER BY t.ino LIMIT ?2";

/* Few at any time: those who are being trimmed are counted at once. */
static int list_count(struct fsck *f, struct meta_tx *tx, struct pluri_err *err)
{
	int64_t n = 0;
	const int r =
		meta_ask(tx, "SELECT count(*) FROM trim", NULL, 0, &n, err);

	if (r > 0)
		fsck_total(f, tx, META_TRIMS, n);
	return r;
}

int fsck_trim(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err)
{
	struct list_trim t = {0};
	struct db_stmt *s = NULL;
	int r = f->on ? 0 : list_count(f, tx, err);

	if (r >= 0)
		r = fsck_query(f, tx, list_trim_sql, 1, &s, err);
	while (r >= 0 && fsck_go(f) && (r = meta_step(tx, s, err)) > 0) {
		t.ino = meta_u64(tx, s, 0);
		t.off = meta_int(tx, s, 1);
		t.there = meta_int(tx, s, 2) != 0;
		t.mode = meta_u32(tx, s, 3);
		t.end = meta_int(tx, s, 4);
		f->key[0] = (int64_t)t.ino;
		fsck_took(f);
		list_judge_trim(f, &t);
	}
	*ret_more = r > 0 || !fsck_go(f);
	return r;
}
