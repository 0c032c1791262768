#include <errno.h>
#include <stdlib.h>

#include "tools/ask.h"

int ask_new(const char *volume, int offline, struct ask **ret,
	struct pluri_err *err)
{
	pluri_auto(ask) a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return pluri_fail(err, ENOMEM, "no memory");
	r = config_load(volume, &a->config, err);
	if (r < 0)
		return r;
	r = control_open(a->config, offline, &a->client, err);
	if (r < 0)
		return r;
	*ret = pluri_steal(a);
	return 0;
}

void ask_free(struct ask *a)
{
	if (!a)
		return;
	control_client_free(a->client);
	config_free(a->config);
	free(a);
}

int ask_call(struct ask *a, const char *name, json_t *args, json_t **ret,
	struct pluri_err *err)
{
	ask_auto_json given = args ? args : json_object();

	if (!given)
		return pluri_fail(err, EINVAL,
			"%s: the arguments cannot be said in JSON: are they "
			"UTF-8?",
			name);
	return control_ask(a->client, name, given, ret, err);
}

int ask_once(const char *volume, const char *name, json_t *args, json_t **ret,
	struct pluri_err *err)
{
	pluri_auto(ask) a = NULL;
	int r;

	r = ask_new(volume, 1, &a, err);
	if (r < 0) {
		json_decref(args);
		return r;
	}
	return ask_call(a, name, args, ret, err);
}

json_t *ask_config(const struct ask *a)
{
	return json_pack("{s:s}", "config", a->config->file);
}
