/*
 * Every step may be repeated, and a crash between any two of them leaves a row
 * that says which comes next:
 *
 *   copy     PUT_NEW; an equal object there is our own of an earlier try
 *   verify   all of the target's bytes are read back
 *   switch   row and shard in one bracket, durable before anything is deleted
 *   delete   the source's object, then the row
 */
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "chunker/digest.h"
#include "fs/commit.h"
#include "fs/fetch.h"
#include "fs/upload.h"

#include "fs/balance_job.h"
#include "fs/roster.h"
#include "fs/watch.h"

#define MOVE_PIECE (4u << 20)

static uint64_t balance_move_deadline(const struct volume *v)
{
	return clock_mono_ms(clock_system()) + 2 * v->config->timeout_ms;
}

/* Waiting alone may heal it. */
static bool balance_move_heals(int code)
{
	switch (-code) {
	case EAGAIN:
	case ETIMEDOUT:
	case EBUSY:
	case EACCES:
	case ENOSPC:
	case ECANCELED:
	case ENOMEM:
		return true;
	default:
		return false;
	}
}

static void balance_move_end(struct balance_move *m, int code)
{
	if (code == 0)
		m->outcome = BALANCE_MOVED;
	else
		m->outcome =
			balance_move_heals(code) ? BALANCE_LATER : BALANCE_BAD;
	if (code < 0)
		log_line(LOG_DEBUG, "move %llu: %s",
			(unsigned long long)m->row.num, m->err.text);
}

/* --- the database's side ------------------------------------------------- */

struct balance_now { /* what the database says of the shard */
	struct pack_row pack;
	struct shard_row shard;
	bool known;
};

static int balance_move_look(struct balance_move *m, struct balance_now *ret)
{
	struct volume *v = m->b->v;
	struct shard_row shard[PLURI_SHARDS_MAX];
	struct meta_tx *tx = NULL;
	unsigned n = 0;
	int r;

	r = meta_begin(v->meta, &tx, &m->err);
	if (r < 0)
		return r;
	r = packs_get(tx, m->row.pack, &ret->pack, &m->err);
	if (r == 0)
		r = packs_shards(
			tx, m->row.pack, shard, PLURI_SHARDS_MAX, &n, &m->err);
	r = meta_end(tx, r, &m->err);
	for (unsigned i = 0; r == 0 && i < n; i++) {
		if (shard[i].index != m->row.index)
			continue;
		ret->shard = shard[i];
		ret->known = true;
	}
	return r;
}

/* One change of the row, durable when it returns 0. */
static int balance_move_record(struct balance_move *m,
	int (*change)(struct meta_tx *tx, uint64_t num, struct pluri_err *err))
{
	struct volume *v = m->b->v;
	struct meta_tx *tx = NULL;
	int r;

	r = meta_begin(v->meta, &tx, &m->err);
	if (r < 0)
		return r;
	r = meta_end(tx, change(tx, m->row.num, &m->err), &m->err);
	return r < 0 ? r : commit_now(v->commit, true, &m->err);
}

/* The shard is not where the row takes it from: nothing to do any more. */
static void balance_move_void(struct balance_move *m)
{
	struct pluri_err err = m->err;

	log_line(LOG_DEBUG, "move %llu: void: %s",
		(unsigned long long)m->row.num, err.text);
	if (balance_move_record(m, moves_cancel) < 0) {
		balance_move_end(m, -EAGAIN);
		return;
	}
	m->outcome = BALANCE_VOID;
	m->err = err;
}

/* --- verify -------------------------------------------------------------- */

static int balance_move_stop(void *arg)
{
	return balance_job_stopped(arg);
}

/* The target's object, read back from beginning to end. */
struct balance_check {
	struct balance *b;
	struct volume *v;
	uint32_t store;
	char key[PLURI_OBJECT_KEY_MAX + 1];
	uint64_t size;
	uint8_t *piece; /* MOVE_PIECE bytes */
	struct digest_run *sum;
};

static int balance_check_piece(struct balance_check *c, uint64_t off,
	size_t *ret_len, struct pluri_err *err)
{
	const uint64_t left = c->size - off;
	struct pluri_room room = {
		.data = c->piece,
		.cap = left < MOVE_PIECE ? (size_t)left : MOVE_PIECE,
	};
	uint64_t size = 0;
	int r;

	r = fleet_get(c->v->fleet,
		&(struct fleet_at){.store = c->store,
			.key = c->key,
			.deadline_ms = balance_move_deadline(c->v),
			.flags = FLEET_RETRY | FLEET_BACKGROUND,
			.stop = balance_move_stop,
			.stop_arg = c->b},
		off, &room, &size, err);
	if (r == -ENOENT) /* it was put a moment ago */
		return pluri_fail(err, EBADMSG,
			"%s is not there after it was put", c->key);
	if (r < 0)
		return r;
	if (size != c->size || room.len != room.cap)
		return pluri_fail(err, EBADMSG,
			"%s reads back as %llu bytes, %llu were put", c->key,
			(unsigned long long)size, (unsigned long long)c->size);
	*ret_len = room.len;
	return 0;
}

