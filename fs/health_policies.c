#include <errno.h>
#include <stdlib.h>

#include "fs/roster.h"

#include "fs/health.h"

#define HEALTH_LEVEL_AUTO 3

struct health_tables {
	struct store_row store[PLURI_STORES_MAX];
	struct roster_policy policy[PLURI_POLICIES_MAX];
	unsigned stores, policies;
};

static json_t *health_policy_stores(
	const struct health_tables *t, const struct roster_policy *p)
{
	json_t *all = json_array();

	for (unsigned i = 0; i < t->stores; i++)
		if (p->members >> t->store[i].num & 1)
			(void)json_array_append_new(
				all, json_string(t->store[i].name));
	return all;
}

static json_t *health_policy(
	const struct health_tables *t, const struct roster_policy *p)
{
	static const char *const dedup[] = {"on", "verify", "off"};
	char layout[LAYOUT_TEXT];
	char squeeze[16] = "off";

	if (p->text.compress && p->text.level == HEALTH_LEVEL_AUTO)
		(void)snprintf(squeeze, sizeof(squeeze), "auto");
	else if (p->text.compress)
		(void)snprintf(
			squeeze, sizeof(squeeze), "zstd:%d", p->text.level);
	return json_pack("{ss ss so sI ss ss ss ss sI}", "name", p->name,
		"layout", layout_text(&p->layout, layout), "stores",
		health_policy_stores(t, p), "min_providers",
		(json_int_t)p->min_providers, "durability",
		p->text.durability == DURABILITY_CLOUD ? "cloud" : "local",
		"chunking", p->text.cdc ? "cdc" : "fixed", "dedup",
		dedup[p->text.dedup], "compression", squeeze, "pack",
		(json_int_t)p->text.pack);
}

int health_policies(struct volume *v, json_t **ret, struct pluri_err *err)
{
	pluri_auto_mem void *mem = calloc(1, sizeof(struct health_tables));
	struct health_tables *t = mem;
	json_t *all = json_array();
	json_t *j;

	if (t) {
		t->stores = roster_stores(v->roster, t->store);
		t->policies = roster_policies(v->roster, t->policy);
		for (unsigned i = 0; i < t->policies; i++)
			(void)json_array_append_new(
				all, health_policy(t, &t->policy[i]));
	}
	j = json_pack("{so}", "policies", all);
	if (!t || !j) {
		json_decref(j);
		return pluri_fail(err, ENOMEM, "policies: no memory");
	}
	*ret = j;
	return 0;
}
