#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "fs/answer.h"
#include "fs/commit.h"
#include "fs/upload.h"

#include "fs/balance_job.h"

#define JOB_PAUSE_MS 500u
#define JOB_PAUSE_MAX_MS 10000u
#define JOB_LIST 32u /* told by "jobs" */

/* --- what others may know ------------------------------------------------ */

bool balance_job_stopped(struct balance *b)
{
	bool stop;

	(void)pthread_mutex_lock(&b->lock);
	stop = b->stop;
	(void)pthread_mutex_unlock(&b->lock);
	return stop;
}

void balance_job_say(struct balance *b, const struct pluri_err *why)
{
	(void)pthread_mutex_lock(&b->lock);
	(void)snprintf(
		b->message, sizeof(b->message), "%s", why ? why->text : "");
	(void)pthread_mutex_unlock(&b->lock);
}

void balance_job_moved(struct balance *b, uint64_t bytes)
{
	(void)pthread_mutex_lock(&b->lock);
	b->job.shards++;
	b->job.bytes += bytes;
	(void)pthread_mutex_unlock(&b->lock);
}

static struct job_row balance_job_copy(struct balance *b)
{
	struct job_row j;

	(void)pthread_mutex_lock(&b->lock);
	j = b->job;
	(void)pthread_mutex_unlock(&b->lock);
	return j;
}

static int balance_job_put(struct balance *b, struct job_row *j, bool durable,
	struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int r;

	r = meta_begin(b->v->meta, &tx, err);
	if (r == 0)
		r = meta_end(tx, moves_put_job(tx, j, err), err);
	return r < 0 ? r : commit_now(b->v->commit, durable, err);
}

void balance_job_save(struct balance *b)
{
	struct job_row j = balance_job_copy(b);
	struct pluri_err err = {0};

	if (j.num > 0 && balance_job_put(b, &j, false, &err) < 0)
		log_line(LOG_WARN, "job %llu: %s", (unsigned long long)j.num,
			err.text);
}

/* --- the thread ---------------------------------------------------------- */

static void balance_job_pause(struct balance *b)
{
	uint64_t until;

	b->pause_ms = b->pause_ms ? 2 * b->pause_ms : JOB_PAUSE_MS;
	if (b->pause_ms > JOB_PAUSE_MAX_MS)
		b->pause_ms = JOB_PAUSE_MAX_MS;
	until = clock_mono_ms(clock_system()) + b->pause_ms;
	(void)pthread_mutex_lock(&b->lock);
	while (!b->stop && clock_wait(&b->wake, &b->lock, until) == 0)
		;
	(void)pthread_mutex_unlock(&b->lock);
}

/* Stores on their way out that are empty now: all, or the one of a drain. */
static int balance_job_leave(struct balance *b, struct pluri_err *err)
{
	pluri_auto_mem struct store_row *row =
		calloc(PLURI_STORES_MAX, sizeof(*row));
	unsigned n;
	int r = 0;

	if (!row)
		return pluri_fail(err, ENOMEM, "drain: no memory");
	n = roster_stores(b->v->roster, row);
	for (unsigned i = 0; r == 0 && i < n; i++) {
		if (row[i].state != STORE_DRAINING)
			continue;
		if (b->job.kind == JOB_DRAIN && row[i].num != b->job.store)
			continue;
		r = balance_leave(b->v, &row[i], err);
	}
	return r;
}

static void balance_job_loss(
	struct balance *b, const struct balance_tally *t, struct pluri_err *err)
{
	unsigned lost = 0;

	*err = t->loss;
	for (unsigned i = 0; i < b->troubles; i++) {
		if (b->trouble[i].tries < BALANCE_TRIES)
			continue;
		if (lost++ == 0)
			*err = b->trouble[i].why;
	}
	if (lost > 1)
		(void)pluri_where(err,
			"%u shards could not be moved, the "
			"first one",
			lost);
}

