/*
 * The way of an op through its store: queued, taken, returned or expired (the
 * states are in fleet_op.h). An op's outcome is fixed once and its store's
 * health hears of it once, whichever of deadline and plugin comes first.
 *
 * Locks as in fleet_int.h: store -> wait. Static functions need the store's.
 */
#include <errno.h>
#include <time.h>

#include "backends/fleet_int.h"

#define QUEUE_WITNESS_MAX (1u << 20) /* bytes */
#define QUEUE_MOVES 8u /* times its span, while it moves */

uint64_t fleet_queue_now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void queue_count(struct fleet_op *op, int code, const char *text)
{
	struct fleet_store *s = op->store;

	if (op->counted)
		return;
	op->counted = true;
	fleet_health_note(
		s, op->trial, op->kind, op->retry_after_ms, code, text);
	if (code < 0)
		return;
	if (op->kind == FLEET_PUT)
		s->pulse.bytes_out += op->body.size;
	else if (op->kind == FLEET_GET)
		s->pulse.bytes_in += op->room.len;
}

static void queue_unwitness(struct fleet_op *op)
{
	if (op->witness)
		op->store->witness = false;
	op->witness = false;
}

/* It counts in the store's window no longer. */
static void queue_stop(struct fleet_op *op)
{
	op->store->running_of[fleet_turn_sort(op)]--;
	queue_unwitness(op);
}

static void queue_out(struct fleet_op *op)
{
	struct fleet_store *s = op->store;

	TAILQ_REMOVE(&s->queue, op, link);
	s->queued--;
	s->queued_of[fleet_turn_sort(op)]--;
}

/* The op leaves the list it is in; that list's reference goes to the caller. */
static void queue_leave(struct fleet_op *op)
{
	struct fleet_store *s = op->store;

	if (op->step == FLEET_QUEUED) {
		queue_out(op);
		queue_unwitness(op);
	} else {
		TAILQ_REMOVE(&s->running, op, link);
		s->in_flight--;
		if (op->step == FLEET_LATE)
			s->late--;
		else
			queue_stop(op);
	}
	op->step = FLEET_GONE;
	(void)pthread_cond_broadcast(&s->quiet);
}

/* An op that never reached the plugin. */
static void queue_unrun(
	struct fleet_op *op, int code, const char *text, struct fleet_op **tell)
{
	queue_leave(op);
	queue_count(op, code, text);
	fleet_op_settle(op, code, text, tell);
	fleet_op_free(op);
}

static const char *queue_late_text(
	const struct fleet_op *op, char *to, size_t cap)
{
	static const char *const kinds[] = {"get", "put", "del", "list"};

	(void)snprintf(to, cap, "%s of %s: no answer within %llu ms",
		kinds[op->kind], op->key, (unsigned long long)op->span_ms);
	return to;
}

/*
 * Its deadline passed while it was queued. That speaks against the store only
 * when calls are in it and none came back meanwhile; else there is just much
 * to do, or too little time, or others came first.
 */
static void queue_expire_queued(struct fleet_op *op, struct fleet_op **tell)
{
	const struct fleet_store *s = op->store;
	char text[PLURI_ERR_TEXT];

	if (op->ahead || s->answer_ms >= op->born_ms || s->in_flight == 0) {
		queue_count(op, -ECANCELED, "");
		(void)snprintf(text, sizeof(text),
			"%s: still queued after %llu ms, the store is slow",
			op->key, (unsigned long long)op->span_ms);
	} else {
		(void)queue_late_text(op, text, sizeof(text));
	}
	queue_unrun(op, -ETIMEDOUT, text, tell);
}

/* A part of its time and more: of many puts at once each is slow when they
 * share the line, and fewer carry as much. */
static bool queue_long(const struct fleet_op *op, uint64_t us, unsigned part)
{
	return op->put && us * part >= op->span_ms * 1000;
}

/* How long it took, or how long it was waited for in vain: what the store's
 * speed and window learn from it. Once, before it is counted. */
static void queue_time(struct fleet_op *op, int code)
{
	struct fleet_store *s = op->store;
	const uint64_t us = fleet_queue_now_us();
	const uint64_t took = us - op->start_us;
	const uint64_t now = clock_mono_ms(s->clock);
	const bool late = code == -ETIMEDOUT;
	const bool vain = op->unwanted || op->body_failed;

	if (op->counted)
		return;
	s->pulse.busy_us[op->kind] += took;
	if (op->kind == FLEET_GET && (code == 0 || vain || late))
		fleet_speed_got(&s->speed,
			&(struct fleet_get){
				code == 0 ? op->room.len : op->room.cap,
				op->beside},
			took, code != 0, now);
	else if (op->kind == FLEET_PUT && code == 0)
		fleet_speed_put(&s->speed, op->body.size, took, now);
	if (code == -EBUSY || ((late || queue_long(op, took, 2)) && !vain))
		fleet_window_bad(&s->window, op->start_us, us);
	else if (code == 0 && !queue_long(op, took, 4))
		fleet_window_good(&s->window,
			s->queued > 0 ||
				fleet_turn_calls(s) >=
					fleet_window_calls(&s->window));
}

