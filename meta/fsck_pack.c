#include <errno.h>
#include <inttypes.h>

#include "meta/fsck_int.h"
#include "meta/packs.h"

/* --- packs --------------------------------------------------------------- */

struct pack_line {
	int64_t num, policy, state, kind, k, m, local, bytes, stored;
	int64_t id_len, have_stored, shards; /* shards: inside the layout */
	bool policy_there, chunks, any_shard;
};

static const char pack_sql[] =
	"SELECT p.num, p.policy, p.state, p.k, p.m, p.local, p.bytes,"
	" p.stored, length(p.id), q.num IS NOT NULL,"
	" (SELECT count(*) FROM shard s WHERE s.pack = p.num AND s.state = 1),"
	" (SELECT count(*) FROM shard t WHERE t.pack = p.num"
	" AND t.idx >= 0 AND t.idx < p.k + p.m),"
	" EXISTS(SELECT 1 FROM chunk c WHERE c.pack = p.num),"
	" EXISTS(SELECT 1 FROM shard u WHERE u.pack = p.num), p.kind"
	" FROM pack p LEFT JOIN policy q ON q.num = p.policy"
	" WHERE p.num > ?1 ORDER BY p.num LIMIT ?2";

static void pack_get(struct meta_tx *tx, struct db_stmt *s, struct pack_line *p)
{
	p->num = meta_int(tx, s, 0);
	p->policy = meta_int(tx, s, 1);
	p->state = meta_int(tx, s, 2);
	p->k = meta_int(tx, s, 3);
	p->m = meta_int(tx, s, 4);
	p->local = meta_int(tx, s, 5);
	p->bytes = meta_int(tx, s, 6);
	p->stored = meta_int(tx, s, 7);
	p->id_len = meta_int(tx, s, 8);
	p->policy_there = meta_int(tx, s, 9) != 0;
	p->have_stored = meta_int(tx, s, 10);
	p->shards = meta_int(tx, s, 11);
	p->chunks = meta_int(tx, s, 12) != 0;
	p->any_shard = meta_int(tx, s, 13) != 0;
	p->kind = meta_int(tx, s, 14);
}

static int pack_fix_policy(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx, "UPDATE pack SET policy = 0 WHERE num = ?1",
		META_INTS((int64_t)found->pack), err);
}

static int pack_count_stored(
	struct meta_tx *tx, int64_t pack, struct pluri_err *err)
{
	return fsck_change(tx,
		"UPDATE pack SET stored = (SELECT count(*) FROM shard s"
		" WHERE s.pack = ?1 AND s.state = 1) WHERE num = ?1",
		META_INTS(pack), err);
}

static int pack_fix_stored(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return pack_count_stored(tx, (int64_t)found->pack, err);
}

/* A store that takes new data and has no shard of the pack: 1, 0, -errno. */
static int pack_place(
	struct meta_tx *tx, int64_t pack, int64_t *ret, struct pluri_err *err)
{
	return meta_ask(tx,
		"SELECT num FROM store WHERE state = 0 AND num NOT IN"
		" (SELECT store FROM shard WHERE pack = ?1)"
		" ORDER BY num LIMIT 1",
		META_INTS(pack), ret, err);
}

/* Wanted where there is room; placement moves it later. */
static int pack_fix_short(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	const int64_t pack = (int64_t)found->pack;
	int r = 1;

	(void)f;
	for (int64_t i = 0; i < found->value && r > 0; i++) {
		int64_t store = 0;
		int64_t yes = 0;

		r = meta_ask(tx,
			"SELECT 1 FROM shard WHERE pack = ?1"
			" AND idx = ?2",
			META_INTS(pack, i), &yes, err);
		if (r != 0) {
			continue; /* it is there */
		}
		r = pack_place(tx, pack, &store, err);
		if (r > 0)
			r = fsck_change(tx,
				"INSERT INTO shard (pack, idx, store, state)"
				" VALUES (?1, ?2, ?3, 0)",
				META_INTS(pack, i, store), err);
	}
	return r;
}

