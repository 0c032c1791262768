/*
 * backends/s3/s3.c - S3 and everything that speaks like it.
 *
 * One object is one PUT with its length, no trailers, no chunked uploads and
 * no checksum headers: they break other S3 servers. The bucket is never made
 * here, so the credentials need no right to.
 *
 * PLURI_PUT_NEW. Servers honour If-None-Match, refuse it (501), or ignore it
 * and overwrite. So none is believed: while nothing is known, a put looks
 * first. The first put below PROBE_MAX that also carries the condition and
 * succeeds is repeated once with it: refused then, the server honours it, and
 * from here on the condition alone does (PLURI_CAP_NEW); accepted (same key,
 * same bytes), it ignores it, and puts look first for ever. A put of no more
 * than SAME_MAX bytes that lie there already, byte for byte, shows the same:
 * who puts large objects may find out with a small one that he knows.
 *
 * A server that answers a range with all (200) is put up with: what comes
 * before the range is dropped, the rest is not waited for; the instance then
 * no longer claims PLURI_CAP_RANGE.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/key.h"

#include "backends/s3/fetch.h"
#include "backends/s3/page.h"
#include "backends/s3/send.h"
#include "backends/s3/target.h"

#define OBJECT_MAX (UINT64_C(5) << 30) /* of one PUT, at every provider */
#define CONCURRENCY 16u
#define PROBE_MAX (1u << 20)
#define SAME_MAX 4096u
#define REPLY_BYTES_MAX 65536u
#define NAME_MAX_BYTES (TARGET_URL_MAX + PLURI_OBJECT_KEY_MAX)

enum condition { /* If-None-Match: what this server does with it */
	COND_UNKNOWN,
	COND_PROBING, /* one put is finding out; the others look first */
	COND_HONOURED,
	COND_IGNORED, /* or refused */
};

struct pluri_backend {
	struct target target;
	struct send *send;
	int condition; /* enum condition; atomic */
	int ranges; /* does it answer ranges? atomic */
};

static void s3_close(struct pluri_backend *b)
{
	if (!b)
		return;
	send_free(b->send);
	free(b);
}

static int s3_open(const struct pluri_host *host, const char *url,
	struct pluri_backend **ret, struct pluri_err *err)
{
	struct pluri_backend *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return pluri_fail(err, ENOMEM, "no memory for a store");
	b->ranges = 1;
	r = target_parse(url, host, &b->target, err);
	if (r == 0)
		r = send_new(&b->target, host, &b->send, err);
	if (r < 0) {
		s3_close(b);
		return r;
	}
	*ret = b;
	return 0;
}

static void s3_limits(const struct pluri_backend *b, struct pluri_limits *ret)
{
	const int cond = __atomic_load_n(&b->condition, __ATOMIC_RELAXED);

	*ret = (struct pluri_limits){
		.caps = PLURI_CAP_VISIBLE | PLURI_CAP_SORTED,
		.object_max = OBJECT_MAX,
		.concurrency = CONCURRENCY,
		.list_page = PAGE_KEYS_MAX,
	};
	if (cond == COND_HONOURED)
		ret->caps |= PLURI_CAP_NEW;
	if (__atomic_load_n(&b->ranges, __ATOMIC_RELAXED))
		ret->caps |= PLURI_CAP_RANGE;
}

/* The object's name in the bucket. */
static int name_of(const struct pluri_backend *b, const char *key,
	char to[NAME_MAX_BYTES], struct pluri_err *err)
{
	if (key_check(key, err) < 0)
		return -EINVAL;
	(void)snprintf(to, NAME_MAX_BYTES, "%s%s", b->target.prefix, key);
	return 0;
}

/* --- the operations ---------------------------------------------------- */

static int s3_get(struct pluri_backend *b, struct pluri_call *call,
	const char *key, uint64_t off, struct pluri_room *into,
	uint64_t *ret_size, struct pluri_err *err)
{
	char name[NAME_MAX_BYTES];
	struct fetched got = {.size = UINT64_MAX};
	int r = name_of(b, key, name, err);

	if (r < 0)
		return r;
	into->len = 0;
	if (into->cap == 0)
		r = fetch_size(b->send, call, name, &got.size, err);
	else
		r = fetch_range(b->send, call, name, off, into, &got, err);
	if (got.whole)
		__atomic_store_n(&b->ranges, 0, __ATOMIC_RELAXED);
	if (r == 0 && ret_size && got.size == UINT64_MAX)
		r = fetch_size_told(b->send, call, name, &got.size, err);
	if (r == 0 && ret_size)
		*ret_size = got.size;
	return r;
}

/* One PUT; -EEXIST, -ENOTSUP and the like by what the server said. */
static int put_once(struct pluri_backend *b, struct pluri_call *call,
	const char *name, const struct pluri_body *body, bool condition,
	struct pluri_err *err)
{
	struct buf text;
	const struct send_request q = {.what = "put",
		.method = "PUT",
		.key = name,
		.if_none_match = condition,
		.body = body,
		.text = &text};
	struct http_answer a;
	struct reply reply;
	int r;

	buf_init(&text, REPLY_BYTES_MAX);
	r = send_run(b->send, call, &q, &a, &reply, err);
	if (r == 0) {
		const struct pluri_span said = {text.data, text.len};

		if (a.status > 299)
			r = send_fail(b->send, &q, a.status, &reply, err);
		else if (text.len && reply_read_ok(said, &reply) == 0)
			r = send_fail(b->send, &q, a.status, &reply, err);
		else if (a.status != 200 && a.status != 201 && a.status != 204)
			r = pluri_fail(
				err, EBADMSG, "put: odd status %u", a.status);
		else if (text.len) /* a portal's or proxy's page, say */
			r = pluri_fail(err, EBADMSG,
				"put: answered %u with a page that is not "
				"S3's: does the url lead to the S3 server?",
				a.status);
		http_answer_free(&a);
	}
	buf_free(&text);
	return r;
}

