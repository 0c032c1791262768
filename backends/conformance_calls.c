#include <errno.h>

#include "backends/call.h"

#include "backends/conformance_case.h"

#define BROKEN_BYTES (5u << 20)
#define QUICKLY_MS 10000u /* far below a timeout */

static int conformance_ignore(void *arg, const char *key, uint64_t size)
{
	(void)arg;
	(void)key;
	(void)size;
	return 0;
}

/* Every operation under one call frame must answer `want`, and soon. */
static int conformance_all(struct conformance_suite *s,
	const struct pluri_call *frame, int want, struct pluri_err *err)
{
	const struct pluri_backend_ops *ops = s->c->ops;
	struct pluri_page page = {.each = conformance_ignore};
	struct pluri_call call = *frame;
	struct pluri_err story = {0};
	struct conformance_body b;
	uint8_t byte;
	struct pluri_room room = {.data = &byte, .cap = 1};
	char key[CONFORMANCE_KEY_ROOM];
	const uint64_t start = call_now_ms();
	int r;

	(void)conformance_key(s, "call/any", key);
	conformance_body(&b, 20, 1000);
	r = ops->put(s->b, &call, key, &b.body, PLURI_PUT_NEW, &story);
	r = conformance_want(r, want, "put", &story, err);
	if (r == 0)
		r = conformance_want(
			ops->get(s->b, &call, key, 0, &room, NULL, &story),
			want, "get", &story, err);
	if (r == 0)
		r = conformance_want(ops->del(s->b, &call, key, &story), want,
			"del", &story, err);
	if (r == 0)
		r = conformance_want(
			ops->list(s->b, &call, s->prefix, &page, &story), want,
			"list", &story, err);
	if (r == 0 && call_now_ms() - start > QUICKLY_MS)
		r = pluri_fail(err, EBADMSG, "four calls took %llu ms",
			(unsigned long long)(call_now_ms() - start));
	return r;
}

static int conformance_late(struct conformance_suite *s, struct pluri_err *err)
{
	const struct pluri_call past = {.deadline_ms = 1};

	return conformance_all(s, &past, -ETIMEDOUT, err);
}

static int conformance_stopped(
	struct conformance_suite *s, struct pluri_err *err)
{
	struct pluri_call call = conformance_call(s);
	const uint32_t cancel = 1;

	call.cancel = &cancel;
	return conformance_all(s, &call, -ECANCELED, err);
}

static int conformance_stop_put(
	struct conformance_suite *s, struct pluri_err *err)
{
	struct pluri_call call = conformance_call(s);
	struct pluri_err story = {0};
	struct conformance_body b;
	char key[CONFORMANCE_KEY_ROOM];
	uint32_t cancel = 0;
	int r;

	conformance_body(&b, 21, BROKEN_BYTES);
	b.cancel = &cancel;
	call.cancel = &cancel;
	(void)conformance_key(s, "call/stopped", key);
	r = s->c->ops->put(s->b, &call, key, &b.body, PLURI_PUT_NEW, &story);
	r = conformance_want(
		r, -ECANCELED, "put stopped while it reads", &story, err);
	return r < 0 ? r : conformance_absent(s, key, err);
}

static int conformance_broken(
	struct conformance_suite *s, struct pluri_err *err)
{
	static const uint64_t at[] = {0, BROKEN_BYTES / 2, BROKEN_BYTES - 1};
	struct conformance_body b;
	char key[CONFORMANCE_KEY_ROOM];
	int r = 0;

	(void)conformance_key(s, "call/broken", key);
	for (unsigned i = 0; i < 3 && r == 0; i++) {
		struct pluri_call call = conformance_call(s);
		struct pluri_err story = {0};

		conformance_body(&b, 22, BROKEN_BYTES);
		b.fail_at = at[i];
		r = s->c->ops->put(
			s->b, &call, key, &b.body, PLURI_PUT_NEW, &story);
		r = conformance_want(
			r, -EDOM, "put of a body that breaks", &story, err);
		if (r == 0)
			r = conformance_absent(s, key, err);
	}
	return r;
}

static int conformance_body_twice(
	struct conformance_suite *s, struct pluri_err *err)
{
	const struct conformance_range g = {23, 70000, 0, 70000};
	struct conformance_body b;
	char key[CONFORMANCE_KEY_ROOM];
	int r = 0;

	conformance_body(&b, 23, 70000);
	for (unsigned i = 0; i < 2 && r == 0; i++) {
		struct pluri_call call = conformance_call(s);
		struct pluri_err story = {0};

		(void)conformance_key(s, i ? "call/b" : "call/a", key);
		r = s->c->ops->put(
			s->b, &call, key, &b.body, PLURI_PUT_NEW, &story);
		r = conformance_want(
			r, 0, "put of a body used before", &story, err);
		if (r == 0)
			r = conformance_get(s, key, &g, err);
	}
	return r;
}

static int conformance_second(
	struct conformance_suite *s, struct pluri_err *err)
{
	const struct conformance_range g = {24, 50, 0, 100};
	struct conformance_suite other = *s;
	char key[CONFORMANCE_KEY_ROOM];
	int r;

	if (!(s->limits.caps & PLURI_CAP_VISIBLE))
		return pluri_fail(err, ENOSYS, "no PLURI_CAP_VISIBLE");
	(void)conformance_key(s, "call/shared", key);
	r = conformance_put(s, key, 24, 50, PLURI_PUT_NEW, 0, err);
	if (r < 0)
		return r;
	r = s->c->ops->open(s->c->host, s->c->url, &other.b, err);
	if (r < 0)
		return r;
	r = conformance_get(&other, key, &g, err);
	s->c->ops->close(other.b);
	return r;
}

static int conformance_close_null(
	struct conformance_suite *s, struct pluri_err *err)
{
	(void)err;
	s->c->ops->close(NULL);
	return 0;
}

const struct conformance_case conformance_calls[] = {
	{"call__past_its_deadline__etimedout", conformance_late},
	{"call__stopped_before__ecanceled", conformance_stopped},
	{"put__stopped_midway__no_object", conformance_stop_put},
	{"put__body_breaks__its_error_and_no_object", conformance_broken},
	{"put__body_used_twice__same_bytes", conformance_body_twice},
	{"open__second_instance__sees_the_same", conformance_second},
	{"close__null__fine", conformance_close_null},
	{NULL, NULL},
};
