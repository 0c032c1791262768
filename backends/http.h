/*
 * backends/http.h - HTTP for every cloud that speaks it; nobody else includes
 * libcurl.
 *
 * One http per store instance (or control client): a pool of connections that
 * are reused, TLS verified against the system's store or ca_file, HTTP/1.1.
 * Redirects are never followed (a signature would go to a stranger). Headers
 * and bodies from outside are bounded. Shared.
 */
#ifndef PLURI_BACKENDS_HTTP_H
#define PLURI_BACKENDS_HTTP_H

#include <stdbool.h>

#include "backends/backend.h"
#include "base/buf.h"
#include "base/own.h"

struct http;

struct http_options {
	const char *ca_file;	 /* NULL: the system's */
	const char *proxy;	 /* NULL: none, not even from the environment */
	const char *unix_socket; /* NULL: TCP */
	const char *user_agent;	 /* NULL: "plurifs/VERSION" */
	uint32_t connect_ms;	 /* 0: 5000 */
};

int http_new(const struct http_options *o, struct http **ret,
	struct pluri_err *err);
void http_free(struct http *h);
PLURI_OWN(http);

#define HTTP_HEADERS_MAX 64u	   /* of an answer, kept */
#define HTTP_HEADER_BYTES_MAX 65536u /* all of an answer's headers */
#define HTTP_ERROR_BODY_MAX 65536u /* of a non-2xx answer, kept */

struct http_request {
	const char *method; /* "GET" */
	const char *url;    /* absolute, already encoded */
	const char *const *headers; /* "Name: value", NULL-ended; may be NULL */
	const struct pluri_body *body; /* NULL: none */
	/*
	 * Where a 2xx body goes: `into` fixed or `text` growing; neither:
	 * dropped. Of a 200 (not 206) body the first skip bytes are dropped,
	 * and the transfer is stopped once into is full; of any other 2xx,
	 * what does not fit is an EBADMSG.
	 */
	struct pluri_room *into;
	uint64_t skip;
	struct buf *text;
};

struct http_answer {
	unsigned status;	/* 100..599 */
	uint64_t length;	/* Content-Length, UINT64_MAX when not told */
	struct buf headers;	/* opaque; ask http_header() */
	struct buf error;	/* body of a non-2xx answer, bounded */
};

void http_answer_free(struct http_answer *a); /* what it owns */

/* A header's value or NULL; name in lower case. Borrowed from a. */
const char *http_header(const struct http_answer *a, const char *name);

/* Its Date in seconds since 1970, -1 when it has none. */
int64_t http_date(const struct http_answer *a);

/*
 * One exchange. 0 whenever an HTTP answer arrived whole, whatever its status;
 * -EAGAIN (resolve, connect, reset, TLS), -ETIMEDOUT, -ECANCELED, -EBADMSG
 * (not HTTP, body shorter than promised, over a ceiling), or the body reader's
 * own error.
 */
int http_run(struct http *h, struct pluri_call *call,
	const struct http_request *q, struct http_answer *ret,
	struct pluri_err *err);

/* Class a status that the caller does not know: 0 for 2xx, else -errno:
 * 401 403 EACCES, 404 ENOENT, 408 5xx EAGAIN, 429 503 EBUSY, 507 ENOSPC,
 * 412 409 EEXIST, else EBADMSG; fills call->retry_after_ms from the answer. */
int http_class(struct pluri_call *call, const struct http_answer *a);

/* Percent-encode for a path (keep '/') or a query value; to is appended. */
int http_encode(struct buf *to, const char *s, bool keep_slash);

#endif
