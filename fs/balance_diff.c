#include <errno.h>
#include <stdlib.h>

#include "fs/answer.h"
#include "meta/garbage.h"

#include "fs/balance_int.h"

/* Registered things and texts, while they are compared. */
struct balance_sides {
	struct volume *v;
	const struct config *want;
	struct balance_diff *d;
	unsigned stores, policies;
	struct store_row store[PLURI_STORES_MAX];
	struct roster_policy policy[PLURI_POLICIES_MAX];
	char old[STORES_TEXT_MAX];
	char new[STORES_TEXT_MAX];
};

void balance_diff_free(struct balance_diff *d)
{
	free(d);
}

static struct balance_change *balance_note(struct balance_sides *s,
	enum balance_kind kind, const char *name, uint32_t num)
{
	struct balance_change *c = &s->d->change[s->d->n++];

	*c = (struct balance_change){.kind = kind, .num = num};
	c->pending = kind != POLICY_REMOVE;
	(void)snprintf(c->name, sizeof(c->name), "%s", name);
	return c;
}

/* --- two canonical texts, line by line ----------------------------------- */

static void balance_say(struct balance_change *c, const char *what,
	const char *line, size_t len)
{
	const size_t n = strlen(c->text);

	(void)snprintf(c->text + n, sizeof(c->text) - n, "%s%s%.*s",
		n ? "; " : "", what, (int)len, line);
}

static size_t balance_line(const char *s)
{
	return strcspn(s, "\n");
}

static const char *balance_next(const char *s)
{
	const size_t n = balance_line(s);

	return s + n + (s[n] == '\n');
}

/* Order of two lines by their keys; both end at '=' or at the line's end. */
static int balance_key_order(const char *a, const char *b)
{
	const size_t an = strcspn(a, " =\n");
	const size_t bn = strcspn(b, " =\n");
	const int r = strncmp(a, b, an < bn ? an : bn);

	return r ? r : (an > bn) - (an < bn);
}

static void balance_tell(
	struct balance_change *c, const char *old, const char *new)
{
	while (*old || *new) {
		const int order = !*old	  ? 1
				  : !*new ? -1
					  : balance_key_order(old, new);
		const size_t an = balance_line(old);
		const size_t bn = balance_line(new);

		if (order == 0 && (an != bn || memcmp(old, new, an) != 0)) {
			balance_say(c, "", new, bn);
			balance_say(c, "was ", old, an);
		}
		if (order < 0)
			balance_say(c, "no longer ", old, an);
		if (order > 0)
			balance_say(c, "", new, bn);
		if (order <= 0)
			old = balance_next(old);
		if (order >= 0)
			new = balance_next(new);
	}
}

/* --- stores -------------------------------------------------------------- */

static const struct store_row *balance_row(
	const struct balance_sides *s, const char *name)
{
	for (unsigned i = 0; i < s->stores; i++)
		if (strcmp(s->store[i].name, name) == 0)
			return &s->store[i];
	return NULL;
}

static bool balance_wanted(const struct config *want, const char *name)
{
	for (unsigned i = 0; i < want->stores; i++)
		if (strcmp(want->store[i].name, name) == 0)
			return true;
	return false;
}

/* What there is of ours on a store. */
struct balance_held {
	uint64_t shards, bytes; /* shards: those that it is owed, too */
	uint64_t garbage; /* objects that are to be deleted */
};

static bool balance_holds(const struct balance_held *h)
{
	return h->shards + h->garbage > 0;
}

static int balance_held(struct balance_sides *s, const struct store_row *row,
	struct balance_held *ret, struct pluri_err *err)
{
	struct packs_store p = {0};
	struct meta_tx *tx = NULL;
	int r = meta_begin(s->v->meta, &tx, err);

	if (r < 0)
		return r;
	r = packs_of_store(tx, row->num, &p, err);
	if (r == 0 && row->state != STORE_DRAINED)
		r = garbage_of_store(tx, row->num, &ret->garbage, err);
	ret->shards = p.objects + p.wanted;
	ret->bytes = p.bytes;
	return meta_end(tx, r, err);
}

static int balance_texts(struct balance_sides *s, const struct store_row *row,
	const struct config_store *want, bool *ret_elsewhere,
	struct pluri_err *err)
{
	pluri_auto_mem struct config_store *was = calloc(1, sizeof(*was));
	int r;

	if (!was)
		return pluri_fail(err, ENOMEM, "plan: no memory");
	r = config_store_parse(row->name, row->text, was, err);
	if (r < 0)
		return r;
	r = config_store_text(was, s->old, sizeof(s->old));
	if (r == 0)
		r = config_store_text(want, s->new, sizeof(s->new));
	if (r < 0)
		return pluri_fail(err, -r, "store %s: its section is too long",
			row->name);
	*ret_elsewhere = strcmp(was->backend, want->backend) != 0 ||
			 strcmp(was->url, want->url) != 0;
	return 0;
}

static int balance_diff_store(
	struct balance_sides *s, unsigned at, struct pluri_err *err)
{
	const struct config_store *want = &s->want->store[at];
	const struct store_row *row = balance_row(s, want->name);
	struct balance_change *c;
	struct balance_held held = {0};
	bool elsewhere = false;
	int r;

