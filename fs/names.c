#include <errno.h>
#include <sys/stat.h>

#include "fs/commit.h"
#include "fs/names.h"
#include "fs/node.h"
#include "fs/xattr.h"

static struct tree_name names_of(const char *s)
{
	return (struct tree_name){.data = s, .len = strlen(s)};
}

/* A bracket for a change: refused once the volume takes no more writes. */
static int names_begin(
	struct volume *v, struct meta_tx **ret, struct pluri_err *err)
{
	const int r = commit_broken(v->commit, err);

	return r < 0 ? r : meta_begin(v->meta, ret, err);
}

/* A change that only the database saw: a node must not hide its time. */
static void names_changed(struct volume *v, uint64_t ino, int64_t ctime_ns)
{
	struct node *n = node_peek(v->nodes, ino);

	if (!n)
		return;
	(void)pthread_mutex_lock(&n->lock);
	if (n->known && ctime_ns > n->ctime_ns)
		n->ctime_ns = ctime_ns;
	(void)pthread_mutex_unlock(&n->lock);
	node_unpin(v->nodes, n);
}

int names_stat(struct volume *v, uint64_t ino, struct tree_attr *ret,
	struct pluri_err *err)
{
	bool whole = false;
	int r = 0;

	while (r >= 0 && !whole) {
		const uint64_t since = nodes_moment(v->nodes);
		struct meta_tx *tx = NULL;

		r = meta_begin(v->meta, &tx, err);
		if (r < 0)
			return r;
		r = meta_end(tx, tree_get(tx, ino, ret, err), err);
		whole = r >= 0 && node_overlay(v, since, ret);
	}
	return r;
}

/* What is in *a was read after `since`; of what has gone it is the last. */
static int names_overlay(struct volume *v, uint64_t since, struct tree_attr *a,
	struct pluri_err *err)
{
	const int r =
		node_overlay(v, since, a) ? 0 : names_stat(v, a->ino, a, err);

	return r == -ENOENT ? 0 : r;
}

/* By its number: what has lost its last name is not found any more. */
static int names_known(struct meta_tx *tx, uint64_t ino, struct tree_attr *ret,
	struct pluri_err *err)
{
	const int r = tree_get(tx, ino, ret, err);

	return r >= 0 && ret->nlink == 0 ? -ENOENT : r;
}

int names_lookup(struct volume *v, uint64_t dir, const char *name,
	struct tree_attr *ret, struct pluri_err *err)
{
	const uint64_t since = nodes_moment(v->nodes);
	struct meta_tx *tx = NULL;
	int r;

	if (strlen(name) > TREE_NAME_MAX)
		return -ENAMETOOLONG;
	r = meta_begin(v->meta, &tx, err);
	if (r < 0)
		return r;
	if (strcmp(name, "..") == 0)
		r = tree_parent(tx, dir, &dir, err);
	if (r >= 0 && name[0] == '.' && name[1 + (name[1] == '.')] == 0)
		r = names_known(tx, dir, ret, err);
	else if (r >= 0)
		r = tree_lookup(tx, dir, names_of(name), ret, err);
	r = meta_end(tx, r, err);
	return r < 0 ? r : names_overlay(v, since, ret, err);
}

/* In its bracket. name NULL: none, for the time being. */
static int names_make_rows(struct volume *v, struct meta_tx *tx, uint64_t dir,
	const struct names_new *new, struct tree_attr *a, struct pluri_err *err)
{
	const int64_t now = clock_real_ns(v->clock);
	struct tree_attr parent = {0};
	struct xattr_heir heir = {0};
	int r = tree_get(tx, dir, &parent, err);

	if (r >= 0 && (parent.mode & S_ISGID)) {
		a->gid = parent.gid;
		if (S_ISDIR(a->mode))
			a->mode |= S_ISGID;
	}
	if (r >= 0)
		r = xattr_inherit(v, tx, dir, new->umask, a, &heir, err);
	if (r >= 0 && new->name)
		r = tree_make(
			tx, dir, names_of(new->name), new->target, now, a, err);
	else if (r >= 0)
		r = tree_make_nameless(tx, dir, now, a, err);
	if (r >= 0)
		r = xattr_bequeath(tx, a->ino, &heir, now, err);
	xattr_heir_free(&heir);
	return r;
}

int names_make(struct volume *v, uint64_t dir, const struct names_new *new,
	struct tree_attr *a, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int r = names_begin(v, &tx, err);

	if (r < 0)
		return r;
	r = names_make_rows(v, tx, dir, new, a, err);
	return meta_end(tx, r, err);
}

int names_link(struct volume *v, uint64_t ino, uint64_t dir, const char *name,
	struct tree_attr *ret, struct pluri_err *err)
{
	const uint64_t since = nodes_moment(v->nodes);
	struct meta_tx *tx = NULL;
	int r = names_begin(v, &tx, err);

