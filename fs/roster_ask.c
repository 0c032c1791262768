#include <errno.h>
#include <stdlib.h>

#include "fs/roster_int.h"

bool roster_names(const struct config_policy *p, const char *store)
{
	for (unsigned i = 0; i < p->stores; i++)
		if (strcmp(p->store[i], store) == 0)
			return true;
	return p->stores == 0;
}

/* Distinct providers among the named ones, at most `most`. */
static unsigned roster_spread(
	const char *const *provider, unsigned n, unsigned most)
{
	unsigned distinct = 0;

	for (unsigned i = 0; i < n && distinct < most; i++) {
		unsigned j = 0;

		while (j < i && strcmp(provider[i], provider[j]) != 0)
			j++;
		distinct += j == i;
	}
	return distinct;
}

unsigned roster_providers(const struct roster_policy *pol,
	const char *const *provider, unsigned n)
{
	const unsigned shards = layout_shards(&pol->layout);

	if (pol->text.min_providers)
		return pol->text.min_providers;
	return roster_spread(provider, n, shards < 2 ? shards : 2);
}

unsigned roster_stores(struct roster *r, struct store_row *ret_stores)
{
	unsigned n;

	(void)pthread_rwlock_rdlock(&r->lock);
	n = r->now->stores;
	memcpy(ret_stores, r->now->store, n * sizeof(r->now->store[0]));
	(void)pthread_rwlock_unlock(&r->lock);
	return n;
}

int roster_store(struct roster *r, uint32_t num, struct store_row *ret)
{
	int rc = -ENOENT;

	(void)pthread_rwlock_rdlock(&r->lock);
	for (unsigned i = 0; i < r->now->stores; i++)
		if (r->now->store[i].num == num) {
			*ret = r->now->store[i];
			rc = 0;
		}
	(void)pthread_rwlock_unlock(&r->lock);
	return rc;
}

int roster_find_store(struct roster *r, const char *name, struct store_row *ret)
{
	int rc = -ENOENT;

	(void)pthread_rwlock_rdlock(&r->lock);
	for (unsigned i = 0; i < r->now->stores; i++)
		if (strcmp(r->now->store[i].name, name) == 0) {
			*ret = r->now->store[i];
			rc = 0;
		}
	(void)pthread_rwlock_unlock(&r->lock);
	return rc;
}

unsigned roster_policies(struct roster *r, struct roster_policy *ret)
{
	unsigned n;

	(void)pthread_rwlock_rdlock(&r->lock);
	n = r->now->policies;
	memcpy(ret, r->now->policy, n * sizeof(r->now->policy[0]));
	(void)pthread_rwlock_unlock(&r->lock);
	return n;
}

/* With the lock held. */
static const struct roster_policy *roster_find(
	const struct roster *r, uint32_t num)
{
	for (unsigned i = 0; i < r->now->policies; i++)
		if (r->now->policy[i].num == num)
			return &r->now->policy[i];
	return NULL;
}

int roster_policy(struct roster *r, uint32_t num, struct roster_policy *ret)
{
	const struct roster_policy *p;

	(void)pthread_rwlock_rdlock(&r->lock);
	p = roster_find(r, num);
	if (p)
		*ret = *p;
	(void)pthread_rwlock_unlock(&r->lock);
	return p ? 0 : -ENOENT;
}

/* With the lock held; names are borrowed from rows. */
static void roster_fill(const struct roster_policy *pol,
	const struct store_row *rows, unsigned n, struct place_store *ret)
{
	for (unsigned i = 0; i < n; i++) {
		const bool member = pol->members >> rows[i].num & 1;
		const bool takes = rows[i].state == STORE_ACTIVE;

		ret[i] = (struct place_store){.id = rows[i].id,
			.name = rows[i].name,
			.provider = rows[i].provider,
			.weight = rows[i].weight,
			.eligible = member && takes,
			.why_not = !member  ? "not in the policy"
				   : !takes ? store_state_text(rows[i].state)
					    : NULL};
	}
}

