#include <errno.h>
#include <stdlib.h>

#include "fs/roster_int.h"

/* --- reading what is registered ------------------------------------------ */

int roster_policy_read(const struct config_policy *p, struct roster_policy *ret,
	struct pluri_err *err)
{
	struct roster_policy pol = {.text = *p};
	int r = layout_parse(p->layout, &pol.layout, err);

	if (r < 0) {
		if (err)
			(void)pluri_where(err, "policy %s", p->name);
		return r;
	}
	memcpy(pol.name, p->name, sizeof(pol.name));
	pol.cdc = p->cdc ? cdc_default : cdc_fixed;
	pol.encode = (struct encode_options){
		.compress = p->compress, .level = p->level};
	*ret = pol;
	return 0;
}

/* Resolve members and spread against the stores. */
static void roster_resolve(
	const struct roster_table *t, struct roster_policy *pol)
{
	const char *provider[PLURI_STORES_MAX];
	unsigned n = 0;

	pol->members = 0;
	for (unsigned i = 0; i < t->stores; i++) {
		if (!roster_names(&pol->text, t->store[i].name))
			continue;
		pol->members |= UINT64_C(1) << t->store[i].num;
		if (t->store[i].state == STORE_ACTIVE)
			provider[n++] = t->store[i].provider;
	}
	pol->min_providers = roster_providers(pol, provider, n);
	if (pol->min_providers == 0)
		pol->min_providers = 1;
}

struct roster_rows {
	struct store_row store[PLURI_STORES_MAX];
	struct policy_row policy[PLURI_POLICIES_MAX];
	unsigned stores, policies;
};

static int roster_rows(
	struct roster *r, struct roster_rows *rows, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int rc = meta_begin(r->v->meta, &tx, err);

	if (rc < 0)
		return rc;
	rc = stores_list(tx, rows->store, &rows->stores, err);
	if (rc >= 0)
		rc = stores_list_policies(
			tx, rows->policy, &rows->policies, err);
	return meta_end(tx, rc, err);
}

static int roster_parse(const struct roster_rows *rows, struct roster_table *t,
	struct pluri_err *err)
{
	int rc = 0;

	memcpy(t->store, rows->store, sizeof(t->store));
	t->stores = rows->stores;
	t->policies = rows->policies;
	for (unsigned i = 0; i < rows->stores && rc >= 0; i++)
		rc = config_store_parse(rows->store[i].name,
			rows->store[i].text, &t->text[i], err);
	for (unsigned i = 0; i < rows->policies && rc >= 0; i++) {
		struct config_policy p = {0};

		rc = config_policy_parse(
			rows->policy[i].name, rows->policy[i].text, &p, err);
		if (rc >= 0)
			rc = roster_policy_read(&p, &t->policy[i], err);
		t->policy[i].num = rows->policy[i].num;
		if (rc >= 0)
			roster_resolve(t, &t->policy[i]);
	}
	return rc;
}

static int roster_read(
	struct roster *r, struct roster_table *t, struct pluri_err *err)
{
	pluri_auto_mem void *mem = calloc(1, sizeof(struct roster_rows));
	const int rc = mem ? roster_rows(r, mem, err)
			   : pluri_fail(err, ENOMEM, "stores: no memory");

	return rc < 0 ? rc : roster_parse(mem, t, err);
}

/* --- instances follow the rows ------------------------------------------- */

static void roster_shut(struct roster *r, uint32_t num)
{
	if (!r->opened[num][0])
		return;
	fleet_remove(r->v->fleet, num);
	roster_host_free(r->host[num]);
	r->host[num] = NULL;
	r->opened[num][0] = 0;
}

static int roster_start(struct roster *r, const struct store_row *row,
	const struct config_store *text, struct pluri_err *err)
{
	const struct pluri_backend_ops *ops = NULL;
	struct pluri_backend *b = NULL;
	struct roster_host *h = NULL;
	int rc;

	if (strcmp(r->opened[row->num], row->text) == 0)
		return 0;
	rc = roster_instance(text, &ops, &b, &h, err);
	if (rc < 0)
		return rc;
	roster_shut(r, row->num);
	rc = fleet_add(r->v->fleet, row->num, row->name, ops, b, err);
	if (rc < 0) {
		ops->close(b);
		roster_host_free(h);
		return rc;
	}
	fleet_limit(r->v->fleet, row->num,
		&(struct fleet_limits){text->connections, text->bandwidth});
	r->host[row->num] = h;
	memcpy(r->opened[row->num], row->text, sizeof(row->text));
	return 0;
}

/* Open what is new or changed. */
static int roster_follow(
	struct roster *r, const struct roster_table *t, struct pluri_err *err)
{
	int rc = 0;

	for (unsigned i = 0; i < t->stores && rc >= 0; i++)
		rc = roster_start(r, &t->store[i], &t->text[i], err);
	return rc;
}

/* Shut what is not registered any more. */
static void roster_leave(struct roster *r, const struct roster_table *t)
{
	uint64_t known = 0;

	for (unsigned i = 0; i < t->stores; i++)
		known |= UINT64_C(1) << t->store[i].num;
	for (uint32_t num = 0; num < PLURI_STORES_MAX; num++)
		if (!(known >> num & 1))
			roster_shut(r, num);
}

/*
 * Opening a plugin may run a credentials command, and shutting one waits for
 * its calls: neither happens under the lock that placement takes.
 */
int roster_reload(struct roster *r, struct pluri_err *err)
{
	struct roster_table *t = calloc(1, sizeof(*t));
	struct roster_table *old;
	int rc;

	if (!t)
		return pluri_fail(err, ENOMEM, "stores: no memory");
	(void)pthread_mutex_lock(&r->reload);
	rc = roster_read(r, t, err);
	if (rc >= 0)
		rc = roster_follow(r, t, err);
	if (rc >= 0) {
		(void)pthread_rwlock_wrlock(&r->lock);
		old = r->now;
		r->now = t;
		(void)pthread_rwlock_unlock(&r->lock);
		roster_leave(r, t);
		t = old;
	}
	(void)pthread_mutex_unlock(&r->reload);
	free(t);
	return rc;
}

int roster_open(struct volume *v, struct roster **ret, struct pluri_err *err)
{
	pluri_auto(roster) r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return pluri_fail(err, ENOMEM, "stores: no memory");
	r->v = v;
	(void)pthread_rwlock_init(&r->lock, NULL);
	(void)pthread_mutex_init(&r->reload, NULL);
	rc = roster_reload(r, err);
	if (rc < 0)
		return rc;
	*ret = pluri_steal(r);
	return 0;
}

/* The fleet must be gone before: its instances use the hosts. */
void roster_free(struct roster *r)
{
	if (!r)
		return;
	for (uint32_t num = 0; num < PLURI_STORES_MAX; num++)
		roster_host_free(r->host[num]);
	(void)pthread_mutex_destroy(&r->reload);
	(void)pthread_rwlock_destroy(&r->lock);
	free(r->now);
	free(r);
}