static int balance_check_run(struct balance_check *c,
	const struct shard_head *want, struct pluri_err *err)
{
	uint8_t head[SHARD_HEAD];
	uint64_t off = 0;

	shard_head_encode(want, head);
	while (off < c->size) {
		size_t skip = off == 0 ? SHARD_HEAD : 0;
		size_t len = 0;
		const int r = balance_check_piece(c, off, &len, err);

		if (r < 0)
			return r;
		if (skip > 0 &&
			(len < skip || memcmp(c->piece, head, skip) != 0))
			return pluri_fail(err, EBADMSG,
				"%s reads back with another header", c->key);
		digest_run_add(c->sum,
			(struct pluri_span){c->piece + skip, len - skip});
		off += len;
	}
	if (digest_run_sum(c->sum) != want->body_sum)
		return pluri_fail(err, EBADMSG,
			"%s reads back with other bytes than were put", c->key);
	return 0;
}

static int balance_move_verify(
	struct balance_move *m, const struct shard_job *job)
{
	const struct shard_head *want = shard_job_head(job);
	struct balance_check c = {
		.b = m->b,
		.v = m->b->v,
		.store = m->row.to,
		.size = shard_job_body(job)->size,
	};
	int r;

	shard_name(&want->pack, want->index, c.key);
	c.piece = malloc(MOVE_PIECE);
	c.sum = digest_run_new();
	if (c.piece && c.sum)
		r = balance_check_run(&c, want, &m->err);
	else
		r = pluri_fail(&m->err, ENOMEM, "verify: no memory");
	/* ours by its header, and named by nobody: may be put again */
	if (r == -EBADMSG && shard_job_same(c.v, job, c.store, c.key, NULL) > 0)
		(void)fleet_del(c.v->fleet, c.store, c.key,
			balance_move_deadline(c.v), 0, NULL);
	digest_run_free(c.sum);
	free(c.piece);
	return r;
}

/* --- the steps ----------------------------------------------------------- */

static void balance_move_debug(const struct balance_move *m, const char *step)
{
	log_line(LOG_DEBUG, "move %llu: pack %llu shard %u, store %u to %u: %s",
		(unsigned long long)m->row.num, (unsigned long long)m->row.pack,
		m->row.index, m->row.from, m->row.to, step);
}

/* Nothing is put or deleted at a place that nobody has looked at: after a boot
 * another disk may be mounted there. */
static int balance_move_met(struct balance_move *m, uint32_t store)
{
	struct store_row row = {0};

	if (watch_met(m->b->v->watch, store))
		return 0;
	(void)roster_store(m->b->v->roster, store, &row);
	return pluri_fail(
		&m->err, EAGAIN, "store %s: has not answered yet", row.name);
}

static int balance_move_copy(struct balance_move *m, const struct pack_row *p)
{
	const struct fetch_pace how = {.stop = balance_move_stop, .arg = m->b};
	struct volume *v = m->b->v;
	pluri_auto(shard_job) job = NULL;
	int r;

	balance_move_debug(m, "copy");
	r = balance_move_met(m, m->row.to);
	if (r < 0)
		return r;
	r = shard_job_new(v, p, m->row.index, &how, &job, &m->err);
	if (r == 0)
		r = shard_job_put(v, job, m->row.to, &m->err);
	if (r < 0)
		return r;
	if (balance_job_stopped(m->b))
		return pluri_fail(&m->err, ECANCELED, "stopped");
	balance_move_debug(m, "verify");
	r = balance_move_verify(m, job);
	if (r < 0)
		return r;
	balance_move_debug(m, "switch");
	r = balance_move_record(m, moves_switch);
	if (r < 0)
		return r;
	m->row.step = MOVE_DELETE;
	balance_job_moved(m->b, shard_job_body(job)->size);
	return 0;
}

static int balance_move_delete(struct balance_move *m, const struct pack_row *p)
{
	struct volume *v = m->b->v;
	char key[PLURI_OBJECT_KEY_MAX + 1];
	int r;

	balance_move_debug(m, "delete");
	shard_name(&p->id, m->row.index, key);
	r = balance_move_met(m, m->row.from);
	if (r == 0)
		r = fleet_del(v->fleet, m->row.from, key,
			balance_move_deadline(v), 0, &m->err);
	if (r == 0)
		r = balance_move_record(m, moves_done);
	if (r == 0)
		balance_move_debug(m, "done");
	return r;
}

/* The copy failed: is it the world, the shard, or a source that is away? */
static void balance_move_judge(struct balance_move *m, int code)
{
	struct fleet_health from = {0};

	if (code == -EIO &&
		fleet_health(m->b->v->fleet, m->row.from, &from) == 0 &&
		!from.up)
		code = -EAGAIN; /* it may be readable when that is back */
	balance_move_end(m, code);
}

/* The world moved on under the row. */
static void balance_move_drop(struct balance_move *m)
{
	int r;

	(void)pluri_fail(&m->err, ESTALE, "the shard is elsewhere now");
	if (m->row.step == MOVE_COPY) {
		balance_move_void(m);
		return;
	}
	r = balance_move_record(m, moves_done);
	balance_move_end(m, r);
}

void balance_move_run(struct balance_move *m)
{
	struct balance_now now = {0};
	const bool copied = m->row.step == MOVE_DELETE;
	int r;

	r = balance_move_look(m, &now);
	/* a copy starts where the shard is; a deletion must not hit it there */
	if (r == -ENOENT ||
		(r == 0 && (!now.known || (now.shard.store == m->row.from) ==
						  copied))) {
		balance_move_drop(m);
		return;
	}
	if (r == 0 && !copied)
		r = balance_move_copy(m, &now.pack);
	if (r < 0) {
		balance_move_judge(m, r);
		return;
	}
	balance_move_end(m, balance_move_delete(m, &now.pack));
}
