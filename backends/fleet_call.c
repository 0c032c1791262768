/*
 * Calls that wait: one op after the other until one succeeds, fails for good,
 * or the deadline has come. The op owns what the plugin touches; the caller's
 * memory is filled here, after the op was told.
 */
#include <errno.h>

#include "backends/fleet_int.h"
#include "backends/retry.h"

#define CALL_STOP_MS 100u /* between two questions whether to go on */

struct call {
	enum fleet_kind kind;
	unsigned store;
	const char *key;
	uint64_t off;
	size_t room; /* get */
	struct pluri_span body; /* put */
	const char *token; /* list */
	uint64_t deadline_ms; /* 0: one attempt's time */
	unsigned flags;
	int (*stop)(void *arg); /* may be NULL */
	void *stop_arg;
};

/* The op's own room, for get's answer or put's body. */
static int call_room(
	const struct call *c, struct fleet_op *op, struct pluri_err *err)
{
	const size_t len = c->kind == FLEET_PUT ? c->body.len : c->room;

	if (len == 0)
		return 0;
	if (len > PLURI_PACK_MAX)
		return pluri_fail(
			err, EINVAL, "%s: %zu bytes are too many", c->key, len);
	op->room.data = malloc(len);
	if (!op->room.data)
		return pluri_fail(err, ENOMEM, "%s: no memory for %zu bytes",
			c->key, len);
	op->room.cap = len;
	if (c->kind == FLEET_PUT) {
		memcpy(op->room.data, c->body.data, len);
		op->room.len = len;
	}
	return 0;
}

static int call_prepare(struct fleet *f, const struct call *c,
	struct fleet_op *op, struct pluri_err *err)
{
	const uint64_t now = fleet_now_ms();
	uint64_t size = 0;
	int r;

	r = call_room(c, op, err);
	if (r < 0)
		return r;
	if (c->kind == FLEET_PUT || c->kind == FLEET_GET)
		size = op->room.cap;
	op->flags = c->flags;
	op->off = c->off;
	op->body.size = c->body.len;
	if (c->token)
		(void)snprintf(
			op->page.token, sizeof(op->page.token), "%s", c->token);
	op->span_ms = fleet_span_ms(f, op->store, size);
	op->deadline_ms = now + op->span_ms;
	if (c->deadline_ms && c->deadline_ms < op->deadline_ms) {
		op->deadline_ms = c->deadline_ms;
		op->span_ms = c->deadline_ms > now ? c->deadline_ms - now : 0;
	}
	return 0;
}

static bool call_stopped(const struct call *c)
{
	return c->stop && c->stop(c->stop_arg);
}

static int call_stop(const struct call *c, struct pluri_err *err)
{
	return pluri_fail(err, ECANCELED, "%s: stopped", c->key);
}

/* Until when to wait before the question whether to go on. */
static uint64_t call_until(const struct call *c, uint64_t until_ms)
{
	const uint64_t soon = fleet_now_ms() + CALL_STOP_MS;

	return c->stop && soon < until_ms ? soon : until_ms;
}

/* Submit op and wait for its outcome. */
static int call_wait(struct fleet *f, const struct call *c, struct fleet_op *op,
	uint64_t *ret_wait_ms, struct pluri_err *err)
{
	uint64_t due_ms = op->deadline_ms;
	bool stopped = false;
	struct fleet_wait w;
	unsigned seen = 0;
	int r;

	fleet_wait_init(&w);
	op->wait = &w;
	r = fleet_queue_add(f, op, ret_wait_ms, err);
	while (r == 0 && !fleet_queue_told(op, &due_ms) && !stopped) {
		fleet_wait_for(&w, &seen, call_until(c, due_ms));
		stopped = call_stopped(c);
	}
	if (stopped)
		fleet_queue_abandon(op); /* w is not touched any more */
	fleet_wait_fini(&w);
	if (r < 0)
		return r;
	if (stopped)
		return call_stop(c, err);
	*ret_wait_ms = op->retry_after_ms;
	if (op->code < 0 && err)
		*err = op->err;
	return op->code;
}

static int call_once(struct fleet *f, const struct call *c,
	struct fleet_op **ret, uint64_t *ret_wait_ms, struct pluri_err *err)
{
	struct fleet_store *s = fleet_store_of(f, c->store);
	pluri_auto(fleet_op) op = NULL;
	struct pluri_err e = {0};
	int r;

