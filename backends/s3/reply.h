/*
 * backends/s3/reply.h - what an S3 server's refusal means.
 *
 * The error code in the body decides, since statuses are used loosely (an
 * expired token is a 400, throttling may be a 403); the status alone only
 * where there is no code. A 404 is -ENOENT only in S3's own words; a missing
 * bucket is -ENODEV. Pure.
 */
#ifndef PLURI_BACKENDS_S3_REPLY_H
#define PLURI_BACKENDS_S3_REPLY_H

#include "backends/http.h"

#include "backends/s3/xml.h"

/* Of an answer that is no success. */
struct reply {
	int code;	    /* positive, of base/err.h */
	bool skewed;	    /* our clock is to blame */
	struct xml_error e; /* empty when the body had none */
};

/* bodiless: an answer that cannot have a body (HEAD). Fills
 * call->retry_after_ms. */
void reply_read(const struct http_answer *a, bool bodiless,
	struct pluri_call *call, struct reply *ret);

/* The same for an <Error> that came with a 200. -EBADMSG when it is none. */
int reply_read_ok(struct pluri_span body, struct reply *ret);

/* The story; returns -r->code. what: "put KEY"; host, region: ours. */
int reply_fail(const struct reply *r, unsigned status, const char *what,
	const char *host, const char *region, struct pluri_err *err);

#endif
