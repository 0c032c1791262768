#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/text.h"

#include "fs/config_int.h"

#define CONFIG_LEVEL_AUTO 3
#define CONFIG_PACK (16u << 20)
#define CONFIG_AGE_MS 5000u

static int config_layout(void *at, const char *v, struct pluri_err *err)
{
	static const char *const kinds[] = {
		"mirror", "erasure", "disperse", NULL};
	struct config_policy *p = at;
	char kind[PLURI_NAME_MAX + 1];
	const char *colon = strchr(v, ':');
	int r;

	r = config_value_copy(v, p->layout, sizeof(p->layout), err);
	if (r < 0)
		return r;
	if (!colon || colon[1] == 0)
		return pluri_fail(err, EINVAL,
			"\"%s\" is not a layout: write mirror:n, erasure:k+m "
			"or disperse:k+m",
			v);
	memcpy(kind, v, (size_t)(colon - v));
	kind[colon - v] = 0;
	r = config_value_word(kind, kinds, err);
	return r < 0 ? r : 0;
}

static int config_eligible(
	struct config_policy *p, const char *name, struct pluri_err *err)
{
	char clean[PLURI_NAME_MAX + 1];
	int r;

	r = config_value_name(name, clean, err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < p->stores; i++)
		if (strcmp(p->store[i], clean) == 0)
			return pluri_fail(err, EINVAL,
				"store \"%s\" is named twice", clean);
	if (p->stores >= PLURI_STORES_MAX)
		return pluri_fail(err, EINVAL,
			"\"%s\" is one store too many: the limit is %u", clean,
			PLURI_STORES_MAX);
	memcpy(p->store[p->stores++], clean, sizeof(clean));
	return 0;
}

static int config_stores(void *at, const char *v, struct pluri_err *err)
{
	struct config_policy *p = at;
	char text[CONFIG_VALUE_MAX + 1];
	char *rest = text;
	char *name;
	int r;

	r = config_value_copy(v, text, sizeof(text), err);
	while (r == 0 && (name = strsep(&rest, " \t")) != NULL)
		if (*name)
			r = config_eligible(p, name, err);
	if (r < 0)
		return r;
	if (p->stores == 0)
		return pluri_fail(err, EINVAL,
			"no store is named: leave the key out to mean all");
	return 0;
}

static int config_providers(void *at, const char *v, struct pluri_err *err)
{
	struct config_policy *p = at;
	uint64_t n = 0;
	int r;

	r = text_uint(v, PLURI_STORES_MAX, &n, err);
	if (r < 0)
		return r;
	if (n == 0)
		return pluri_fail(err, EINVAL, "0 is below the least of 1");
	p->min_providers = (unsigned)n;
	return 0;
}

static int config_durability(void *at, const char *v, struct pluri_err *err)
{
	static const char *const words[] = {"local", "cloud", NULL};
	struct config_policy *p = at;
	const int r = config_value_word(v, words, err);

	if (r < 0)
		return r;
	p->durability = r == 0 ? DURABILITY_LOCAL : DURABILITY_CLOUD;
	return 0;
}

static int config_dedup(void *at, const char *v, struct pluri_err *err)
{
	static const char *const words[] = {"on", "verify", "off", NULL};
	struct config_policy *p = at;
	const int r = config_value_word(v, words, err);

	if (r < 0)
		return r;
	p->dedup = (enum config_dedup)r;
	return 0;
}

static int config_chunking(void *at, const char *v, struct pluri_err *err)
{
	static const char *const words[] = {"cdc", "fixed", NULL};
	struct config_policy *p = at;
	const int r = config_value_word(v, words, err);

	if (r < 0)
		return r;
	p->cdc = r == 0;
	return 0;
}

static int config_compression(void *at, const char *v, struct pluri_err *err)
{
	static const char *const words[] = {"off", "auto", "zstd:N", NULL};
	struct config_policy *p = at;
	uint64_t level = CONFIG_LEVEL_AUTO;
	int r = 1;

	if (strncmp(v, "zstd:", 5) == 0 && v[5] != 'N') {
		if (text_uint(v + 5, 19, &level, NULL) < 0 || level == 0)
			return pluri_fail(err, EINVAL,
				"\"%.80s\" is no zstd level: write zstd:1 to "
				"zstd:19",
				v);
	} else {
		r = config_value_word(v, words, err);
		if (r < 0)
			return r;
		if (r == 2)
			return pluri_fail(err, EINVAL,
				"write a level from 1 to 19 for N");
	}
	p->compress = r != 0;
	p->level = (int)level;
	return 0;
}

static int config_pack(void *at, const char *v, struct pluri_err *err)
{
	struct config_policy *p = at;

	return config_value_size(v, 1u << 20, PLURI_PACK_MAX, &p->pack, err);
}

static int config_age(void *at, const char *v, struct pluri_err *err)
{
	struct config_policy *p = at;

	return config_value_ms(v, 10, 3600000, &p->pack_age_ms, err);
}

const struct config_key config_policy_keys[] = {
	{"layout", config_layout},
	{"stores", config_stores},
	{"min_providers", config_providers},
	{"durability", config_durability},
	{"dedup", config_dedup},
	{"chunking", config_chunking},
	{"compression", config_compression},
	{"pack", config_pack},
	{"pack_age", config_age},
	{NULL, NULL},
};

void config_policy_default(struct config_policy *p, const char *name)
{
	memset(p, 0, sizeof(*p));
	(void)snprintf(p->name, sizeof(p->name), "%s", name);
	p->durability = DURABILITY_LOCAL;
	p->dedup = DEDUP_ON;
	p->cdc = true;
	p->compress = true;
	p->level = CONFIG_LEVEL_AUTO;
	p->pack = CONFIG_PACK;
	p->pack_age_ms = CONFIG_AGE_MS;
}
