#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/text.h"

#include "backends/http_sink.h"

/* Unwanted bytes that are read anyway: cheaper than a new connection. */
#define DRAIN_MAX 65536u

void http_sink_init(struct http_sink *s, const struct http_request *q,
	struct http_answer *a)
{
	*s = (struct http_sink){.q = q, .a = a};
	*a = (struct http_answer){.length = UINT64_MAX};
	buf_init(&a->headers, HTTP_HEADER_BYTES_MAX);
	buf_init(&a->error, HTTP_ERROR_BODY_MAX);
	if (q->into)
		q->into->len = 0;
	if (q->text)
		buf_clear(q->text);
}

static size_t refuse(struct http_sink *s, const char *why)
{
	(void)pluri_fail(&s->err, EBADMSG, "%s", why);
	return 0;
}

/* "HTTP/1.1 200 OK": begins an answer; an earlier one was a 1xx. */
static int status_line(struct http_sink *s, const char *line, size_t n)
{
	const char *sp = memchr(line, ' ', n);
	size_t left = sp ? n - (size_t)(sp - line) : 0;
	unsigned v = 0;

	if (left < 4)
		return -EBADMSG;
	for (unsigned i = 1; i <= 3; i++) {
		if (sp[i] < '0' || sp[i] > '9')
			return -EBADMSG;
		v = v * 10 + (unsigned)(sp[i] - '0');
	}
	if (v < 100 || v > 599)
		return -EBADMSG;
	s->a->status = v;
	s->a->length = UINT64_MAX;
	s->headers = 0;
	buf_clear(&s->a->headers);
	return 0;
}

static int keep_length(struct http_sink *s, const char *value)
{
	uint64_t v = 0;

	if (text_uint(value, UINT64_MAX - 1, &v, NULL) < 0)
		return -EBADMSG;
	if (s->a->length != UINT64_MAX && s->a->length != v)
		return -EBADMSG;
	s->a->length = v;
	return 0;
}

/* Kept as "name" NUL "value" NUL, the name in lower case. */
static int keep(struct http_sink *s, const char *line, size_t n)
{
	const char *colon = memchr(line, ':', n);
	struct buf *b = &s->a->headers;
	const size_t name = colon ? (size_t)(colon - line) : 0;
	const size_t start = b->len;
	size_t from = name + 1;

	if (name == 0 || isspace((unsigned char)line[0]))
		return 0;
	while (from < n && (line[from] == ' ' || line[from] == '\t'))
		from++;
	while (n > from && isspace((unsigned char)line[n - 1]))
		n--;
	if (memchr(line, 0, n))
		return -EBADMSG;
	if (buf_add(b, line, name) < 0 || buf_add(b, "", 1) < 0 ||
		buf_add(b, line + from, n - from) < 0 || buf_add(b, "", 1) < 0)
		return -EBADMSG;
	for (size_t i = start; i < start + name; i++)
		b->data[i] = (uint8_t)tolower(b->data[i]);
	s->headers++;
	if (strcmp((char *)b->data + start, "content-length") == 0)
		return keep_length(s, (char *)b->data + start + name + 1);
	return 0;
}

size_t http_sink_head(char *line, size_t size, size_t n, void *sink)
{
	struct http_sink *s = sink;
	const size_t len = size * n;

	if (len > HTTP_HEADER_BYTES_MAX - s->head_bytes)
		return refuse(s, "answer has too many header bytes");
	s->head_bytes += len;
	if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
		if (status_line(s, line, len) < 0)
			return refuse(s, "answer is not HTTP");
		return len;
	}
	if (s->headers < HTTP_HEADERS_MAX && keep(s, line, len) < 0)
		return refuse(s, "answer has a malformed header");
	return len;
}

/* Bytes nobody wants: a few are read to keep the connection, no more. */
static size_t drop(struct http_sink *s, size_t n)
{
	const struct http_answer *a = s->a;

	if (a->length != UINT64_MAX && a->length >= s->seen &&
		a->length - s->seen <= DRAIN_MAX)
		return n;
	s->done = true;
	return 0;
}

static size_t fill(struct http_sink *s, const char *data, size_t n)
{
	struct pluri_room *room = s->q->into;
	const uint64_t before = s->seen - n;
	uint64_t skip = 0;
	size_t take;

	if (s->a->status == 200 && before < s->q->skip)
		skip = s->q->skip - before;
	if (skip >= n)
		return n;
	data += skip;
	take = n - (size_t)skip;
	if (take > room->cap - room->len)
		take = room->cap - room->len;
	if (take)
		memcpy((char *)room->data + room->len, data, take);
	room->len += take;
	if (skip + take == n)
		return n;
	if (s->a->status != 200)
		return refuse(s, "answer is longer than the range asked for");
	return drop(s, n);
}

static size_t fill_error(struct http_sink *s, const char *data, size_t n)
{
	struct buf *b = &s->a->error;
	const size_t take = n < b->max - b->len ? n : b->max - b->len;

	if (buf_add(b, data, take) < 0)
		return refuse(s, "no memory for the answer");
	if (take == n)
		return n;
	s->done = true;
	return 0;
}

size_t http_sink_body(char *data, size_t size, size_t n, void *sink)
{
	struct http_sink *s = sink;
	const size_t len = size * n;

	s->seen += len;
	if (s->a->status < 200 || s->a->status > 299)
		return fill_error(s, data, len);
	if (s->q->into)
		return fill(s, data, len);
	if (s->q->text) {
		if (buf_add(s->q->text, data, len) < 0)
			return refuse(s, "answer is over its ceiling");
		return len;
	}
	return drop(s, len);
}
