#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "backends/backend.h"
#include "backends/call.h"
#include "backends/registry.h"

#include "backends/fault/fault.h"

#define FAULT_NAP_NS 3000000
#define FAULT_NAME_MAX 32u

struct pluri_backend {
	const struct pluri_backend_ops *ops; /* of the wrapped store */
	struct pluri_backend *inner;
	struct fault_rules *rules;
	uint64_t denied; /* capabilities */
	int log; /* descriptor, -1: none */
};

/* --- waiting ------------------------------------------------------------ */

static void fault_nap(void)
{
	const struct timespec ts = {.tv_nsec = FAULT_NAP_NS};

	(void)nanosleep(&ts, NULL);
}

static int fault_hang(struct pluri_backend *b, const struct pluri_call *call,
	const struct fault_plan *p, struct pluri_err *err)
{
	const uint64_t start = call_now_ms();
	int r = 0;

	while (r == 0 && !fault_rules_changed(b->rules, p->version)) {
		if (p->hard && p->hang_ms &&
			call_now_ms() - start >= p->hang_ms)
			break;
		if (!p->hard)
			r = call_check(call, err);
		fault_nap();
	}
	return r;
}

static int fault_delay(
	const struct pluri_call *call, uint64_t ms, struct pluri_err *err)
{
	const uint64_t start = call_now_ms();
	int r = 0;

	while (r == 0 && call_now_ms() - start < ms) {
		r = call_check(call, err);
		if (r == 0)
			fault_nap();
	}
	return r;
}

/* --- around every call -------------------------------------------------- */

/* What is suffered before the inner call: 0, or the code that replaces it. */
static int fault_before(struct pluri_backend *b, const struct pluri_call *call,
	const struct fault_plan *p, struct pluri_err *err)
{
	int r = 0;

	if (p->delay_ms)
		r = fault_delay(call, p->delay_ms, err);
	if (r == 0 && p->hang)
		r = fault_hang(b, call, p, err);
	if (r == 0 && p->code)
		r = pluri_fail(err, p->code, "fault: %s", strerror(p->code));
	if (r == 0 && p->notfound)
		r = pluri_fail(err, ENOENT, "fault: 404 to everything");
	return r;
}

static int fault_after(const struct pluri_call *call,
	const struct fault_plan *p, int code, struct pluri_err *err)
{
	while (p->late && call->deadline_ms &&
		call_now_ms() < call->deadline_ms + p->late_ms)
		fault_nap();
	if (p->lost)
		return pluri_fail(err, EAGAIN, "fault: the answer was lost");
	return code;
}

static int fault_log(const struct pluri_backend *b, const char *op,
	const char *key, int code)
{
	char line[PLURI_OBJECT_KEY_MAX + 64];
	const char *name =
		code ? strerrorname_np(code < 0 ? -code : code) : "0";
	int n;

	if (b->log < 0)
		return code;
	n = snprintf(line, sizeof(line), "%s %.*s %s\n", op,
		(int)PLURI_OBJECT_KEY_MAX, *key ? key : "-", name ? name : "?");
	/* one write, so that lines of threads and processes never mix */
	if (n > 0 && write(b->log, line, (size_t)n) < 0)
		return code;
	return code;
}

/* --- get ---------------------------------------------------------------- */

static void fault_spoil(const struct fault_plan *p, struct pluri_room *into)
{
	uint8_t *data = into->data;

	if (p->truncate)
		into->len -= p->truncate < into->len ? (size_t)p->truncate
						     : into->len;
	if (p->flip && into->len)
		data[p->chance / 8 % into->len] ^=
			(uint8_t)(1u << p->chance % 8);
}

static int fault_get(struct pluri_backend *b, struct pluri_call *call,
	const char *key, uint64_t off, struct pluri_room *into,
	uint64_t *ret_size, struct pluri_err *err)
{
	struct fault_plan p;
	int r;

	r = fault_rules_ask(b->rules, FAULT_GET, key, &p, err);
	if (r == 0)
		r = fault_before(b, call, &p, err);
	if (r == 0) {
		r = b->ops->get(b->inner, call, key, off, into, ret_size, err);
		if (r == 0)
			fault_spoil(&p, into);
		r = fault_after(call, &p, r, err);
	}
	return fault_log(b, "get", key, r);
}

