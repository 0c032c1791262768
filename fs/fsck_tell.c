#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "fs/answer.h"

#include "fs/fsck_int.h"

#define TELL_PATH 4096u
#define TELL_PATHS 200u /* findings that get one */

/* --- names of inodes ----------------------------------------------------- */

/* Those that have none yet, each inode's; returns how many. */
static unsigned tell_want(const struct fsck_run *c, struct fsck_finding *want)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->items && n < TELL_PATHS; i++)
		if (c->item[i].f.ino > TREE_ROOT && c->item[i].f.name_len == 0)
			want[n++] =
				(struct fsck_finding){.ino = c->item[i].f.ino};
	return n;
}

static void tell_put(
	struct fsck_run *c, const struct fsck_finding *want, unsigned n)
{
	for (unsigned i = 0, at = 0; i < c->items && at < n; i++) {
		struct fsck_finding *const f = &c->item[i].f;

		if (f->ino <= TREE_ROOT || f->name_len)
			continue;
		if (want[at].dir) {
			f->dir = want[at].dir;
			f->name_len = want[at].name_len;
			memcpy(f->name, want[at].name, sizeof(f->name));
		}
		at++;
	}
}

static int tell_names(struct fsck_run *c, struct pluri_err *err)
{
	pluri_auto_mem struct fsck_finding *want =
		calloc(TELL_PATHS, sizeof(*want));
	struct fsck_cursor at = {0};
	bool more;
	unsigned n;
	int r = 0;

	if (!want)
		return pluri_fail(err, ENOMEM, "check: no memory");
	n = tell_want(c, want);
	more = n > 0;
	while (r == 0 && more && !fsck_run_stopped(c)) {
		struct meta_tx *tx = NULL;

		r = meta_begin(c->v->meta, &tx, err);
		if (r < 0)
			return r;
		r = fsck_find(tx, &at, want, n, &more, err);
		r = meta_end(tx, r, err);
	}
	tell_put(c, want, n);
	return r;
}

/* "" when it is not known. */
static void tell_path(
	struct fsck_run *c, const struct fsck_finding *f, char to[TELL_PATH])
{
	struct meta_tx *tx = NULL;
	size_t n;
	int r = 0;

	to[0] = 0;
	if (!f->dir || !f->name_len || meta_begin(c->v->meta, &tx, NULL) < 0)
		return;
	r = fsck_path(tx, f->dir, to, TELL_PATH, NULL);
	(void)meta_end(tx, 0, NULL);
	n = r > 0 ? strlen(to) : 0;
	if (n == 0 || n + f->name_len >= TELL_PATH) {
		to[0] = 0;
		return;
	}
	memcpy(to + n, f->name, f->name_len);
	to[n + f->name_len] = 0;
}

/* --- JSON ---------------------------------------------------------------- */

static void tell_int(json_t *j, const char *key, uint64_t v)
{
	if (v)
		(void)json_object_set_new(j, key, json_integer((json_int_t)v));
}

static json_t *tell_one(struct fsck_run *c, unsigned at)
{
	const struct fsck_item *i = &c->item[at];
	char name[TREE_NAME_MAX + 1] = {0};
	char path[TELL_PATH] = {0};
	json_t *j = json_pack("{ss ss ss ss sb}", "code", i->f.code, "text",
		i->f.text, "action", i->f.action ? i->f.action : "", "state",
		i->f.state == FSCK_REPAIRED ? "repaired" : "left", "grave",
		(int)i->f.grave);

	if (!j)
		return NULL;
	tell_int(j, "ino", i->f.ino);
	tell_int(j, "dir", i->f.dir);
	tell_int(j, "off", i->f.off);
	tell_int(j, "chunk", i->f.chunk);
	tell_int(j, "pack", i->f.pack);
	if (strncmp(i->f.code, "shard-", 6) == 0 ||
		strncmp(i->f.code, "move-", 5) == 0)
		(void)json_object_set_new(j, "shard", json_integer(i->f.index));
	if (i->file[0])
		(void)json_object_set_new(j, "file", json_string(i->file));
	if (i->f.name_len) {
		memcpy(name, i->f.name, i->f.name_len);
		(void)json_object_set_new(j, "name", answer_text(name));
	}
	if (at < TELL_PATHS)
		tell_path(c, &i->f, path);
	if (path[0])
		(void)json_object_set_new(j, "path", answer_text(path));
	return j;
}

int fsck_tell(struct fsck_run *c, json_t **ret, struct pluri_err *err)
{
	json_t *all = json_array();
	int r = tell_names(c, err);

	for (unsigned i = 0; all && i < c->items && r >= 0; i++)
		if (json_array_append_new(all, tell_one(c, i)) < 0)
			r = -ENOMEM;
	if (!all || r == -ENOMEM) {
		json_decref(all);
		return pluri_fail(err, ENOMEM, "check: no memory");
	}
	*ret = all;
	return r;
}
