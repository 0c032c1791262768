#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "fs/commit.h"
#include "fs/upload.h"

#include "fs/balance_job.h"

/* Moves that run at once, and who waits for them. */
struct balance_crew {
	pthread_mutex_t lock; /* guards left */
	pthread_cond_t over;
	unsigned left;
};

struct balance_task {
	struct work_item item;
	struct balance_crew *crew;
	struct balance_move move;
};

struct balance_round {
	struct balance *b;
	struct balance_tally *t;
	bool repointed;
	unsigned n;
	struct balance_task task[BALANCE_MOVES];
	struct move_row row[BALANCE_MOVES];
	struct balance_pack pack[BALANCE_BATCH];
};

static void balance_later(struct balance_tally *t, const struct pluri_err *why)
{
	if (t->left++ == 0)
		t->why = *why;
}

/* --- trouble ------------------------------------------------------------- */

static struct balance_trouble *balance_trouble(
	struct balance *b, uint64_t pack, uint32_t index)
{
	for (unsigned i = 0; i < b->troubles; i++)
		if (b->trouble[i].pack == pack && b->trouble[i].index == index)
			return &b->trouble[i];
	return NULL;
}

static bool balance_given_up(struct balance *b, uint64_t pack, uint32_t index)
{
	const struct balance_trouble *t = balance_trouble(b, pack, index);

	return t && t->tries >= BALANCE_TRIES;
}

/* A row of a lost cause would be found again by the next job. */
static void balance_abandon(struct balance *b, const struct move_row *m)
{
	struct meta_tx *tx = NULL;
	struct pluri_err err = {0};
	int r;

	if (m->step != MOVE_COPY)
		return; /* the object is to be deleted all the same */
	r = meta_begin(b->v->meta, &tx, &err);
	if (r == 0)
		r = meta_end(tx, moves_cancel(tx, m->num, &err), &err);
	if (r < 0)
		log_line(LOG_WARN, "move %llu: %s", (unsigned long long)m->num,
			err.text);
}

static void balance_note_trouble(
	struct balance_round *o, const struct balance_move *m)
{
	struct balance *b = o->b;
	struct balance_trouble *t =
		balance_trouble(b, m->row.pack, m->row.index);

	if (!t && b->troubles < BALANCE_TROUBLE) {
		t = &b->trouble[b->troubles++];
		*t = (struct balance_trouble){
			.pack = m->row.pack,
			.index = m->row.index,
		};
	}
	/* so much trouble is not of single shards: the last one is counted */
	if (!t)
		t = &b->trouble[BALANCE_TROUBLE - 1];
	t->why = m->err;
	if (++t->tries < BALANCE_TRIES) {
		balance_later(o->t, &m->err);
		return;
	}
	log_line(LOG_ERROR, "shard %u of pack number %llu cannot be moved: %s",
		m->row.index, (unsigned long long)m->row.pack, m->err.text);
	o->t->lost++;
	balance_abandon(b, &m->row);
}

/* --- running a crew ------------------------------------------------------ */

static void balance_task_run(struct work_item *item)
{
	struct balance_task *t = work_of(item, struct balance_task, item);
	struct balance_crew *c = t->crew;

	if (balance_job_stopped(t->move.b))
		t->move.outcome = BALANCE_LATER;
	else
		balance_move_run(&t->move);
	(void)pthread_mutex_lock(&c->lock);
	c->left--;
	(void)pthread_cond_signal(&c->over);
	(void)pthread_mutex_unlock(&c->lock);
}

static void balance_settle(struct balance_round *o)
{
	for (unsigned i = 0; i < o->n; i++) {
		const struct balance_move *m = &o->task[i].move;

		switch (m->outcome) {
		case BALANCE_MOVED:
		case BALANCE_VOID:
			o->t->did++;
			break;
		case BALANCE_LATER:
			balance_later(o->t, &m->err);
			break;
		case BALANCE_BAD:
			balance_note_trouble(o, m);
			break;
		}
	}
	o->n = 0;
}