/* 1: over, *err tells if badly (code != 0); 0: go on. */
static int balance_job_step(struct balance *b, struct pluri_err *err)
{
	struct balance_tally t = {0};
	struct pluri_err why = {0};
	int r;

	r = balance_pass(b, &t, &why);
	if (balance_job_stopped(b))
		return 0;
	if (r == 0 && t.left == 0 && t.lost > 0) {
		balance_job_loss(b, &t, err);
		return 1;
	}
	if (r == 0 && t.left == 0 && t.did == 0 && b->job.num > 0) {
		r = balance_job_leave(b, &why);
		if (r == -EEXIST) {
			*err = why;
			return 1;
		}
	}
	if (r == 0 && t.left == 0) {
		balance_job_say(b, NULL);
		return t.did == 0;
	}
	balance_job_say(b, r < 0 ? &why : &t.why);
	log_line(LOG_DEBUG, "job %llu: %llu steps left: %s",
		(unsigned long long)b->job.num, (unsigned long long)t.left,
		r < 0 ? why.text : t.why.text);
	if (t.did > 0)
		b->pause_ms = 0;
	else
		balance_job_pause(b);
	return 0;
}

static void balance_job_end(struct balance *b, const struct pluri_err *err)
{
	struct pluri_err bad = {0};
	struct job_row j;

	(void)pthread_mutex_lock(&b->lock);
	b->job.state = err->code ? JOB_FAILED : JOB_DONE;
	b->job.ended_ns = clock_real_ns(b->v->clock);
	(void)snprintf(b->job.text, sizeof(b->job.text), "%s",
		err->code ? err->text : "");
	b->message[0] = 0;
	j = b->job;
	(void)pthread_mutex_unlock(&b->lock);
	if (j.num == 0)
		return;
	if (balance_job_put(b, &j, true, &bad) < 0)
		log_line(LOG_ERROR, "job %llu: %s", (unsigned long long)j.num,
			bad.text);
	log_line(err->code ? LOG_ERROR : LOG_INFO,
		"job %llu: %s: %llu shards, %llu bytes%s%s",
		(unsigned long long)j.num, err->code ? "failed" : "done",
		(unsigned long long)j.shards, (unsigned long long)j.bytes,
		err->code ? ": " : "", err->code ? err->text : "");
}

static void *balance_job_run(void *arg)
{
	struct balance *b = arg;
	struct pluri_err err = {0};

	b->troubles = 0;
	b->pause_ms = 0;
	while (!balance_job_stopped(b) && balance_job_step(b, &err) == 0)
		;
	if (!balance_job_stopped(b))
		balance_job_end(b, &err);
	(void)pthread_mutex_lock(&b->lock);
	b->running = false;
	(void)pthread_mutex_unlock(&b->lock);
	return NULL;
}

/* With apply_lock held, and no job running. */
static int balance_job_begin(
	struct balance *b, const struct job_row *j, struct pluri_err *err)
{
	int e;

	if (b->joinable)
		(void)pthread_join(b->thread, NULL);
	(void)pthread_mutex_lock(&b->lock);
	b->job = *j;
	b->message[0] = 0;
	e = pthread_create(&b->thread, NULL, balance_job_run, b);
	b->running = e == 0;
	b->joinable = e == 0;
	(void)pthread_mutex_unlock(&b->lock);
	if (e)
		return pluri_fail(err, e, "job: no thread: %s", strerror(e));
	return 0;
}

/* --- starting ------------------------------------------------------------ */

static int balance_job_idle(struct balance *b, struct pluri_err *err)
{
	const struct job_row j = balance_job_copy(b);
	bool running;

	(void)pthread_mutex_lock(&b->lock);
	/* one that has told its end only has its thread to put away */
	running = b->running && b->job.state == JOB_RUNNING;
	(void)pthread_mutex_unlock(&b->lock);
	if (!running)
		return 0;
	if (j.num == 0)
		return pluri_fail(err, EBUSY,
			"moves of an earlier job are being ended: try again "
			"soon");
	return pluri_fail(err, EBUSY,
		"job %llu (%s) is running: wait for it, one runs at a time",
		(unsigned long long)j.num,
		j.kind == JOB_DRAIN ? "drain" : "rebalance");
}

