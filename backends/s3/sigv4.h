/*
 * backends/s3/sigv4.h - AWS Signature Version 4, as S3 wants it: the path is
 * encoded once, the body's hash travels in a signed header.
 *
 * After the public specification "Authenticating Requests (AWS Signature
 * Version 4)". Pure.
 */
#ifndef PLURI_BACKENDS_S3_SIGV4_H
#define PLURI_BACKENDS_S3_SIGV4_H

#include <time.h>

#include "base/err.h"
#include "base/types.h"

#define SIGV4_ID_MAX 256u     /* access key, with its NUL */
#define SIGV4_SECRET_MAX 512u /* likewise */
#define SIGV4_REGION_MAX 64u  /* likewise */
#define SIGV4_HEADERS_MAX 12u
#define SIGV4_DATE_BYTES 17u /* "20130524T000000Z" and NUL */
#define SIGV4_HASH_BYTES 65u /* 64 hexadecimal digits and NUL */
#define SIGV4_AUTH_MAX 1024u /* an Authorization value and NUL */

#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"
#define SIGV4_EMPTY                                                           \
	"e3b0c44298fc1c149afbf4c8996fb924"                                    \
	"27ae41e4649b934ca495991b7852b855"

/* The right to sign for one day: made of the secret, which it does not show. */
struct sigv4_key {
	char id[SIGV4_ID_MAX];
	char region[SIGV4_REGION_MAX];
	char day[9]; /* "20130524" */
	uint8_t key[32];
};

/* 0, or -EINVAL when a part does not fit. now: seconds since 1970. */
int sigv4_key(const char *id, const char *secret, const char *region,
	time_t now, struct sigv4_key *ret, struct pluri_err *err);

/* Is the key of the day of now? */
int sigv4_fresh(const struct sigv4_key *k, time_t now);

struct sigv4_header {
	const char *name; /* lower case */
	const char *value;
};

struct sigv4_request {
	const char *method;
	const char *path;  /* encoded, as sent */
	const char *query; /* encoded, sorted, "name=" where empty; "" none */
	const struct sigv4_header *headers; /* all that are signed, sorted */
	size_t n;
	const char *hash; /* of the body, hexadecimal, or SIGV4_UNSIGNED */
};

/* now as the x-amz-date header says it; must be among the headers. */
void sigv4_date(time_t now, char to[SIGV4_DATE_BYTES]);

/* The value of the Authorization header. 0, or -EINVAL, -ENOMEM. */
int sigv4_sign(const struct sigv4_key *k, const char *date,
	const struct sigv4_request *q, char to[SIGV4_AUTH_MAX],
	struct pluri_err *err);

#endif
