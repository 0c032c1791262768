#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "fs/roster.h"

#include "fs/fsck_int.h"

/*
 * A store or policy whose text says nothing any more keeps a volume from
 * opening. The INI says what it should be, as apply would register it.
 */

#define APPLY_GONE "none: the INI has no such section; write it anew, as it was"

struct apply {
	struct fsck_run *c;
	struct meta_tx *tx;
	bool repair;
	struct store_row store[PLURI_STORES_MAX];
	struct policy_row policy[PLURI_POLICIES_MAX];
	unsigned stores, policies;
};

/* A damaged row is told of by meta/fsck_store.c: then nothing is listed. */
static int apply_read(struct apply *a, struct pluri_err *err)
{
	int r = stores_list(a->tx, a->store, &a->stores, err);

	if (r >= 0 || r == -EBADMSG)
		r = stores_list_policies(a->tx, a->policy, &a->policies, err);
	return r == -EBADMSG ? 0 : r;
}

static void apply_add(struct apply *a, struct fsck_item *i, const char *code,
	const char *text, int r)
{
	i->f.code = code;
	i->f.state = r > 0 ? FSCK_REPAIRED : FSCK_LEFT;
	(void)snprintf(i->f.text, sizeof(i->f.text), "%.150s", text);
	fsck_run_add(a->c, i);
}

/* --- stores -------------------------------------------------------------- */

static const struct config_store *apply_section(
	const struct config *c, const char *name)
{
	for (unsigned i = 0; i < c->stores; i++)
		if (strcmp(c->store[i].name, name) == 0)
			return &c->store[i];
	return NULL;
}

/* 1: recorded. */
static int apply_put_store(struct apply *a, const struct config_store *sec,
	struct store_row *row, struct pluri_err *err)
{
	int r = roster_store_row(&a->c->v->info.id, sec, row, err);

	if (r >= 0)
		r = stores_put(a->tx, row, err);
	return r < 0 ? r : 1;
}

static int apply_store_text(
	struct apply *a, struct store_row *row, struct pluri_err *err)
{
	const struct config_store *sec =
		apply_section(a->c->v->config, row->name);
	pluri_auto_mem struct config_store *parsed = calloc(1, sizeof(*parsed));
	struct fsck_item i = {.f.action = APPLY_GONE};
	struct pluri_err why = {0};
	int r = 0;

	if (!parsed)
		return pluri_fail(err, ENOMEM, "check: no memory");
	if (config_store_parse(row->name, row->text, parsed, &why) >= 0)
		return 0;
	if (sec)
		i.f.action = "registers the INI's section of that name";
	if (sec && a->repair)
		r = apply_put_store(a, sec, row, err);
	if (r < 0)
		return r;
	(void)pluri_where(&why, "store %s", row->name);
	apply_add(a, &i, "store-text", why.text, r);
	return 0;
}

static bool apply_known(const struct apply *a, const char *name)
{
	for (unsigned i = 0; i < a->stores; i++)
		if (strcmp(a->store[i].name, name) == 0)
			return true;
	return false;
}

/* The one section that says what a store's text says, and has no store. */
static const struct config_store *apply_nameless(
	struct apply *a, const struct store_row *row, struct store_row *scratch)
{
	const struct config *c = a->c->v->config;

	for (unsigned i = 0; i < c->stores; i++) {
		*scratch = *row;
		if (!apply_known(a, c->store[i].name) &&
			roster_store_row(&a->c->v->info.id, &c->store[i],
				scratch, NULL) >= 0 &&
			strcmp(scratch->text, row->text) == 0)
			return &c->store[i];
	}
	return NULL;
}

/* What meta/fsck_store.c has called lost-N. */
static int apply_store_name(
	struct apply *a, struct store_row *row, struct pluri_err *err)
{
	pluri_auto_mem struct store_row *scratch = calloc(1, sizeof(*scratch));
	struct fsck_item i = {.f.action = "gives it the name of the INI's "
					  "section that says the same"};
	const struct config_store *sec;
	char lost[PLURI_NAME_MAX + 1];
	char text[160];
	int r = 0;

