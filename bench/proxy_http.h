/*
 * bench/proxy_http.h - requests recognised in the bytes of one connection.
 *
 * Only what frames them is understood: the request line, Content-Length and
 * chunked bodies of HTTP/1.1, one request after the other. What is anything
 * else is counted as not understood, once, and the rest of that connection is
 * passed on unread. Confined; nothing is allocated.
 */
#ifndef PLURI_BENCH_PROXY_HTTP_H
#define PLURI_BENCH_PROXY_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_LINE_MAX  8192 /* bytes of one line of a head */
#define HTTP_LINES_MAX 256  /* lines of one head, or of one trailer */

/* As object stores bill them. LIST: a GET of a bucket, by path. */
enum http_kind {
	HTTP_GET,
	HTTP_LIST,
	HTTP_HEAD,
	HTTP_PUT,
	HTTP_POST,
	HTTP_DELETE,
	HTTP_OTHER,
	HTTP_KINDS,
};

const char *http_name(enum http_kind kind);

enum http_state {
	HTTP_AT_LINE,   /* the request line, or blank lines before it */
	HTTP_AT_HEAD,   /* its headers */
	HTTP_AT_BODY,   /* left bytes of a body */
	HTTP_AT_SIZE,   /* the line with a chunk's size */
	HTTP_AT_CHUNK,  /* left bytes of a chunk, and its CRLF */
	HTTP_AT_TRAILER,
	HTTP_LOST,      /* not understood */
};

struct http {
	enum http_state state;
	enum http_kind kind;
	bool chunked, sized;
	uint64_t left;
	size_t lines, used;
	char line[HTTP_LINE_MAX];
};

/* Zero bytes are a connection at its beginning. */

/*
 * The next of n bytes. Each request whose head ends in them is added to
 * counts[HTTP_KINDS]. Returns how many those are, or -1, once, when the bytes
 * are no longer understood.
 */
int http_feed(struct http *h, const uint8_t *p, size_t n, uint64_t *counts);

#endif
