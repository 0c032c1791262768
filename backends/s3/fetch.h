/*
 * backends/s3/fetch.h - bytes and size of an object, believed only when the
 * answer's status, lengths and Content-Range agree. Shared.
 */
#ifndef PLURI_BACKENDS_S3_FETCH_H
#define PLURI_BACKENDS_S3_FETCH_H

#include "backends/s3/send.h"

struct fetched {
	uint64_t size; /* of the whole object; UINT64_MAX: it was not told */
	bool whole;    /* all of the object came where a part was asked for */
};

/* Up to into->cap > 0 bytes from off. */
int fetch_range(struct send *s, struct pluri_call *call, const char *name,
	uint64_t off, struct pluri_room *into, struct fetched *ret,
	struct pluri_err *err);

int fetch_size(struct send *s, struct pluri_call *call, const char *name,
	uint64_t *ret_size, struct pluri_err *err);

/* By HEAD, whose 404 may also be the bucket's: ask only for what was seen. */
int fetch_size_told(struct send *s, struct pluri_call *call, const char *name,
	uint64_t *ret_size, struct pluri_err *err);

#endif