/* It is not to run any more: why not, or NULL. */
static const char *queue_dropped(const struct fleet_op *op)
{
	if (op->store->drop)
		return "the store is being stopped";
	if (op->store->hurry && op->put)
		return "not sent, since the end does not wait for it";
	return NULL;
}

static uint64_t queue_due_ms(const struct fleet_op *op)
{
	switch (op->step) {
	case FLEET_QUEUED:
		return queue_dropped(op) ? 0 : fleet_turn_due_ms(op);
	case FLEET_RUNNING:
		return op->deadline_ms;
	case FLEET_LATE:
		if (!op->settled)
			return op->deadline_ms + FLEET_GRACE_MS;
		return UINT64_MAX;
	case FLEET_GONE:
		break;
	}
	return UINT64_MAX;
}

static void queue_expire(struct fleet_op *op, struct fleet_op **tell)
{
	char text[PLURI_ERR_TEXT];

	if (op->step == FLEET_QUEUED) {
		if (queue_dropped(op))
			queue_unrun(op, -ECANCELED, queue_dropped(op), tell);
		else
			queue_expire_queued(op, tell);
		return;
	}
	(void)queue_late_text(op, text, sizeof(text));
	if (op->step == FLEET_LATE) { /* a put that does not heed cancel */
		fleet_op_settle(op, -ETIMEDOUT, text, tell);
		return;
	}
	queue_stop(op);
	op->step = FLEET_LATE;
	op->store->late++;
	queue_time(op, -ETIMEDOUT);
	/* Its thread may never come back: another one takes its place */
	fleet_pool_grow(op->store);
	(void)pthread_cond_signal(&op->store->more);
	__atomic_store_n(&op->cancel, 1, __ATOMIC_RELEASE);
	queue_count(op, -ETIMEDOUT, text);
	if (!op->put)
		fleet_op_settle(op, -ETIMEDOUT, text, tell);
}

static void queue_sweep_list(struct fleet_ops *list, uint64_t now,
	uint64_t *due, struct fleet_op **tell)
{
	struct fleet_op *op = TAILQ_FIRST(list);

	while (op) {
		struct fleet_op *next = TAILQ_NEXT(op, link);
		uint64_t at = queue_due_ms(op);

		if (at <= now) {
			/* Its list's reference may be the last one */
			(void)atomic_fetch_add(&op->refs, 1);
			queue_expire(op, tell);
			at = queue_due_ms(op);
			fleet_op_free(op);
		}
		if (at < *due)
			*due = at;
		op = next;
	}
}

/* Expire what is due; returns when something will be due next. */
uint64_t fleet_queue_sweep(struct fleet_store *s, struct fleet_op **tell)
{
	const uint64_t now = fleet_now_ms();
	uint64_t due = UINT64_MAX;

	(void)pthread_mutex_lock(&s->lock);
	queue_sweep_list(&s->queue, now, &due, tell);
	queue_sweep_list(&s->running, now, &due, tell);
	(void)pthread_mutex_unlock(&s->lock);
	return due;
}

bool fleet_queue_told(struct fleet_op *op, uint64_t *ret_due_ms)
{
	struct fleet_op *tell = NULL; /* stays empty: op is no fleet_put */
	bool told;

	(void)pthread_mutex_lock(&op->store->lock);
	if (!op->told && queue_due_ms(op) <= fleet_now_ms())
		queue_expire(op, &tell);
	told = op->told;
	*ret_due_ms = queue_due_ms(op);
	(void)pthread_mutex_unlock(&op->store->lock);
	return told;
}

void fleet_queue_abandon(struct fleet_op *op)
{
	struct fleet_op *tell = NULL;

	(void)pthread_mutex_lock(&op->store->lock);
	op->wait = NULL;
	op->unwanted = true;
	__atomic_store_n(&op->cancel, 1, __ATOMIC_RELEASE);
	if (op->step == FLEET_QUEUED)
		queue_unrun(op, -ECANCELED, "not wanted any more", &tell);
	(void)pthread_mutex_unlock(&op->store->lock);
}

void fleet_queue_witness(struct fleet_op *op)
{
	struct fleet_store *s = op->store;

	bool stays;

	(void)pthread_mutex_lock(&s->lock);
	stays = op->step == FLEET_RUNNING && !s->witness && !s->stopping &&
		op->room.cap <= QUEUE_WITNESS_MAX;
	if (stays) {
		op->wait = NULL;
		op->witness = true;
		s->witness = true;
	}
	(void)pthread_mutex_unlock(&s->lock);
	if (!stays)
		fleet_queue_abandon(op);
}

uint64_t fleet_queue_began(struct fleet_op *op)
{
	uint64_t us;

	(void)pthread_mutex_lock(&op->store->lock);
	us = op->step == FLEET_QUEUED ? 0 : op->start_us;
	(void)pthread_mutex_unlock(&op->store->lock);
	return us;
}

