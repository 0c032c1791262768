#include <errno.h>
#include <stdlib.h>

#include "tests/conformance/host.h"

static const char *host_line(const char *const *lines, const char *name)
{
	const size_t n = strlen(name);

	for (; lines && *lines; lines++)
		if (strncmp(*lines, name, n) == 0 && (*lines)[n] == '=')
			return *lines + n + 1;
	return NULL;
}

static int host_secret(void *ctx, const char *name, int fresh, char *to,
	size_t cap, struct pluri_err *err)
{
	struct host *h = ctx;
	const char *v = host_line(h->secrets, name);

	if (fresh)
		__atomic_add_fetch(&h->fresh, 1, __ATOMIC_RELAXED);
	if (!v)
		return pluri_fail(err, ENOENT, "no secret \"%s\"", name);
	if (strlen(v) >= cap)
		return pluri_fail(err, ERANGE, "secret \"%s\" is long", name);
	memcpy(to, v, strlen(v) + 1);
	return 0;
}

static const char *host_option(void *ctx, const char *name)
{
	const struct host *h = ctx;

	return host_line(h->options, name);
}

static void host_debug(void *ctx, const char *text)
{
	(void)ctx;
	if (getenv("HOST_DEBUG"))
		(void)fprintf(stderr, "# %s\n", text);
}

void host_init(
	struct host *h, const char *const *options, const char *const *secrets)
{
	*h = (struct host){.options = options, .secrets = secrets};
	h->host = (struct pluri_host){.abi = PLURI_BACKEND_ABI,
		.size = sizeof(h->host),
		.ctx = h,
		.secret = host_secret,
		.option = host_option,
		.debug = host_debug};
}