static int pack_fix_open(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	const int r = meta_change(tx, "DELETE FROM shard WHERE pack = ?1",
		META_INTS((int64_t)found->pack), err);

	(void)f;
	return r < 0 ? r : pack_count_stored(tx, (int64_t)found->pack, err);
}

static struct fsck_finding *pack_add(
	struct fsck *f, const struct fsck_rule *rule, const struct pack_line *p)
{
	struct fsck_finding *const found = fsck_add(f, rule,
		"layout %" PRId64 "+%" PRId64 ", %" PRId64 " shards, %" PRId64
		" stored (%" PRId64 " told), %s, %s",
		p->k, p->m, p->shards, p->have_stored, p->stored,
		p->state == PACK_OPEN ? "open" : "closed",
		p->local ? "local" : "not local");

	found->pack = (uint64_t)p->num;
	found->value = p->k + p->m;
	return found;
}

/* What nothing else tells of: its id, and the bytes of one that is closed. */
static bool pack_known(const struct pack_line *p)
{
	return p->id_len == PLURI_ID_BYTES &&
	       (p->state == PACK_OPEN ||
		       (p->bytes >= 0 && (uint64_t)p->bytes <= PLURI_PACK_MAX));
}

static bool pack_lawful(const struct pack_line *p)
{
	return pack_known(p) && p->kind >= 0 && p->kind <= UINT8_MAX &&
	       p->k >= 1 && p->k <= PLURI_SHARDS_MAX && p->m >= 0 &&
	       p->m <= (int64_t)PLURI_SHARDS_MAX - p->k && p->state >= 0 &&
	       p->state <= PACK_CLOSED && p->local >= 0 && p->local <= 1 &&
	       p->bytes >= 0 && (uint64_t)p->bytes <= PLURI_PACK_MAX;
}

/*
 * Mirror is the one layout that is built, and its shards are counted from 0;
 * an open pack has none, and is laid out as the last one of its policy. What
 * is called local and is not is found by who looks at the files.
 */
#define PACK_LAYOUT                                      \
	"CASE WHEN kind BETWEEN 0 AND 255 AND k BETWEEN" \
	" 1 AND 32 AND m BETWEEN 0 AND 32 - k THEN "

static int pack_fix_row(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx,
		"UPDATE pack SET"
		" kind = " PACK_LAYOUT "kind ELSE 1 END,"
		" k = " PACK_LAYOUT "k ELSE 1 END,"
		" m = " PACK_LAYOUT "m ELSE COALESCE((SELECT max(s.idx) FROM"
		" shard s WHERE s.pack = ?1 AND s.idx BETWEEN 0 AND 31),"
		" (SELECT q.m FROM pack q WHERE q.num <> ?1 AND q.policy ="
		" pack.policy AND q.k = 1 AND q.m BETWEEN 0 AND 31"
		" ORDER BY q.num DESC LIMIT 1), 1) END,"
		" state = CASE WHEN state IN (0, 1) THEN state ELSE"
		" EXISTS(SELECT 1 FROM shard s WHERE s.pack = ?1) END,"
		" local = CASE WHEN local IN (0, 1) THEN local ELSE 1 END,"
		" bytes = CASE WHEN bytes BETWEEN 0 AND ?2 THEN bytes"
		" ELSE 0 END WHERE num = ?1",
		META_INTS((int64_t)found->pack, PLURI_PACK_MAX), err);
}

