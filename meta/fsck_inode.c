#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "meta/fsck_int.h"
#include "meta/tree_int.h"

/* --- counters ------------------------------------------------------------ */

static int inode_fix_counter(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	(void)err;
	if (tx->counter[found->index] < found->value)
		tx->counter[found->index] = found->value;
	/* A bracket that changes no row is not written */
	return fsck_change(tx, "UPDATE counter SET value = ?2 WHERE id = ?1",
		META_INTS(found->index, tx->counter[found->index]), err);
}

void fsck_counter(struct fsck *f, struct meta_tx *tx, enum meta_counter which,
	int64_t used)
{
	static const struct fsck_rule low = {"counter-low",
		"raises the counter, so that no number is given twice", false,
		inode_fix_counter};
	static const char *const names[META_COUNTERS] = {
		"inode", "cookie", "chunk", "pack", "move", "job"};
	struct fsck_finding *found;

	if (used <= tx->counter[which] || f->low[which])
		return;
	f->low[which] = !f->o.repair;
	found = fsck_add(f, &low,
		"%s number %" PRId64
		" is in use, the last one given is %" PRId64,
		names[which], used, tx->counter[which]);
	found->index = which;
	found->value = used;
}

static int inode_fix_missing(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	int r = meta_change(tx, "DELETE FROM counter WHERE id < 0 OR id > ?1",
		META_INTS(META_COUNTERS - 1), err);

	(void)f;
	(void)found;
	for (int64_t i = 0; i < META_COUNTERS && r >= 0; i++)
		r = meta_change(tx,
			"INSERT INTO counter (id, value) VALUES (?1, ?2)"
			" ON CONFLICT (id) DO UPDATE SET"
			" value = excluded.value WHERE counter.value < 0",
			META_INTS(i, tx->counter[i]), err);
	return r < 0 ? r : 1;
}

static int inode_root(
	struct fsck *f, struct meta_tx *tx, struct pluri_err *err);

int fsck_counters(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err)
{
	static const struct fsck_rule missing = {"counter-missing",
		"makes the counters that there are to be, and no others", false,
		inode_fix_missing};
	static const struct {
		enum meta_counter which;
		const char *sql;
	} top[] = {
		{META_INO, "SELECT COALESCE(MAX(ino), 0) FROM inode"},
		{META_CHUNK, "SELECT COALESCE(MAX(num), 0) FROM chunk"},
		{META_PACK, "SELECT COALESCE(MAX(num), 0) FROM pack"},
		{META_MOVE, "SELECT COALESCE(MAX(num), 0) FROM move"},
		{META_JOB, "SELECT COALESCE(MAX(num), 0) FROM job"},
	};
	int64_t n = 0;
	int r = meta_ask(tx,
		"SELECT count(*) - 2 * sum(id < 0 OR id > ?1 OR (value < 0 AND"
		" id <> ?2)) FROM counter",
		META_INTS(META_COUNTERS - 1, META_BYTES), &n, err);

	if (r >= 0 && n != META_COUNTERS)
		(void)fsck_add(f, &missing,
			"the %d counters are not all there, or not lawful",
			META_COUNTERS);
	for (size_t i = 0; i < sizeof(top) / sizeof(*top) && r >= 0; i++) {
		r = meta_ask(tx, top[i].sql, NULL, 0, &n, err);
		if (r > 0)
			fsck_counter(f, tx, top[i].which, n);
		fsck_took(f);
	}
	*ret_more = false;
	return r < 0 ? r : inode_root(f, tx, err);
}

/* --- the root ------------------------------------------------------------ */

static int inode_fix_root(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	int r = meta_change(tx,
		"INSERT INTO inode (ino, gen, mode, uid, gid, nlink, rdev,"
		" size, bytes, atime, mtime, ctime, policy, parent)"
		" VALUES (?1, 1, ?2, 0, 0, 2, 0, 0, 0, ?3, ?3, ?3, 0, ?1)"
		" ON CONFLICT (ino) DO UPDATE SET mode = ?2, parent = ?1,"
		" size = 0, target = NULL",
		META_INTS(TREE_ROOT, S_IFDIR | 0700, f->o.now_ns), err);

	(void)found;
	if (r == 0)
		r = meta_change(tx, "DELETE FROM orphan WHERE ino = ?1",
			META_INTS(TREE_ROOT), err);
	if (r == 0)
		meta_touch(tx, META_TOUCHED_INODE, TREE_ROOT);
	return r < 0 ? r : 1;
}

