/*
 * backends/http_pool.h - connections and how they are made: TLS, proxy,
 * socket. Part of backends/http.c, which with this is all that knows libcurl.
 * Shared; a slot taken is the taker's alone.
 */
#ifndef PLURI_BACKENDS_HTTP_POOL_H
#define PLURI_BACKENDS_HTTP_POOL_H

#include <curl/curl.h>

#include "backends/http.h"

/* At most one connection, which stays in multi between exchanges. */
struct http_slot {
	struct http_slot *next; /* the pool's */
	CURL *easy;
	CURLM *multi;
};

struct http_pool;

int http_pool_new(const struct http_options *o, struct http_pool **ret,
	struct pluri_err *err);
void http_pool_free(struct http_pool *p); /* NULL is fine */
PLURI_OWN(http_pool);

/* A slot whose easy handle is set up but for the request; NULL: no memory. */
struct http_slot *http_pool_take(struct http_pool *p);
void http_pool_give(struct http_pool *p, struct http_slot *s);

#endif
