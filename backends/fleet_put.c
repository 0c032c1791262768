#include <errno.h>

#include "backends/fleet_int.h"

static int put_submit(struct fleet *f, struct fleet_store *s,
	struct fleet_put *p, struct pluri_err *err)
{
	pluri_auto(fleet_op) op = NULL;
	uint64_t wait_ms = 0;
	int r;

	op = fleet_op_new(s, FLEET_PUT, p->key, err);
	if (!op)
		return -err->code;
	op->put = p;
	op->body = p->body;
	op->span_ms = fleet_span_ms(f, s, p->body.size);
	op->deadline_ms = fleet_now_ms() + op->span_ms;
	r = fleet_queue_add(f, op, &wait_ms, err);
	if (r < 0)
		return pluri_where(err, "store %s", s->name);
	return 0;
}

void fleet_put(struct fleet *f, struct fleet_put *p)
{
	struct fleet_store *s = fleet_store_of(f, p->store);
	struct pluri_err e = {0};
	int r;

	if (s)
		r = put_submit(f, s, p, &e);
	else
		r = pluri_fail(
			&e, EAGAIN, "store %u: not in use now", p->store);
	if (r < 0)
		fleet_watch_refuse(f, p, r, &e);
	fleet_pool_unref(s);
}