	if (r < 0)
		return r;
	r = tree_link(tx, ino, dir, names_of(name), clock_real_ns(v->clock),
		ret, err);
	r = meta_end(tx, r, err);
	if (r < 0)
		return r;
	names_changed(v, ino, ret->ctime_ns);
	if (ret->nlink == 1) /* it had none */
		node_named(v->nodes, ino);
	return names_overlay(v, since, ret, err);
}

int names_unlink(struct volume *v, uint64_t dir, const char *name, bool is_dir,
	struct pluri_err *err)
{
	struct tree_attr lost = {0};
	struct meta_tx *tx = NULL;
	int r = names_begin(v, &tx, err);

	if (r < 0)
		return r;
	r = tree_unlink(tx, dir, names_of(name), is_dir,
		clock_real_ns(v->clock), &lost, err);
	r = meta_end(tx, r, err);
	if (r < 0)
		return r;
	names_changed(v, lost.ino, lost.ctime_ns);
	if (lost.nlink == 0)
		node_gone(v->nodes, lost.ino);
	return 0;
}

int names_rename(
	struct volume *v, const struct tree_move *mv, struct pluri_err *err)
{
	struct tree_attr moved = {0};
	struct tree_attr lost = {0};
	struct meta_tx *tx = NULL;
	int r = names_begin(v, &tx, err);

	if (r < 0)
		return r;
	r = tree_rename(tx, mv, clock_real_ns(v->clock), &moved, &lost, err);
	r = meta_end(tx, r, err);
	if (r < 0)
		return r;
	names_changed(v, moved.ino, moved.ctime_ns);
	if (lost.ino != 0)
		names_changed(v, lost.ino, lost.ctime_ns);
	if (lost.ino != 0 && lost.nlink == 0)
		node_gone(v->nodes, lost.ino);
	return 0;
}

int names_readlink(struct volume *v, uint64_t ino,
	char to[TREE_SYMLINK_MAX + 1], struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int r = meta_begin(v->meta, &tx, err);

	if (r < 0)
		return r;
	return meta_end(tx, tree_readlink(tx, ino, to, err), err);
}

int names_walk(struct volume *v, uint64_t dir, uint64_t after,
	int (*each)(void *arg, const struct tree_entry *e), void *arg,
	struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int r = meta_begin(v->meta, &tx, err);

	if (r < 0)
		return r;
	return meta_end(
		tx, tree_list(tx, dir, after, false, each, arg, err), err);
}

static int names_each(void *arg, const struct tree_entry *e)
{
	struct names_page *p = arg;
	struct names_entry *to;

	if (p->n == p->max)
		return 1;
	to = &p->entry[p->n++];
	memcpy(to->name, e->name.data, e->name.len);
	to->name[e->name.len] = 0;
	to->cookie = e->cookie;
	to->attr = e->attr;
	return p->n == p->max;
}

int names_list(struct volume *v, uint64_t dir, uint64_t after,
	struct names_page *ret, struct pluri_err *err)
{
	struct names_page p = {.entry = ret->entry, .max = ret->max};
	const uint64_t since = nodes_moment(v->nodes);
	struct meta_tx *tx = NULL;
	int r = meta_begin(v->meta, &tx, err);

	if (r < 0)
		return r;
	r = tree_list(tx, dir, after, true, names_each, &p, err);
	r = meta_end(tx, r, err);
	if (r < 0)
		return r;
	/* Not inside the bracket: a node's lock comes before it. */
	for (unsigned i = 0; i < p.n && r >= 0; i++)
		r = names_overlay(v, since, &p.entry[i].attr, err);
	if (r >= 0)
		ret->n = p.n;
	return r < 0 ? r : 0;
}

int names_parent(
	struct volume *v, uint64_t dir, uint64_t *ret, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int r = meta_begin(v->meta, &tx, err);

	if (r < 0)
		return r;
	return meta_end(tx, tree_parent(tx, dir, ret, err), err);
}

void names_accessed(struct volume *v, uint64_t ino)
{
	const int64_t now = clock_real_ns(v->clock);
	struct tree_attr a = {0};
	struct meta_tx *tx = NULL;
	int r;

	if (v->noatime || names_begin(v, &tx, NULL) < 0)
		return;
	r = tree_get(tx, ino, &a, NULL);
	if (r >= 0 && node_atime_due(a.atime_ns, a.mtime_ns, a.ctime_ns, now)) {
		a.atime_ns = now;
		r = tree_set(tx, TREE_SET_ATIME, &a, NULL);
	}
	(void)meta_end(tx, r, NULL);
}