static int inode_root(struct fsck *f, struct meta_tx *tx, struct pluri_err *err)
{
	static const struct fsck_rule missing = {"root-missing",
		"makes the root directory anew, for root alone", false,
		inode_fix_root};
	struct tree_attr a = {0};
	const int r = tree_get(tx, TREE_ROOT, &a, err);

	if (r < 0 && r != -ENOENT)
		return r;
	if (r == -ENOENT || !S_ISDIR(a.mode))
		fsck_add(f, &missing, "inode 1 is not there, or no directory")
			->ino = TREE_ROOT;
	return 0;
}

/* --- one inode ----------------------------------------------------------- */

struct inode_row {
	uint64_t ino;
	int64_t mode, uid, gid, rdev, nlink, size, bytes, policy, parent;
	struct pluri_span target;
	bool link, orphan, policy_there, extents;
	int64_t parent_mode; /* 0: there is no such inode */
};

static const char inode_sql[] =
	"SELECT i.ino, i.mode, i.uid, i.gid, i.rdev, i.nlink, i.size, i.bytes,"
	" i.policy, i.parent, i.target, o.ino, p.mode, q.num IS NOT NULL,"
	" CASE WHEN i.bytes <> 0 THEN EXISTS"
	"(SELECT 1 FROM extent e WHERE e.ino = i.ino) ELSE 1 END"
	" FROM inode i LEFT JOIN orphan o ON o.ino = i.ino"
	" LEFT JOIN inode p ON p.ino = i.parent"
	" LEFT JOIN policy q ON q.num = i.policy"
	" WHERE i.ino > ?1 ORDER BY i.ino LIMIT ?2";

static void inode_load(
	struct meta_tx *tx, struct db_stmt *s, struct inode_row *i)
{
	i->ino = meta_u64(tx, s, 0);
	i->mode = meta_int(tx, s, 1);
	i->uid = meta_int(tx, s, 2);
	i->gid = meta_int(tx, s, 3);
	i->rdev = meta_int(tx, s, 4);
	i->nlink = meta_int(tx, s, 5);
	i->size = meta_int(tx, s, 6);
	i->bytes = meta_int(tx, s, 7);
	i->policy = meta_int(tx, s, 8);
	i->parent = meta_int(tx, s, 9);
	i->target = tx->ops->get_blob(s, 10);
	i->link = S_ISLNK((uint32_t)i->mode);
	i->orphan = (uint64_t)meta_int(tx, s, 11) == i->ino;
	i->parent_mode = meta_int(tx, s, 12);
	i->policy_there = meta_int(tx, s, 13) != 0;
	i->extents = meta_int(tx, s, 14) != 0;
}

static bool inode_type(int64_t mode)
{
	const uint32_t m = (uint32_t)mode;

	return mode >= 0 && mode <= 0177777 &&
	       (S_ISREG(m) || S_ISDIR(m) || S_ISLNK(m) || S_ISFIFO(m) ||
		       S_ISSOCK(m) || S_ISCHR(m) || S_ISBLK(m));
}

static int inode_fix_mode(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	meta_touch(tx, META_TOUCHED_INODE, found->ino);
	return fsck_change(tx,
		"UPDATE inode SET mode = CASE"
		" WHEN target IS NOT NULL THEN ?2"
		" WHEN parent <> 0 THEN ?3 ELSE ?4 END WHERE ino = ?1",
		META_INTS((int64_t)found->ino, S_IFLNK | 0777, S_IFDIR | 0700,
			S_IFREG | 0600),
		err);
}

static int inode_fix_owner(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx,
		"UPDATE inode SET uid = uid & 4294967295, gid = gid &"
		" 4294967295, rdev = rdev & 4294967295 WHERE ino = ?1",
		META_INTS((int64_t)found->ino), err);
}

static int inode_fix_policy(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx, "UPDATE inode SET policy = 0 WHERE ino = ?1",
		META_INTS((int64_t)found->ino), err);
}

static int inode_fix_parent(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx, "UPDATE inode SET parent = ?2 WHERE ino = ?1",
		META_INTS((int64_t)found->ino, found->value), err);
}