/* --- put ---------------------------------------------------------------- */

struct fault_body {
	const struct pluri_body *body;
	bool flip;
	uint64_t at; /* of the byte whose bit is wrong */
	uint8_t bit;
};

static int fault_read(
	void *arg, uint64_t off, void *to, size_t len, struct pluri_err *err)
{
	const struct fault_body *f = arg;
	uint8_t *data = to;
	const int r = f->body->read(f->body->arg, off, to, len, err);

	if (r == 0 && f->flip && f->at >= off && f->at - off < len)
		data[f->at - off] ^= f->bit;
	return r;
}

static int fault_store(struct pluri_backend *b, struct pluri_call *call,
	const char *key, const struct pluri_body *body, uint32_t flags,
	const struct fault_plan *p, struct pluri_err *err)
{
	struct fault_body f = {.body = body,
		.flip = p->flip && body->size > 0,
		.bit = (uint8_t)(1u << p->chance % 8)};
	struct pluri_body spoilt = {
		.size = body->size, .read = fault_read, .arg = &f};

	if (f.flip)
		f.at = p->chance / 8 % body->size;
	spoilt.size -= p->truncate < body->size ? p->truncate : body->size;
	return b->ops->put(b->inner, call, key, &spoilt, flags, err);
}

static int fault_put(struct pluri_backend *b, struct pluri_call *call,
	const char *key, const struct pluri_body *body, uint32_t flags,
	struct pluri_err *err)
{
	struct fault_plan p;
	int r;

	r = fault_rules_ask(b->rules, FAULT_PUT, key, &p, err);
	if (r == 0)
		r = fault_before(b, call, &p, err);
	if (r == 0) {
		r = fault_store(b, call, key, body, flags, &p, err);
		r = fault_after(call, &p, r, err);
	}
	return fault_log(b, "put", key, r);
}

/* --- del, list ---------------------------------------------------------- */

static int fault_del(struct pluri_backend *b, struct pluri_call *call,
	const char *key, struct pluri_err *err)
{
	struct fault_plan p;
	int r;

	r = fault_rules_ask(b->rules, FAULT_DEL, key, &p, err);
	if (r == 0)
		r = fault_before(b, call, &p, err);
	if (r == 0) {
		r = b->ops->del(b->inner, call, key, err);
		r = fault_after(call, &p, r, err);
	} else if (r == -ENOENT && p.notfound && !p.code) {
		/* a gateway's 404 to a DELETE reads as "gone" */
		r = 0;
	}
	return fault_log(b, "del", key, r);
}

struct fault_cut {
	struct pluri_page *page;
	uint32_t left;
	bool cut;
};

static int fault_each(void *arg, const char *key, uint64_t size)
{
	struct fault_cut *c = arg;

	c->cut = c->left == 0;
	if (c->cut)
		return -ECONNABORTED; /* ours: stops the inner listing */
	c->left--;
	return c->page->each(c->page->arg, key, size);
}

static int fault_cut(struct pluri_backend *b, struct pluri_call *call,
	const char *prefix, struct pluri_page *page, const struct fault_plan *p,
	struct pluri_err *err)
{
	struct fault_cut c = {.page = page, .left = p->keys};
	struct pluri_page inner = {.each = fault_each, .arg = &c};
	int r;

	memcpy(inner.token, page->token, sizeof(inner.token));
	r = b->ops->list(b->inner, call, prefix, &inner, err);
	if (r < 0 && !c.cut)
		return r;
	if (p->cut_code)
		return pluri_fail(
			err, p->cut_code, "fault: the listing broke off");
	page->token[0] = 0;
	return 0;
}

static int fault_list(struct pluri_backend *b, struct pluri_call *call,
	const char *prefix, struct pluri_page *page, struct pluri_err *err)
{
	struct fault_plan p;
	int r;

	r = fault_rules_ask(b->rules, FAULT_LIST, prefix, &p, err);
	if (r == 0)
		r = fault_before(b, call, &p, err);
	if (r == 0) {
		r = p.cut ? fault_cut(b, call, prefix, page, &p, err)
			  : b->ops->list(b->inner, call, prefix, page, err);
		r = fault_after(call, &p, r, err);
	}
	return fault_log(b, "list", prefix, r);
}

