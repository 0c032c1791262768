#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "fs/config_int.h"

static int config_order(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Placement does not ask for the order, so none is remembered. */
static int config_names(const struct config_policy *p, struct buf *b)
{
	char name[PLURI_STORES_MAX][PLURI_NAME_MAX + 1];
	int r;

	if (p->stores == 0)
		return 0;
	memcpy(name, p->store, sizeof(name));
	qsort(name, p->stores, sizeof(name[0]), config_order);
	r = buf_str(b, "stores =");
	for (unsigned i = 0; r == 0 && i < p->stores; i++)
		r = buf_fmt(b, " %s", name[i]);
	return r ? r : buf_str(b, "\n");
}

static int config_lines(const struct config_policy *p,
	const struct config_policy *d, struct buf *b)
{
	int r = 0;

	if (p->cdc != d->cdc)
		r = buf_str(b, "chunking = fixed\n");
	if (!r && !p->compress)
		r = buf_str(b, "compression = off\n");
	if (!r && p->compress && p->level != d->level)
		r = buf_fmt(b, "compression = zstd:%d\n", p->level);
	if (!r && p->dedup != d->dedup)
		r = buf_fmt(b, "dedup = %s\n",
			p->dedup == DEDUP_OFF ? "off" : "verify");
	if (!r && p->durability != d->durability)
		r = buf_str(b, "durability = cloud\n");
	/* Always said: its default depends on the number of stores. */
	if (!r && p->layout[0])
		r = buf_fmt(b, "layout = %s\n", p->layout);
	if (!r && p->min_providers)
		r = buf_fmt(b, "min_providers = %u\n", p->min_providers);
	if (!r && p->pack != d->pack)
		r = buf_fmt(b, "pack = %" PRIu64 "\n", p->pack);
	if (!r && p->pack_age_ms != d->pack_age_ms)
		r = buf_fmt(b, "pack_age = %ums\n", p->pack_age_ms);
	return r ? r : config_names(p, b);
}

int config_policy_text(const struct config_policy *p, char *to, size_t cap)
{
	struct config_policy d;
	struct buf b;
	int r;

	config_policy_default(&d, p->name);
	buf_init(&b, cap);
	r = config_lines(p, &d, &b);
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

int config_policy_parse(const char *name, const char *text,
	struct config_policy *ret, struct pluri_err *err)
{
	struct config_policy p;
	struct config_section sec = {config_policy_keys, &p, NULL, 0};
	const struct config_lines l = {
		"policy", config_no_section, config_stored, &sec};
	char clean[PLURI_NAME_MAX + 1];
	int r;

	r = config_value_name(name, clean, err);
	if (r < 0)
		return r;
	config_policy_default(&p, clean);
	r = config_lines_read(&l, text, strlen(text), err);
	if (r < 0)
		return r;
	*ret = p;
	return 0;
}
