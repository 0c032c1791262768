#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/config_int.h"

#define CONFIG_REPACK_MAX 90u /* percent: above, too little is won */

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

/* "off", or digits and a percent sign. */
static int config_repack(void *at, const char *v, struct pluri_err *err)
{
	struct config *c = at;
	char *end = NULL;
	unsigned long n;

	if (strcmp(v, "off") == 0) {
		c->repack_percent = -1;
		return 0;
	}
	n = *v >= '0' && *v <= '9' ? strtoul(v, &end, 10) : 101;
	if (n > CONFIG_REPACK_MAX || strcmp(end, "%") != 0)
		return pluri_fail(err, EINVAL,
			"\"%.80s\" is not \"off\" nor 0%% to %u%%", v,
			CONFIG_REPACK_MAX);
	c->repack_percent = (int)n;
	return 0;
}

static int config_repack_rate(void *at, const char *v, struct pluri_err *err)
{
	struct config *c = at;

	return config_value_size(
		v, 64u << 10, 1ull << 40, &c->repack_rate, err);
}

static int config_repack_age(void *at, const char *v, struct pluri_err *err)
{
	struct config *c = at;

	return config_value_ms(v, 0, UINT32_MAX, &c->repack_age_ms, err);
}

/* 0 is off; else what repacking is given. */
static int config_merge_rate(void *at, const char *v, struct pluri_err *err)
{
	struct config *c = at;
	uint64_t rate = 0;
	int r = config_value_size(v, 0, 1ull << 40, &rate, err);

	if (r == 0 && rate > 0)
		r = config_value_size(v, 64u << 10, 1ull << 40, &rate, err);
	if (r == 0)
		c->merge_rate = rate;
	return r;
}

static int config_keep(void *at, const char *v, struct pluri_err *err)
{
	struct config *c = at;

	return config_value_ms(v, 0, UINT32_MAX, &c->keep_deleted_ms, err);
}

const struct config_key config_volume_keys[] = {
	{"name", config_name},
	{"state", config_state},
	{"cache", config_cache},
	{"key", config_key},
	{"dirty", config_dirty},
	{"memory_cache", config_memory},
	{"timeout", config_timeout},
	{"repack", config_repack},
	{"repack_rate", config_repack_rate},
	{"repack_age", config_repack_age},
	{"merge_rate", config_merge_rate},
	{"keep_deleted", config_keep},
	{NULL, NULL},
};

void config_volume_default(struct config *c)
{
	c->cache = 10ull << 30;
	c->dirty = 64u << 20;
	c->memory = 128u << 20;
	c->timeout_ms = 10000;
	c->repack_percent = 50;
	c->repack_rate = 8u << 20;
	c->repack_age_ms = 10 * 60000;
	c->merge_rate = 8u << 20;
	c->keep_deleted_ms = 24 * 3600000;
}
