/*
 * Steps, and what a crash after each leaves to the next try:
 *
 *   look     nothing is changed anywhere; every store answers, none is taken
 *   key      kept for ever
 *   id       on disk: descriptors of this id are known as ours
 *   draft    the database under another name; made again
 *   claim    descriptors on some stores; found to be ours
 *   publish  the database gets its name: the volume exists
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "fs/claim.h"
#include "fs/create_dir.h"
#include "fs/roster.h"
#include "fs/secret.h"
#include "meta/stores.h"

#include "fs/create.h"

struct create {
	const struct config *c;
	struct create_dir *dir;
	struct claim_stores *stores;
	struct keys *keys;
	struct meta_volume info;
	uint8_t master[PLURI_KEY_BYTES];
	bool key_missing;
	bool again; /* an earlier try drew the id */
	uint64_t made; /* stores claimed by this run */
};

static void create_free(struct create *m)
{
	claim_stores_free(m->stores);
	keys_free(m->keys);
	create_dir_free(m->dir);
	secret_wipe(m->master, sizeof(m->master));
	free(m);
}
PLURI_OWN(create);

static struct claim create_at(const struct create *m, unsigned i)
{
	return (struct claim){
		.fleet = claim_fleet(m->stores),
		.store = i,
		.name = m->c->store[i].name,
		.deadline_ms = clock_mono_ms(clock_system()) + m->c->timeout_ms,
	};
}

static int create_key(struct create *m, struct pluri_err *err)
{
	int r;

	r = secret_key(m->c->key, m->master, err);
	if (r == -ENOENT && strncmp(m->c->key, "file:", 5) == 0) {
		m->key_missing = true;
		clock_random(clock_system(), m->master, sizeof(m->master));
		r = 0;
	}
	if (r < 0)
		return r;
	r = keys_new(m->master, &m->info.id, &m->keys, err);
	if (r == 0)
		keys_check(m->keys, m->info.key_check);
	return r;
}

static int create_info(struct create *m, struct pluri_err *err)
{
	const struct clock *clock = clock_system();

	m->info.created_ns = clock_real_ns(clock);
	(void)snprintf(m->info.name, sizeof(m->info.name), "%s", m->c->name);
	clock_random(clock, &m->info.id, sizeof(m->info.id));
	return create_dir_recall(m->dir, &m->info.id, &m->again, err);
}

static int create_look(struct create *m, struct pluri_err *err)
{
	for (unsigned i = 0; i < m->c->stores; i++) {
		const struct claim at = create_at(m, i);
		const int r = claim_look(&at, m->keys, NULL, err);

		if (r == -EEXIST)
			return pluri_fail(err, EEXIST,
				"store %s (%.200s) already holds a volume, and "
				"is never overwritten; delete its object %s "
				"if that volume is gone for good",
				at.name, m->c->store[i].url, DESCRIPTOR_NAME);
		/* no volume either: a proxy, a portal, somebody's object */
		if (r == -EBADMSG)
			(void)pluri_where(err,
				"%.200s is neither empty nor a volume's "
				"place: correct the url, or make it empty",
				m->c->store[i].url);
		if (r < 0)
			return r;
	}
	return 0;
}

static int create_register(
	struct create *m, struct meta_tx *tx, struct pluri_err *err)
{
	struct store_row s;
	struct policy_row p;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < m->c->stores; i++) {
		s = (struct store_row){.num = UINT32_MAX};
		r = roster_store_row(&m->info.id, &m->c->store[i], &s, err);
		if (r == 0)
			r = stores_put(tx, &s, err);
	}
	for (unsigned i = 0; r == 0 && i < m->c->policies; i++) {
		p = (struct policy_row){.num = UINT32_MAX};
		r = roster_policy_row(&m->c->policy[i], &p, err);
		if (r == 0)
			r = stores_put_policy(tx, &p, err);
	}
	return r;
}

static int create_draft(struct create *m, struct pluri_err *err)
{
	pluri_auto(meta) db = NULL;
	struct meta_tx *tx = NULL;
	struct meta_volume v;
	const char *path = NULL;
	int r;

	r = create_dir_draft(m->dir, &path, err);
	if (r == 0)
		r = meta_create(path, &m->info, geteuid(), getegid(), err);
	if (r == 0)
		r = meta_open(path, &db, &v, err);
	if (r == 0)
		r = meta_begin(db, &tx, err);
	if (r < 0)
		return r;
	r = meta_end(tx, create_register(m, tx, err), err);
	return r < 0 ? r : meta_close(db, err);
}

/* Only what this run put there; true when nothing of ours is left. */
static bool create_unclaim(struct create *m)
{
	bool clean = !m->again;

	for (unsigned i = 0; i < m->c->stores; i++) {
		const struct claim at = create_at(m, i);

		if ((m->made >> i & 1) && claim_remove(&at, m->keys, NULL) < 0)
			clean = false;
	}
	return clean;
}

static int create_claim(struct create *m, struct pluri_err *err)
{
	for (unsigned i = 0; i < m->c->stores; i++) {
		const struct claim at = create_at(m, i);
		bool made = false;
		int r;

		r = claim_make(
			&at, m->keys, m->c->name, clock_system(), &made, err);
		/* after a lost answer it may be there: unclaim looks */
		if (made || (r < 0 && r != -EEXIST))
			m->made |= UINT64_C(1) << i;
		if (r < 0)
			return r;
	}
	return 0;
}

static int create_run(struct create *m, struct pluri_err *err)
{
	int r;

	r = create_info(m, err);
	if (r == 0)
		r = create_key(m, err);
	if (r == 0)
		r = claim_open(m->c, UINT64_MAX, &m->stores, err);
	if (r == 0)
		r = create_look(m, err);
	if (r == 0 && m->key_missing)
		r = secret_key_create(m->c->key, m->master, err);
	if (r == 0 && !m->again)
		r = create_dir_remember(m->dir, &m->info.id, err);
	if (r < 0)
		return r;
	r = create_draft(m, err);
	if (r == 0)
		r = create_claim(m, err);
	if (r == 0)
		r = create_dir_publish(m->dir, err);
	if (r < 0 && create_unclaim(m))
		create_dir_forget(m->dir);
	return r;
}

int volume_create(const struct config *c, struct create_report *ret,
	struct pluri_err *err)
{
	pluri_auto(create) m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return pluri_fail(err, ENOMEM, "create: no memory");
	m->c = c;
	r = roster_judge(c, err);
	if (r == 0)
		r = create_dir_open(c, &m->dir, err);
	if (r == 0)
		r = create_run(m, err);
	if (r < 0)
		return r;
	(void)text_hex(m->info.id.b, sizeof(m->info.id.b), ret->volume_id);
	(void)snprintf(ret->key_ref, sizeof(ret->key_ref), "%s", c->key);
	ret->key_made = m->key_missing;
	return 0;
}
