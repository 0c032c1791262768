#include <errno.h>
#include <string.h>

#include "backends/s3/reply.h"

static const struct {
	const char *word;
	int code;
} words[] = {
	{"NoSuchKey", ENOENT},
	{"NoSuchBucket", ENODEV},

	{"AccessDenied", EACCES},
	{"AccountProblem", EACCES},
	{"AllAccessDisabled", EACCES},
	{"AuthorizationHeaderMalformed", EACCES},
	{"AuthorizationQueryParametersError", EACCES},
	{"ExpiredToken", EACCES},
	{"IllegalLocationConstraintException", EACCES},
	{"InvalidAccessKeyId", EACCES},
	{"InvalidSecurity", EACCES},
	{"InvalidToken", EACCES},
	{"NotSignedUp", EACCES},
	{"PermanentRedirect", EACCES},
	{"RequestExpired", EACCES},
	{"RequestTimeTooSkewed", EACCES},
	{"SignatureDoesNotMatch", EACCES},
	{"TokenRefreshRequired", EACCES},
	{"Unauthorized", EACCES},

	{"BandwidthLimitExceeded", EBUSY},
	{"ProvisionedThroughputExceededException", EBUSY},
	{"RequestLimitExceeded", EBUSY},
	{"RequestThrottled", EBUSY},
	{"ServerBusy", EBUSY},
	{"ServiceUnavailable", EBUSY},
	{"SlowDown", EBUSY},
	{"Throttling", EBUSY},
	{"ThrottlingException", EBUSY},
	{"TooManyRequests", EBUSY},
	{"TooManyRequestsException", EBUSY},

	{"InsufficientStorage", ENOSPC},
	{"QuotaExceeded", ENOSPC},
	{"XMinioAdminBucketQuotaExceeded", ENOSPC},
	{"XMinioStorageFull", ENOSPC},

	{"ConditionalRequestConflict", EAGAIN},
	{"InternalError", EAGAIN},
	{"OperationAborted", EAGAIN},
	{"RequestTimeout", EAGAIN},

	{"BadDigest", EBADMSG},
	{"IncompleteBody", EBADMSG},
	{"XAmzContentSHA256Mismatch", EBADMSG},

	{"EntityTooLarge", EINVAL},
	{"InvalidBucketName", EINVAL},
	{"KeyTooLongError", EINVAL},
	{"MethodNotAllowed", ENOTSUP},
	{"NotImplemented", ENOTSUP},
	{"PreconditionFailed", EEXIST},
};

static int code_of_word(const char *word)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i].word, word) == 0)
			return words[i].code;
	return 0;
}

/* A status without a code that we know. */
static int code_of_status(
	const struct http_answer *a, bool bodiless, struct pluri_call *call)
{
	const int class = -http_class(call, a);

	switch (a->status) {
	case 301:
	case 307:
		return EACCES;
	case 404:
		/* Not in S3's words: a gateway, or a wrong url. */
		return bodiless ? ENOENT : EBADMSG;
	case 409:
		return EAGAIN;
	case 501:
		return ENOTSUP;
	default:
		/* A success that does not fit the question. */
		return class ? class : EBADMSG;
	}
}

void reply_read(const struct http_answer *a, bool bodiless,
	struct pluri_call *call, struct reply *ret)
{
	const struct pluri_span body = {a->error.data, a->error.len};
	struct reply r = {.code = 0};
	const int class = code_of_status(a, bodiless, call);

	if (xml_error(body, &r.e) == 0)
		r.code = code_of_word(r.e.code);
	if (r.code == 0)
		r.code = class;
	if (!r.e.region[0] && http_header(a, "x-amz-bucket-region"))
		(void)snprintf(r.e.region, sizeof(r.e.region), "%.32s",
			http_header(a, "x-amz-bucket-region"));
	r.skewed = strcmp(r.e.code, "RequestTimeTooSkewed") == 0;
	*ret = r;
}

int reply_read_ok(struct pluri_span body, struct reply *ret)
{
	struct reply r = {.code = 0};

	if (xml_error(body, &r.e) < 0)
		return -EBADMSG;
	r.code = code_of_word(r.e.code);
	if (r.code == 0)
		r.code = EAGAIN;
	*ret = r;
	return 0;
}

/* What to do about it, or "". */
static const char *advice(const struct reply *r)
{
	switch (r->code) {
	case EACCES:
		if (r->skewed)
			return "; credentials refused: check this machine's "
			       "clock";
		if (r->e.region[0])
			return "; credentials refused: set the store's region";
		return "; credentials refused: check them and the region";
	case ENODEV:
		return "; the bucket is missing: create it, or correct url";
	case ENOSPC:
		return "; the bucket or account is full";
	case EBADMSG:
		return "; is this an S3 endpoint?";
	default:
		return "";
	}
}

int reply_fail(const struct reply *r, unsigned status, const char *what,
	const char *host, const char *region, struct pluri_err *err)
{
	const struct xml_error *e = &r->e;
	char scope[160] = "";

	if (r->code == EACCES && e->region[0])
		(void)snprintf(scope, sizeof(scope),
			" (it expects region %s, we signed for %s)", e->region,
			region);
	return pluri_fail(err, r->code, "%s: %s answered %u%s%s%s%s%s%s", what,
		host, status, e->code[0] ? " " : "", e->code,
		e->message[0] ? ": " : "", e->message, scope, advice(r));
}