/* --- instances ---------------------------------------------------------- */

static void fault_close(struct pluri_backend *b)
{
	if (!b)
		return;
	if (b->ops)
		b->ops->close(b->inner);
	fault_rules_free(b->rules);
	if (b->log >= 0)
		(void)close(b->log);
	free(b);
}

static void fault_limits(
	const struct pluri_backend *b, struct pluri_limits *ret)
{
	b->ops->limits(b->inner, ret);
	ret->caps &= ~b->denied;
}

static int fault_deny(const char *words, uint64_t *ret, struct pluri_err *err)
{
	static const struct {
		const char *name;
		uint64_t cap;
	} caps[] = {{"range", PLURI_CAP_RANGE}, {"new", PLURI_CAP_NEW},
		{"visible", PLURI_CAP_VISIBLE}, {"sorted", PLURI_CAP_SORTED},
		{"local", PLURI_CAP_LOCAL}};
	uint64_t denied = 0;

	while (words && *words) {
		const size_t n = strcspn(words, " ");
		uint64_t cap = 0;

		for (unsigned i = 0; i < 5; i++)
			if (strlen(caps[i].name) == n &&
				strncmp(caps[i].name, words, n) == 0)
				cap = caps[i].cap;
		if (n && !cap)
			return pluri_fail(err, EINVAL,
				"fault_without = %.64s: write range, new, "
				"visible, sorted or local",
				words);
		denied |= cap;
		words += n;
		words += *words == ' ';
	}
	*ret = denied;
	return 0;
}

static int fault_set_up(struct pluri_backend *b, const struct pluri_host *host,
	struct pluri_err *err)
{
	const char *log = host->option(host->ctx, "fault_log");
	int r;

	r = fault_deny(
		host->option(host->ctx, "fault_without"), &b->denied, err);
	if (r == 0)
		r = fault_rules_new(
			host->option(host->ctx, "fault_file"), &b->rules, err);
	if (r < 0 || !log)
		return r;
	b->log = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (b->log < 0)
		return pluri_fail(err, EINVAL, "fault_log = %.200s: %s", log,
			strerror(errno));
	return 0;
}

/*
 * The wrapped plugin comes through the registry too, a copy of which is linked
 * into this module: the registry keeps no state, and the dynamic linker gives
 * both copies the same module.
 */
static int fault_wrap(struct pluri_backend *b, const struct pluri_host *host,
	const char *url, struct pluri_err *err)
{
	const struct pluri_backend_ops *ops = NULL;
	char name[FAULT_NAME_MAX + 1];
	const char *colon;
	int r;

	if (strncmp(url, "fault:", 6) == 0)
		url += 6;
	colon = strchr(url, ':');
	if (!colon || (size_t)(colon - url) >= sizeof(name))
		return pluri_fail(err, EINVAL,
			"url = %.100s: write fault:BACKEND:URL", url);
	(void)snprintf(name, sizeof(name), "%.*s", (int)(colon - url), url);
	r = registry_find(name, &ops, err);
	if (r == 0)
		r = ops->open(host, colon + 1, &b->inner, err);
	if (r == 0)
		b->ops = ops;
	return r;
}

static int fault_open(const struct pluri_host *host, const char *url,
	struct pluri_backend **ret, struct pluri_err *err)
{
	struct pluri_backend *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return pluri_fail(err, ENOMEM, "out of memory");
	b->log = -1;
	r = fault_set_up(b, host, err);
	if (r == 0)
		r = fault_wrap(b, host, url, err);
	if (r < 0) {
		fault_close(b);
		return r;
	}
	*ret = b;
	return 0;
}

PLURI_EXPORT const struct pluri_backend_ops *pluri_backend_entry(void)
{
	static const struct pluri_backend_ops ops = {
		.abi = PLURI_BACKEND_ABI,
		.size = sizeof(ops),
		.name = "fault",
		.open = fault_open,
		.close = fault_close,
		.limits = fault_limits,
		.put = fault_put,
		.get = fault_get,
		.del = fault_del,
		.list = fault_list,
	};

	return &ops;
}
