#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/text.h"
#include "fs/answer.h"
#include "fs/names.h"
#include "fs/node.h"
#include "fs/roster.h"
#include "meta/extent.h"
#include "meta/packs.h"

#include "fs/health.h"

#define WHERE_EXTENTS_MAX 10000u /* told in one answer */
#define WHERE_BATCH 128u /* rows of one bracket */
#define WHERE_DIRTY_MAX 1024u /* dirty runs told */

struct where_run {
	uint64_t off, end;
};

struct where {
	struct volume *v;
	struct tree_attr attr;
	bool explain;
	bool truncated;
	json_t *extents;
	uint64_t at; /* told up to here */
	struct where_run dirty[WHERE_DIRTY_MAX];
	unsigned dirties, next_dirty;
	uint64_t pack; /* whose texts the next three are; 0: none */
	char pack_hex[2 * PLURI_ID_BYTES + 1];
	json_t *shards;
	json_t *why;
	struct extent_row row[WHERE_BATCH];
};

static void where_free(struct where *w)
{
	json_decref(w->extents);
	json_decref(w->shards);
	json_decref(w->why);
	free(w);
}
PLURI_OWN(where);

/* --- what is not flushed yet --------------------------------------------- */

static void where_add_dirty(struct where *w, uint64_t off, uint64_t end)
{
	if (w->dirties == WHERE_DIRTY_MAX) {
		w->truncated = true;
		return;
	}
	w->dirty[w->dirties++] = (struct where_run){off, end};
}

static void where_collect(struct where *w, const struct dirty *d)
{
	uint64_t at = 0;
	uint64_t off = 0;
	uint64_t len;

	while (!w->truncated && (len = dirty_run(d, at, &off)) > 0) {
		where_add_dirty(w, off, off + len);
		at = off + len;
	}
}

static int where_order(const void *a, const void *b)
{
	const struct where_run *x = a;
	const struct where_run *y = b;

	return (x->off > y->off) - (x->off < y->off);
}

/* Two ascending lists one after the other become one without overlaps. */
static void where_merge(struct where *w)
{
	unsigned n = 0;

	qsort(w->dirty, w->dirties, sizeof(w->dirty[0]), where_order);
	for (unsigned i = 0; i < w->dirties; i++) {
		struct where_run *last = n ? &w->dirty[n - 1] : NULL;

		if (!last || w->dirty[i].off > last->end)
			w->dirty[n++] = w->dirty[i];
		else if (w->dirty[i].end > last->end)
			last->end = w->dirty[i].end;
	}
	w->dirties = n;
}

static void where_dirty(struct where *w)
{
	struct node *n = node_peek(w->v->nodes, w->attr.ino);

	if (!n)
		return;
	(void)pthread_mutex_lock(&n->lock);
	where_collect(w, &n->flight);
	where_collect(w, &n->dirty);
	(void)pthread_mutex_unlock(&n->lock);
	node_unpin(w->v->nodes, n);
	where_merge(w);
}

/* --- a pack's part of the answer ----------------------------------------- */

static json_t *where_shard(
	struct where *w, const struct pack_row *p, const struct shard_row *s)
{
	static const char *const words[] = {"wanted", "stored", "bad"};
	char object[PLURI_OBJECT_KEY_MAX + 1];
	struct store_row store = {.name = "?"};

	(void)roster_store(w->v->roster, s->store, &store);
	shard_name(&p->id, s->index, object);
	return json_pack("{sI ss ss ss}", "index", (json_int_t)s->index,
		"store", store.name, "state", words[s->state], "object",
		object);
}

static json_t *where_why(struct where *w, const struct pack_row *p)
{
	struct place_store table[PLURI_STORES_MAX];
	struct place_reason why[PLURI_STORES_MAX];
	uint32_t nums[PLURI_STORES_MAX];
	struct place_rule rule = {0};
	struct pluri_err err = {0};
	pluri_auto_mem void *keep = NULL;
	json_t *all = json_array();
	unsigned n;

	n = roster_table(w->v->roster, p->policy, table, nums, &keep, &rule);
	if (n > 0 && place_explain(&p->id, &rule, table, n, why, &err) < 0)
		for (unsigned i = 0; i < n; i++) {
			why[i] = (struct place_reason){0};
			(void)snprintf(why[i].text, sizeof(why[i].text),
				"%.127s", err.text);
		}
	for (unsigned i = 0; i < n; i++)
		(void)json_array_append_new(
			all, json_pack("{ss sb ss}", "store", table[i].name,
				     "chosen", (int)why[i].chosen, "text",
				     why[i].text));
	return all;
}

/* Most extents of a file are of few packs: keep the last one's texts. */
static int where_pack(struct where *w, uint64_t num, struct pluri_err *err)
{
	struct shard_row shard[PLURI_SHARDS_MAX];
	struct pack_row pack = {0};
	struct meta_tx *tx = NULL;
	unsigned n = 0;
	int r;

	if (w->pack == num)
		return 0;
	r = meta_begin(w->v->meta, &tx, err);
	if (r < 0)
		return r;
	r = packs_get(tx, num, &pack, err);
	if (r == 0)
		r = packs_shards(tx, num, shard, PLURI_SHARDS_MAX, &n, err);
	r = meta_end(tx, r, err);
	if (r < 0)
		return r;
	json_decref(w->shards);
	json_decref(w->why);
	w->shards = json_array();
	w->why = w->explain ? where_why(w, &pack) : NULL;
	for (unsigned i = 0; i < n; i++)
		(void)json_array_append_new(
			w->shards, where_shard(w, &pack, &shard[i]));
	(void)text_hex(pack.id.b, PLURI_ID_BYTES, w->pack_hex);
	w->pack = num;
	return 0;
}

