#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "meta/fsck_int.h"
#include "meta/tree_int.h"

int fsck_inode_load(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err)
{
	return fsck_seen_read(f, tx,
		"SELECT ino FROM inode WHERE ino > ?1 ORDER BY ino LIMIT ?2",
		ret_more, err);
}

/* --- repairs ------------------------------------------------------------- */

static void dentry_touch(struct meta_tx *tx, const struct fsck_finding *found)
{
	meta_touch(tx, META_TOUCHED_INODE, found->ino);
	meta_touch(tx, META_TOUCHED_INODE, found->dir);
}

/* Found by their cookies, which are unique in a directory: a name that shares
 * one is judged no further until it has its own. */
static int dentry_fix_del(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	dentry_touch(tx, found);
	return fsck_change(tx,
		"DELETE FROM dentry WHERE parent = ?1 AND cookie = ?2",
		META_INTS((int64_t)found->dir, found->value), err);
}

static int dentry_fix_type(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx,
		"UPDATE dentry SET type = (SELECT mode & 61440 FROM inode"
		" WHERE inode.ino = dentry.ino)"
		" WHERE parent = ?1 AND cookie = ?2",
		META_INTS((int64_t)found->dir, found->value), err);
}

static int dentry_fix_cookie(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx,
		"UPDATE dentry SET cookie = ?3"
		" WHERE parent = ?1 AND cookie = ?2 AND name ="
		" (SELECT max(d.name) FROM dentry d WHERE d.parent = ?1"
		" AND d.cookie = ?2)",
		META_INTS((int64_t)found->dir, found->value,
			(int64_t)meta_next(tx, META_COOKIE)),
		err);
}

static int dentry_fix_name(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	struct tree_name name = {0};
	struct db_stmt *s = NULL;
	char to[32];
	int r = fsck_attach_free(tx, found->dir, found->ino, to, err);

	(void)f;
	dentry_touch(tx, found);
	name = (struct tree_name){to, r == 0 ? strlen(to) : 0};
	if (r == 0)
		r = tree_query(tx,
			"UPDATE dentry SET cookie = ?3, name = ?4"
			" WHERE parent = ?1 AND cookie = ?2",
			META_INTS((int64_t)found->dir, found->value,
				(int64_t)meta_next(tx, META_COOKIE)),
			name, &s, err);
	if (r == 0)
		r = meta_step_done(tx, s, err);
	return r < 0 ? r : 1;
}

static int dentry_fix_parent(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	dentry_touch(tx, found);
	return fsck_change(tx, "UPDATE inode SET parent = ?2 WHERE ino = ?1",
		META_INTS((int64_t)found->ino, (int64_t)found->dir), err);
}

/* --- one name ------------------------------------------------------------ */

struct dentry_row {
	int64_t parent, ino, type, cookie;
	struct pluri_span name;
	bool dir_there, there; /* the inodes are */
	bool shared; /* the cookie is another name's, too */
	uint32_t dir_mode, mode;
	int64_t dir_nlink, up; /* up: the inode's own parent */
};

static const char dentry_sql[] =
	"SELECT d.parent, d.name, d.ino, d.type, d.cookie, p.ino IS NOT NULL,"
	" p.mode, p.nlink, i.ino IS NOT NULL, i.mode, i.parent,"
	" EXISTS (SELECT 1 FROM dentry o WHERE o.parent = d.parent"
	" AND o.cookie = d.cookie AND o.name <> d.name) FROM dentry d"
	" LEFT JOIN inode p ON p.ino = d.parent"
	" LEFT JOIN inode i ON i.ino = d.ino"
	" WHERE (d.parent, d.name) > (?1, ?3)"
	" ORDER BY d.parent, d.name LIMIT ?2";

static void dentry_load(
	struct meta_tx *tx, struct db_stmt *s, struct dentry_row *d)
{
	d->parent = meta_int(tx, s, 0);
	d->name = tx->ops->get_blob(s, 1);
	d->ino = meta_int(tx, s, 2);
	d->type = meta_int(tx, s, 3);
	d->cookie = meta_int(tx, s, 4);
	d->dir_there = meta_int(tx, s, 5) != 0;
	d->dir_mode = meta_u32(tx, s, 6);
	d->dir_nlink = meta_int(tx, s, 7);
	d->there = meta_int(tx, s, 8) != 0;
	d->mode = meta_u32(tx, s, 9);
	d->up = meta_int(tx, s, 10);
	d->shared = meta_int(tx, s, 11) != 0;
}

static void dentry_add(struct fsck *f, const struct fsck_rule *rule,
	const struct dentry_row *d, const char *what, int64_t number)
{
	struct fsck_finding *found =
		fsck_add(f, rule, "%s %" PRId64, what, number);

	found->ino = (uint64_t)d->ino;
	found->dir = (uint64_t)d->parent;
	found->value = d->cookie;
	fsck_name(found, d->name);
}

/* 1: the directory that it calls its parent has a name for it, too. */
static int dentry_named(
	struct meta_tx *tx, const struct dentry_row *d, struct pluri_err *err)
{
	int64_t yes = 0;

	return meta_ask(tx,
		"SELECT 1 FROM dentry WHERE parent = ?1 AND ino = ?2 LIMIT 1",
		META_INTS(d->up, d->ino), &yes, err);
}

