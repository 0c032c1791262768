#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "fs/commit.h"
#include "fs/fuse_int.h"
#include "fs/node.h"
#include "fs/roster.h"
#include "fs/staging.h"

#define DIR_PAGE 128u /* entries with attributes asked for at once */
#define DIR_BRACKET 1024u /* entries without, in one bracket */
#define DIR_PLUS_MIN 128u /* bytes of an entry with attributes, at least */
#define DIR_SELF 1 /* offsets behind "." and ".." */
#define DIR_PARENT 2 /* a cookie's offset is the cookie plus this */
#define STATFS_BLOCK 4096u
#define STATFS_UNBOUNDED (UINT64_C(1) << 50) /* shown where no quota is set */

struct fuse_page { /* a readdir answer being filled */
	fuse_req_t req;
	char *buf;
	size_t len, cap;
	bool plus;
	uint64_t *seen; /* inodes counted as looked up; as many as fit */
	size_t nseen;
};

/* false: it does not fit any more. */
static bool fuse_dir_add(struct fuse_page *p, const char *name,
	const struct tree_attr *a, off_t next)
{
	struct fuse_entry_param e;
	size_t n;

	fuse_entry_fill(a, &e);
	if (p->plus)
		n = fuse_add_direntry_plus(p->req, p->buf + p->len,
			p->cap - p->len, name, &e, next);
	else
		n = fuse_add_direntry(p->req, p->buf + p->len, p->cap - p->len,
			name, &e.attr, next);
	if (n > p->cap - p->len)
		return false;
	p->len += n;
	return true;
}

/* "." and "..": never counted as looked up. */
static bool fuse_dir_dots(struct fuse_page *p, uint64_t dir, off_t off)
{
	struct volume *v = fuse_volume(p->req);
	struct tree_attr a = {.ino = dir, .mode = S_IFDIR};

	if (off < DIR_SELF && !fuse_dir_add(p, ".", &a, DIR_SELF))
		return false;
	if (off >= DIR_PARENT)
		return true;
	if (names_parent(v, dir, &a.ino, NULL) < 0)
		a.ino = dir;
	return fuse_dir_add(p, "..", &a, DIR_PARENT);
}

/* The last n were not told after all. */
static void fuse_dir_unsee(struct fuse_page *p, size_t n)
{
	struct volume *v = fuse_volume(p->req);

	for (; n > 0 && p->nseen > 0; n--)
		node_forget(v->nodes, p->seen[--p->nseen], 1);
}

static int fuse_dir_damaged(struct pluri_err *err)
{
	return pluri_fail(err, EIO,
		"database: a name's place in listings cannot be; it is "
		"damaged: pluri fsck tells which");
}

/* --- without attributes: from the database's row into the answer ---------- */

struct fuse_walk {
	struct fuse_page *p;
	uint64_t after; /* the last cookie told */
	unsigned n; /* told in this bracket */
	bool full, damaged;
};

static int fuse_dir_put(void *arg, const struct tree_entry *e)
{
	struct fuse_walk *w = arg;
	struct fuse_page *p = w->p;
	const struct fuse_dirent head = {.ino = e->attr.ino,
		.off = e->cookie + DIR_PARENT,
		.namelen = (uint32_t)e->name.len,
		.type = (e->attr.mode & S_IFMT) >> 12};
	const size_t used = FUSE_NAME_OFFSET + e->name.len;
	const size_t n = FUSE_DIRENT_ALIGN(used);
	char *to = p->buf + p->len;

	/* or a lister would go round for ever */
	w->damaged = e->cookie <= w->after;
	w->full = n > p->cap - p->len;
	if (w->damaged || w->full)
		return 1;
	memcpy(to, &head, FUSE_NAME_OFFSET);
	memcpy(to + FUSE_NAME_OFFSET, e->name.data, e->name.len);
	memset(to + used, 0, n - used);
	p->len += n;
	w->after = e->cookie;
	return ++w->n == DIR_BRACKET;
}

static int fuse_dir_walk(struct fuse_page *p, uint64_t dir, uint64_t after,
	struct pluri_err *err)
{
	struct fuse_walk w = {.p = p, .after = after};

	do {
		int r;

		w.n = 0;
		r = names_walk(fuse_volume(p->req), dir, w.after, fuse_dir_put,
			&w, err);
		if (r >= 0 && w.damaged)
			r = fuse_dir_damaged(err);
		if (r < 0)
			return p->len > 0 ? 0 : r;
	} while (w.n == DIR_BRACKET && !w.full);
	return 0;
}

/* --- with attributes ------------------------------------------------------ */

/* Room for one more, of a name as short as they come. */
static bool fuse_dir_room(const struct fuse_page *p)
{
	return p->cap - p->len >= DIR_PLUS_MIN;
}

static int fuse_dir_fill(struct fuse_page *p, uint64_t dir, uint64_t after,
	struct names_entry *page, struct pluri_err *err)
{
	struct volume *v = fuse_volume(p->req);
	struct names_page got = {page, DIR_PAGE, DIR_PAGE};