/* --- the file from its beginning to its end ------------------------------ */

static void where_tell(struct where *w, json_t *j)
{
	if (json_array_size(w->extents) < WHERE_EXTENTS_MAX) {
		(void)json_array_append_new(w->extents, j);
		return;
	}
	w->truncated = true;
	json_decref(j);
}

static json_t *where_json(
	struct where *w, uint64_t off, uint64_t end, const struct extent_row *e)
{
	char chunk[2 * PLURI_DIGEST_BYTES + 1];
	json_t *j;

	if (!e)
		return json_pack("{sI sI sb}", "offset", (json_int_t)off,
			"length", (json_int_t)(end - off), "hole", 1);
	(void)text_hex(e->chunk.id.b, PLURI_DIGEST_BYTES, chunk);
	j = json_pack("{sI sI sb ss ss sI sO}", "offset", (json_int_t)off,
		"length", (json_int_t)(end - off), "hole", 0, "chunk", chunk,
		"pack", w->pack_hex, "pack_offset", (json_int_t)e->chunk.off,
		"shards", w->shards);
	if (w->why)
		(void)json_object_set(j, "why", w->why);
	return j;
}

/* [w->at, end) is e, or a hole; dirty bytes lie over it. */
static void where_upto(
	struct where *w, uint64_t end, const struct extent_row *e)
{
	while (w->at < end && !w->truncated) {
		const struct where_run *d = w->next_dirty < w->dirties
						    ? &w->dirty[w->next_dirty]
						    : NULL;
		const uint64_t stop = d && d->off < end ? d->off : end;

		if (stop > w->at) {
			where_tell(w, where_json(w, w->at, stop, e));
			w->at = stop;
			continue;
		}
		where_tell(
			w, json_pack("{sI sI sb}", "offset", (json_int_t)d->off,
				   "length", (json_int_t)(d->end - d->off),
				   "dirty", 1));
		if (d->end > w->at)
			w->at = d->end;
		w->next_dirty++;
	}
}

static int where_batch(
	struct where *w, uint64_t from, unsigned *ret_n, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int r;

	r = meta_begin(w->v->meta, &tx, err);
	if (r < 0)
		return r;
	r = extent_read(tx, w->attr.ino,
		(struct extent_span){from, w->attr.size - from}, w->row,
		WHERE_BATCH, ret_n, err);
	return meta_end(tx, r, err);
}

static int where_extents(struct where *w, struct pluri_err *err)
{
	unsigned n = WHERE_BATCH;
	uint64_t from = 0;
	int r = 0;

	while (n == WHERE_BATCH && from < w->attr.size && !w->truncated) {
		r = where_batch(w, from, &n, err);
		for (unsigned i = 0; r == 0 && i < n; i++) {
			const struct extent_row *e = &w->row[i];

			from = e->e.off + e->e.len;
			r = where_pack(w, e->chunk.pack, err);
			if (r < 0)
				break;
			where_upto(w, e->e.off, NULL);
			where_upto(w, from, e);
		}
		if (r < 0)
			return r;
	}
	where_upto(w, w->attr.size, NULL);
	return 0;
}

/* --- from a path to an answer -------------------------------------------- */

static int where_lookup(struct meta_tx *tx, const char *path,
	struct tree_attr *a, struct pluri_err *err)
{
	const char *p = path;
	int r;

	r = tree_get(tx, TREE_ROOT, a, err);
	while (r == 0) {
		struct tree_name name;

		p += strspn(p, "/");
		name = (struct tree_name){p, strcspn(p, "/")};
		if (name.len == 0)
			return 0;
		if (name.len > TREE_NAME_MAX)
			return -ENAMETOOLONG;
		p += name.len;
		r = tree_lookup(tx, a->ino, name, a, err);
	}
	return r;
}

static int where_find(struct where *w, const char *path, struct pluri_err *err)
{
	struct pluri_err story = {0};
	struct meta_tx *tx = NULL;
	int r;

	r = meta_begin(w->v->meta, &tx, err);
	if (r < 0)
		return r;
	r = meta_end(tx, where_lookup(tx, path, &w->attr, &story), &story);
	if (r < 0)
		return pluri_fail(err, -r, "%.400s: %.100s",
			path[0] ? path : "/",
			story.text[0] ? story.text : strerror(-r));
	return names_stat(w->v, w->attr.ino, &w->attr, err);
}

int health_where(struct volume *v, const char *path, bool explain, json_t **ret,
	struct pluri_err *err)
{
	pluri_auto(where) w = calloc(1, sizeof(*w));
	struct roster_policy *policy;
	pluri_auto_mem void *mem = calloc(1, sizeof(*policy));
	json_t *j;
	int r;

	policy = mem;
	if (!w || !policy)
		return pluri_fail(err, ENOMEM, "where: no memory");
	w->v = v;
	w->explain = explain;
	w->extents = json_array();
	r = where_find(w, path, err);
	if (r < 0)
		return r;
	if (S_ISREG(w->attr.mode)) {
		where_dirty(w);
		r = where_extents(w, err);
	}
	if (r < 0)
		return r;
	if (roster_policy(v->roster, w->attr.policy, policy) < 0)
		(void)snprintf(policy->name, sizeof(policy->name), "?");
	j = json_pack("{so sI sI ss sO}", "path",
		answer_text(path[0] ? path : "/"), "ino",
		(json_int_t)w->attr.ino, "size", (json_int_t)w->attr.size,
		"policy", policy->name, "extents", w->extents);
	if (j && w->truncated)
		(void)json_object_set_new(j, "truncated", json_true());
	if (!j)
		return pluri_fail(err, ENOMEM, "where: no memory");
	*ret = j;
	return 0;
}
