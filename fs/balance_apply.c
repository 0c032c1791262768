#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "fs/claim.h"
#include "fs/commit.h"
#include "fs/staging.h"
#include "fs/upload.h"

#include "fs/balance_job.h"

#define APPLY_CLOUD_MS 20000u /* for all of its questions to clouds */

/*
 * judge    the INI, and what it would lead to; nothing is touched
 * claim    new places, changed places; taken back when the rest fails
 * record   all of it in one bracket, durably
 * retire   stores that left the INI and hold nothing
 */
struct balance_apply {
	struct volume *v;
	const struct config *want;
	struct balance_diff *diff;
	struct claim_stores *stores; /* instances of the new and the changed */
	uint64_t deadline_ms;
	uint64_t made; /* claimed by this run: bits of the INI's stores */
};

static struct claim balance_apply_at(
	const struct balance_apply *a, const struct balance_change *c)
{
	return (struct claim){
		.fleet = claim_fleet(a->stores),
		.store = c->at,
		.name = c->name,
		.deadline_ms = a->deadline_ms,
	};
}

/* --- claim --------------------------------------------------------------- */

static int balance_apply_claim(struct balance_apply *a,
	const struct balance_change *c, struct pluri_err *err)
{
	const struct claim at = balance_apply_at(a, c);
	bool made = false;
	int r;

	r = claim_make(
		&at, a->v->keys, a->v->info.name, a->v->clock, &made, err);
	/* after a lost answer it may be there: undoing looks */
	if (made || (r < 0 && r != -EEXIST))
		a->made |= UINT64_C(1) << c->at;
	if (r < 0 && err)
		(void)pluri_where(err, "nothing was applied");
	return r;
}

/* The same store at another address: its shards must be there. */
static int balance_apply_moved(struct balance_apply *a,
	const struct balance_change *c, struct pluri_err *err)
{
	const struct claim at = balance_apply_at(a, c);
	char name[PLURI_NAME_MAX + 1] = "";
	int r;

	if (!c->holds)
		return balance_apply_claim(a, c, err);
	r = claim_look(&at, a->v->keys, name, err);
	if (r < 0)
		return r;
	if (r == 0)
		return pluri_fail(err, EINVAL,
			"store %s: the new url is an empty place, but at the "
			"old one are shards, or objects that are still to be "
			"deleted: add the new place as another store, and "
			"drain %s, which moves the former and deletes the "
			"latter; nothing was applied",
			c->name, c->name);
	if (strcmp(name, c->name) != 0)
		return pluri_fail(err, EEXIST,
			"store %s: the new url is the place of store %s; "
			"nothing was applied",
			c->name, name);
	return 0;
}

static int balance_apply_clouds(struct balance_apply *a, struct pluri_err *err)
{
	const struct balance_diff *d = a->diff;
	uint64_t pick = 0;
	int r;

	for (unsigned i = 0; i < d->n; i++)
		if (d->change[i].kind == STORE_ADD ||
			d->change[i].kind == STORE_CHANGE)
			pick |= UINT64_C(1) << d->change[i].at;
	r = claim_open(a->want, pick, &a->stores, err);
	for (unsigned i = 0; r == 0 && i < d->n; i++) {
		const struct balance_change *c = &d->change[i];

		if (c->kind == STORE_ADD)
			r = balance_apply_claim(a, c, err);
		if (c->kind == STORE_CHANGE && c->elsewhere)
			r = balance_apply_moved(a, c, err);
	}
	return r;
}

static void balance_apply_undo(struct balance_apply *a)
{
	for (unsigned i = 0; i < a->diff->n; i++) {
		const struct balance_change *c = &a->diff->change[i];
		const bool store =
			c->kind == STORE_ADD || c->kind == STORE_CHANGE;
		struct pluri_err err = {0};
		struct claim at;

		if (!store || !(a->made >> c->at & 1))
			continue;
		at = balance_apply_at(a, c);
		if (claim_remove(&at, a->v->keys, &err) < 0)
			log_line(LOG_WARN,
				"store %s: the descriptor of a failed apply "
				"may be left there: %s",
				c->name, err.text);
	}
}

/* --- record -------------------------------------------------------------- */

static int balance_apply_store(struct balance_apply *a, struct meta_tx *tx,
	const struct balance_change *c, struct store_row *row,
	struct pluri_err *err)
{
	int r;

	*row = (struct store_row){.num = UINT32_MAX};
	if (c->kind == STORE_CHANGE &&
		roster_store(a->v->roster, c->num, row) < 0)
		return pluri_fail(err, ESTALE,
			"store %s: was removed meanwhile", c->name);
	r = roster_store_row(&a->v->info.id, &a->want->store[c->at], row, err);
	return r < 0 ? r : stores_put(tx, row, err);
}

static int balance_apply_policy(struct balance_apply *a, struct meta_tx *tx,
	const struct balance_change *c, struct policy_row *row,
	struct pluri_err *err)
{
	int r;

	*row = (struct policy_row){.num = c->num};
	r = roster_policy_row(&a->want->policy[c->at], row, err);
	return r < 0 ? r : stores_put_policy(tx, row, err);
}

