#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "fs/claim.h"
#include "fs/commit.h"
#include "meta/garbage.h"

#include "fs/balance_int.h"

#define LEAVE_FLAGS (FLEET_BARE | FLEET_RETRY)
#define LEAVE_KEYS 64u /* of one round of deleting */
#define LEAVE_ROUNDS 64u

static uint64_t balance_deadline(const struct volume *v)
{
	return clock_mono_ms(clock_system()) +
	       2 * (uint64_t)v->config->timeout_ms;
}

static struct claim balance_claim(
	const struct volume *v, const struct store_row *s)
{
	return (struct claim){
		.fleet = v->fleet,
		.store = s->num,
		.name = s->name,
		.deadline_ms = balance_deadline(v),
	};
}

/* --- what a lost answer may have left there ------------------------------ */

/* Objects that the database does not place on this store. */
struct balance_sweep {
	struct volume *v;
	const struct store_row *store;
	unsigned n;
	uint64_t strangers;
	char key[LEAVE_KEYS][PLURI_OBJECT_KEY_MAX + 1];
};

static int balance_seen(void *arg, const char *key, uint64_t size)
{
	struct balance_sweep *s = arg;

	(void)size;
	if (s->n == LEAVE_KEYS)
		return -ECANCELED; /* enough for this round */
	(void)snprintf(s->key[s->n++], sizeof(s->key[0]), "%s", key);
	return 0;
}

/* 1: a shard of ours that the database has elsewhere, or that is to be deleted
 * (fs/repack.h); 0: not known to it;
 * -ESTALE: it is there by right. */
static int balance_known(
	struct balance_sweep *s, const char *key, struct pluri_err *err)
{
	struct shard_row shard[PLURI_SHARDS_MAX];
	struct meta_tx *tx = NULL;
	struct pluri_id id;
	struct pack_row pack;
	unsigned index = 0;
	unsigned n = 0;
	int buried = 0;
	int r;

	if (shard_name_parse(key, &id, &index) < 0)
		return 0;
	r = meta_begin(s->v->meta, &tx, err);
	if (r < 0)
		return r;
	r = packs_find(tx, &id, &pack, err);
	if (r == 0)
		r = packs_shards(
			tx, pack.num, shard, PLURI_SHARDS_MAX, &n, err);
	if (r == -ENOENT)
		r = buried = garbage_known(tx, &id, err);
	r = meta_end(tx, r < 0 ? r : 0, err);
	for (unsigned i = 0; r == 0 && i < n; i++) {
		if (shard[i].index == index && shard[i].store == s->store->num)
			return pluri_fail(err, EBUSY, "store %s: %s is in use",
				s->store->name, key);
	}
	return r < 0 ? r : n > 0 || buried > 0;
}

static int balance_sweep_round(struct balance_sweep *s, struct pluri_err *err)
{
	uint64_t swept = 0;
	int r = 0;

	s->strangers = 0;
	for (unsigned i = 0; r >= 0 && i < s->n; i++) {
		r = balance_known(s, s->key[i], err);
		if (r == 0)
			s->strangers++;
		if (r <= 0)
			continue;
		log_line(LOG_DEBUG, "store %s: deleting leftover %s",
			s->store->name, s->key[i]);
		r = fleet_del(s->v->fleet, s->store->num, s->key[i],
			balance_deadline(s->v), LEAVE_FLAGS, err);
		swept++;
	}
	if (r < 0)
		return r;
	return swept > 0;
}

static int balance_strangers(
	const struct balance_sweep *s, struct pluri_err *err)
{
	return pluri_fail(err, EEXIST,
		"store %s: holds %llu or more objects below %s that this "
		"volume does not know, %s for one; they are left alone: look "
		"at them, then drain again",
		s->store->name, (unsigned long long)s->strangers, SHARD_PREFIX,
		s->key[0]);
}

/* Rounds from the start of the listing, until it is empty. */
static int balance_sweep(struct balance_sweep *s, struct pluri_err *err)
{
	struct pluri_page page = {.each = balance_seen, .arg = s};
	int r;

	for (unsigned i = 0; i < LEAVE_ROUNDS; i++) {
		s->n = 0;
		r = fleet_list(s->v->fleet, s->store->num, SHARD_PREFIX, &page,
			balance_deadline(s->v), LEAVE_FLAGS, err);
		if (r < 0 && r != -ECANCELED)
			return r;
		if (s->n == 0 && r == 0 && page.token[0] == 0)
			return 0;
		if (s->n == 0)
			continue; /* an empty page with another one behind it */
		r = balance_sweep_round(s, err);
		if (r < 0)
			return r;
		if (r == 0)
			return balance_strangers(s, err);
		page.token[0] = 0;
	}
	return pluri_fail(err, EAGAIN, "store %s: more leftovers to delete",
		s->store->name);
}