static void queue_start(struct fleet_op *op, uint64_t now)
{
	struct fleet_store *s = op->store;

	queue_out(op);
	TAILQ_INSERT_TAIL(&s->running, op, link);
	s->in_flight++;
	s->running_of[fleet_turn_sort(op)]++;
	op->step = FLEET_RUNNING;
	/* A waiting caller's deadline stands; a put's time runs now */
	op->deadline_ms = op->put ? now + op->span_ms : fleet_turn_due_ms(op);
	op->most_ms = now + QUEUE_MOVES * op->span_ms;
	op->start_us = fleet_queue_now_us();
	op->beside = fleet_turn_calls(s);
	fleet_turn_begin(op);
	s->pulse.calls[op->kind]++;
}

struct fleet_op *fleet_queue_take(struct fleet_store *s, struct fleet_op **tell)
{
	const uint64_t now = fleet_now_ms();
	struct fleet_op *op;

	while ((op = fleet_turn_first(s)) != NULL) {
		struct pluri_err e = {0};
		uint64_t wait_ms = 0;

		if (queue_due_ms(op) <= now) {
			queue_expire(op, tell);
			continue;
		}
		/* The store may have gone down since it was queued */
		if (fleet_health_admit(s, op, &wait_ms, &e) < 0) {
			op->counted = true;
			op->retry_after_ms = wait_ms;
			queue_unrun(op, -EAGAIN, e.text, tell);
			continue;
		}
		queue_start(op, now);
		return op;
	}
	return NULL;
}

void fleet_queue_return(struct fleet_op *op, int code, uint64_t retry_after_ms,
	const char *text, struct fleet_op **tell)
{
	struct fleet_store *s = op->store;
	/* Told to stop, or failed by its body: that proves nothing. */
	const bool vain = code < 0 && (op->unwanted || op->body_failed);
	char late[PLURI_ERR_TEXT];

	s->answer_ms = fleet_now_ms();
	if (op->step == FLEET_RUNNING && code != -ECANCELED &&
		fleet_class_of(code) != FLEET_DOWN)
		s->said_ms = s->answer_ms;
	if (!op->settled)
		op->retry_after_ms = retry_after_ms;
	queue_time(op, code);
	/* The window may have grown: then another one may run, too */
	(void)pthread_cond_signal(&s->more);
	if (op->step == FLEET_LATE && code == -ECANCELED) {
		/* It was the deadline that cancelled it */
		code = -ETIMEDOUT;
		text = queue_late_text(op, late, sizeof(late));
	}
	queue_leave(op);
	queue_count(op, vain ? -ECANCELED : code, text);
	fleet_op_settle(op, code, text, tell);
	fleet_op_free(op);
}

/* What is waited for goes before what is read ahead, and that before all else,
 * which goes as it comes. */
static void queue_insert(struct fleet_op *op)
{
	const enum fleet_sort sort = fleet_turn_sort(op);
	struct fleet_store *s = op->store;
	struct fleet_op *at = NULL;

	if (sort < FLEET_BACK)
		at = TAILQ_FIRST(&s->queue);
	while (at && fleet_turn_sort(at) <= sort)
		at = TAILQ_NEXT(at, link);
	if (at)
		TAILQ_INSERT_BEFORE(at, op, link);
	else
		TAILQ_INSERT_TAIL(&s->queue, op, link);
	s->queued++;
	s->queued_of[sort]++;
}

void fleet_queue_promote(struct fleet_op *op)
{
	struct fleet_store *s = op->store;

	(void)pthread_mutex_lock(&s->lock);
	if (op->ahead && op->step == FLEET_QUEUED) {
		op->deadline_ms = fleet_now_ms() + op->span_ms;
		queue_out(op);
		op->ahead = false;
		op->promoted = true;
		queue_insert(op);
		(void)pthread_cond_signal(&s->more);
	} else if (op->ahead && op->step == FLEET_RUNNING) {
		s->running_of[FLEET_AHEAD]--;
		op->ahead = false;
		s->running_of[FLEET_WAITED]++;
	}
	(void)pthread_mutex_unlock(&s->lock);
}

int fleet_queue_add(struct fleet *f, struct fleet_op *op, uint64_t *ret_wait_ms,
	struct pluri_err *err)
{
	struct fleet_store *s = op->store;
	const uint64_t now = fleet_now_ms();
	const uint64_t due = op->deadline_ms; /* a thread may move it */
	int r = 0;

	(void)pthread_mutex_lock(&s->lock);
	if (s->stopping)
		r = pluri_fail(err, EAGAIN, "is being removed");
	else if (queue_dropped(op))
		r = pluri_fail(err, ECANCELED, "%s", queue_dropped(op));
	else if (due <= now)
		r = pluri_fail(
			err, ETIMEDOUT, "%s: no time left to ask", op->key);
	else
		r = fleet_health_admit(s, op, ret_wait_ms, err);
	if (r == 0) {
		op->born_ms = now;
		(void)atomic_fetch_add(&op->refs, 1);
		queue_insert(op);
		fleet_pool_grow(s);
		(void)pthread_cond_signal(&s->more);
	}
	(void)pthread_mutex_unlock(&s->lock);
	if (r == 0)
		fleet_watch_kick(f, due);
	return r;
}