/* What a directory's name is: */
enum dentry_kind { DENTRY_TRUE, DENTRY_SURPLUS, DENTRY_ASTRAY };

static int dentry_kind(
	struct meta_tx *tx, const struct dentry_row *d, struct pluri_err *err)
{
	int r;

	if (!d->there || !S_ISDIR(d->mode))
		return DENTRY_TRUE;
	if (d->ino == TREE_ROOT)
		return DENTRY_SURPLUS;
	if (d->up == d->parent)
		return DENTRY_TRUE;
	r = dentry_named(tx, d, err);
	return r < 0 ? r : r > 0 ? DENTRY_SURPLUS : DENTRY_ASTRAY;
}

static void dentry_judge_dir(
	struct fsck *f, const struct dentry_row *d, int kind)
{
	static const struct fsck_rule two = {"directory-two-names",
		"removes the name that its \"..\" does not lead to", false,
		dentry_fix_del};
	static const struct fsck_rule wrong = {"directory-parent",
		"lets \"..\" lead to where the name is", false,
		dentry_fix_parent};

	if (kind != DENTRY_TRUE)
		dentry_add(f, kind == DENTRY_SURPLUS ? &two : &wrong, d,
			"a directory whose \"..\" leads to", d->up);
}

/* Are there extents of it? When in doubt, yes. */
static bool dentry_bytes(struct meta_tx *tx, int64_t ino)
{
	int64_t yes = 0;

	return meta_ask(tx, "SELECT 1 FROM extent WHERE ino = ?1 LIMIT 1",
		       META_INTS(ino), &yes, NULL) != 0;
}

static void dentry_judge(struct fsck *f, struct meta_tx *tx,
	const struct dentry_row *d, int kind)
{
	static const struct fsck_rule dangling = {"dentry-dangling",
		"removes the name: nothing is left of what it meant", true,
		dentry_fix_del};
	static const struct fsck_rule lost = {"dentry-dangling",
		"none: the inode is lost, its bytes are there; restore the "
		"database",
		true, NULL};
	static const struct fsck_rule nowhere = {"dentry-no-directory",
		"removes the name; what it meant is found again as "
		"inode-unnamed",
		false, dentry_fix_del};
	static const struct fsck_rule type = {"dentry-type",
		"sets the type to the inode's", false, dentry_fix_type};
	static const struct fsck_rule name = {"dentry-name",
		"gives it the name #INO in the same directory", false,
		dentry_fix_name};
	static const struct fsck_rule cookie = {"dentry-cookie",
		"gives it a new place in listings", false, dentry_fix_cookie};
	const struct tree_name n = {d->name.data, d->name.len};

	if (d->cookie <= TREE_COOKIE_MAX)
		fsck_counter(f, tx, META_COOKIE, d->cookie);
	if (d->shared) {
		dentry_add(f, &cookie, d, "another name has its cookie,",
			d->cookie);
		return;
	}
	if (!d->dir_there || !S_ISDIR(d->dir_mode) || d->dir_nlink == 0) {
		dentry_add(f, &nowhere, d,
			"a name in what is no directory:", d->parent);
		return;
	}
	if (!d->there) {
		dentry_add(f, dentry_bytes(tx, d->ino) ? &lost : &dangling, d,
			"there is no inode", d->ino);
		return;
	}
	if (d->type != (int64_t)(d->mode & S_IFMT))
		dentry_add(f, &type, d, "the name's type is", d->type);
	if (tree_check_name(n) < 0)
		dentry_add(f, &name, d, "the name cannot be, of bytes",
			(int64_t)d->name.len);
	if (d->cookie <= 0 || d->cookie > TREE_COOKIE_MAX)
		dentry_add(f, &cookie, d, "its cookie is", d->cookie);
	dentry_judge_dir(f, d, kind);
}

static void dentry_count(struct fsck *f, const struct dentry_row *d)
{
	const size_t at = fsck_seen_find(&f->seen, (uint64_t)d->ino);
	size_t up;

	if (at != FSCK_NONE)
		fsck_seen_add(&f->seen.count[at]);
	if (!d->there || !S_ISDIR(d->mode))
		return;
	up = fsck_seen_find(&f->seen, (uint64_t)d->parent);
	if (up != FSCK_NONE)
		fsck_seen_add(&f->seen.more[up]);
}

static int dentry_one(struct fsck *f, struct meta_tx *tx,
	const struct dentry_row *d, struct pluri_err *err)
{
	const int kind = dentry_kind(tx, d, err);

	if (kind < 0)
		return kind;
	if (kind != DENTRY_SURPLUS)
		dentry_count(f, d);
	if (!f->counting)
		dentry_judge(f, tx, d, kind);
	return 0;
}

int fsck_dentry(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err)
{
	struct dentry_row d = {0};
	struct db_stmt *s = NULL;
	int told = 0;
	int r = fsck_query_name(f, tx, dentry_sql, &s, err);

	while (r >= 0 && told == 0 && fsck_go(f) &&
		(r = meta_step(tx, s, err)) > 0) {
		dentry_load(tx, s, &d);
		told = dentry_one(f, tx, &d, err);
		fsck_took_name(f, d.parent, d.name);
	}
	*ret_more = r > 0 || !fsck_go(f);
	return told < 0 ? told : r;
}