	if (!s)
		return pluri_fail(
			err, EAGAIN, "store %u: not in use now", c->store);
	op = fleet_op_new(s, c->kind, c->key, &e);
	r = op ? call_prepare(f, c, op, &e) : -e.code;
	if (r == 0)
		r = call_wait(f, c, op, ret_wait_ms, &e);
	if (r < 0)
		r = pluri_fail(err, -r, "store %s: %s", s->name, e.text);
	else
		*ret = pluri_steal(op);
	fleet_pool_unref(s);
	return r;
}

/* Sleep, or not if the deadline would come first. */
static bool call_pause(const struct call *c, uint64_t pause_ms)
{
	const uint64_t until = fleet_now_ms() + pause_ms;
	bool stopped = false;
	struct fleet_wait w;
	unsigned seen = 0;

	if (until >= c->deadline_ms)
		return false;
	fleet_wait_init(&w);
	while (fleet_now_ms() < until && !stopped) {
		fleet_wait_for(&w, &seen, call_until(c, until));
		stopped = call_stopped(c);
	}
	fleet_wait_fini(&w);
	return !stopped;
}

static int call_run(struct fleet *f, const struct call *c,
	struct fleet_op **ret, struct pluri_err *err)
{
	unsigned attempt = 0;
	uint64_t pause_ms;
	int r;

	do {
		uint64_t wait_ms = 0;

		r = call_once(f, c, ret, &wait_ms, err);
		if (!(c->flags & FLEET_RETRY) || !retry_may(r))
			return r;
		pause_ms = retry_pause_ms(
			f->o.clock, ++attempt, f->o.retry_ms, wait_ms);
	} while (call_pause(c, pause_ms));
	return call_stopped(c) ? call_stop(c, err) : r;
}

int fleet_get(struct fleet *f, const struct fleet_at *at, uint64_t off,
	struct pluri_room *into, uint64_t *ret_size, struct pluri_err *err)
{
	const struct call c = {
		.kind = FLEET_GET,
		.store = at->store,
		.key = at->key,
		.off = off,
		.room = into->cap,
		.deadline_ms = at->deadline_ms,
		.flags = at->flags,
		.stop = at->stop,
		.stop_arg = at->stop_arg,
	};
	pluri_auto(fleet_op) op = NULL;
	int r;

	r = call_run(f, &c, &op, err);
	if (r < 0)
		return r;
	if (op->room.len)
		memcpy(into->data, op->room.data, op->room.len);
	into->len = op->room.len;
	if (ret_size)
		*ret_size = op->size;
	return 0;
}

int fleet_put_one(struct fleet *f, unsigned store, const char *key,
	struct pluri_span body, uint64_t deadline_ms, unsigned flags,
	struct pluri_err *err)
{
	const struct call c = {
		.kind = FLEET_PUT,
		.store = store,
		.key = key,
		.body = body,
		.deadline_ms = deadline_ms,
		.flags = flags,
	};
	pluri_auto(fleet_op) op = NULL;

	return call_run(f, &c, &op, err);
}

int fleet_del(struct fleet *f, unsigned store, const char *key,
	uint64_t deadline_ms, unsigned flags, struct pluri_err *err)
{
	const struct call c = {
		.kind = FLEET_DEL,
		.store = store,
		.key = key,
		.deadline_ms = deadline_ms,
		.flags = flags,
	};
	pluri_auto(fleet_op) op = NULL;

	return call_run(f, &c, &op, err);
}

/* Hand the keys an op has gathered to the caller. */
static int call_each(const struct buf *keys, const struct pluri_page *page)
{
	size_t at = 0;

	while (at < keys->len) {
		uint64_t size;
		size_t len;
		int r;

		memcpy(&size, keys->data + at, sizeof(size));
		at += sizeof(size);
		memcpy(&len, keys->data + at, sizeof(len));
		at += sizeof(len);
		r = page->each(page->arg, (const char *)keys->data + at, size);
		if (r)
			return r;
		at += len;
	}
	return 0;
}

int fleet_list(struct fleet *f, unsigned store, const char *prefix,
	struct pluri_page *page, uint64_t deadline_ms, unsigned flags,
	struct pluri_err *err)
{
	const struct call c = {
		.kind = FLEET_LIST,
		.store = store,
		.key = prefix,
		.token = page->token,
		.deadline_ms = deadline_ms,
		.flags = flags,
	};
	pluri_auto(fleet_op) op = NULL;
	int r;

	r = call_run(f, &c, &op, err);
	if (r < 0)
		return r;
	r = call_each(&op->keys, page);
	if (r)
		return r;
	memcpy(page->token, op->page.token, sizeof(page->token));
	return 0;
}
