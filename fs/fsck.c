#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "fs/answer.h"
#include "fs/commit.h"

#include "fs/fsck_int.h"

#define RUN_ROWS 1024u /* of a bracket while the volume is mounted */
#define RUN_LOCAL 2u /* phases that are not meta's */

bool fsck_run_stopped(struct fsck_run *c)
{
	bool yes;

	(void)pthread_mutex_lock(&c->lock);
	yes = c->stop;
	(void)pthread_mutex_unlock(&c->lock);
	return yes;
}

bool fsck_run_nap(struct fsck_run *c, uint32_t ms)
{
	const uint64_t until = clock_mono_ms(clock_system()) + ms;
	int r = 0;
	bool on;

	(void)pthread_mutex_lock(&c->lock);
	while (!c->stop && r == 0)
		r = clock_wait(&c->wake, &c->lock, until);
	on = !c->stop;
	(void)pthread_mutex_unlock(&c->lock);
	return on;
}

/* Rounds of repair see the same again: what stays is what the last one left,
 * behind what was repaired. */
static void run_drop_left(struct fsck_run *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->items; i++)
		if (c->item[i].f.state == FSCK_REPAIRED)
			c->item[n++] = c->item[i];
	c->items = n;
	c->round_left = 0;
	c->round_repaired = 0;
}

void fsck_run_add(struct fsck_run *c, const struct fsck_item *i)
{
	if (i->f.state == FSCK_REPAIRED)
		c->round_repaired++;
	else
		c->round_left++;
	if (c->items < FSCK_LIST_MAX)
		c->item[c->items++] = *i;
}

/* --- the thread ---------------------------------------------------------- */

static void run_progress(struct fsck_run *c, const struct fsck *f)
{
	(void)pthread_mutex_lock(&c->lock);
	fsck_progress(f, &c->at);
	(void)pthread_mutex_unlock(&c->lock);
}

static int run_slice(struct fsck_run *c, struct fsck *f,
	struct fsck_finding *found, bool *ret_done, struct pluri_err *err)
{
	const uint64_t began = clock_mono_ms(clock_system());
	struct fsck_item item = {0};
	unsigned n = 0;
	int r = fsck_step(f, found, &n, ret_done, err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < n; i++) {
		item.f = found[i];
		fsck_run_add(c, &item);
	}
	run_progress(c, f);
	if (c->v->mounted[0] &&
		!fsck_run_nap(c,
			(uint32_t)(clock_mono_ms(clock_system()) - began) + 1))
		return pluri_fail(err, ECANCELED, "the check was stopped");
	if (fsck_run_stopped(c))
		return pluri_fail(err, ECANCELED, "the check was stopped");
	return 0;
}

static int run_meta(struct fsck_run *c, bool repair, struct pluri_err *err)
{
	const struct fsck_options o = {
		.repair = repair,
		.rows = c->v->mounted[0] ? RUN_ROWS : 0,
		.now_ns = clock_real_ns(c->v->clock),
	};
	pluri_auto_mem struct fsck_finding *found =
		calloc(FSCK_FINDINGS, sizeof(*found));
	pluri_auto(fsck) f = NULL;
	bool done = false;
	int r;

	if (!found)
		return pluri_fail(err, ENOMEM, "check: no memory");
	r = fsck_new(c->v->meta, &o, &f, err);
	while (r == 0 && !done)
		r = run_slice(c, f, found, &done, err);
	return r;
}

static int run_commit(struct fsck_run *c, struct pluri_err *err)
{
	int r;

	if (!c->v->bare)
		return commit_now(c->v->commit, true, err);
	r = meta_commit(c->v->meta, err);
	return r < 0 ? r : meta_sync(c->v->meta, err);
}

static int run_round(struct fsck_run *c, bool repair, struct pluri_err *err)
{
	int r;

	(void)pthread_mutex_lock(&c->lock);
	c->round++;
	(void)pthread_mutex_unlock(&c->lock);
	run_drop_left(c);
	r = run_meta(c, repair, err);
	if (r == 0)
		r = fsck_apply(c, repair, err);
	if (r == 0)
		r = fsck_local(c, repair, err);
	c->repaired += c->round_repaired;
	if (r == 0 && c->round_repaired)
		r = run_commit(c, err);
	return r;
}

/* The last round has repaired nothing: what it has left is what there is. */
static int run_rounds(struct fsck_run *c, struct pluri_err *err)
{
	int r = run_round(c, c->repair, err);

	while (r == 0 && c->round_repaired)
		r = run_round(c, c->round < FSCK_ROUNDS, err);
	return r;
}

static void *run_thread(void *arg)
{
	struct fsck_run *c = arg;
	struct pluri_err err = {0};
	json_t *told = NULL;
	int r = run_rounds(c, &err);
	int t = fsck_tell(c, &told, r < 0 ? NULL : &err);

	if (r == 0)
		r = t;
	(void)pthread_mutex_lock(&c->lock);
	c->findings = told;
	c->left = c->round_left;
	c->found = c->repaired + c->left;
	c->err = err;
	c->ended_ms = clock_mono_ms(clock_system());
	c->state = r == 0	     ? RUN_DONE
		   : r == -ECANCELED ? RUN_STOPPED
				     : RUN_FAILED;
	(void)pthread_mutex_unlock(&c->lock);
	if (c->v->mounted[0])
		log_line(c->left || r < 0 ? LOG_WARN : LOG_INFO,
			"check: %" PRIu64 " findings, %" PRIu64 " repaired%s%s",
			c->found, c->repaired, r < 0 ? ": " : "",
			r < 0 ? err.text : "");
	return NULL;
}