/* o->row[0..n) exist in the database. */
static void balance_crew_run(struct balance_round *o, unsigned n)
{
	struct balance_crew crew = {.left = n};

	(void)pthread_mutex_init(&crew.lock, NULL);
	clock_cond_init(&crew.over);
	o->n = n;
	for (unsigned i = 0; i < n; i++) {
		o->task[i] = (struct balance_task){
			.item.run = balance_task_run,
			.crew = &crew,
			.move = {.b = o->b, .row = o->row[i]},
		};
		work_submit(o->b->movers, &o->task[i].item);
	}
	(void)pthread_mutex_lock(&crew.lock);
	while (crew.left > 0)
		(void)clock_wait(&crew.over, &crew.lock, UINT64_MAX);
	(void)pthread_mutex_unlock(&crew.lock);
	(void)pthread_cond_destroy(&crew.over);
	(void)pthread_mutex_destroy(&crew.lock);
	balance_settle(o);
	balance_job_save(o->b);
}

/* --- rows that are there already ----------------------------------------- */

static int balance_rows(struct balance_round *o, uint64_t *after,
	unsigned *ret_n, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int r;

	r = meta_begin(o->b->v->meta, &tx, err);
	if (r < 0)
		return r;
	r = moves_list(tx, *after, o->row, BALANCE_MOVES, ret_n, err);
	r = meta_end(tx, r, err);
	if (r == 0 && *ret_n > 0)
		*after = o->row[*ret_n - 1].num;
	return r;
}

static int balance_old(struct balance_round *o, struct pluri_err *err)
{
	uint64_t after = 0;
	unsigned n = 0;

	do {
		unsigned keep = 0;
		const int r = balance_rows(o, &after, &n, err);

		if (r < 0)
			return r;
		for (unsigned i = 0; i < n; i++) {
			if (balance_given_up(
				    o->b, o->row[i].pack, o->row[i].index))
				o->t->lost++;
			else
				o->row[keep++] = o->row[i];
		}
		if (keep > 0)
			balance_crew_run(o, keep);
	} while (n == BALANCE_MOVES && !balance_job_stopped(o->b));
	return 0;
}

/* --- what placement wants ------------------------------------------------ */

/* Make rows of o->row[0..n), durable before any copy; *ret_n that got one. */
static int balance_add(struct balance_round *o, unsigned n, unsigned *ret_n,
	struct pluri_err *err)
{
	struct volume *v = o->b->v;
	struct pluri_err why = {0};
	struct meta_tx *tx = NULL;
	unsigned kept = 0;
	int r;

	r = meta_begin(v->meta, &tx, err);
	if (r < 0)
		return r;
	for (unsigned i = 0; r == 0 && i < n; i++) {
		struct move_row m = o->row[i];

		r = moves_add(tx, &m, &why);
		if (r == 0)
			o->row[kept++] = m;
		/* -ENOENT: its pack has just ended, fs/repack.h */
		if (r != -EEXIST && r != -ESTALE && r != -ENOENT)
			continue;
		balance_later(o->t, &why); /* under way, or not there now */
		r = 0;
	}
	if (r < 0 && err)
		*err = why;
	r = meta_end(tx, r, err);
	if (r == 0 && kept > 0)
		r = commit_now(v->commit, true, err);
	if (r == 0)
		*ret_n = kept;
	return r;
}

static int balance_flush(
	struct balance_round *o, unsigned *n, struct pluri_err *err)
{
	unsigned kept = 0;
	int r = 0;

	if (*n > 0)
		r = balance_add(o, *n, &kept, err);
	*n = 0;
	if (r == 0 && kept > 0)
		balance_crew_run(o, kept);
	return r;
}

/* A shard that no cloud has yet only needs another address. */
static int balance_repoint(struct balance_round *o,
	const struct balance_pack *p, const struct balance_step *s,
	struct pluri_err *err)
{
	struct shard_row shard[PLURI_SHARDS_MAX];
	struct shard_row to = {
		.pack = p->row.num,
		.index = s->index,
		.store = s->to,
		.state = SHARD_WANTED,
	};
	struct meta_tx *tx = NULL;
	bool owed = false;
	unsigned n = 0;
	int r;