/* What is to be trimmed is no part of the file. */
static int inode_fix_size(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	f->uncounted = true;
	return fsck_change(tx,
		"UPDATE inode SET size = max(0, min(?2, COALESCE((SELECT"
		" max(e.off + e.len) FROM extent e WHERE e.ino = ?1 AND e.off <"
		" COALESCE((SELECT t.off FROM trim t WHERE t.ino = ?1"
		" AND t.off >= 0), ?2)), 0))) WHERE ino = ?1",
		META_INTS((int64_t)found->ino, PLURI_FILE_MAX), err);
}

static int inode_fix_length(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx, "UPDATE inode SET size = ?2 WHERE ino = ?1",
		META_INTS((int64_t)found->ino, found->value), err);
}

static int inode_fix_bytes(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx, "UPDATE inode SET bytes = 0 WHERE ino = ?1",
		META_INTS((int64_t)found->ino), err);
}

static int inode_fix_target(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx, "UPDATE inode SET target = NULL WHERE ino = ?1",
		META_INTS((int64_t)found->ino), err);
}

static void inode_judge_link(struct fsck *f, const struct inode_row *i)
{
	static const struct fsck_rule target = {"symlink-target",
		"none: where it pointed is not known; remove the name", true,
		NULL};
	static const struct fsck_rule size = {"symlink-size",
		"sets the size to the target's length", false,
		inode_fix_length};
	const size_t len = i->target.len;
	struct fsck_finding *found;

	if (len == 0 || len > TREE_SYMLINK_MAX ||
		memchr(i->target.data, 0, len)) {
		fsck_add(f, &target, "a symbolic link's target of %zu bytes",
			len)
			->ino = i->ino;
		return;
	}
	if (i->size == (int64_t)len)
		return;
	found = fsck_add(f, &size,
		"a symbolic link of size %" PRId64 " has a target of %zu bytes",
		i->size, len);
	found->ino = i->ino;
	found->value = (int64_t)len;
}

static void inode_judge_size(struct fsck *f, const struct inode_row *i)
{
	static const struct fsck_rule size = {"inode-size",
		"sets the size to the end of the last extent", false,
		inode_fix_size};
	static const struct fsck_rule other = {
		"inode-size", "sets the size to 0", false, inode_fix_length};
	static const struct fsck_rule target = {"inode-target",
		"takes the target away", false, inode_fix_target};
	static const struct fsck_rule bytes = {"inode-bytes",
		"sets the bytes to what extents hold", false, inode_fix_bytes};
	const bool file = S_ISREG((uint32_t)i->mode);
	const bool absurd = i->size < 0 || i->size > PLURI_FILE_MAX;

	if (i->link)
		inode_judge_link(f, i);
	else if (file ? absurd : i->size != 0)
		fsck_add(f, file ? &size : &other, "the size is %" PRId64,
			i->size)
			->ino = i->ino;
	f->uncounted |= file && absurd;
	if (!i->link && i->target.len > 0)
		fsck_add(f, &target, "no symbolic link, but has a target")
			->ino = i->ino;
	if (!i->extents)
		fsck_add(f, &bytes,
			"no extents, but is said to hold %" PRId64 " bytes",
			i->bytes)
			->ino = i->ino;
}

static void inode_judge_parent(struct fsck *f, const struct inode_row *i)
{
	static const struct fsck_rule wrong = {"parent-wrong",
		"sets the parent that such an inode has", false,
		inode_fix_parent};
	static const struct fsck_rule gone = {"parent-missing",
		"none here: see what is found of its name", false, NULL};
	const bool dir = S_ISDIR((uint32_t)i->mode);
	struct fsck_finding *found;

	if ((!dir && i->parent != 0) ||
		(i->ino == TREE_ROOT && i->parent != TREE_ROOT)) {
		found = fsck_add(
			f, &wrong, "the parent is %" PRId64, i->parent);
		found->ino = i->ino;
		found->value = dir ? TREE_ROOT : 0;
	} else if (dir && !i->orphan && i->ino != TREE_ROOT &&
		   !S_ISDIR((uint32_t)i->parent_mode)) {
		fsck_add(f, &gone, "the parent %" PRId64 " is no directory",
			i->parent)
			->ino = i->ino;
	}
}