static int balance_apply_change(struct balance_apply *a, struct meta_tx *tx,
	const struct balance_change *c, struct pluri_err *err)
{
	pluri_auto_mem struct store_row *store = calloc(1, sizeof(*store));
	pluri_auto_mem struct policy_row *policy = calloc(1, sizeof(*policy));

	if (!store || !policy)
		return pluri_fail(err, ENOMEM, "apply: no memory");
	switch (c->kind) {
	case STORE_ADD:
	case STORE_CHANGE:
		return balance_apply_store(a, tx, c, store, err);
	case STORE_REMOVE:
		if (roster_store(a->v->roster, c->num, store) == 0 &&
			store->state >= STORE_DRAINING)
			return 0;
		return stores_set_state(tx, c->num, STORE_DRAINING, err);
	case POLICY_ADD:
	case POLICY_CHANGE:
		return balance_apply_policy(a, tx, c, policy, err);
	case POLICY_REMOVE:
		break;
	}
	return 0;
}

static int balance_apply_record(struct balance_apply *a, struct pluri_err *err)
{
	struct pluri_err why = {0};
	struct meta_tx *tx = NULL;
	int r;

	r = meta_begin(a->v->meta, &tx, err);
	if (r < 0)
		return r;
	for (unsigned i = 0; r == 0 && i < a->diff->n; i++) {
		r = balance_apply_change(a, tx, &a->diff->change[i], &why);
		log_line(LOG_DEBUG, "apply: %s: %s", a->diff->change[i].name,
			r < 0 ? why.text : a->diff->change[i].text);
	}
	if (r < 0)
		(void)pluri_fail(err, -r, "%s", why.text);
	r = meta_end(tx, r, err);
	return r < 0 ? r : commit_now(a->v->commit, true, err);
}

/* --- retire -------------------------------------------------------------- */

static int balance_apply_retire(struct balance_apply *a, struct pluri_err *err)
{
	pluri_auto_mem struct store_row *row = calloc(1, sizeof(*row));
	bool barrier = false;
	int r = row ? 0 : pluri_fail(err, ENOMEM, "apply: no memory");

	for (unsigned i = 0; r == 0 && i < a->diff->n; i++) {
		const struct balance_change *c = &a->diff->change[i];
		struct pluri_err why = {0};

		if (c->kind != STORE_REMOVE || c->holds)
			continue;
		/* who placed a pack before the reload has recorded it after */
		if (!barrier)
			r = staging_close(a->v->staging, err);
		barrier = true;
		if (r == 0 && roster_store(a->v->roster, c->num, row) == 0)
			r = balance_leave_forget(a->v, row, &why, err);
		if (r == -EBUSY)
			r = 0; /* it got something: rebalance empties it */
	}
	return r;
}

/* ------------------------------------------------------------------------- */

static int balance_apply_judge(struct balance_apply *a, struct pluri_err *err)
{
	pluri_auto(balance_world) is = NULL;
	pluri_auto(balance_world) then = NULL;
	int r;

	r = roster_judge(a->want, err);
	if (r == 0)
		r = balance_diff_new(a->v, a->want, &a->diff, err);
	if (r == 0)
		r = balance_world_new(a->v, NULL, UINT32_MAX, &is, err);
	if (r == 0)
		r = balance_world_new(a->v, a->want, UINT32_MAX, &then, err);
	if (r < 0)
		return r;
	/* what cannot be placed already is not this INI's fault */
	if (balance_world_check(is, NULL) < 0)
		return 0;
	return balance_world_check(then, err);
}

static int balance_apply_run(struct balance_apply *a, struct pluri_err *err)
{
	int r;

	r = balance_apply_judge(a, err);
	if (r < 0 || !balance_diff_pending(a->diff))
		return r;
	r = balance_apply_clouds(a, err);
	if (r == 0)
		r = balance_apply_record(a, err);
	if (r < 0 && a->stores)
		balance_apply_undo(a);
	if (r < 0)
		return r;
	r = roster_reload(a->v->roster, err);
	if (r == 0)
		r = balance_apply_retire(a, err);
	if (r == 0)
		r = upload_rescan(a->v->upload, err);
	return r;
}

/* What was changed, and what is to be moved now. */
static int balance_apply_answer(
	struct balance_apply *a, json_t **ret, struct pluri_err *err)
{
	pluri_auto(balance_world) w = NULL;
	struct balance_sums sums;
	int r;

	r = balance_world_new(a->v, NULL, UINT32_MAX, &w, err);
	if (r == 0)
		r = balance_plan_sum(a->v, w, &sums, err);
	if (r < 0)
		return r;
	return balance_plan_answer(
		w, &sums, balance_diff_json(a->diff), false, ret, err);
}

int balance_apply(struct balance *b, const struct config *want, json_t **ret,
	struct pluri_err *err)
{
	struct balance_apply a = {
		.v = b->v,
		.want = want ? want : b->v->config,
		.deadline_ms = clock_mono_ms(clock_system()),
	};
	int r;

	a.deadline_ms += a.want->timeout_ms < APPLY_CLOUD_MS
				 ? a.want->timeout_ms
				 : APPLY_CLOUD_MS;
	(void)pthread_mutex_lock(&b->apply_lock);
	r = balance_apply_run(&a, err);
	if (r == 0)
		r = balance_apply_answer(&a, ret, err);
	(void)pthread_mutex_unlock(&b->apply_lock);
	claim_stores_free(a.stores);
	balance_diff_free(a.diff);
	return r;
}
