#include <errno.h>
#include <string.h>

#include "fs/config_int.h"

static int config_name(void *at, const char *v, struct pluri_err *err)
{
	struct config *c = at;

	return config_value_name(v, c->name, err);
}

static int config_state(void *at, const char *v, struct pluri_err *err)
{
	struct config *c = at;

	if (*v == 0)
		return pluri_fail(err, EINVAL, "a directory is missing");
	return config_value_copy(v, c->state, sizeof(c->state), err);
}

static int config_cache(void *at, const char *v, struct pluri_err *err)
{
	struct config *c = at;

	return config_value_size(v, 0, 1ull << 50, &c->cache, err);
}

static int config_key(void *at, const char *v, struct pluri_err *err)
{
	struct config *c = at;

	return config_value_ref(v, c->key, err);
}

static int config_dirty(void *at, const char *v, struct pluri_err *err)
{
	struct config *c = at;

	return config_value_size(v, 1u << 20, 1ull << 40, &c->dirty, err);
}

static int config_memory(void *at, const char *v, struct pluri_err *err)
{
	struct config *c = at;

	return config_value_size(v, 0, 1ull << 40, &c->memory, err);
}

static int config_timeout(void *at, const char *v, struct pluri_err *err)
{
	struct config *c = at;

	return config_value_ms(v, 100, 600000, &c->timeout_ms, err);
}

const struct config_key config_volume_keys[] = {
	{"name", config_name},
	{"state", config_state},
	{"cache", config_cache},
	{"key", config_key},
	{"dirty", config_dirty},
	{"memory_cache", config_memory},
	{"timeout", config_timeout},
	{NULL, NULL},
};

void config_volume_default(struct config *c)
{
	c->cache = 10ull << 30;
	c->dirty = 64u << 20;
	c->memory = 128u << 20;
	c->timeout_ms = 10000;
}