static void pack_judge(struct fsck *f, const struct pack_line *p)
{
	static const struct fsck_rule absurd = {"pack-absurd",
		"tells from its shards what of the row cannot be", false,
		pack_fix_row};
	static const struct fsck_rule unknown = {"pack-absurd",
		"none: reads of what it holds give EIO; restore the database",
		true, NULL};
	static const struct fsck_rule policy = {"pack-policy",
		"gives it the policy \"default\"", false, pack_fix_policy};
	static const struct fsck_rule stored = {"pack-stored",
		"counts the stored shards anew", false, pack_fix_stored};
	static const struct fsck_rule open = {"pack-open-shards",
		"forgets the shards: a pack that is open has none", false,
		pack_fix_open};
	static const struct fsck_rule few = {"pack-short-of-shards",
		"wants them from stores that have none of it, where there "
		"are such",
		false, pack_fix_short};
	static const struct fsck_rule lost = {"pack-unreadable",
		"none: too few shards are stored, and there is no local file; "
		"bring the stores back, or restore the files",
		true, NULL};

	if (!pack_lawful(p)) {
		(void)pack_add(f, pack_known(p) ? &absurd : &unknown, p);
		return;
	}
	if (!p->policy_there || p->policy < 0 ||
		p->policy >= (int64_t)PLURI_POLICIES_MAX)
		(void)pack_add(f, &policy, p);
	if (p->state == PACK_OPEN && p->any_shard)
		(void)pack_add(f, &open, p);
	else if (p->stored != p->have_stored)
		(void)pack_add(f, &stored, p);
	if (p->state == PACK_CLOSED && p->shards < p->k + p->m)
		(void)pack_add(f, &few, p);
	if (p->chunks && !p->local &&
		(p->state == PACK_OPEN || p->have_stored < p->k))
		(void)pack_add(f, &lost, p);
}

int fsck_pack(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err)
{
	struct pack_line p = {0};
	struct db_stmt *s = NULL;
	int r = fsck_query(f, tx, pack_sql, 1, &s, err);

	while (r >= 0 && fsck_go(f) && (r = meta_step(tx, s, err)) > 0) {
		pack_get(tx, s, &p);
		f->key[0] = p.num;
		fsck_took(f);
		pack_judge(f, &p);
	}
	*ret_more = r > 0 || !fsck_go(f);
	return r;
}

/* --- shards -------------------------------------------------------------- */

struct pack_shard {
	int64_t pack, idx, store, state, top; /* top: shards of the layout */
	int64_t k, stored;
	bool there, store_there, local;
};

static int pack_fix_shard(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	int r = meta_change(tx,
		"DELETE FROM shard WHERE pack = ?1 AND idx = ?2",
		META_INTS((int64_t)found->pack, (int32_t)found->index), err);

	(void)f;
	if (r == 0)
		r = pack_count_stored(tx, (int64_t)found->pack, err);
	return r < 0 ? r : 1; /* there may be no pack to count for */
}

static int pack_fix_state(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	const int r = meta_change(tx,
		"UPDATE shard SET state = 2 WHERE pack = ?1 AND idx = ?2",
		META_INTS((int64_t)found->pack, (int32_t)found->index), err);

	(void)f;
	return r < 0 ? r : pack_count_stored(tx, (int64_t)found->pack, err);
}

/* value: 1 when that shard is not there yet, or the pack whole without it. */
static int pack_fix_store(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	int64_t store = 0;
	int r = 0;

	(void)f;
	if (found->value)
		r = pack_place(tx, (int64_t)found->pack, &store, err);
	if (r <= 0)
		return r;
	r = meta_change(tx,
		"UPDATE shard SET state = 0, store = ?3"
		" WHERE pack = ?1 AND idx = ?2",
		META_INTS((int64_t)found->pack, (int32_t)found->index, store),
		err);
	return r < 0 ? r : pack_count_stored(tx, (int64_t)found->pack, err);
}

static void pack_add_shard(struct fsck *f, const struct fsck_rule *rule,
	const struct pack_shard *s)
{
	struct fsck_finding *const found = fsck_add(f, rule,
		"shard %" PRId64 " in state %" PRId64 " on store %" PRId64,
		s->idx, s->state, s->store);

	found->pack = (uint64_t)s->pack;
	found->index = (uint32_t)s->idx;
	found->value =
		s->local || s->state != SHARD_STORED || s->stored - 1 >= s->k;
}

