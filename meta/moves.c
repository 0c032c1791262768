#include <errno.h>

#include "meta/moves.h"
#include "meta/packs_int.h"

#define MOVES_COLUMNS "num, job, pack, idx, from_store, to_store, step"

static int moves_row(struct meta_tx *tx, struct db_stmt *s,
	struct move_row *ret, struct pluri_err *err)
{
	const uint64_t num = meta_u64(tx, s, 0);
	const uint64_t index = meta_u64(tx, s, 3);
	const uint64_t from = meta_u64(tx, s, 4);
	const uint64_t to = meta_u64(tx, s, 5);
	const uint64_t step = meta_u64(tx, s, 6);

	if (index >= PLURI_SHARDS_MAX || from >= PLURI_STORES_MAX ||
		to >= PLURI_STORES_MAX || step > MOVE_DELETE)
		return pluri_fail(err, EBADMSG,
			"database: move %llu: its row is damaged (shard %llu "
			"from store %llu to %llu, step %llu)",
			(unsigned long long)num, (unsigned long long)index,
			(unsigned long long)from, (unsigned long long)to,
			(unsigned long long)step);
	*ret = (struct move_row){
		.num = num,
		.job = meta_u64(tx, s, 1),
		.pack = meta_u64(tx, s, 2),
		.index = (uint32_t)index,
		.from = (uint32_t)from,
		.to = (uint32_t)to,
		.step = (enum move_step)step,
	};
	return 0;
}

static int moves_get(struct meta_tx *tx, uint64_t num, struct move_row *ret,
	struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = meta_query(tx,
		"SELECT " MOVES_COLUMNS " FROM move WHERE num = ?1",
		META_INTS((int64_t)num), &s, err);

	if (r == 0)
		r = meta_step(tx, s, err);
	if (r < 0)
		return r;
	if (r == 0)
		return pluri_fail(err, ENOENT, "there is no move %llu",
			(unsigned long long)num);
	return moves_row(tx, s, ret, err);
}

/* The shard must still be where the move takes it from. */
static int moves_judge(
	struct meta_tx *tx, const struct move_row *m, struct pluri_err *err)
{
	struct shard_row s;
	int r = packs_shard_get(tx, m->pack, m->index, &s, err);

	if (r < 0)
		return r;
	if (s.store != m->from)
		return pluri_fail(err, ESTALE,
			"shard %u of pack %llu is on store %u, not on %u",
			m->index, (unsigned long long)m->pack, s.store,
			m->from);
	return stores_check(tx, m->to, err);
}

int moves_add(struct meta_tx *tx, struct move_row *m, struct pluri_err *err)
{
	uint64_t num;
	int r;

	if (m->from == m->to)
		return pluri_fail(err, EINVAL,
			"shard %u of pack %llu: from store %u to itself",
			m->index, (unsigned long long)m->pack, m->to);
	r = moves_judge(tx, m, err);
	if (r < 0)
		return r;
	num = meta_next(tx, META_MOVE);
	r = meta_change(tx,
		"INSERT INTO move (" MOVES_COLUMNS ")"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)",
		META_INTS((int64_t)num, (int64_t)m->job, (int64_t)m->pack,
			m->index, m->from, m->to),
		err);
	if (r == -EEXIST)
		return pluri_fail(err, EEXIST,
			"shard %u of pack %llu is being moved already",
			m->index, (unsigned long long)m->pack);
	if (r < 0)
		return r;
	m->num = num;
	m->step = MOVE_COPY;
	return 0;
}

int moves_switch(struct meta_tx *tx, uint64_t num, struct pluri_err *err)
{
	struct move_row m;
	struct shard_row s;
	int r = moves_get(tx, num, &m, err);

	if (r < 0 || m.step == MOVE_DELETE)
		return r;
	r = moves_judge(tx, &m, err);
	if (r < 0)
		return r;
	s = (struct shard_row){
		.pack = m.pack,
		.index = m.index,
		.store = m.to,
		.state = SHARD_STORED,
	};
	r = packs_set_shard(tx, &s, err);
	if (r < 0)
		return r;
	return meta_change(tx, "UPDATE move SET step = 1 WHERE num = ?1",
		META_INTS((int64_t)num), err);
}

static int moves_end(struct meta_tx *tx, uint64_t num, enum move_step step,
	struct pluri_err *err)
{
	struct move_row m;
	int r = moves_get(tx, num, &m, err);

	if (r < 0)
		return r;
	if (m.step != step)
		return pluri_fail(err, EBUSY,
			m.step == MOVE_COPY
				? "move %llu is still to copy"
				: "move %llu still has the source to delete",
			(unsigned long long)num);
	return meta_change(tx, "DELETE FROM move WHERE num = ?1",
		META_INTS((int64_t)num), err);
}

int moves_done(struct meta_tx *tx, uint64_t num, struct pluri_err *err)
{
	return moves_end(tx, num, MOVE_DELETE, err);
}

