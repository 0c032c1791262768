#include <errno.h>
#include <stdlib.h>

#include "fs/roster_int.h"

#include "fs/balance_int.h"

void balance_world_free(struct balance_world *w)
{
	free(w);
}

static struct store_row *balance_named(
	struct balance_world *w, const char *name)
{
	for (unsigned i = 0; i < w->stores; i++)
		if (strcmp(w->store[i].name, name) == 0)
			return &w->store[i];
	return NULL;
}

static bool balance_in_config(const struct config *c, const char *name)
{
	for (unsigned i = 0; i < c->stores; i++)
		if (strcmp(c->store[i].name, name) == 0)
			return true;
	return false;
}

static uint32_t balance_free_num(const struct balance_world *w)
{
	for (uint32_t num = 0;; num++) {
		unsigned i = 0;

		while (i < w->stores && w->store[i].num != num)
			i++;
		if (i == w->stores)
			return num;
	}
}

static int balance_want_store(struct volume *v, struct balance_world *w,
	const struct config_store *s, struct pluri_err *err)
{
	struct store_row *row = balance_named(w, s->name);

	if (!row && w->stores == PLURI_STORES_MAX)
		return pluri_fail(err, ENOSPC,
			"store %s: a volume has at most %u stores, those on "
			"their way out included",
			s->name, PLURI_STORES_MAX);
	if (!row) {
		const uint32_t num = balance_free_num(w);

		row = &w->store[w->stores++];
		*row = (struct store_row){.num = num};
	}
	return roster_store_row(&v->info.id, s, row, err);
}

static int balance_want_stores(struct volume *v, struct balance_world *w,
	const struct config *want, struct pluri_err *err)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < want->stores; i++)
		r = balance_want_store(v, w, &want->store[i], err);
	for (unsigned i = 0; i < w->stores; i++)
		if (!balance_in_config(want, w->store[i].name) &&
			w->store[i].state < STORE_DRAINING)
			w->store[i].state = STORE_DRAINING;
	return r;
}

static int balance_want_policy(struct balance_world *w,
	const struct config_policy *p, struct pluri_err *err)
{
	struct roster_policy *to = NULL;
	uint32_t free_num = 0;

	for (unsigned i = 0; i < w->policies; i++) {
		if (strcmp(w->policy[i].name, p->name) == 0)
			to = &w->policy[i];
		if (w->policy[i].num >= free_num)
			free_num = w->policy[i].num + 1;
	}
	if (!to && w->policies == PLURI_POLICIES_MAX)
		return pluri_fail(err, ENOSPC,
			"policy %s: a volume has at most %u policies, those "
			"that left the INI included",
			p->name, PLURI_POLICIES_MAX);
	if (!to) {
		to = &w->policy[w->policies++];
		to->num = free_num;
	}
	free_num = to->num;
	if (roster_policy_read(p, to, err) < 0)
		return -err->code;
	to->num = free_num;
	return 0;
}

static const char *balance_why_not(const struct store_row *s, bool member)
{
	if (!member)
		return "not in the policy";
	return s->state == STORE_ACTIVE ? NULL : store_state_text(s->state);
}

/* Members, spread and table of one policy over the world's stores. */
static void balance_resolve(struct balance_world *w, unsigned at)
{
	struct roster_policy *p = &w->policy[at];
	struct balance_table *t = &w->table[at];
	const char *provider[PLURI_STORES_MAX];
	unsigned n = 0;

	p->members = 0;
	for (unsigned i = 0; i < w->stores; i++) {
		const struct store_row *s = &w->store[i];
		const bool member = roster_names(&p->text, s->name);

		if (member)
			p->members |= UINT64_C(1) << s->num;
		if (member && s->state == STORE_ACTIVE)
			provider[n++] = s->provider;
		t->num[i] = s->num;
		t->keeps[i] = s->state == STORE_CORDONED;
		t->store[i] = (struct place_store){
			.id = s->id,
			.name = s->name,
			.provider = s->provider,
			.weight = s->weight,
			.eligible = member && s->state == STORE_ACTIVE,
			.why_not = balance_why_not(s, member),
		};
	}
	p->min_providers = roster_providers(p, provider, n);
	if (p->min_providers == 0)
		p->min_providers = 1;
	t->n = w->stores;
	t->rule.copies = layout_shards(&p->layout);
	t->rule.min_providers = p->min_providers;
}

int balance_world_new(struct volume *v, const struct config *want,
	uint32_t drain, struct balance_world **ret, struct pluri_err *err)
{
	pluri_auto(balance_world) w = calloc(1, sizeof(*w));
	struct pluri_err told = {0};
	int r = 0;

	if (!w)
		return pluri_fail(err, ENOMEM, "plan: no memory");
	w->stores = roster_stores(v->roster, w->store);
	w->policies = roster_policies(v->roster, w->policy);
	if (want)
		r = balance_want_stores(v, w, want, &told);
	for (unsigned i = 0; want && r == 0 && i < want->policies; i++)
		r = balance_want_policy(w, &want->policy[i], &told);
	if (r < 0)
		return pluri_fail(err, -r, "%s", told.text);
	for (unsigned i = 0; i < w->stores; i++)
		if (w->store[i].num == drain)
			w->store[i].state = STORE_DRAINING;
	for (unsigned i = 0; i < w->policies; i++)
		balance_resolve(w, i);
	*ret = pluri_steal(w);
	return 0;
}

const struct balance_table *balance_world_table(
	const struct balance_world *w, uint32_t policy)
{
	for (unsigned i = 0; i < w->policies; i++)
		if (w->policy[i].num == policy)
			return &w->table[i];
	return NULL;
}

int balance_world_check(const struct balance_world *w, struct pluri_err *err)
{
	for (unsigned i = 0; i < w->policies; i++) {
		const struct balance_table *t = &w->table[i];
		const int r = place_check(&t->rule, t->store, t->n, err);

		if (r < 0 && err)
			(void)pluri_where(err, "policy %s", w->policy[i].name);
		if (r < 0)
			return r;
	}
	return 0;
}