	if (!row) {
		c = balance_note(s, STORE_ADD, want->name, UINT32_MAX);
		c->at = at;
		(void)snprintf(c->text, sizeof(c->text),
			"%s at %.200s, provider %s, weight %u", want->backend,
			want->url, want->provider, want->weight);
		return 0;
	}
	r = balance_texts(s, row, want, &elsewhere, err);
	if (r < 0 || strcmp(s->old, s->new) == 0)
		return r;
	r = balance_held(s, row, &held, err);
	c = balance_note(s, STORE_CHANGE, want->name, row->num);
	c->at = at;
	c->elsewhere = elsewhere;
	c->holds = balance_holds(&held);
	balance_tell(c, s->old, s->new);
	return r;
}

static int balance_diff_gone(struct balance_sides *s,
	const struct store_row *row, struct pluri_err *err)
{
	struct balance_change *c;
	struct balance_held held = {0};
	int r;

	r = balance_held(s, row, &held, err);
	if (r < 0)
		return r;
	if (held.shards > 0 && row->state >= STORE_DRAINING)
		return 0; /* on its way: what is to be moved tells */
	c = balance_note(s, STORE_REMOVE, row->name, row->num);
	c->holds = balance_holds(&held);
	if (held.shards > 0)
		(void)snprintf(c->text, sizeof(c->text),
			"takes nothing new; pluri rebalance moves its %llu "
			"shards (%llu bytes) away, then it is forgotten",
			(unsigned long long)held.shards,
			(unsigned long long)held.bytes);
	else if (held.garbage > 0)
		(void)snprintf(c->text, sizeof(c->text),
			"takes nothing new; pluri rebalance deletes %llu "
			"objects there that nothing refers to any more, then "
			"it is forgotten",
			(unsigned long long)held.garbage);
	else
		(void)snprintf(c->text, sizeof(c->text),
			"holds nothing: forgotten, its descriptor deleted");
	return 0;
}

/* --- policies ------------------------------------------------------------ */

static int balance_diff_policy(
	struct balance_sides *s, unsigned at, struct pluri_err *err)
{
	const struct config_policy *want = &s->want->policy[at];
	const struct roster_policy *was = NULL;
	struct balance_change *c;
	int r;

	for (unsigned i = 0; i < s->policies; i++)
		if (strcmp(s->policy[i].name, want->name) == 0)
			was = &s->policy[i];
	if (!was) {
		c = balance_note(s, POLICY_ADD, want->name, UINT32_MAX);
		c->at = at;
		(void)snprintf(
			c->text, sizeof(c->text), "layout %s", want->layout);
		return 0;
	}
	r = config_policy_text(&was->text, s->old, sizeof(s->old));
	if (r == 0)
		r = config_policy_text(want, s->new, sizeof(s->new));
	if (r < 0)
		return pluri_fail(err, -r, "policy %s: its section is too long",
			want->name);
	if (strcmp(s->old, s->new) == 0)
		return 0;
	c = balance_note(s, POLICY_CHANGE, want->name, was->num);
	c->at = at;
	balance_tell(c, s->old, s->new);
	if (strcmp(was->text.layout, want->layout) != 0)
		balance_say(c, "packs written before keep their layout", "", 0);
	return 0;
}

static void balance_diff_lost(
	struct balance_sides *s, const struct roster_policy *p)
{
	struct balance_change *c;

	for (unsigned i = 0; i < s->want->policies; i++)
		if (strcmp(s->want->policy[i].name, p->name) == 0)
			return;
	c = balance_note(s, POLICY_REMOVE, p->name, p->num);
	(void)snprintf(c->text, sizeof(c->text),
		"left the INI: stays in force as it is for the files and "
		"packs that were given it");
}

/* ------------------------------------------------------------------------- */

int balance_diff_new(struct volume *v, const struct config *want,
	struct balance_diff **ret, struct pluri_err *err)
{
	pluri_auto(balance_diff) d = calloc(1, sizeof(*d));
	pluri_auto_mem struct balance_sides *s = calloc(1, sizeof(*s));
	int r = 0;

	if (!d || !s)
		return pluri_fail(err, ENOMEM, "plan: no memory");
	s->v = v;
	s->want = want;
	s->d = d;
	s->stores = roster_stores(v->roster, s->store);
	s->policies = roster_policies(v->roster, s->policy);
	for (unsigned i = 0; r == 0 && i < want->stores; i++)
		r = balance_diff_store(s, i, err);
	for (unsigned i = 0; r == 0 && i < s->stores; i++)
		if (!balance_wanted(want, s->store[i].name))
			r = balance_diff_gone(s, &s->store[i], err);
	for (unsigned i = 0; r == 0 && i < want->policies; i++)
		r = balance_diff_policy(s, i, err);
	for (unsigned i = 0; r == 0 && i < s->policies; i++)
		balance_diff_lost(s, &s->policy[i]);
	if (r < 0)
		return r;
	*ret = pluri_steal(d);
	return 0;
}

json_t *balance_diff_json(const struct balance_diff *d)
{
	static const char *const kinds[] = {"store-add", "store-change",
		"store-remove", "policy-add", "policy-change", "policy-remove"};
	json_t *all = json_array();

	for (unsigned i = 0; i < d->n; i++) {
		const struct balance_change *c = &d->change[i];

		(void)json_array_append_new(all,
			json_pack("{ss ss so}", "kind", kinds[c->kind], "name",
				c->name, "text", answer_text(c->text)));
	}
	return all;
}

bool balance_diff_pending(const struct balance_diff *d)
{
	for (unsigned i = 0; i < d->n; i++)
		if (d->change[i].pending)
			return true;
	return false;
}
