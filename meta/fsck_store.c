#include <inttypes.h>

#include "meta/fsck_int.h"
#include "meta/stores.h"

/*
 * What is judged here is whether a row can be read at all. What its text says
 * is another one's to know, who may also know better: an empty text is for him
 * to fill.
 */

/* Of a text as it is stored, with the NUL that it will get. */
static bool store_fits(int64_t len, size_t cap)
{
	return len >= 0 && (uint64_t)len < cap;
}

/* --- stores -------------------------------------------------------------- */

#define STORE_NAMED                                         \
	"length(CAST(name AS BLOB)) BETWEEN 1 AND 64"       \
	" AND CAST(name AS TEXT) NOT GLOB '*[^-a-z0-9._]*'" \
	" AND CAST(name AS TEXT) GLOB '[a-z0-9_]*'"

static int store_fix_forget(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx, "DELETE FROM store WHERE num = ?1",
		META_INTS(found->value), err);
}

static int store_fix_row(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx,
		"UPDATE store SET"
		" weight = CASE WHEN weight BETWEEN 0 AND 4294967295"
		" THEN weight ELSE 1 END,"
		" state = CASE WHEN state BETWEEN 0 AND 3 THEN state"
		" ELSE 0 END,"
		" id = CASE WHEN length(id) = 16 THEN id"
		" ELSE randomblob(16) END,"
		" name = CASE WHEN " STORE_NAMED
		" THEN name ELSE 'lost-' || num END,"
		" provider = CASE WHEN length(CAST(provider AS BLOB)) <= 64"
		" THEN provider ELSE '' END,"
		" text = CASE WHEN length(CAST(text AS BLOB)) < ?2"
		" THEN text ELSE '' END"
		" WHERE num = ?1",
		META_INTS(found->value, STORES_TEXT_MAX), err);
}

struct store_line {
	int64_t num, weight, state, id, provider, text; /* the last: lengths */
	bool named;
};

static void store_judge(struct fsck *f, const struct store_line *l)
{
	static const struct fsck_rule number = {"store-number",
		"forgets the store: none can have such a number; apply "
		"registers it anew",
		false, store_fix_forget};
	static const struct fsck_rule absurd = {"store-absurd",
		"replaces what of the row cannot be; a state by active, a name "
		"by lost-N",
		false, store_fix_row};
	const bool far = l->num < 0 || l->num >= (int64_t)PLURI_STORES_MAX;

	if (!far && l->weight >= 0 && l->weight <= UINT32_MAX &&
		l->state >= STORE_ACTIVE && l->state <= STORE_DRAINED &&
		l->id == PLURI_ID_BYTES && l->named &&
		store_fits(l->provider, PLURI_NAME_MAX + 1) &&
		store_fits(l->text, STORES_TEXT_MAX))
		return;
	fsck_add(f, far ? &number : &absurd,
		"store %" PRId64 ": weight %" PRId64 ", state %" PRId64
		", %s, an id of %" PRId64 " bytes, a text of %" PRId64,
		l->num, l->weight, l->state,
		l->named ? "a lawful name" : "a name that cannot be", l->id,
		l->text)
		->value = l->num;
}

int fsck_store(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err)
{
	struct store_line l = {0};
	struct db_stmt *s = NULL;
	int r = fsck_query(f, tx,
		"SELECT num, weight, state, length(id),"
		" length(CAST(provider AS BLOB)), length(CAST(text AS BLOB)),"
		" " STORE_NAMED " FROM store WHERE num > ?1"
		" ORDER BY num LIMIT ?2",
		1, &s, err);

	while (r >= 0 && fsck_go(f) && (r = meta_step(tx, s, err)) > 0) {
		f->key[0] = l.num = meta_int(tx, s, 0);
		l.weight = meta_int(tx, s, 1);
		l.state = meta_int(tx, s, 2);
		l.id = meta_int(tx, s, 3);
		l.provider = meta_int(tx, s, 4);
		l.text = meta_int(tx, s, 5);
		l.named = meta_int(tx, s, 6) != 0;
		fsck_took(f);
		store_judge(f, &l);
	}
	*ret_more = r > 0 || !fsck_go(f);
	return r;
}

/* --- policies ------------------------------------------------------------ */

/* The one called so, whatever its number, else a new one. */
static int store_fix_default(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	int r = fsck_change(tx,
		"UPDATE policy SET num = 0 WHERE name = 'default'", NULL, 0,
		err);

	(void)f;
	(void)found;
	if (r == 0)
		r = fsck_change(tx,
			"INSERT INTO policy (num, name, text)"
			" VALUES (0, 'default', '')",
			NULL, 0, err);
	return r;
}

static int store_fix_number(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx, "DELETE FROM policy WHERE num = ?1",
		META_INTS(found->value), err);
}

static int store_fix_policy(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx,
		"UPDATE policy SET name = CASE WHEN " STORE_NAMED
		" THEN name WHEN num = 0 THEN 'default'"
		" ELSE 'lost-' || num END,"
		" text = CASE WHEN length(CAST(text AS BLOB)) < ?2"
		" THEN text ELSE '' END"
		" WHERE num = ?1",
		META_INTS(found->value, STORES_TEXT_MAX), err);
}

static int store_default(
	struct fsck *f, struct meta_tx *tx, struct pluri_err *err)
{
	static const struct fsck_rule missing = {"policy-missing",
		"makes the policy \"default\"", false, store_fix_default};
	int64_t yes = 0;
	const int r = meta_ask(
		tx, "SELECT 1 FROM policy WHERE num = 0", NULL, 0, &yes, err);

	if (r == 0)
		(void)fsck_add(f, &missing, "there is no policy of number 0");
	return r < 0 ? r : 0;
}

static void store_judge_policy(
	struct fsck *f, int64_t num, int64_t text, bool named)
{
	static const struct fsck_rule number = {"policy-number",
		"forgets the policy: none can have such a number", false,
		store_fix_number};
	static const struct fsck_rule absurd = {"policy-absurd",
		"empties a text that is too long, and calls it default, or "
		"lost-N, where its name cannot be",
		false, store_fix_policy};
	const bool far = num < 0 || num >= (int64_t)PLURI_POLICIES_MAX;

	if (!far && named && store_fits(text, STORES_TEXT_MAX))
		return;
	fsck_add(f, far ? &number : &absurd,
		"policy %" PRId64 ": %s, a text of %" PRId64 " bytes", num,
		named ? "a lawful name" : "a name that cannot be", text)
		->value = num;
}

int fsck_policy(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = f->on ? 0 : store_default(f, tx, err);

	if (r >= 0)
		r = fsck_query(f, tx,
			"SELECT num, length(CAST(text AS BLOB)), " STORE_NAMED
			" FROM policy WHERE num > ?1 ORDER BY num LIMIT ?2",
			1, &s, err);
	while (r >= 0 && fsck_go(f) && (r = meta_step(tx, s, err)) > 0) {
		f->key[0] = meta_int(tx, s, 0);
		fsck_took(f);
		store_judge_policy(f, f->key[0], meta_int(tx, s, 1),
			meta_int(tx, s, 2) != 0);
	}
	*ret_more = r > 0 || !fsck_go(f);
	return r;
}
