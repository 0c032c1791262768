/*
 * One attempt: its memory, its call into the plugin, its outcome.
 *
 * The body of fleet_put() is the caller's and must not be read after done().
 * The plugin therefore reads it through a gate: settling shuts the gate, and
 * done() waits for the last reader that was still inside. Needs the locks of
 * fleet_int.h: store -> wait.
 */
#include <errno.h>

#include "backends/fleet_int.h"

#define OP_KEYS_MAX (16u << 20) /* bytes of one page of keys */

struct fleet_op *fleet_op_new(struct fleet_store *s, enum fleet_kind kind,
	const char *key, struct pluri_err *err)
{
	const size_t len = strnlen(key, PLURI_OBJECT_KEY_MAX + 1);
	struct fleet_op *op;

	if (len > PLURI_OBJECT_KEY_MAX) {
		(void)pluri_fail(err, EINVAL, "store %s: key longer than %u",
			s->name, PLURI_OBJECT_KEY_MAX);
		return NULL;
	}
	op = calloc(1, sizeof(*op));
	if (!op) {
		(void)pluri_fail(err, ENOMEM, "store %s: no memory", s->name);
		return NULL;
	}
	memcpy(op->key, key, len);
	buf_init(&op->keys, OP_KEYS_MAX);
	op->kind = kind;
	(void)atomic_fetch_add(&s->refs, 1);
	op->store = s;
	op->refs = 1;
	return op;
}

void fleet_op_free(struct fleet_op *op)
{
	if (!op || atomic_fetch_sub(&op->refs, 1) > 1)
		return;
	fleet_pool_unref(op->store);
	buf_free(&op->keys);
	free(op->room.data);
	free(op);
}

/* The plugin takes more of the body: the line is slow, or shared by many, but
 * it carries. With the store's lock. */
static void op_moves(struct fleet_op *op)
{
	const struct fleet_store *s = op->store;
	const uint64_t due = fleet_now_ms() + op->span_ms;

	if (op->step == FLEET_RUNNING && !s->hurry && !s->stopping)
		op->deadline_ms = due < op->most_ms ? due : op->most_ms;
}

static int op_gate_enter(struct fleet_op *op)
{
	int r = 0;

	(void)pthread_mutex_lock(&op->store->lock);
	if (op->settled) {
		r = -ECANCELED;
	} else {
		op->readers++;
		op_moves(op);
	}
	(void)pthread_mutex_unlock(&op->store->lock);
	return r;
}

/* Chain op to be told, with a reference of its own; with the store's lock. */
static void op_chain(struct fleet_op *op, struct fleet_op **tell)
{
	op->told = true;
	op->store->telling++;
	(void)atomic_fetch_add(&op->refs, 1);
	op->tell_next = *tell;
	*tell = op;
}

static void op_gate_leave(struct fleet_op *op, bool failed)
{
	struct fleet_op *tell = NULL;

	(void)pthread_mutex_lock(&op->store->lock);
	op->readers--;
	op->body_failed |= failed;
	if (op->settled && op->readers == 0 && !op->told)
		op_chain(op, &tell);
	(void)pthread_mutex_unlock(&op->store->lock);
	fleet_op_tell(tell);
}

static int op_gate_read(
	void *arg, uint64_t off, void *to, size_t len, struct pluri_err *err)
{
	struct fleet_op *op = arg;
	int r;

	if (op_gate_enter(op) < 0)
		return pluri_fail(
			err, ECANCELED, "put of %s: given up", op->key);
	r = op->body.read(op->body.arg, off, to, len, err);
	op_gate_leave(op, r < 0);
	return r;
}

/* put_one's body: the op's own copy. */
static int op_copy_read(
	void *arg, uint64_t off, void *to, size_t len, struct pluri_err *err)
{
	const struct fleet_op *op = arg;

	if (off > op->room.len || len > op->room.len - off)
		return pluri_fail(err, EINVAL,
			"put of %s: the plugin reads beyond the body", op->key);
	memcpy(to, (const char *)op->room.data + off, len);
	return 0;
}