	r = meta_begin(o->b->v->meta, &tx, err);
	if (r < 0)
		return r;
	r = packs_shards(tx, p->row.num, shard, PLURI_SHARDS_MAX, &n, err);
	for (unsigned i = 0; r == 0 && i < n; i++)
		owed |= shard[i].index == s->index &&
			shard[i].store == s->from &&
			shard[i].state != SHARD_STORED;
	if (r == 0 && owed)
		r = packs_set_shard(tx, &to, err);
	r = meta_end(tx, r, err);
	if (r < 0)
		return r;
	o->t->did++;
	if (!owed)
		return 0; /* it has just been stored: the next round sees it */
	log_line(LOG_DEBUG, "pack %llu shard %u: owed to store %u, not %u",
		(unsigned long long)to.pack, to.index, s->to, s->from);
	o->repointed = true;
	balance_job_moved(o->b, balance_plan_shard_bytes(&p->row));
	return 0;
}

/* Not worth a row now: *ret_why tells what the target suffers from. */
static bool balance_away(
	struct balance *b, uint32_t store, struct pluri_err *ret_why)
{
	struct fleet_health h = {0};

	if (fleet_health(b->v->fleet, store, &h) < 0)
		(void)pluri_fail(
			ret_why, EAGAIN, "store %u is not open", store);
	else if (!h.up || (h.class != FLEET_OK && h.class != FLEET_THROTTLED &&
				  h.class != FLEET_CORRUPT))
		(void)pluri_fail(ret_why, EAGAIN, "waiting for %s", h.text);
	else
		return false;
	return true;
}

static bool balance_stored(const struct balance_pack *p, uint32_t index)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->shard[i].index == index)
			return p->shard[i].state == SHARD_STORED;
	return false;
}

static int balance_do_step(struct balance_round *o,
	const struct balance_pack *p, const struct balance_step *s, unsigned *n,
	struct pluri_err *err)
{
	struct pluri_err why = {0};

	if (balance_given_up(o->b, p->row.num, s->index)) {
		o->t->lost++;
		return 0;
	}
	if (balance_away(o->b, s->to, &why)) {
		balance_later(o->t, &why);
		return 0;
	}
	if (!balance_stored(p, s->index))
		return balance_repoint(o, p, s, err);
	o->row[(*n)++] = (struct move_row){
		.job = o->b->job.num,
		.pack = p->row.num,
		.index = s->index,
		.from = s->from,
		.to = s->to,
	};
	return *n == BALANCE_MOVES ? balance_flush(o, n, err) : 0;
}

static int balance_do_pack(struct balance_round *o,
	const struct balance_world *w, const struct balance_pack *p,
	unsigned *n, struct pluri_err *err)
{
	const struct balance_table *t = balance_world_table(w, p->row.policy);
	struct balance_step step[PLURI_SHARDS_MAX];
	struct pluri_err why = {0};
	unsigned steps = 0;
	int r = 0;

	if (!t)
		return 0;
	if (balance_steps(t, &p->row.id, p->shard, p->n, step, &steps, &why) <
		0) {
		o->t->lost++; /* nothing but the administrator heals that */
		o->t->loss = why;
	}
	for (unsigned i = 0; r == 0 && i < steps; i++)
		r = balance_do_step(o, p, &step[i], n, err);
	return r;
}

static int balance_new_moves(struct balance_round *o, struct pluri_err *err)
{
	pluri_auto(balance_world) w = NULL;
	uint64_t after = 0;
	unsigned packs = 0;
	unsigned n = 0;
	int r;

	r = balance_world_new(o->b->v, NULL, UINT32_MAX, &w, err);
	while (r == 0 && !balance_job_stopped(o->b)) {
		r = balance_plan_batch(o->b->v, &after, o->pack, &packs, err);
		for (unsigned i = 0; r == 0 && i < packs; i++)
			r = balance_do_pack(o, w, &o->pack[i], &n, err);
		if (r == 0)
			r = balance_flush(o, &n, err);
		if (packs < BALANCE_BATCH)
			break;
	}
	return r;
}

int balance_pass(
	struct balance *b, struct balance_tally *t, struct pluri_err *err)
{
	pluri_auto_mem struct balance_round *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return pluri_fail(err, ENOMEM, "moving: no memory");
	*t = (struct balance_tally){0};
	o->b = b;
	o->t = t;
	r = balance_old(o, err);
	if (r == 0 && b->job.num > 0)
		r = balance_new_moves(o, err);
	if (r == 0 && o->repointed)
		r = commit_now(b->v->commit, true, err);
	if (r == 0 && o->repointed)
		r = upload_rescan(b->v->upload, err);
	return r;
}