static void learn_condition(struct pluri_backend *b, enum condition c)
{
	__atomic_store_n(&b->condition, c, __ATOMIC_RELAXED);
}

/* Put with the condition, and find out whether it was heeded. */
static int put_probing(struct pluri_backend *b, struct pluri_call *call,
	const char *name, const struct pluri_body *body, struct pluri_err *err)
{
	int r = put_once(b, call, name, body, true, err);
	int again;

	if (r == -ENOTSUP) {
		learn_condition(b, COND_IGNORED);
		return put_once(b, call, name, body, false, err);
	}
	if (r == -EEXIST)
		learn_condition(b, COND_HONOURED);
	else
		learn_condition(b, COND_UNKNOWN);
	if (r < 0)
		return r;
	again = put_once(b, call, name, body, true, NULL);
	if (again == -EEXIST)
		learn_condition(b, COND_HONOURED);
	else if (again == 0)
		learn_condition(b, COND_IGNORED);
	return 0;
}

/* Is the object that is there the body, which is small? */
static bool put_same(struct pluri_backend *b, struct pluri_call *call,
	const char *name, const struct pluri_body *body)
{
	uint8_t want[SAME_MAX];
	uint8_t got[SAME_MAX];
	struct pluri_room room = {.data = got, .cap = body->size};
	struct fetched there = {.size = UINT64_MAX};

	return fetch_range(b->send, call, name, 0, &room, &there, NULL) == 0 &&
	       room.len == body->size &&
	       (there.whole || there.size == body->size) &&
	       body->read(body->arg, 0, want, body->size, NULL) == 0 &&
	       memcmp(want, got, body->size) == 0;
}

/* What the server does to a put of what is there, which is no harm. */
static void put_again(struct pluri_backend *b, struct pluri_call *call,
	const char *name, const struct pluri_body *body)
{
	int was = COND_UNKNOWN;
	int r = -EAGAIN;

	if (!__atomic_compare_exchange_n(&b->condition, &was, COND_PROBING,
		    false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	if (put_same(b, call, name, body))
		r = put_once(b, call, name, body, true, NULL);
	learn_condition(b, r == -EEXIST		     ? COND_HONOURED
			   : r == 0 || r == -ENOTSUP ? COND_IGNORED
						     : COND_UNKNOWN);
}

static int put_new(struct pluri_backend *b, struct pluri_call *call,
	const char *name, const struct pluri_body *body, struct pluri_err *err)
{
	int was = COND_UNKNOWN;
	uint64_t size = 0;
	bool probe;
	int r;

	if (__atomic_load_n(&b->condition, __ATOMIC_RELAXED) == COND_HONOURED)
		return put_once(b, call, name, body, true, err);
	r = fetch_size(b->send, call, name, &size, err);
	if (r == 0 && size == body->size && size > 0 && size <= SAME_MAX)
		put_again(b, call, name, body);
	if (r == 0)
		return pluri_fail(
			err, EEXIST, "put: %s is already there", name);
	if (r != -ENOENT)
		return r;
	probe = body->size < PROBE_MAX &&
		__atomic_compare_exchange_n(&b->condition, &was, COND_PROBING,
			false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	if (probe)
		return put_probing(b, call, name, body, err);
	return put_once(b, call, name, body, false, err);
}

static int s3_put(struct pluri_backend *b, struct pluri_call *call,
	const char *key, const struct pluri_body *body, uint32_t flags,
	struct pluri_err *err)
{
	char name[NAME_MAX_BYTES];

	if (flags & ~PLURI_PUT_NEW)
		return pluri_fail(err, ENOTSUP, "put: unknown flags");
	if (body->size > OBJECT_MAX)
		return pluri_fail(
			err, EINVAL, "put: larger than S3's 5 GiB a PUT");
	if (name_of(b, key, name, err) < 0)
		return -EINVAL;
	if (flags & PLURI_PUT_NEW)
		return put_new(b, call, name, body, err);
	return put_once(b, call, name, body, false, err);
}

static int s3_del(struct pluri_backend *b, struct pluri_call *call,
	const char *key, struct pluri_err *err)
{
	char name[NAME_MAX_BYTES];
	const struct send_request q = {
		.what = "delete", .method = "DELETE", .key = name};
	struct http_answer a;
	struct reply reply = {.code = 0};
	int r = name_of(b, key, name, err);

	if (r == 0)
		r = send_run(b->send, call, &q, &a, &reply, err);
	if (r < 0)
		return r;
	if (a.status > 299 && reply.code != ENOENT)
		r = send_fail(b->send, &q, a.status, &reply, err);
	http_answer_free(&a);
	return r;
}

static int s3_list(struct pluri_backend *b, struct pluri_call *call,
	const char *prefix, struct pluri_page *page, struct pluri_err *err)
{
	if (key_check_prefix(prefix, err) < 0)
		return -EINVAL;
	return page_list(b->send, &b->target, call, prefix, page, err);
}

PLURI_EXPORT const struct pluri_backend_ops *pluri_backend_entry(void)
{
	static const struct pluri_backend_ops ops = {
		.abi = PLURI_BACKEND_ABI,
		.size = sizeof(ops),
		.name = "s3",
		.open = s3_open,
		.close = s3_close,
		.limits = s3_limits,
		.put = s3_put,
		.get = s3_get,
		.del = s3_del,
		.list = s3_list,
	};

	return &ops;
}
