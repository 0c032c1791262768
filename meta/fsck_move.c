#include <errno.h>
#include <inttypes.h>

#include "meta/fsck_int.h"
#include "meta/moves.h"

/* --- moves --------------------------------------------------------------- */

struct move_line {
	int64_t num, pack, idx, from, to, step;
	bool shard, stores; /* are there */
};

static int move_forget(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx, "DELETE FROM move WHERE num = ?1",
		META_INTS(found->value), err);
}

/* A shard that is where it was to go has been switched. */
static int move_fix_step(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx,
		"UPDATE move SET step = EXISTS(SELECT 1 FROM shard s"
		" WHERE s.pack = move.pack AND s.idx = move.idx"
		" AND s.store = move.to_store) WHERE num = ?1",
		META_INTS(found->value), err);
}

static void move_judge(struct fsck *f, const struct move_line *m)
{
	static const struct fsck_rule shard = {
		"move-no-shard", "forgets the move", false, move_forget};
	static const struct fsck_rule store = {"move-no-store",
		"forgets the move; the shard stays where it is", false,
		move_forget};
	static const struct fsck_rule step = {"move-step",
		"tells from the shard's store how far it is", false,
		move_fix_step};
	const bool far = m->from >= (int64_t)PLURI_STORES_MAX ||
			 m->to >= (int64_t)PLURI_STORES_MAX;
	const struct fsck_rule *rule = NULL;
	struct fsck_finding *found;

	if (!m->shard || m->idx >= (int64_t)PLURI_SHARDS_MAX)
		rule = &shard;
	else if (!m->stores || far)
		rule = &store;
	else if (m->step < MOVE_COPY || m->step > MOVE_DELETE)
		rule = &step;
	if (!rule)
		return;
	found = fsck_add(f, rule,
		"move %" PRId64 " of shard %" PRId64 " from store %" PRId64
		" to %" PRId64 ", step %" PRId64,
		m->num, m->idx, m->from, m->to, m->step);
	found->pack = (uint64_t)m->pack;
	found->index = (uint32_t)m->idx;
	found->value = m->num;
}

int fsck_move(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err)
{
	struct move_line m = {0};
	struct db_stmt *s = NULL;
	int r = fsck_query(f, tx,
		"SELECT m.num, m.pack, m.idx, m.from_store, m.to_store, m.step,"
		" s.pack IS NOT NULL, a.num IS NOT NULL AND b.num IS NOT NULL"
		" FROM move m"
		" LEFT JOIN shard s ON s.pack = m.pack AND s.idx = m.idx"
		" LEFT JOIN store a ON a.num = m.from_store"
		" LEFT JOIN store b ON b.num = m.to_store"
		" WHERE m.num > ?1 ORDER BY m.num LIMIT ?2",
		1, &s, err);

	while (r >= 0 && fsck_go(f) && (r = meta_step(tx, s, err)) > 0) {
		f->key[0] = m.num = meta_int(tx, s, 0);
		m.pack = meta_int(tx, s, 1);
		m.idx = meta_int(tx, s, 2);
		m.from = meta_int(tx, s, 3);
		m.to = meta_int(tx, s, 4);
		m.step = meta_int(tx, s, 5);
		m.shard = meta_int(tx, s, 6) != 0;
		m.stores = meta_int(tx, s, 7) != 0;
		fsck_took(f);
		move_judge(f, &m);
	}
	*ret_more = r > 0 || !fsck_go(f);
	return r;
}

/* --- jobs ---------------------------------------------------------------- */

static int move_fix_job(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx,
		"UPDATE job SET kind = CASE WHEN kind IN (0, 1) THEN kind"
		" ELSE 0 END, store = CASE WHEN store BETWEEN 0 AND ?2 THEN"
		" store ELSE 4294967295 END, state = CASE WHEN state = 1 THEN 1"
		" ELSE 2 END, text = 'its row was damaged' WHERE num = ?1",
		META_INTS(found->value, PLURI_STORES_MAX - 1), err);
}

int fsck_job(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err)
{
	static const struct fsck_rule absurd = {"job-absurd",
		"calls the job failed, if it had not ended; its moves under "
		"way are ended all the same",
		false, move_fix_job};
	struct db_stmt *s = NULL;
	int r = fsck_query(f, tx,
		"SELECT num, kind, store, state, length(CAST(text AS BLOB))"
		" FROM job WHERE num > ?1 ORDER BY num LIMIT ?2",
		1, &s, err);

	while (r >= 0 && fsck_go(f) && (r = meta_step(tx, s, err)) > 0) {
		const uint64_t kind = meta_u64(tx, s, 1);
		const uint64_t store = meta_u64(tx, s, 2);
		const uint64_t state = meta_u64(tx, s, 3);
		const uint64_t text = meta_u64(tx, s, 4);

		f->key[0] = meta_int(tx, s, 0);
		fsck_took(f);
		if (kind <= JOB_DRAIN && state <= JOB_FAILED &&
			(store < PLURI_STORES_MAX || store == UINT32_MAX) &&
			text < PLURI_ERR_TEXT)
			continue;
		fsck_add(f, &absurd,
			"job %" PRId64 " of kind %" PRId64 " in state %" PRId64
			", store %" PRId64 ", a text of %" PRIu64 " bytes",
			f->key[0], (int64_t)kind, (int64_t)state,
			(int64_t)store, text)
			->value = f->key[0];
	}
	*ret_more = r > 0 || !fsck_go(f);
	return r;
}