static void roster_rule(const struct roster_policy *pol, struct place_rule *ret)
{
	*ret = (struct place_rule){.copies = layout_shards(&pol->layout),
		.min_providers = pol->min_providers};
}

int roster_place(struct roster *r, uint32_t policy, const struct pluri_id *pack,
	uint32_t *ret_stores, unsigned *ret_n, struct pluri_err *err)
{
	struct place_store table[PLURI_STORES_MAX];
	const struct roster_policy *pol;
	struct place_choice choice = {0};
	struct place_rule rule;
	int rc;

	(void)pthread_rwlock_rdlock(&r->lock);
	pol = roster_find(r, policy);
	if (!pol) {
		rc = pluri_fail(err, EINVAL, "policy %u is not known", policy);
	} else {
		roster_fill(pol, r->now->store, r->now->stores, table);
		roster_rule(pol, &rule);
		rc = place_choose(
			pack, &rule, table, r->now->stores, &choice, err);
		if (rc < 0 && err)
			(void)pluri_where(err, "policy %s", pol->name);
	}
	for (unsigned i = 0; i < choice.n; i++)
		ret_stores[i] = r->now->store[choice.store[i]].num;
	if (rc >= 0)
		*ret_n = choice.n;
	(void)pthread_rwlock_unlock(&r->lock);
	return rc;
}

unsigned roster_table(struct roster *r, uint32_t policy,
	struct place_store *ret, uint32_t *ret_nums, void **keep,
	struct place_rule *ret_rule)
{
	struct store_row *rows = malloc(sizeof(r->now->store));
	const struct roster_policy *pol;
	unsigned n = 0;

	*keep = rows;
	if (!rows)
		return 0;
	(void)pthread_rwlock_rdlock(&r->lock);
	pol = roster_find(r, policy);
	if (pol) {
		n = r->now->stores;
		memcpy(rows, r->now->store, n * sizeof(rows[0]));
		roster_fill(pol, rows, n, ret);
		roster_rule(pol, ret_rule);
		for (unsigned i = 0; i < n; i++)
			ret_nums[i] = rows[i].num;
	}
	(void)pthread_rwlock_unlock(&r->lock);
	return n;
}

static int roster_judge_policy(const struct config *c,
	const struct config_policy *p, struct pluri_err *err)
{
	struct place_store table[PLURI_STORES_MAX] = {0};
	const char *provider[PLURI_STORES_MAX];
	struct roster_policy pol;
	struct place_rule rule;
	unsigned n = 0;
	int rc = roster_policy_read(p, &pol, err);

	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < c->stores; i++) {
		const struct config_store *s = &c->store[i];
		const bool member = roster_names(p, s->name);

		table[i] = (struct place_store){.name = s->name,
			.provider = s->provider,
			.weight = s->weight,
			.eligible = member,
			.why_not = member ? NULL : "not in the policy"};
		table[i].id.b[0] = (uint8_t)i;
		if (member)
			provider[n++] = s->provider;
	}
	pol.min_providers = roster_providers(&pol, provider, n);
	if (pol.min_providers == 0)
		pol.min_providers = 1;
	roster_rule(&pol, &rule);
	if (rule.min_providers > rule.copies)
		return pluri_fail(err, EINVAL,
			"policy %s: min_providers = %u "
			"is more than the %u shards of layout %s",
			p->name, rule.min_providers, rule.copies, p->layout);
	rc = place_check(&rule, table, c->stores, err);
	if (rc < 0 && err)
		(void)pluri_where(err, "policy %s", p->name);
	return rc;
}

int roster_judge(const struct config *c, struct pluri_err *err)
{
	int rc = 0;

	for (unsigned i = 0; i < c->policies && rc >= 0; i++) {
		rc = roster_judge_policy(c, &c->policy[i], err);
		if (rc < 0 && err)
			(void)pluri_where(
				err, "%s:%u", c->file, c->policy[i].line);
	}
	return rc;
}
