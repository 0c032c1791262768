#include <errno.h>
#include <time.h>

#include "backends/call.h"

uint64_t call_now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

bool call_cancelled(const struct pluri_call *call)
{
	return call->cancel && __atomic_load_n(call->cancel, __ATOMIC_ACQUIRE);
}

int call_check(const struct pluri_call *call, struct pluri_err *err)
{
	if (call_cancelled(call))
		return pluri_fail(err, ECANCELED, "stopped by the caller");
	if (call->deadline_ms && call_now_ms() >= call->deadline_ms)
		return pluri_fail(err, ETIMEDOUT, "the deadline passed");
	return 0;
}

int call_body(const struct pluri_body *body, uint64_t off, void *to, size_t len,
	struct pluri_err *err)
{
	struct pluri_err story = {0};
	const int r = body->read(body->arg, off, to, len, &story);

	if (r >= 0)
		return 0;
	if (story.code)
		return pluri_fail(err, story.code, "%s", story.text);
	return pluri_fail(err, -r,
		"the bytes to be put could not be read at %llu: %s",
		(unsigned long long)off, strerror(-r));
}