int moves_cancel(struct meta_tx *tx, uint64_t num, struct pluri_err *err)
{
	return moves_end(tx, num, MOVE_COPY, err);
}

int moves_list(struct meta_tx *tx, uint64_t after, struct move_row *ret,
	unsigned max, unsigned *ret_n, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	unsigned n = 0;
	int r = meta_query(tx,
		"SELECT " MOVES_COLUMNS " FROM move WHERE num > ?1"
		" ORDER BY num LIMIT ?2",
		META_INTS((int64_t)after, max), &s, err);

	while (r >= 0 && n < max) {
		r = meta_step(tx, s, err);
		if (r <= 0)
			break;
		r = moves_row(tx, s, &ret[n++], err);
	}
	if (r < 0)
		return r;
	*ret_n = n;
	return 0;
}

static int moves_judge_job(const struct job_row *j, struct pluri_err *err)
{
	if ((unsigned)j->kind > JOB_DRAIN || (unsigned)j->state > JOB_FAILED ||
		(j->store >= PLURI_STORES_MAX && j->store != UINT32_MAX) ||
		strnlen(j->text, sizeof(j->text)) == sizeof(j->text))
		return pluri_fail(err, EINVAL,
			"job %llu: kind %d, state %d, store %u",
			(unsigned long long)j->num, (int)j->kind, (int)j->state,
			j->store);
	return 0;
}

/* sql says what to do with the same eleven values. */
static int moves_write_job(struct meta_tx *tx, const char *sql, uint64_t num,
	const struct job_row *j, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = meta_query(tx, sql,
		META_INTS((int64_t)num, j->kind, j->store, j->state,
			j->started_ns, j->ended_ns, (int64_t)j->shards,
			(int64_t)j->bytes, (int64_t)j->total_shards,
			(int64_t)j->total_bytes),
		&s, err);

	if (r < 0)
		return r;
	tx->ops->bind_text(s, 11, j->text);
	return meta_step_done(tx, s, err);
}

int moves_put_job(struct meta_tx *tx, struct job_row *j, struct pluri_err *err)
{
	uint64_t num;
	int r = moves_judge_job(j, err);

	if (r < 0)
		return r;
	if (j->num == 0) {
		num = meta_next(tx, META_JOB);
		r = moves_write_job(tx,
			"INSERT INTO job (num, kind, store, state, started,"
			" ended, shards, bytes, total_shards, total_bytes,"
			" text) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
			" ?10, ?11)",
			num, j, err);
		if (r == 0)
			j->num = num;
		return r;
	}
	r = moves_write_job(tx,
		"UPDATE job SET kind = ?2, store = ?3, state = ?4,"
		" started = ?5, ended = ?6, shards = ?7, bytes = ?8,"
		" total_shards = ?9, total_bytes = ?10, text = ?11"
		" WHERE num = ?1",
		j->num, j, err);
	if (r < 0 || tx->ops->changes(tx->db) > 0)
		return r;
	return pluri_fail(err, ENOENT, "there is no job %llu",
		(unsigned long long)j->num);
}

static int moves_job_row(struct meta_tx *tx, struct db_stmt *s,
	struct job_row *ret, struct pluri_err *err)
{
	const uint64_t num = meta_u64(tx, s, 0);
	const uint64_t kind = meta_u64(tx, s, 1);
	const uint64_t store = meta_u64(tx, s, 2);
	const uint64_t state = meta_u64(tx, s, 3);

	if (kind > JOB_DRAIN || state > JOB_FAILED ||
		(store >= PLURI_STORES_MAX && store != UINT32_MAX))
		return pluri_fail(err, EBADMSG,
			"database: job %llu: its row is damaged (kind %llu, "
			"store %llu, state %llu)",
			(unsigned long long)num, (unsigned long long)kind,
			(unsigned long long)store, (unsigned long long)state);
	ret->num = num;
	ret->kind = (enum job_kind)kind;
	ret->store = (uint32_t)store;
	ret->state = (enum job_state)state;
	ret->started_ns = meta_int(tx, s, 4);
	ret->ended_ns = meta_int(tx, s, 5);
	ret->shards = meta_u64(tx, s, 6);
	ret->bytes = meta_u64(tx, s, 7);
	ret->total_shards = meta_u64(tx, s, 8);
	ret->total_bytes = meta_u64(tx, s, 9);
	return meta_text(tx, s, 10, ret->text, sizeof(ret->text), err);
}

int moves_list_jobs(struct meta_tx *tx, struct job_row *ret, unsigned max,
	unsigned *ret_n, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	unsigned n = 0;
	int r = meta_query(tx,
		"SELECT num, kind, store, state, started, ended, shards, bytes,"
		" total_shards, total_bytes, text FROM job"
		" ORDER BY num DESC LIMIT ?1",
		META_INTS(max), &s, err);

	while (r >= 0 && n < max) {
		r = meta_step(tx, s, err);
		if (r <= 0)
			break;
		r = moves_job_row(tx, s, &ret[n++], err);
	}
	if (r < 0)
		return r;
	*ret_n = n;
	return 0;
}
