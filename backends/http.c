#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#include "backends/call.h"
#include "backends/http_pool.h"
#include "backends/http_sink.h"

#define POLL_MS 100 /* how soon a cancel is noticed */
#define ORIGIN_MAX 300
#define RETRY_AFTER_MAX_S 86400u

struct http {
	struct http_pool *pool;
};

/* One exchange under way. */
struct exchange {
	struct http_sink sink;
	const struct pluri_body *body;
	uint64_t sent;
	int body_code; /* what the body's reader said, 0 or negative */
	struct pluri_err body_err;
	struct curl_slist *headers;
	bool cancelled;
	char why[CURL_ERROR_SIZE];
};

int http_new(
	const struct http_options *o, struct http **ret, struct pluri_err *err)
{
	pluri_auto(http) h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return pluri_fail(err, ENOMEM, "no memory for HTTP");
	r = http_pool_new(o, &h->pool, err);
	if (r < 0)
		return r;
	*ret = pluri_steal(h);
	return 0;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	http_pool_free(h->pool);
	free(h);
}

/* --- a request ----------------------------------------------------------- */

static size_t body_read(char *to, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;
	const uint64_t left = x->body->size - x->sent;
	size_t len = size * n;

	if (len > left)
		len = (size_t)left;
	if (len == 0)
		return 0;
	x->body_code = call_body(x->body, x->sent, to, len, &x->body_err);
	if (x->body_code < 0)
		return CURL_READFUNC_ABORT;
	x->sent += len;
	return len;
}

/* libcurl sends again from the start when a kept connection had died. */
static int body_seek(void *arg, curl_off_t off, int origin)
{
	struct exchange *x = arg;

	if (origin != SEEK_SET || off < 0 || (uint64_t)off > x->body->size)
		return CURL_SEEKFUNC_FAIL;
	x->sent = (uint64_t)off;
	return CURL_SEEKFUNC_OK;
}

static void set_method(
	struct exchange *x, CURL *c, const struct http_request *q)
{
	const bool sends = q->body || strcmp(q->method, "PUT") == 0 ||
			   strcmp(q->method, "POST") == 0;

	if (strcmp(q->method, "HEAD") == 0) {
		curl_easy_setopt(c, CURLOPT_NOBODY, 1l);
		return;
	}
	if (sends) {
		curl_easy_setopt(c, CURLOPT_UPLOAD, 1l);
		curl_easy_setopt(c, CURLOPT_READFUNCTION, body_read);
		curl_easy_setopt(c, CURLOPT_READDATA, x);
		curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, body_seek);
		curl_easy_setopt(c, CURLOPT_SEEKDATA, x);
		curl_easy_setopt(
			c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)x->body->size);
	}
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, q->method);
}

static int add_header(struct exchange *x, const char *line)
{
	struct curl_slist *l = curl_slist_append(x->headers, line);

	if (!l)
		return -ENOMEM;
	x->headers = l;
	return 0;
}

static int set_request(
	struct exchange *x, CURL *c, const struct http_request *q)
{
	if (add_header(x, "Expect:") < 0)
		return -ENOMEM;
	for (size_t i = 0; q->headers && q->headers[i]; i++)
		if (add_header(x, q->headers[i]) < 0)
			return -ENOMEM;
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, x->headers);
	curl_easy_setopt(c, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
	set_method(x, c, q);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, http_sink_head);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, &x->sink);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, http_sink_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, &x->sink);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, x->why);
	if (curl_easy_setopt(c, CURLOPT_URL, q->url) != CURLE_OK)
		return -ENOMEM;
	return 0;
}

/* libcurl's own loop looks up once a second; a cancel must be seen sooner. */
static CURLcode drive(
	struct http_slot *s, struct exchange *x, const struct pluri_call *call)
{
	CURLcode r = CURLE_OUT_OF_MEMORY;
	int running = 1;
	int left = 0;
	CURLMsg *m;