	if (!scratch)
		return pluri_fail(err, ENOMEM, "check: no memory");
	(void)snprintf(lost, sizeof(lost), "lost-%u", row->num);
	if (strcmp(row->name, lost) != 0)
		return 0; /* one that is not in the INI is for apply */
	sec = apply_nameless(a, row, scratch);
	if (!sec)
		return 0;
	if (a->repair)
		r = apply_put_store(a, sec, row, err);
	if (r < 0)
		return r;
	(void)snprintf(text, sizeof(text), "store %s is called %s in the INI",
		row->name, sec->name);
	apply_add(a, &i, "store-name", text, r);
	return 0;
}

static int apply_store_id(
	struct apply *a, struct store_row *row, struct pluri_err *err)
{
	struct fsck_item i = {.f.action = "sets the id that follows from "
					  "volume and name"};
	struct pluri_id id;
	char text[160];
	int r = 0;

	roster_store_id(&a->c->v->info.id, row->name, &id);
	if (memcmp(&id, &row->id, sizeof(id)) == 0)
		return 0;
	row->id = id;
	if (a->repair)
		r = stores_put(a->tx, row, err);
	if (r < 0)
		return r;
	(void)snprintf(text, sizeof(text),
		"store %s: its id is not what packs are placed by", row->name);
	apply_add(a, &i, "store-id", text, a->repair);
	return 0;
}

/* --- policies ------------------------------------------------------------ */

/* The section of that name, else of the default, which is always there. */
static const struct config_policy *apply_policy_section(
	const struct config *c, const char *name)
{
	for (unsigned i = 0; i < c->policies; i++)
		if (strcmp(c->policy[i].name, name) == 0)
			return &c->policy[i];
	return &c->policy[0];
}

static int apply_put_policy(
	struct apply *a, const struct policy_row *old, struct pluri_err *err)
{
	struct policy_row row = {.num = old->num};
	int r = roster_policy_row(
		apply_policy_section(a->c->v->config, old->name), &row, err);

	memcpy(row.name, old->name, sizeof(row.name));
	if (r >= 0)
		r = stores_put_policy(a->tx, &row, err);
	return r < 0 ? r : 1;
}

static int apply_policy_text(
	struct apply *a, const struct policy_row *row, struct pluri_err *err)
{
	pluri_auto_mem struct config_policy *text = calloc(1, sizeof(*text));
	pluri_auto_mem struct roster_policy *pol = calloc(1, sizeof(*pol));
	struct fsck_item i = {.f.action = "registers the INI's section of that "
					  "name, or else of the default"};
	struct pluri_err why = {0};
	int r;

	if (!text || !pol)
		return pluri_fail(err, ENOMEM, "check: no memory");
	r = config_policy_parse(row->name, row->text, text, &why);
	if (r >= 0)
		r = roster_policy_read(text, pol, &why);
	if (r >= 0)
		return 0;
	r = a->repair ? apply_put_policy(a, row, err) : 0;
	if (r < 0)
		return r;
	(void)pluri_where(&why, "policy %s", row->name);
	apply_add(a, &i, "policy-text", why.text, r);
	return 0;
}

static int apply_judge(struct apply *a, struct pluri_err *err)
{
	int r = apply_read(a, err);

	for (unsigned i = 0; i < a->stores && r >= 0; i++) {
		r = apply_store_text(a, &a->store[i], err);
		if (r >= 0)
			r = apply_store_name(a, &a->store[i], err);
		if (r >= 0)
			r = apply_store_id(a, &a->store[i], err);
	}
	for (unsigned i = 0; i < a->policies && r >= 0; i++)
		r = apply_policy_text(a, &a->policy[i], err);
	return r;
}

int fsck_apply(struct fsck_run *c, bool repair, struct pluri_err *err)
{
	pluri_auto_mem struct apply *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return pluri_fail(err, ENOMEM, "check: no memory");
	a->c = c;
	a->repair = repair;
	r = meta_begin(c->v->meta, &a->tx, err);
	return r < 0 ? r : meta_end(a->tx, apply_judge(a, err), err);
}
