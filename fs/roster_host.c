#include <errno.h>
#include <stdlib.h>

#include "backends/registry.h"
#include "base/log.h"
#include "fs/roster.h"
#include "fs/secret.h"

struct roster_host {
	struct pluri_host host;
	struct config_store store;
	struct secret *secret;
};

static int roster_host_secret(void *ctx, const char *name, int fresh, char *to,
	size_t cap, struct pluri_err *err)
{
	struct roster_host *h = ctx;
	const int r = secret_get(h->secret, name, fresh, to, cap, err);

	if (r < 0 && err)
		(void)pluri_where(err, "store %s", h->store.name);
	return r;
}

static const char *roster_host_option(void *ctx, const char *name)
{
	const struct roster_host *h = ctx;

	for (unsigned i = 0; i < h->store.options; i++)
		if (strcmp(h->store.option[i].name, name) == 0)
			return h->store.option[i].value;
	if (strcmp(name, "region") == 0 && h->store.region[0])
		return h->store.region;
	return NULL;
}

static void roster_host_debug(void *ctx, const char *text)
{
	const struct roster_host *h = ctx;

	log_line(LOG_DEBUG, "store %s: %s", h->store.name, text);
}

void roster_host_free(struct roster_host *h)
{
	if (!h)
		return;
	secret_free(h->secret);
	free(h);
}

const struct pluri_host *roster_host_face(const struct roster_host *h)
{
	return &h->host;
}

int roster_instance(const struct config_store *s,
	const struct pluri_backend_ops **ret_ops, struct pluri_backend **ret,
	struct roster_host **ret_host, struct pluri_err *err)
{
	pluri_auto(roster_host) h = calloc(1, sizeof(*h));
	const struct pluri_backend_ops *ops = NULL;
	struct pluri_backend *b = NULL;
	int r;

	if (!h)
		return pluri_fail(err, ENOMEM, "store %s: no memory", s->name);
	h->store = *s;
	h->host = (struct pluri_host){.abi = PLURI_BACKEND_ABI,
		.size = sizeof(h->host),
		.ctx = h,
		.secret = roster_host_secret,
		.option = roster_host_option,
		.debug = roster_host_debug};
	r = registry_find(s->backend, &ops, err);
	if (r >= 0)
		r = secret_new(s->credentials, &h->secret, err);
	if (r >= 0)
		r = ops->open(&h->host, s->url, &b, err);
	if (r < 0) {
		if (err)
			(void)pluri_where(err, "store %s", s->name);
		return r;
	}
	*ret_ops = ops;
	*ret = b;
	*ret_host = pluri_steal(h);
	return 0;
}