/* --- beginning and end --------------------------------------------------- */

int fsck_run_new(struct volume *v, struct fsck_run **ret, struct pluri_err *err)
{
	struct fsck_run *c = calloc(1, sizeof(*c));

	if (!c)
		return pluri_fail(err, ENOMEM, "check: no memory");
	c->v = v;
	(void)pthread_mutex_init(&c->lock, NULL);
	clock_cond_init(&c->wake);
	*ret = c;
	return 0;
}

/* Whoever joins holds no lock; there is one who starts and one who frees. */
static void run_end(struct fsck_run *c)
{
	if (c->joinable)
		(void)pthread_join(c->thread, NULL);
	c->joinable = false;
	json_decref(c->findings);
	c->findings = NULL;
	free(c->item);
	c->item = NULL;
	c->items = 0;
}

void fsck_run_free(struct fsck_run *c)
{
	if (!c)
		return;
	(void)pthread_mutex_lock(&c->lock);
	c->stop = true;
	(void)pthread_cond_broadcast(&c->wake);
	(void)pthread_mutex_unlock(&c->lock);
	run_end(c);
	(void)pthread_cond_destroy(&c->wake);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

/* With the lock held: the last one has ended, its thread is as good as gone. */
static int run_start(struct fsck_run *c, bool repair, struct pluri_err *err)
{
	int e;

	if (c->state == RUN_ON)
		return pluri_fail(err, EBUSY,
			"check %" PRIu64 " is under way: wait for it, or stop "
			"it with --stop",
			c->id);
	if (repair && c->v->mounted[0])
		return pluri_fail(err, EBUSY,
			"the volume is mounted at %.200s: unmount it to have "
			"it repaired",
			c->v->mounted);
	run_end(c);
	c->item = calloc(FSCK_LIST_MAX, sizeof(*c->item));
	if (!c->item)
		return pluri_fail(err, ENOMEM, "check: no memory");
	c->repair = repair;
	c->stop = false;
	c->round = 0;
	c->found = c->repaired = c->left = 0;
	c->err = (struct pluri_err){0};
	c->at = (struct fsck_progress){.phase = "counters", .phases = 1};
	c->started_ms = clock_mono_ms(clock_system());
	e = pthread_create(&c->thread, NULL, run_thread, c);
	if (e)
		return pluri_fail(err, e, "check: no thread: %s", strerror(e));
	c->joinable = true;
	c->state = RUN_ON;
	c->id++;
	return 0;
}

int fsck_run_start(
	struct fsck_run *c, bool repair, json_t **ret, struct pluri_err *err)
{
	json_t *j;
	uint64_t id;
	int r;

	(void)pthread_mutex_lock(&c->lock);
	r = run_start(c, repair, err);
	id = c->id;
	(void)pthread_mutex_unlock(&c->lock);
	if (r < 0)
		return r;
	j = json_pack("{sI}", "check", (json_int_t)id);
	if (!j)
		return pluri_fail(err, ENOMEM, "check: no memory");
	*ret = j;
	return 0;
}

int fsck_run_stop(struct fsck_run *c, json_t **ret, struct pluri_err *err)
{
	json_t *j;

	(void)pthread_mutex_lock(&c->lock);
	c->stop = c->state == RUN_ON;
	(void)pthread_cond_broadcast(&c->wake);
	j = json_pack("{sI sb}", "check", (json_int_t)c->id, "stopping",
		(int)c->stop);
	(void)pthread_mutex_unlock(&c->lock);
	if (!j)
		return pluri_fail(err, ENOMEM, "check: no memory");
	*ret = j;
	return 0;
}

/* --- asking -------------------------------------------------------------- */

/* With the lock held. */
static json_t *run_answer(struct fsck_run *c)
{
	static const char *const states[] = {
		"none", "running", "done", "failed", "stopped"};
	const uint64_t end = c->state == RUN_ON ? clock_mono_ms(clock_system())
						: c->ended_ms;
	json_t *j = json_pack("{sI ss ss ss sI sI sI sI sI sf}", "check",
		(json_int_t)c->id, "state", states[c->state], "message",
		c->err.text, "phase", c->at.phase, "percent",
		(json_int_t)(100 * c->at.at / (c->at.phases + RUN_LOCAL)),
		"round", (json_int_t)c->round, "rows", (json_int_t)c->at.rows,
		"busy", (json_int_t)c->at.busy, "memory_bytes",
		(json_int_t)c->at.memory, "seconds",
		(double)(end - c->started_ms) / 1000.0);

	if (j && c->v->bare)
		(void)json_object_set_new(
			j, "unopened", answer_text(c->v->why.text));
	if (!j || c->state == RUN_ON)
		return j;
	(void)json_object_set_new(
		j, "found", json_integer((json_int_t)c->found));
	(void)json_object_set_new(
		j, "repaired", json_integer((json_int_t)c->repaired));
	(void)json_object_set_new(j, "left", json_integer((json_int_t)c->left));
	(void)json_object_set(j, "findings", c->findings);
	return j;
}

int fsck_run_ask(
	struct fsck_run *c, uint64_t id, json_t **ret, struct pluri_err *err)
{
	json_t *j = NULL;
	bool known;

	(void)pthread_mutex_lock(&c->lock);
	known = c->state != RUN_NONE && (id == 0 || id == c->id);
	if (known)
		j = run_answer(c);
	(void)pthread_mutex_unlock(&c->lock);
	if (!known)
		return pluri_fail(err, ENOENT,
			"check %" PRIu64 " is not known (any more)", id);
	if (!j)
		return pluri_fail(err, ENOMEM, "check: no memory");
	*ret = j;
	return 0;
}