	if (curl_multi_add_handle(s->multi, s->easy) != CURLM_OK)
		return r;
	while (running && !x->cancelled) {
		if (curl_multi_perform(s->multi, &running) != CURLM_OK)
			break;
		if (running)
			(void)curl_multi_poll(s->multi, NULL, 0,
				call->cancel ? POLL_MS : 10 * POLL_MS, NULL);
		x->cancelled = running && call_cancelled(call);
	}
	m = curl_multi_info_read(s->multi, &left);
	if (m && m->msg == CURLMSG_DONE)
		r = m->data.result;
	(void)curl_multi_remove_handle(s->multi, s->easy);
	return r;
}

/* --- the verdict --------------------------------------------------------- */

/* scheme://host:port, for stories: neither user names nor paths. */
static const char *origin(const char *url, char to[ORIGIN_MAX])
{
	const char *at = strstr(url, "://");
	const char *host = at ? at + 3 : url;
	const int len = (int)strcspn(host, "/?#");
	const char *user = memrchr(host, '@', (size_t)len);
	const int cut = user ? (int)(user + 1 - host) : 0;

	(void)snprintf(to, ORIGIN_MAX, "%.*s%.*s", (int)(host - url), url,
		len - cut, host + cut);
	return to;
}

static int code_of(CURLcode c)
{
	static const struct {
		CURLcode curl;
		int code;
	} table[] = {
		{CURLE_PARTIAL_FILE, EBADMSG},
		{CURLE_WEIRD_SERVER_REPLY, EBADMSG},
		{CURLE_UNSUPPORTED_PROTOCOL, EBADMSG}, /* HTTP/0.9 */
		{CURLE_BAD_CONTENT_ENCODING, EBADMSG},
		{CURLE_URL_MALFORMAT, EINVAL},
		{CURLE_OUT_OF_MEMORY, EBADMSG}, /* also a line without end */
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].curl == c)
			return table[i].code;
	return EAGAIN;
}

static int verdict(struct exchange *x, CURLcode c,
	const struct pluri_call *call, const struct http_request *q,
	struct pluri_err *err)
{
	char at[ORIGIN_MAX];
	const char *why = x->why[0] ? x->why : curl_easy_strerror(c);

	origin(q->url, at);
	if (x->cancelled)
		return pluri_fail(
			err, ECANCELED, "%s %s: cancelled", q->method, at);
	if (x->body_code < 0) {
		if (err)
			*err = x->body_err;
		return x->body_code;
	}
	if (x->sink.err.code)
		return pluri_fail(err, x->sink.err.code, "%s %s: %s", q->method,
			at, x->sink.err.text);
	if (c == CURLE_OPERATION_TIMEDOUT && call->deadline_ms &&
		call_now_ms() + 1 >= call->deadline_ms)
		return pluri_fail(err, ETIMEDOUT,
			"%s %s: no complete answer by the deadline", q->method,
			at);
	if (c != CURLE_OK && !x->sink.done)
		return pluri_fail(err, code_of(c), "%s %s: %s%s", q->method, at,
			why,
			c == CURLE_PEER_FAILED_VERIFICATION
				? "; a private authority goes into ca_file"
				: "");
	if (x->sink.a->status < 200)
		return pluri_fail(err, EBADMSG,
			"%s %s: answer without a status", q->method, at);
	return 0;
}

/* What is left of the call's time, in ms; 0: no limit; -ETIMEDOUT. */
static long remaining(const struct pluri_call *call)
{
	const uint64_t now = call_now_ms();

	if (!call->deadline_ms)
		return 0;
	if (now >= call->deadline_ms)
		return -ETIMEDOUT;
	if (call->deadline_ms - now > INT32_MAX)
		return INT32_MAX;
	return (long)(call->deadline_ms - now);
}

