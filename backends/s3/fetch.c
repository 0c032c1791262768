#include <errno.h>
#include <string.h>

#include "base/text.h"

#include "backends/s3/fetch.h"

/* "bytes 5-9/20" or "bytes * /20"; size UINT64_MAX when it says "*". */
struct range {
	bool none; /* unsatisfied */
	uint64_t from, to, size;
};

static int range_number(const char **p, char end, uint64_t *ret)
{
	char digits[24];
	const size_t n = strspn(*p, "0123456789");

	if (n == 0 || n >= sizeof(digits) || (*p)[n] != end)
		return -EBADMSG;
	memcpy(digits, *p, n);
	digits[n] = 0;
	*p += n + (end != 0);
	return text_uint(digits, INT64_MAX, ret, NULL) < 0 ? -EBADMSG : 0;
}

static int range_parse(const char *text, struct range *ret)
{
	struct range r = {.size = UINT64_MAX};

	if (!text || strncmp(text, "bytes ", 6) != 0)
		return -EBADMSG;
	text += 6;
	if (strncmp(text, "*/", 2) == 0) {
		r.none = true;
		text += 2;
	} else if (range_number(&text, '-', &r.from) < 0 ||
		   range_number(&text, '/', &r.to) < 0 || r.to < r.from) {
		return -EBADMSG;
	}
	if (strcmp(text, "*") != 0 && range_number(&text, 0, &r.size) < 0)
		return -EBADMSG;
	if (!r.none && r.to >= r.size)
		return -EBADMSG;
	*ret = r;
	return 0;
}

/* An answered range: does it say what was asked, and did all of it come? */
static int judge_part(const struct http_answer *a, uint64_t off,
	const struct pluri_room *got, uint64_t *ret_size, struct pluri_err *err)
{
	struct range r = {.none = true};

	if (range_parse(http_header(a, "content-range"), &r) < 0 || r.none ||
		r.size == UINT64_MAX)
		return pluri_fail(err, EBADMSG,
			"get: 206 without a lawful Content-Range");
	if (r.from != off || r.to - r.from + 1 != got->len ||
		(got->len < got->cap && r.to + 1 != r.size))
		return pluri_fail(err, EBADMSG,
			"get: asked for %zu bytes from %llu, told bytes "
			"%llu to %llu of %llu, got %zu",
			got->cap, (unsigned long long)off,
			(unsigned long long)r.from, (unsigned long long)r.to,
			(unsigned long long)r.size, got->len);
	*ret_size = r.size;
	return 0;
}

/* All of the object where a part was asked for. */
static int judge_whole(const struct http_answer *a, uint64_t off,
	const struct pluri_room *got, uint64_t *ret_size, struct pluri_err *err)
{
	const uint64_t left = a->length > off ? a->length - off : 0;
	const char *how = http_header(a, "transfer-encoding");

	*ret_size = a->length;
	if (a->length != UINT64_MAX) {
		if (got->len != (left < got->cap ? left : got->cap))
			return pluri_fail(err, EBADMSG,
				"get: %zu bytes came of %llu", got->len,
				(unsigned long long)left);
		return 0;
	}
	/* Neither length nor chunks: its end cannot be told from a cut. */
	if (got->len < got->cap && !how)
		return pluri_fail(err, EBADMSG,
			"get: answer of unknown length ends early");
	return 0;
}

int fetch_size_told(struct send *s, struct pluri_call *call, const char *name,
	uint64_t *ret_size, struct pluri_err *err)
{
	const struct send_request q = {
		.what = "head", .method = "HEAD", .key = name};
	struct http_answer a;
	struct reply reply;
	int r = send_run(s, call, &q, &a, &reply, err);

	if (r < 0)
		return r;
	if (a.status > 299)
		r = send_fail(s, &q, a.status, &reply, err);
	else if (a.length == UINT64_MAX)
		r = pluri_fail(err, EBADMSG, "head: answer without a length");
	else
		*ret_size = a.length;
	http_answer_free(&a);
	return r;
}

/* 416: there is nothing at off, if the object does end before. */
static int judge_unsatisfied(struct send *s, struct pluri_call *call,
	const struct http_answer *a, const char *name, uint64_t off,
	uint64_t *ret_size, struct pluri_err *err)
{
	struct range range = {.size = UINT64_MAX};
	int r = 0;

	if (range_parse(http_header(a, "content-range"), &range) < 0 ||
		range.size == UINT64_MAX)
		r = fetch_size_told(s, call, name, &range.size, err);
	if (r < 0)
		return r;
	if (range.size > off)
		return pluri_fail(err, EBADMSG,
			"get: range from %llu refused, but the object has %llu",
			(unsigned long long)off,
			(unsigned long long)range.size);
	*ret_size = range.size;
	return 0;
}

int fetch_range(struct send *s, struct pluri_call *call, const char *name,
	uint64_t off, struct pluri_room *into, struct fetched *ret,
	struct pluri_err *err)
{
	char range[64];
	const struct send_request q = {.what = "get",
		.method = "GET",
		.key = name,
		.range = range,
		.into = into,
		.skip = off};
	struct http_answer a;
	struct reply reply;
	uint64_t size = UINT64_MAX;
	int r;

	if (off > INT64_MAX || into->cap > INT64_MAX - off)
		return pluri_fail(err, EINVAL, "get: range out of bounds");
	(void)snprintf(range, sizeof(range), "bytes=%llu-%llu",
		(unsigned long long)off,
		(unsigned long long)(off + into->cap - 1));
	r = send_run(s, call, &q, &a, &reply, err);
	if (r < 0)
		return r;
	if (a.status == 206)
		r = judge_part(&a, off, into, &size, err);
	else if (a.status == 200)
		r = judge_whole(&a, off, into, &size, err);
	else if (a.status == 416)
		r = judge_unsatisfied(s, call, &a, name, off, &size, err);
	else if (a.status <= 299)
		r = pluri_fail(err, EBADMSG, "get: odd status %u", a.status);
	else
		r = send_fail(s, &q, a.status, &reply, err);
	if (r == 0)
		*ret = (struct fetched){
			size, a.status == 200 && (off > 0 || size > into->cap)};
	http_answer_free(&a);
	return r;
}

/* A range of one byte rather than HEAD, whose refusals have no words. */
int fetch_size(struct send *s, struct pluri_call *call, const char *name,
	uint64_t *ret_size, struct pluri_err *err)
{
	uint8_t byte;
	struct pluri_room room = {.data = &byte, .cap = 1};
	struct fetched got = {.size = UINT64_MAX};
	int r = fetch_range(s, call, name, 0, &room, &got, err);

	if (r == 0 && got.size == UINT64_MAX)
		r = fetch_size_told(s, call, name, &got.size, err);
	if (r == 0)
		*ret_size = got.size;
	return r;
}