/* --- leaving ------------------------------------------------------------- */

static int balance_empty(
	struct volume *v, const struct store_row *s, struct pluri_err *err)
{
	struct packs_store holds = {0};
	struct meta_tx *tx = NULL;
	int r;

	r = meta_begin(v->meta, &tx, err);
	if (r < 0)
		return r;
	r = meta_end(tx, packs_of_store(tx, s->num, &holds, err), err);
	if (r < 0)
		return r;
	if (holds.objects + holds.wanted == 0)
		return 0;
	return pluri_fail(err, EAGAIN,
		"store %s: %llu objects and %llu debts are left", s->name,
		(unsigned long long)holds.objects,
		(unsigned long long)holds.wanted);
}

static int balance_drained(
	struct volume *v, const struct store_row *s, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int r;

	r = meta_begin(v->meta, &tx, err);
	if (r < 0)
		return r;
	r = meta_end(tx, stores_set_state(tx, s->num, STORE_DRAINED, err), err);
	if (r == 0)
		r = commit_now(v->commit, true, err);
	return r < 0 ? r : roster_reload(v->roster, err);
}

/* The INI may have changed since the volume was opened. */
static bool balance_in_ini(struct volume *v, const char *name)
{
	pluri_auto(config) c = NULL;

	if (config_load(v->config->file, &c, NULL) < 0)
		return true; /* not known: forget nothing */
	for (unsigned i = 0; i < c->stores; i++)
		if (strcmp(c->store[i].name, name) == 0)
			return true;
	return false;
}

int balance_leave_forget(struct volume *v, const struct store_row *s,
	struct pluri_err *ret_why, struct pluri_err *err)
{
	const struct claim at = balance_claim(v, s);
	struct meta_tx *tx = NULL;
	int r;

	r = meta_begin(v->meta, &tx, err);
	if (r < 0)
		return r;
	/* atomic with the look at its shards: -EBUSY when there are any */
	r = meta_end(tx, stores_del(tx, s->num, err), err);
	if (r == 0)
		r = commit_now(v->commit, true, err);
	if (r < 0)
		return r;
	if (s->state != STORE_DRAINED &&
		claim_remove(&at, v->keys, ret_why) < 0)
		log_line(LOG_WARN,
			"store %s is forgotten; its descriptor %s could not "
			"be deleted: %s",
			s->name, DESCRIPTOR_NAME, ret_why->text);
	log_line(LOG_DEBUG, "store %s: forgotten", s->name);
	return roster_reload(v->roster, err);
}

/* What is swept must lie in this store's place, and in no other's: disks and
 * shares get exchanged. */
static int balance_at_home(
	struct volume *v, const struct store_row *s, struct pluri_err *err)
{
	const struct claim at = balance_claim(v, s);
	char said[PLURI_NAME_MAX + 1] = "";
	const int r = claim_look(&at, v->keys, said, err);

	if (r == 1 && strcmp(said, s->name) != 0)
		return pluri_fail(err, EEXIST,
			"store %s: this is the place of store %s: were two "
			"disks or shares exchanged?",
			s->name, said);
	return r < 0 ? r : 0;
}

int balance_leave(
	struct volume *v, const struct store_row *s, struct pluri_err *err)
{
	pluri_auto_mem struct balance_sweep *sweep = calloc(1, sizeof(*sweep));
	const struct claim at = balance_claim(v, s);
	struct store_row gone = *s;
	int r;

	if (!sweep)
		return pluri_fail(err, ENOMEM, "drain: no memory");
	sweep->v = v;
	sweep->store = s;
	r = balance_empty(v, s, err);
	if (r == 0) /* no power cut brings a shard back */
		r = commit_now(v->commit, true, err);
	if (r == 0)
		r = balance_at_home(v, s, err);
	if (r == 0)
		r = balance_sweep(sweep, err);
	if (r == 0) /* nobody may have placed anything in between */
		r = balance_empty(v, s, err);
	if (r == 0)
		r = claim_remove(&at, v->keys, err);
	if (r == 0)
		r = balance_drained(v, s, err);
	if (r < 0)
		return r;
	log_line(LOG_INFO, "store %s is empty: drained", s->name);
	gone.state = STORE_DRAINED;
	if (balance_in_ini(v, s->name))
		return 0;
	return balance_leave_forget(v, &gone, NULL, err);
}