static int run(struct http_slot *s, struct exchange *x, struct pluri_call *call,
	const struct http_request *q, struct pluri_err *err)
{
	const long ms = remaining(call);
	char at[ORIGIN_MAX];
	long sent = 0;
	CURLcode c;

	if (ms < 0)
		return pluri_fail(err, ETIMEDOUT,
			"%s %s: the deadline had passed before it was sent",
			q->method, origin(q->url, at));
	if (strncmp(q->url, "http://", 7) && strncmp(q->url, "https://", 8))
		return pluri_fail(err, EINVAL, "%s %s: not an HTTP url",
			q->method, origin(q->url, at));
	curl_easy_setopt(s->easy, CURLOPT_TIMEOUT_MS, ms);
	if (set_request(x, s->easy, q) < 0)
		return pluri_fail(err, ENOMEM, "no memory for a request");
	c = drive(s, x, call);
	(void)curl_easy_getinfo(s->easy, CURLINFO_REQUEST_SIZE, &sent);
	if (sent > 0)
		call->requests++;
	return verdict(x, c, call, q, err);
}

int http_run(struct http *h, struct pluri_call *call,
	const struct http_request *q, struct http_answer *ret,
	struct pluri_err *err)
{
	static const struct pluri_body empty;
	struct exchange x = {.body = q->body ? q->body : &empty};
	struct http_answer a;
	struct http_slot *s = http_pool_take(h->pool);
	int r;

	if (!s)
		return pluri_fail(err, ENOMEM, "no memory for a connection");
	http_sink_init(&x.sink, q, &a);
	r = run(s, &x, call, q, err);
	http_pool_give(h->pool, s);
	curl_slist_free_all(x.headers);
	if (r < 0) {
		http_answer_free(&a);
		return r;
	}
	*ret = a;
	return 0;
}

/* --- answers ------------------------------------------------------------- */

void http_answer_free(struct http_answer *a)
{
	buf_free(&a->headers);
	buf_free(&a->error);
}

const char *http_header(const struct http_answer *a, const char *name)
{
	const char *p = buf_text(&a->headers);
	const char *end = p + a->headers.len;

	while (p < end) {
		const char *value = p + strlen(p) + 1;

		if (strcmp(p, name) == 0)
			return value;
		p = value + strlen(value) + 1;
	}
	return NULL;
}

int64_t http_date(const struct http_answer *a)
{
	const char *text = http_header(a, "date");
	const time_t t = text ? curl_getdate(text, NULL) : -1;

	return t > 0 ? (int64_t)t : -1;
}

/* Seconds, or a date; the date is measured by the sender's own clock. */
static uint64_t retry_after_ms(const struct http_answer *a)
{
	const char *text = http_header(a, "retry-after");
	const int64_t now = http_date(a);
	uint64_t s = 0;
	time_t t;

	if (!text)
		return 0;
	if (text_uint(text, UINT32_MAX, &s, NULL) < 0) {
		t = curl_getdate(text, NULL);
		if (t <= 0 || now < 0 || t <= now)
			return 0;
		s = (uint64_t)(t - now);
	}
	return (s < RETRY_AFTER_MAX_S ? s : RETRY_AFTER_MAX_S) * 1000;
}

int http_class(struct pluri_call *call, const struct http_answer *a)
{
	static const struct {
		unsigned status;
		int code;
	} table[] = {
		{401, EACCES},
		{403, EACCES},
		{404, ENOENT},
		{408, EAGAIN},
		{409, EEXIST},
		{412, EEXIST},
		{429, EBUSY},
		{503, EBUSY},
		{507, ENOSPC},
	};

	if (a->status >= 200 && a->status <= 299)
		return 0;
	call->retry_after_ms = retry_after_ms(a);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].status == a->status)
			return -table[i].code;
	return a->status >= 500 ? -EAGAIN : -EBADMSG;
}

int http_encode(struct buf *to, const char *s, bool keep_slash)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789-_.~";

	for (; *s; s++) {
		const bool keep =
			strchr(plain, *s) || (keep_slash && *s == '/');
		const int r = keep ? buf_add(to, s, 1)
				   : buf_fmt(to, "%%%02X",
					     (unsigned)(unsigned char)*s);

		if (r < 0)
			return r;
	}
	return 0;
}
