/*
 * backends/s3/send.h - one signed exchange with an S3 server.
 *
 * Keeps the credentials, the day's signing key and what the server's clock
 * taught. A refusal is followed by a second try in two cases only: our clock
 * was off (learnt from the answer's Date), or the credentials have changed at
 * their source since they were read. Shared.
 */
#ifndef PLURI_BACKENDS_S3_SEND_H
#define PLURI_BACKENDS_S3_SEND_H

#include "backends/http.h"

#include "backends/s3/reply.h"
#include "backends/s3/target.h"

struct send;

/* target and host are borrowed; reads the credentials, no network. */
int send_new(const struct target *target, const struct pluri_host *host,
	struct send **ret, struct pluri_err *err);
void send_free(struct send *s);
PLURI_OWN(send);

struct send_request {
	const char *what;   /* for stories: "put" */
	const char *method;
	const char *key;    /* of the object, with the prefix; NULL: bucket */
	const char *query;  /* encoded and sorted; NULL: none */
	const char *range;  /* "bytes=0-9"; NULL: none */
	bool if_none_match; /* "*" */
	const struct pluri_body *body;
	struct pluri_room *into; /* the rest as in struct http_request */
	uint64_t skip;
	struct buf *text;
};

/*
 * 0: *ret holds an answer, success or not; when not a 2xx, *ret_reply says
 * what it means. Else as http_run().
 */
int send_run(struct send *s, struct pluri_call *call,
	const struct send_request *q, struct http_answer *ret,
	struct reply *ret_reply, struct pluri_err *err);

/* The story of ret_reply; returns its code, negative. */
int send_fail(const struct send *s, const struct send_request *q,
	unsigned status, const struct reply *r, struct pluri_err *err);

#endif