static int balance_job_answer(
	const struct job_row *j, json_t **ret, struct pluri_err *err)
{
	*ret = json_pack("{sI sI sI}", "job", (json_int_t)j->num, "shards",
		(json_int_t)j->total_shards, "bytes",
		(json_int_t)j->total_bytes);
	return *ret ? 0 : pluri_fail(err, ENOMEM, "job: no memory");
}

/* The row, and with a drain the store's state, in one bracket. */
static int balance_job_record(
	struct balance *b, struct job_row *j, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int r;

	r = meta_begin(b->v->meta, &tx, err);
	if (r < 0)
		return r;
	r = moves_put_job(tx, j, err);
	if (r == 0 && j->kind == JOB_DRAIN)
		r = stores_set_state(tx, j->store, STORE_DRAINING, err);
	r = meta_end(tx, r, err);
	return r < 0 ? r : commit_now(b->v->commit, true, err);
}

static int balance_job_start(struct balance *b, struct job_row *j,
	const struct balance_world *w, json_t **ret, struct pluri_err *err)
{
	struct balance_sums sums;
	int r;

	r = balance_plan_sum(b->v, w, &sums, err);
	if (r < 0)
		return r;
	j->state = JOB_RUNNING;
	j->started_ns = clock_real_ns(b->v->clock);
	j->total_shards = sums.shards;
	j->total_bytes = sums.bytes;
	r = balance_job_record(b, j, err);
	if (r == 0 && j->kind == JOB_DRAIN)
		r = roster_reload(b->v->roster, err);
	if (r == 0)
		r = balance_job_begin(b, j, err);
	return r < 0 ? r : balance_job_answer(j, ret, err);
}

int balance_start(struct balance *b, json_t **ret, struct pluri_err *err)
{
	struct job_row j = {.kind = JOB_REBALANCE, .store = UINT32_MAX};
	pluri_auto(balance_world) w = NULL;
	int r;

	(void)pthread_mutex_lock(&b->apply_lock);
	r = balance_job_idle(b, err);
	if (r == 0)
		r = balance_world_new(b->v, NULL, UINT32_MAX, &w, err);
	if (r == 0)
		r = balance_job_start(b, &j, w, ret, err);
	(void)pthread_mutex_unlock(&b->apply_lock);
	return r;
}

int balance_drain(struct balance *b, const char *store, json_t **ret,
	struct pluri_err *err)
{
	struct job_row j = {.kind = JOB_DRAIN};
	pluri_auto(balance_world) w = NULL;
	pluri_auto_mem struct store_row *row = calloc(1, sizeof(*row));
	int r;

	if (!row)
		return pluri_fail(err, ENOMEM, "drain: no memory");
	(void)pthread_mutex_lock(&b->apply_lock);
	r = balance_job_idle(b, err);
	if (r == 0)
		r = balance_plan_drain(b->v, store, row, &w, err);
	j.store = row->num;
	if (r == 0)
		r = balance_job_start(b, &j, w, ret, err);
	(void)pthread_mutex_unlock(&b->apply_lock);
	return r;
}

/* --- after a restart ----------------------------------------------------- */