static void inode_judge(struct fsck *f, const struct inode_row *i)
{
	static const struct fsck_rule mode = {"inode-mode",
		"makes a link of what has a target, a directory of what has a "
		"parent, a file of the rest",
		false, inode_fix_mode};
	static const struct fsck_rule owner = {"inode-owner",
		"keeps the lowest 32 bits, which are what is shown", false,
		inode_fix_owner};
	static const struct fsck_rule policy = {"inode-policy",
		"gives it the policy \"default\"", false, inode_fix_policy};

	if (!inode_type(i->mode)) {
		fsck_add(f, &mode, "mode %" PRIo64 " is of no type",
			(uint64_t)i->mode)
			->ino = i->ino;
		f->uncounted = true;
		return;
	}
	if (((uint64_t)i->uid | (uint64_t)i->gid | (uint64_t)i->rdev) >
		UINT32_MAX)
		fsck_add(f, &owner,
			"owner %" PRId64 ", group %" PRId64
			" or device %" PRId64 " cannot be",
			i->uid, i->gid, i->rdev)
			->ino = i->ino;
	if (!i->policy_there)
		fsck_add(f, &policy, "there is no policy %" PRId64, i->policy)
			->ino = i->ino;
	inode_judge_size(f, i);
	inode_judge_parent(f, i);
}

/* --- totals -------------------------------------------------------------- */

static int inode_fix_total(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	tx->counter[found->index] = found->value;
	return fsck_change(tx, "UPDATE counter SET value = ?2 WHERE id = ?1",
		META_INTS(found->index, found->value), err);
}

void fsck_total(struct fsck *f, const struct meta_tx *tx,
	enum meta_counter which, int64_t seen)
{
	static const struct fsck_rule wrong = {"total-wrong",
		"sets the total to what was counted", false, inode_fix_total};
	struct fsck_finding *found;

	if (tx->counter[which] == seen)
		return;
	found = fsck_add(f, &wrong, "%s: %" PRId64 " are told, %" PRId64 " are",
		which == META_INODES  ? "inodes"
		: which == META_TRIMS ? "trims"
				      : "bytes of files",
		tx->counter[which], seen);
	found->index = which;
	found->value = seen;
}

/* All inodes were read. A difference counts when it is found twice. */
static void inode_end(struct fsck *f, const struct meta_tx *tx, bool *ret_more)
{
	const int64_t inodes = f->inodes + f->watch.inodes;
	const int64_t bytes = meta_wrap(f->bytes, f->watch.bytes);
	const int64_t off_inodes = tx->counter[META_INODES] - inodes;
	const int64_t off_bytes =
		meta_wrap(tx->counter[META_BYTES], meta_wrap(~bytes, 1));
	const bool off = !f->uncounted && (off_inodes || off_bytes);

	f->watch.upto = INT64_MIN;
	if (off && f->recount && f->off_inodes == off_inodes &&
		f->off_bytes == off_bytes) {
		fsck_total(f, tx, META_INODES, inodes);
		fsck_total(f, tx, META_BYTES, bytes);
	} else if (off && ++f->pass <= FSCK_PASSES) {
		f->recount = true;
		f->off_inodes = off_inodes;
		f->off_bytes = off_bytes;
		f->on = false;
		f->key[0] = INT64_MIN;
		*ret_more = true;
	} else {
		f->busy += off;
	}
}

static void inode_begin(struct fsck *f)
{
	f->watch.upto = INT64_MIN;
	f->watch.inodes = f->watch.bytes = 0;
	f->inodes = f->bytes = 0;
}

int fsck_inode(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err)
{
	struct inode_row i = {0};
	struct db_stmt *s = NULL;
	int r = fsck_query(f, tx, inode_sql, 1, &s, err);

	if (!f->on)
		inode_begin(f);
	while (r >= 0 && fsck_go(f) && (r = meta_step(tx, s, err)) > 0) {
		inode_load(tx, s, &i);
		f->key[0] = f->watch.upto = (int64_t)i.ino;
		fsck_took(f);
		f->inodes++;
		if (S_ISREG((uint32_t)i.mode))
			f->bytes = meta_wrap(f->bytes, i.size);
		if (!f->recount)
			inode_judge(f, &i);
	}
	*ret_more = r > 0 || !fsck_go(f);
	if (r == 0 && !*ret_more)
		inode_end(f, tx, ret_more);
	return r;
}
