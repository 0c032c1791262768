#include <inttypes.h>

#include "meta/fsck_int.h"

struct grave_line {
	int64_t pack, idx, store, id_len;
	bool lives; /* a pack has that id */
};

static int grave_fix(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx, "DELETE FROM grave WHERE pack = ?1 AND idx = ?2",
		META_INTS((int64_t)found->pack, found->value), err);
}

static void grave_judge(struct fsck *f, const struct grave_line *g)
{
	static const struct fsck_rule lives = {"grave-of-pack",
		"forgets that its object is to be deleted: the pack is there",
		false, grave_fix};
	static const struct fsck_rule absurd = {"grave-absurd",
		"forgets it: what object was to be deleted is not known", false,
		grave_fix};
	const bool lawful = g->pack > 0 && g->id_len == PLURI_ID_BYTES &&
			    g->idx >= 0 && g->idx < (int64_t)PLURI_SHARDS_MAX &&
			    g->store >= 0 &&
			    g->store < (int64_t)PLURI_STORES_MAX;
	struct fsck_finding *found;

	if (lawful && !g->lives)
		return;
	found = fsck_add(f, lawful ? &lives : &absurd,
		"shard %" PRId64 " on store %" PRId64 ", an id of %" PRId64
		" bytes",
		g->idx, g->store, g->id_len);
	found->pack = (uint64_t)g->pack;
	found->index = (uint32_t)g->idx;
	found->value = g->idx;
}

int fsck_grave(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err)
{
	struct grave_line g = {0};
	struct db_stmt *s = NULL;
	int r = fsck_query(f, tx,
		"SELECT g.pack, g.idx, g.store, length(g.id), p.num IS NOT NULL"
		" FROM grave g LEFT JOIN pack p ON p.id = g.id"
		" WHERE (g.pack, g.idx) > (?1, ?2)"
		" ORDER BY g.pack, g.idx LIMIT ?3",
		2, &s, err);

	while (r >= 0 && fsck_go(f) && (r = meta_step(tx, s, err)) > 0) {
		f->key[0] = g.pack = meta_int(tx, s, 0);
		f->key[1] = g.idx = meta_int(tx, s, 1);
		g.store = meta_int(tx, s, 2);
		g.id_len = meta_int(tx, s, 3);
		g.lives = meta_int(tx, s, 4) != 0;
		fsck_took(f);
		grave_judge(f, &g);
	}
	*ret_more = r > 0 || !fsck_go(f);
	return r;
}