/* The newest job that was running; older ones it has taken the place of. */
static int balance_job_find(struct balance *b, struct job_row *ret,
	unsigned *ret_moves, struct pluri_err *err)
{
	pluri_auto_mem struct job_row *job = calloc(JOB_LIST, sizeof(*job));
	struct move_row move;
	struct meta_tx *tx = NULL;
	unsigned n = 0;
	int r;

	if (!job)
		return pluri_fail(err, ENOMEM, "jobs: no memory");
	r = meta_begin(b->v->meta, &tx, err);
	if (r < 0)
		return r;
	r = moves_list_jobs(tx, job, JOB_LIST, &n, err);
	if (r == 0)
		r = moves_list(tx, 0, &move, 1, ret_moves, err);
	for (unsigned i = 0; r == 0 && i < n; i++) {
		if (job[i].state != JOB_RUNNING)
			continue;
		if (ret->num == 0) {
			*ret = job[i];
			continue;
		}
		job[i].state = JOB_FAILED;
		(void)snprintf(job[i].text, sizeof(job[i].text),
			"job %llu took its place",
			(unsigned long long)ret->num);
		r = moves_put_job(tx, &job[i], err);
	}
	return meta_end(tx, r, err);
}

int balance_resume(struct balance *b, struct pluri_err *err)
{
	struct job_row j = {.kind = JOB_REBALANCE, .store = UINT32_MAX};
	unsigned moves = 0;
	int r;

	(void)pthread_mutex_lock(&b->apply_lock);
	r = balance_job_find(b, &j, &moves, err);
	if (r == 0 && (j.num > 0 || moves > 0)) {
		log_line(LOG_DEBUG, "job %llu goes on",
			(unsigned long long)j.num);
		r = balance_job_begin(b, &j, err);
	}
	(void)pthread_mutex_unlock(&b->apply_lock);
	return r;
}

/* --- telling ------------------------------------------------------------- */

static json_t *balance_job_json(
	struct balance *b, const struct job_row *j, const char *message)
{
	static const char *const states[] = {"running", "done", "failed"};
	pluri_auto_mem struct store_row *row = calloc(1, sizeof(*row));
	json_t *store = json_null();

	if (j->kind == JOB_DRAIN && row &&
		roster_store(b->v->roster, j->store, row) == 0)
		store = json_string(row->name);
	return json_pack("{sI ss so ss sI sI sI sI so}", "id",
		(json_int_t)j->num, "kind",
		j->kind == JOB_DRAIN ? "drain" : "rebalance", "store", store,
		"state", states[j->state], "shards", (json_int_t)j->shards,
		"total_shards", (json_int_t)j->total_shards, "bytes",
		(json_int_t)j->bytes, "total_bytes", (json_int_t)j->total_bytes,
		"message", answer_text(message));
}

static int balance_job_rows(struct balance *b, struct job_row *ret,
	unsigned *ret_n, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int r;

	r = meta_begin(b->v->meta, &tx, err);
	if (r < 0)
		return r;
	return meta_end(
		tx, moves_list_jobs(tx, ret, JOB_LIST, ret_n, err), err);
}

int balance_jobs(struct balance *b, json_t **ret, struct pluri_err *err)
{
	pluri_auto_mem struct job_row *job = calloc(JOB_LIST, sizeof(*job));
	char message[PLURI_ERR_TEXT];
	struct job_row live;
	json_t *all;
	unsigned n = 0;
	int r;

	if (!job)
		return pluri_fail(err, ENOMEM, "jobs: no memory");
	(void)pthread_mutex_lock(&b->lock);
	live = b->job;
	memcpy(message, b->message, sizeof(message));
	(void)pthread_mutex_unlock(&b->lock);
	r = balance_job_rows(b, job, &n, err);
	if (r < 0)
		return r;
	all = json_array();
	for (unsigned i = 0; i < n; i++) {
		const bool now =
			job[i].num == live.num && job[i].state == JOB_RUNNING;

		(void)json_array_append_new(all,
			balance_job_json(b, now ? &live : &job[i],
				now && live.state == JOB_RUNNING
					? message
					: (now ? live.text : job[i].text)));
	}
	*ret = json_pack("{so}", "jobs", all);
	return *ret ? 0 : pluri_fail(err, ENOMEM, "jobs: no memory");
}
