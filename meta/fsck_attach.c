#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "meta/fsck_int.h"
#include "meta/tree_int.h"

#define ATTACH_TRIES 100u

/* Is the name taken in dir, and by what? *ret_mode 0: by nothing there. */
static int attach_look(struct meta_tx *tx, uint64_t dir, const char *name,
	struct tree_attr *ret, struct pluri_err *err)
{
	const int r = tree_lookup(
		tx, dir, (struct tree_name){name, strlen(name)}, ret, err);

	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : 1;
}

/* A dangling name is taken, too. */
static int attach_taken(struct meta_tx *tx, uint64_t dir, const char *name,
	struct pluri_err *err)
{
	const struct tree_name n = {name, strlen(name)};
	struct db_stmt *s = NULL;
	const int r = tree_query(tx,
		"SELECT 1 FROM dentry WHERE parent = ?1 AND name = ?2",
		META_INTS((int64_t)dir), n, &s, err);

	return r < 0 ? r : meta_step(tx, s, err);
}

int fsck_attach_free(struct meta_tx *tx, uint64_t dir, uint64_t ino,
	char to[32], struct pluri_err *err)
{
	for (unsigned i = 0; i < ATTACH_TRIES; i++) {
		int r;

		(void)snprintf(
			to, 32, i ? "#%" PRIu64 ".%u" : "#%" PRIu64, ino, i);
		r = attach_taken(tx, dir, to, err);
		if (r <= 0)
			return r;
	}
	return pluri_fail(err, EEXIST,
		"check: there is no free name for inode %" PRIu64, ino);
}

/* The directory for what is found, made when needed; a file of that name is
 * stepped around. */
static int attach_dir(struct fsck *f, struct meta_tx *tx, uint64_t *ret,
	struct pluri_err *err)
{
	for (unsigned i = 0; i < ATTACH_TRIES; i++) {
		struct tree_attr a = {0};
		char name[32];
		int r;

		(void)snprintf(
			name, sizeof(name), i ? "%s.%u" : "%s", FSCK_LOST, i);
		r = attach_look(tx, TREE_ROOT, name, &a, err);
		if (r < 0)
			return r;
		if (r == 0 && attach_taken(tx, TREE_ROOT, name, err) == 0) {
			a = (struct tree_attr){.mode = S_IFDIR | 0700};
			r = tree_make(tx, TREE_ROOT,
				(struct tree_name){name, strlen(name)}, NULL,
				f->o.now_ns, &a, err);
		}
		if (r < 0)
			return r;
		if (a.ino && S_ISDIR(a.mode)) {
			*ret = a.ino;
			return 0;
		}
	}
	return pluri_fail(err, EEXIST,
		"check: there is no room for a "
		"directory " FSCK_LOST);
}

/* 1: a file without bytes, or a directory without names. */
static int attach_empty(
	struct meta_tx *tx, const struct tree_attr *a, struct pluri_err *err)
{
	int64_t yes = 0;
	int r;

	if (S_ISREG(a->mode) && a->size == 0)
		r = meta_ask(tx, "SELECT 1 FROM extent WHERE ino = ?1 LIMIT 1",
			META_INTS((int64_t)a->ino), &yes, err);
	else if (S_ISDIR(a->mode))
		r = meta_ask(tx,
			"SELECT 1 FROM dentry WHERE parent = ?1 LIMIT 1",
			META_INTS((int64_t)a->ino), &yes, err);
	else
		return 0;
	return r < 0 ? r : r == 0;
}

static int attach_name(struct fsck *f, struct meta_tx *tx,
	const struct tree_attr *a, struct pluri_err *err)
{
	const bool is_dir = S_ISDIR(a->mode);
	uint64_t dir = 0;
	char name[32];
	int r = attach_dir(f, tx, &dir, err);

	if (r == 0)
		r = fsck_attach_free(tx, dir, a->ino, name, err);
	if (r == 0)
		r = tree_add_name(tx, dir,
			(struct tree_name){name, strlen(name)}, a, err);
	if (r == 0)
		r = tree_touch(tx, dir, f->o.now_ns, is_dir, err);
	if (r == 0 && is_dir)
		r = meta_change(tx,
			"UPDATE inode SET parent = ?2 WHERE ino = ?1",
			META_INTS((int64_t)a->ino, (int64_t)dir), err);
	else if (r == 0)
		r = meta_change(tx, "UPDATE inode SET nlink = 1 WHERE ino = ?1",
			META_INTS((int64_t)a->ino), err);
	return r;
}

static int attach_orphan(
	struct meta_tx *tx, uint64_t ino, struct pluri_err *err)
{
	const int r = meta_change(tx,
		"INSERT INTO orphan (ino) VALUES (?1)"
		" ON CONFLICT (ino) DO NOTHING",
		META_INTS((int64_t)ino), err);

	if (r < 0)
		return r;
	return meta_change(tx, "UPDATE inode SET nlink = 0 WHERE ino = ?1",
		META_INTS((int64_t)ino), err);
}

int fsck_attach(
	struct fsck *f, struct meta_tx *tx, uint64_t ino, struct pluri_err *err)
{
	struct tree_attr a = {0};
	int r = tree_get(tx, ino, &a, err);

	if (r == 0)
		r = attach_empty(tx, &a, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	meta_touch(tx, META_TOUCHED_INODE, ino);
	r = r > 0 ? attach_orphan(tx, ino, err) : attach_name(f, tx, &a, err);
	return r < 0 ? r : 1;
}