	while (got.n == DIR_PAGE && fuse_dir_room(p)) {
		const int r = names_list(v, dir, after, &got, err);

		if (r < 0)
			return p->len > 0 ? 0 : r;
		for (unsigned i = 0; i < got.n; i++) {
			if (page[i].cookie <= after)
				return p->len > 0 ? 0 : fuse_dir_damaged(err);
			after = page[i].cookie;
			if (node_looked_up(v->nodes, page[i].attr.ino) < 0)
				return 0;
			p->seen[p->nseen++] = page[i].attr.ino;
			if (fuse_dir_add(p, page[i].name, &page[i].attr,
				    (off_t)after + DIR_PARENT))
				continue;
			fuse_dir_unsee(p, 1);
			return 0;
		}
	}
	return 0;
}

static int fuse_dir_plus(struct fuse_page *p, uint64_t dir, uint64_t after,
	struct pluri_err *err)
{
	struct names_entry *page = malloc(DIR_PAGE * sizeof(*page));
	int r = -ENOMEM;

	p->seen = malloc((p->cap / DIR_PLUS_MIN + 1) * sizeof(*p->seen));
	if (page && p->seen)
		r = fuse_dir_fill(p, dir, after, page, err);
	free(page);
	return r;
}

static void fuse_dir_read(
	fuse_req_t req, uint64_t dir, size_t size, off_t off, bool plus)
{
	const uint64_t after =
		off > DIR_PARENT ? (uint64_t)off - DIR_PARENT : 0;
	struct fuse_page p = {
		.req = req, .buf = malloc(size), .cap = size, .plus = plus};
	struct pluri_err err = {0};
	int r = p.buf ? 0 : -ENOMEM;

	if (off == 0)
		names_accessed(fuse_volume(req), dir);
	if (r == 0 && fuse_dir_dots(&p, dir, off))
		r = plus ? fuse_dir_plus(&p, dir, after, &err)
			 : fuse_dir_walk(&p, dir, after, &err);
	if (r < 0)
		fuse_answer_err(req, r, &err);
	else if (fuse_reply_buf(req, p.buf, p.len) < 0)
		fuse_dir_unsee(&p, p.nseen); /* interrupted: nobody saw it */
	free(p.seen);
	free(p.buf);
}

static void fuse_readdir(fuse_req_t req, fuse_ino_t dir, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	(void)fi;
	fuse_dir_read(req, dir, size, off, false);
}

static void fuse_readdirplus(fuse_req_t req, fuse_ino_t dir, size_t size,
	off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	fuse_dir_read(req, dir, size, off, true);
}

/* As files: the kernel opens directories by itself, and caches listings. */
static void fuse_opendir(
	fuse_req_t req, fuse_ino_t dir, struct fuse_file_info *fi)
{
	(void)dir;
	(void)fi;
	(void)fuse_reply_err(req, ENOSYS);
}

static void fuse_fsyncdir(
	fuse_req_t req, fuse_ino_t dir, int datasync, struct fuse_file_info *fi)
{
	struct pluri_err err = {0};

	(void)dir;
	(void)datasync;
	(void)fi;
	staging_hurry(fuse_volume(req)->staging, 0);
	fuse_answer_err(
		req, commit_now(fuse_volume(req)->commit, true, &err), &err);
}

/* Bytes that the stores' quotas leave room for, at default redundancy. */
static uint64_t fuse_capacity(struct volume *v)
{
	struct roster_policy pol;
	uint64_t sum = 0;

	for (unsigned i = 0; i < v->config->stores; i++) {
		if (v->config->store[i].quota == 0)
			return STATFS_UNBOUNDED;
		sum += v->config->store[i].quota;
	}
	if (roster_policy(v->roster, 0, &pol) < 0)
		return sum;
	return sum / layout_shards(&pol.layout) * pol.layout.k;
}

static void fuse_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct volume *v = fuse_volume(req);
	const uint64_t total = fuse_capacity(v);
	struct tree_totals t = {0};
	struct pluri_err err = {0};
	struct meta_tx *tx = NULL;
	struct statvfs s = {.f_bsize = STATFS_BLOCK,
		.f_frsize = STATFS_BLOCK,
		.f_namemax = TREE_NAME_MAX};
	int r = meta_begin(v->meta, &tx, &err);

	(void)ino;
	if (r >= 0)
		r = meta_end(tx, tree_totals(tx, &t, &err), &err);
	if (r < 0) {
		fuse_answer_err(req, r, &err);
		return;
	}
	s.f_blocks = total / STATFS_BLOCK;
	s.f_bfree = t.bytes < total ? (total - t.bytes) / STATFS_BLOCK : 0;
	s.f_bavail = s.f_bfree;
	s.f_files = UINT32_MAX;
	s.f_ffree = s.f_files - (t.inodes < s.f_files ? t.inodes : s.f_files);
	s.f_favail = s.f_ffree;
	(void)fuse_reply_statfs(req, &s);
}

void fuse_dirs(struct fuse_lowlevel_ops *ops)
{
	ops->opendir = fuse_opendir;
	ops->readdir = fuse_readdir;
	ops->readdirplus = fuse_readdirplus;
	ops->fsyncdir = fuse_fsyncdir;
	ops->statfs = fuse_statfs;
}
