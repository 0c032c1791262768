/*
 * base/err.h - the story of a failure.
 *
 * Functions return 0 or -errno and put the story into a caller's struct
 * pluri_err: what failed, where, why, what to do. Never a secret. Header only,
 * so that a plugin needs nothing to link. Pure; any thread.
 *
 * Codes mean one thing everywhere:
 *   ENOENT    an authority says it is not there (never: could not ask)
 *   ENODEV    the bucket or directory itself is not there
 *   EAGAIN    nothing is known, the other side is down; repeat later
 *   EBUSY     throttled: the other side asks for fewer requests
 *   EACCES    credentials refused
 *   EBADMSG   bytes fail their checksum, tag, format or identity
 *   ENOSPC    full: disk, bucket or quota
 *   EEXIST    already there (for a put: perhaps your own, read it back)
 *   ESTALE    the world moved under a precondition; start over
 *   EINVAL    bad input from outside
 *   ENOTSUP   the other side cannot do that
 *   ETIMEDOUT the deadline passed
 *   ECANCELED the caller asked to stop
 */
#ifndef PLURI_BASE_ERR_H
#define PLURI_BASE_ERR_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PLURI_ERR_TEXT 512

struct pluri_err {
	int code; /* positive errno; 0: no failure told yet */
	char text[PLURI_ERR_TEXT];
};

/* Tell the story (err may be NULL) and return -code. */
__attribute__((format(printf, 3, 4), unused)) static int
pluri_fail(struct pluri_err *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		err->code = code;
		va_start(ap, fmt);
		(void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
		va_end(ap);
	}
	return -code;
}

/*
 * Put where it happened in front of a told story; returns -err->code, but 0
 * when err is NULL: where err may be, return the failure's own code instead.
 */
__attribute__((format(printf, 2, 3), unused)) static int
pluri_where(struct pluri_err *err, const char *fmt, ...)
{
	char old[PLURI_ERR_TEXT];
	va_list ap;
	size_t n;

	if (!err)
		return 0;
	memcpy(old, err->text, sizeof(old));
	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	n = strlen(err->text);
	(void)snprintf(err->text + n, sizeof(err->text) - n, ": %.*s",
		(int)(sizeof(old) - 1), old);
	return -err->code;
}

#endif
