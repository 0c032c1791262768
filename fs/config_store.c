#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/text.h"

#include "fs/config_int.h"

#define CONFIG_CONNECTIONS_MAX 64u /* threads of a store in the fleet */

static int config_backend(void *at, const char *v, struct pluri_err *err)
{
	struct config_store *s = at;

	return config_value_name(v, s->backend, err);
}

static int config_url(void *at, const char *v, struct pluri_err *err)
{
	struct config_store *s = at;

	if (*v == 0)
		return pluri_fail(err, EINVAL, "a value is missing");
	return config_value_copy(v, s->url, sizeof(s->url), err);
}

static int config_provider(void *at, const char *v, struct pluri_err *err)
{
	struct config_store *s = at;

	return config_value_label(v, s->provider, err);
}

static int config_region(void *at, const char *v, struct pluri_err *err)
{
	struct config_store *s = at;

	return config_value_label(v, s->region, err);
}

static int config_country(void *at, const char *v, struct pluri_err *err)
{
	struct config_store *s = at;

	return config_value_label(v, s->country, err);
}

static int config_credentials(void *at, const char *v, struct pluri_err *err)
{
	struct config_store *s = at;

	return config_value_ref(v, s->credentials, err);
}

static int config_weight(void *at, const char *v, struct pluri_err *err)
{
	struct config_store *s = at;
	uint64_t n = 0;
	int r;

	r = text_uint(v, 65535, &n, err);
	if (r < 0)
		return r;
	if (n == 0)
		return pluri_fail(err, EINVAL,
			"0 is below the least of 1: to empty a store, use "
			"\"pluri drain\"");
	s->weight = (uint32_t)n;
	return 0;
}

static int config_quota(void *at, const char *v, struct pluri_err *err)
{
	struct config_store *s = at;

	return config_value_size(v, 0, 1ull << 60, &s->quota, err);
}

static int config_connections(void *at, const char *v, struct pluri_err *err)
{
	struct config_store *s = at;
	uint64_t n = 0;
	int r = text_uint(v, CONFIG_CONNECTIONS_MAX, &n, err);

	if (r >= 0 && n == 0)
		r = pluri_fail(err, EINVAL, "0 is below the least of 1");
	if (r >= 0)
		s->connections = (uint32_t)n;
	return r;
}

static int config_bandwidth(void *at, const char *v, struct pluri_err *err)
{
	struct config_store *s = at;

	return config_value_size(v, 64u << 10, 1ull << 40, &s->bandwidth, err);
}

const struct config_key config_store_keys[] = {
	{"backend", config_backend},
	{"url", config_url},
	{"provider", config_provider},
	{"region", config_region},
	{"country", config_country},
	{"credentials", config_credentials},
	{"weight", config_weight},
	{"quota", config_quota},
	{"connections", config_connections},
	{"bandwidth", config_bandwidth},
	{NULL, NULL},
};

void config_store_default(struct config_store *s, const char *name)
{
	memset(s, 0, sizeof(*s));
	(void)snprintf(s->name, sizeof(s->name), "%s", name);
	(void)snprintf(s->provider, sizeof(s->provider), "%s", name);
	s->weight = 1;
}

int config_store_check(const struct config_store *s, struct pluri_err *err)
{
	if (s->backend[0] == 0)
		return pluri_fail(err, EINVAL,
			"store \"%s\" has no backend: write backend = s3, "
			"local, ...",
			s->name);
	if (s->url[0] == 0)
		return pluri_fail(
			err, EINVAL, "store \"%s\" has no url", s->name);
	return 0;
}

/* One line when the value is said. */
static int config_line(struct buf *b, const char *name, const char *value)
{
	return value[0] ? buf_fmt(b, "%s = %s\n", name, value) : 0;
}

static int config_lines(const struct config_store *s, struct buf *b)
{
	int r = config_line(b, "backend", s->backend);

	if (!r && s->bandwidth)
		r = buf_fmt(b, "bandwidth = %" PRIu64 "\n", s->bandwidth);
	if (!r && s->connections)
		r = buf_fmt(b, "connections = %u\n", s->connections);
	r = r ? r : config_line(b, "country", s->country);
	r = r ? r : config_line(b, "credentials", s->credentials);
	if (!r && strcmp(s->provider, s->name) != 0)
		r = config_line(b, "provider", s->provider);
	if (!r && s->quota)
		r = buf_fmt(b, "quota = %" PRIu64 "\n", s->quota);
	r = r ? r : config_line(b, "region", s->region);
	r = r ? r : config_line(b, "url", s->url);
	if (!r && s->weight != 1)
		r = buf_fmt(b, "weight = %u\n", s->weight);
	return r;
}

/* Options follow the known keys, in the order of their names. */
static int config_options(const struct config_store *s, struct buf *b)
{
	const struct config_option *last = NULL;

	for (unsigned n = 0; n < s->options; n++) {
		const struct config_option *next = NULL;

		for (unsigned i = 0; i < s->options; i++) {
			const struct config_option *o = &s->option[i];

			if (last && strcmp(o->name, last->name) <= 0)
				continue;
			if (!next || strcmp(o->name, next->name) < 0)
				next = o;
		}
		if (!next)
			return -EINVAL;
		/* An empty option is said, too. */
		if (buf_fmt(b, "%s = %s\n", next->name, next->value) < 0)
			return -ERANGE;
		last = next;
	}
	return 0;
}

int config_store_text(const struct config_store *s, char *to, size_t cap)
{
	struct buf b;
	int r;

	buf_init(&b, cap);
	r = config_lines(s, &b);
	r = r ? r : config_options(s, &b);
	if (!r && b.len >= cap)
		r = -ERANGE;
	if (!r)
		memcpy(to, buf_text(&b), b.len + 1);
	buf_free(&b);
	return r == -EOVERFLOW ? -ERANGE : r;
}

static int config_no_section(void *arg, unsigned line, const char *kind,
	const char *name, struct pluri_err *err)
{
	(void)arg;
	(void)line;
	(void)kind;
	(void)name;
	return pluri_fail(err, EINVAL, "a section in a section's text");
}

static int config_stored(void *arg, unsigned line, const char *name,
	const char *value, struct pluri_err *err)
{
	(void)line;
	return config_section_set(arg, name, value, err);
}

int config_store_parse(const char *name, const char *text,
	struct config_store *ret, struct pluri_err *err)
{
	pluri_auto_mem struct config_store *s = malloc(sizeof(*s));
	struct config_section sec = {config_store_keys, s, s, 0};
	const struct config_lines l = {
		"store", config_no_section, config_stored, &sec};
	char clean[PLURI_NAME_MAX + 1];
	int r;

	if (!s)
		return pluri_fail(err, ENOMEM, "no memory for a store");
	r = config_value_name(name, clean, err);
	if (r < 0)
		return r;
	config_store_default(s, clean);
	r = config_lines_read(&l, text, strlen(text), err);
	if (r == 0)
		r = config_store_check(s, err);
	if (r < 0)
		return r;
	*ret = *s;
	return 0;
}