static int op_each(void *arg, const char *key, uint64_t size)
{
	struct fleet_op *op = arg;
	const size_t len = strlen(key) + 1;
	int r;

	r = buf_add(&op->keys, &size, sizeof(size));
	if (r == 0)
		r = buf_add(&op->keys, &len, sizeof(len));
	if (r == 0)
		r = buf_add(&op->keys, key, len);
	return r;
}

static int op_put(
	struct fleet_op *op, struct pluri_call *call, struct pluri_err *err)
{
	const struct pluri_body body = {
		.size = op->body.size,
		.read = op->put ? op_gate_read : op_copy_read,
		.arg = op,
	};

	return op->store->ops->put(
		op->store->backend, call, op->key, &body, PLURI_PUT_NEW, err);
}

static int op_get(
	struct fleet_op *op, struct pluri_call *call, struct pluri_err *err)
{
	int r;

	r = op->store->ops->get(op->store->backend, call, op->key, op->off,
		&op->room, &op->size, err);
	if (r == 0 && op->room.len > op->room.cap)
		return pluri_fail(err, EBADMSG,
			"get of %s: the plugin claims %zu bytes in room "
			"for %zu",
			op->key, op->room.len, op->room.cap);
	return r;
}

static int op_list(
	struct fleet_op *op, struct pluri_call *call, struct pluri_err *err)
{
	int r;

	op->page.each = op_each;
	op->page.arg = op;
	r = op->store->ops->list(
		op->store->backend, call, op->key, &op->page, err);
	if (r == 0 && !memchr(op->page.token, '\0', sizeof(op->page.token)))
		return pluri_fail(err, EBADMSG,
			"list of %s: the plugin's token has no end", op->key);
	return r;
}

static int op_call(
	struct fleet_op *op, struct pluri_call *call, struct pluri_err *err)
{
	switch (op->kind) {
	case FLEET_GET:
		return op_get(op, call, err);
	case FLEET_PUT:
		return op_put(op, call, err);
	case FLEET_DEL:
		return op->store->ops->del(
			op->store->backend, call, op->key, err);
	case FLEET_LIST:
		return op_list(op, call, err);
	}
	return pluri_fail(err, EINVAL, "no such call");
}

int fleet_op_run(struct fleet_op *op, uint64_t *ret_retry_after_ms,
	struct pluri_err *err)
{
	struct pluri_call call = {
		.deadline_ms = op->put ? op->most_ms : op->deadline_ms,
		.cancel = &op->cancel,
	};
	int r;

	r = op_call(op, &call, err);
	*ret_retry_after_ms = call.retry_after_ms;
	if (r > 0 || r < -4095)
		return pluri_fail(err, EBADMSG,
			"%s: the plugin answers %d, which is no code", op->key,
			r);
	if (r < 0 && err->text[0] == '\0')
		return pluri_fail(err, -r, "%s: %s", op->key, strerror(-r));
	err->text[sizeof(err->text) - 1] = '\0';
	return r;
}

void fleet_op_settle(
	struct fleet_op *op, int code, const char *text, struct fleet_op **tell)
{
	if (op->settled)
		return;
	op->settled = true;
	op->code = code;
	op->err.code = -code;
	(void)snprintf(
		op->err.text, sizeof(op->err.text), "%s", code < 0 ? text : "");
	if (op->put) {
		if (op->readers == 0)
			op_chain(op, tell);
		return;
	}
	op->told = true;
	if (op->wait)
		fleet_wait_wake(op->wait);
	op->wait = NULL;
}

void fleet_op_tell(struct fleet_op *op)
{
	while (op) {
		struct fleet_op *next = op->tell_next;
		struct fleet_store *s = op->store;

		if (op->code < 0)
			(void)pluri_where(&op->err, "store %s", s->name);
		op->put->done(op->put, op->code, &op->err);
		(void)pthread_mutex_lock(&s->lock);
		s->telling--;
		(void)pthread_cond_broadcast(&s->quiet);
		(void)pthread_mutex_unlock(&s->lock);
		fleet_op_free(op);
		op = next;
	}
}
