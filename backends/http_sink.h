/*
 * backends/http_sink.h - what an answer may say: the judge between libcurl
 * and the caller's memory. Part of backends/http.c. Confined.
 *
 * The two functions have libcurl's callback shape, so that no other file needs
 * its types. They return less than they were given to stop the transfer:
 * either with a verdict in err, or, with done set, because everything that
 * was wanted has arrived.
 */
#ifndef PLURI_BACKENDS_HTTP_SINK_H
#define PLURI_BACKENDS_HTTP_SINK_H

#include "backends/http.h"

struct http_sink {
	const struct http_request *q;
	struct http_answer *a;
	size_t head_bytes; /* of all header lines, also of 1xx answers */
	unsigned headers;  /* kept */
	uint64_t seen;	   /* body bytes that arrived */
	bool done;
	struct pluri_err err; /* code 0: nothing to blame */
};

void http_sink_init(struct http_sink *s, const struct http_request *q,
	struct http_answer *a);

/* One header line with its line end. */
size_t http_sink_head(char *line, size_t size, size_t n, void *sink);

/* Bytes of the body. */
size_t http_sink_body(char *data, size_t size, size_t n, void *sink);

#endif