static void pack_judge_shard(struct fsck *f, const struct pack_shard *s)
{
	static const struct fsck_rule none = {
		"shard-no-pack", "forgets the shard", false, pack_fix_shard};
	static const struct fsck_rule many = {"shard-surplus",
		"forgets the shard, which the layout does not have", false,
		pack_fix_shard};
	static const struct fsck_rule state = {"shard-state",
		"calls the shard bad, so that it is made again", false,
		pack_fix_state};
	static const struct fsck_rule store = {"shard-no-store",
		"wants it from another store, if the pack is whole without it",
		true, pack_fix_store};

	if (!s->there) {
		pack_add_shard(f, &none, s);
		return;
	}
	if (s->idx < 0 || s->idx >= s->top)
		pack_add_shard(f, &many, s);
	else if (s->state < 0 || s->state > SHARD_BAD)
		pack_add_shard(f, &state, s);
	else if (!s->store_there)
		pack_add_shard(f, &store, s);
}

int fsck_shard(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err)
{
	struct pack_shard p = {0};
	struct db_stmt *s = NULL;
	int r = fsck_query(f, tx,
		"SELECT s.pack, s.idx, s.store, s.state, p.num IS NOT NULL,"
		" p.k, p.k + p.m, p.local, p.stored, t.num IS NOT NULL"
		" FROM shard s LEFT JOIN pack p ON p.num = s.pack"
		" LEFT JOIN store t ON t.num = s.store"
		" WHERE (s.pack, s.idx) > (?1, ?2)"
		" ORDER BY s.pack, s.idx LIMIT ?3",
		2, &s, err);

	while (r >= 0 && fsck_go(f) && (r = meta_step(tx, s, err)) > 0) {
		f->key[0] = p.pack = meta_int(tx, s, 0);
		f->key[1] = p.idx = meta_int(tx, s, 1);
		p.store = meta_int(tx, s, 2);
		p.state = meta_int(tx, s, 3);
		p.there = meta_int(tx, s, 4) != 0;
		p.k = meta_int(tx, s, 5);
		p.top = meta_int(tx, s, 6);
		if (p.k < 1 || p.top < p.k || p.top > (int64_t)PLURI_SHARDS_MAX)
			p.k = p.top = PLURI_SHARDS_MAX; /* pack-absurd */
		p.local = meta_int(tx, s, 7) != 0;
		p.stored = meta_int(tx, s, 8);
		p.store_there = meta_int(tx, s, 9) != 0;
		fsck_took(f);
		pack_judge_shard(f, &p);
	}
	*ret_more = r > 0 || !fsck_go(f);
	return r;
}

/* --- tails --------------------------------------------------------------- */

static int pack_fix_tail(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx, "DELETE FROM tail WHERE pack = ?1 AND off = ?2",
		META_INTS((int64_t)found->pack, (int64_t)found->off), err);
}

int fsck_tail(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err)
{
	static const struct fsck_rule none = {"tail-no-open-pack",
		"forgets the tail: a pack that is closed has all in its file",
		false, pack_fix_tail};
	static const struct fsck_rule absurd = {"tail-absurd",
		"forgets the tail; the file of the pack is taken as it is",
		true, pack_fix_tail};
	struct db_stmt *s = NULL;
	int r = fsck_query(f, tx,
		"SELECT t.pack, t.off, length(t.bytes), p.state = 0"
		" FROM tail t LEFT JOIN pack p ON p.num = t.pack"
		" WHERE (t.pack, t.off) > (?1, ?2)"
		" ORDER BY t.pack, t.off LIMIT ?3",
		2, &s, err);

	while (r >= 0 && fsck_go(f) && (r = meta_step(tx, s, err)) > 0) {
		const int64_t len = meta_int(tx, s, 2);
		const bool open = meta_int(tx, s, 3) != 0;
		struct fsck_finding *found;

		f->key[0] = meta_int(tx, s, 0);
		f->key[1] = meta_int(tx, s, 1);
		fsck_took(f);
		if (open && f->key[1] >= 0 && len > 0 &&
			len <= PACKS_TAIL_MAX &&
			f->key[1] <= (int64_t)PLURI_PACK_MAX - len)
			continue;
		found = fsck_add(f, open ? &absurd : &none,
			"%" PRId64 " bytes at %" PRId64, len, f->key[1]);
		found->pack = (uint64_t)f->key[0];
		found->off = (uint64_t)f->key[1];
	}
	*ret_more = r > 0 || !fsck_go(f);
	return r;
}
