#include <errno.h>

#include "meta/packs_int.h"
#include "meta/stores.h"

const char *store_state_text(enum store_state s)
{
	static const char *const words[] = {
		"active", "cordoned", "draining", "drained"};

	return (unsigned)s <= STORE_DRAINED ? words[s] : "unknown";
}

/* A text of the caller's that has its NUL, and is not empty unless it may. */
static bool stores_text(const char *s, size_t cap, bool empty)
{
	const size_t n = strnlen(s, cap);

	return n < cap && (n > 0 || empty);
}

static int stores_judge(const struct store_row *s, struct pluri_err *err)
{
	if (!stores_text(s->name, sizeof(s->name), false) ||
		!stores_text(s->provider, sizeof(s->provider), true) ||
		!stores_text(s->text, sizeof(s->text), true))
		return pluri_fail(err, EINVAL,
			"store: its name, provider or text is empty or too "
			"long");
	if ((unsigned)s->state > STORE_DRAINED)
		return pluri_fail(err, EINVAL, "store \"%s\": state %d",
			s->name, (int)s->state);
	return 0;
}

/* Lowest number from `from` to max that no row of the ascending listing has. */
static int stores_free_num(struct meta_tx *tx, struct db_stmt *s, uint32_t from,
	uint32_t max, uint32_t *ret, struct pluri_err *err)
{
	int64_t num = from;
	int r = 0;

	while ((r = meta_step(tx, s, err)) > 0) {
		const int64_t used = meta_int(tx, s, 0);

		if (used > num)
			break;
		if (used == num)
			num++;
	}
	if (r < 0)
		return r;
	if (num >= max)
		return pluri_fail(err, ENOSPC,
			"all %u numbers are taken; remove one that is no "
			"longer used",
			max);
	*ret = (uint32_t)num;
	return 0;
}

static int stores_new_num(
	struct meta_tx *tx, uint32_t *ret, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = meta_query(
		tx, "SELECT num FROM store ORDER BY num", NULL, 0, &s, err);

	if (r == 0)
		r = stores_free_num(tx, s, 0, PLURI_STORES_MAX, ret, err);
	return r < 0 ? pluri_where(err, "stores"), r : 0;
}

static void stores_bind(
	struct meta_tx *tx, struct db_stmt *st, const struct store_row *s)
{
	tx->ops->bind_blob(
		st, 4, (struct pluri_span){s->id.b, sizeof(s->id.b)});
	tx->ops->bind_text(st, 5, s->name);
	tx->ops->bind_text(st, 6, s->provider);
	tx->ops->bind_text(st, 7, s->text);
}

static int stores_add(
	struct meta_tx *tx, struct store_row *s, struct pluri_err *err)
{
	struct db_stmt *st = NULL;
	uint32_t num = 0;
	int r = stores_new_num(tx, &num, err);

	if (r == 0)
		r = meta_query(tx,
			"INSERT INTO store (num, weight, state, id, name,"
			" provider, text)"
			" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
			META_INTS(num, s->weight, s->state), &st, err);
	if (r < 0)
		return r;
	stores_bind(tx, st, s);
	r = meta_step_done(tx, st, err);
	if (r == 0)
		s->num = num;
	return r;
}

static int stores_unknown(uint32_t num, struct pluri_err *err)
{
	return pluri_fail(
		err, ENOENT, "the volume has no store number %u", num);
}

static int stores_change(
	struct meta_tx *tx, const struct store_row *s, struct pluri_err *err)
{
	struct db_stmt *st = NULL;
	int r = meta_query(tx,
		"UPDATE store SET weight = ?2, state = ?3, id = ?4, name = ?5,"
		" provider = ?6, text = ?7 WHERE num = ?1",
		META_INTS(s->num, s->weight, s->state), &st, err);

	if (r < 0)
		return r;
	stores_bind(tx, st, s);
	r = meta_step_done(tx, st, err);
	if (r < 0 || tx->ops->changes(tx->db) > 0)
		return r;
	return stores_unknown(s->num, err);
}

int stores_put(struct meta_tx *tx, struct store_row *s, struct pluri_err *err)
{
	int r = stores_judge(s, err);

	if (r == 0)
		r = s->num == UINT32_MAX ? stores_add(tx, s, err)
					 : stores_change(tx, s, err);
	if (r == -EEXIST)
		return pluri_fail(err, EEXIST,
			"store \"%s\": another one has this name or id",
			s->name);
	return r;
}

int stores_check(struct meta_tx *tx, uint32_t num, struct pluri_err *err)
{
	int64_t any = 0;
	int r = meta_ask(tx, "SELECT 1 FROM store WHERE num = ?1",
		META_INTS(num), &any, err);

	if (r < 0)
		return r;
	return r > 0 ? 0 : stores_unknown(num, err);
}

int stores_set_state(struct meta_tx *tx, uint32_t num, enum store_state s,
	struct pluri_err *err)
{
	int r;

	if ((unsigned)s > STORE_DRAINED)
		return pluri_fail(
			err, EINVAL, "store %u: state %d", num, (int)s);
	r = meta_change(tx, "UPDATE store SET state = ?2 WHERE num = ?1",
		META_INTS(num, s), err);
	if (r < 0 || tx->ops->changes(tx->db) > 0)
		return r;
	return stores_unknown(num, err);
}

/* What still names a store. */
struct stores_names {
	int64_t shards, moves, graves;
};

static int stores_named(struct meta_tx *tx, uint32_t num,
	struct stores_names *ret, struct pluri_err *err)
{
	int r = meta_ask(tx, "SELECT count(*) FROM shard WHERE store = ?1",
		META_INTS(num), &ret->shards, err);

	if (r >= 0)
		r = meta_ask(tx,
			"SELECT count(*) FROM move"
			" WHERE from_store = ?1 OR to_store = ?1",
			META_INTS(num), &ret->moves, err);
	/* A drained one was swept of what they stand for */
	if (r >= 0)
		r = meta_change(tx,
			"DELETE FROM grave WHERE store = ?1 AND EXISTS(SELECT 1"
			" FROM store WHERE num = ?1 AND state = ?2)",
			META_INTS(num, STORE_DRAINED), err);
	if (r >= 0)
		r = meta_ask(tx, "SELECT count(*) FROM grave WHERE store = ?1",
			META_INTS(num), &ret->graves, err);
	return r;
}

int stores_del(struct meta_tx *tx, uint32_t num, struct pluri_err *err)
{
	struct stores_names n = {0};
	int r = stores_check(tx, num, err);

	if (r == 0)
		r = stores_named(tx, num, &n, err);
	if (r < 0)
		return r;
	if (n.shards > 0 || n.moves > 0 || n.graves > 0)
		return pluri_fail(err, EBUSY,
			"store %u still has %lld shards and %lld moves, and "
			"%lld objects that are to be deleted; drain it first",
			num, (long long)n.shards, (long long)n.moves,
			(long long)n.graves);
	return meta_change(
		tx, "DELETE FROM store WHERE num = ?1", META_INTS(num), err);
}

static int stores_row(struct meta_tx *tx, struct db_stmt *st,
	struct store_row *ret, struct pluri_err *err)
{
	const uint64_t num = meta_u64(tx, st, 0);
	const uint64_t weight = meta_u64(tx, st, 1);
	const uint64_t state = meta_u64(tx, st, 2);
	int r;

	if (num >= PLURI_STORES_MAX || weight > UINT32_MAX ||
		state > STORE_DRAINED)
		return pluri_fail(err, EBADMSG,
			"database: store %llu: its row is damaged (weight "
			"%llu, state %llu)",
			(unsigned long long)num, (unsigned long long)weight,
			(unsigned long long)state);
	ret->num = (uint32_t)num;
	ret->weight = (uint32_t)weight;
	ret->state = (enum store_state)state;
	r = meta_bytes(tx, st, 3, ret->id.b, sizeof(ret->id.b), err);
	if (r == 0)
		r = meta_text(tx, st, 4, ret->name, sizeof(ret->name), err);
	if (r == 0)
		r = meta_text(
			tx, st, 5, ret->provider, sizeof(ret->provider), err);
	if (r == 0)
		r = meta_text(tx, st, 6, ret->text, sizeof(ret->text), err);
	return r < 0 ? pluri_where(err, "store %u", ret->num), r : 0;
}

int stores_list(struct meta_tx *tx, struct store_row *ret, unsigned *ret_n,
	struct pluri_err *err)
{
	struct db_stmt *st = NULL;
	unsigned n = 0;
	int r = meta_query(tx,
		"SELECT num, weight, state, id, name, provider, text"
		" FROM store ORDER BY num",
		NULL, 0, &st, err);

	/* Numbers are unique and judged: never more than the ceiling of them */
	while (r == 0 && (r = meta_step(tx, st, err)) > 0)
		r = n < PLURI_STORES_MAX
			    ? stores_row(tx, st, &ret[n++], err)
			    : pluri_fail(err, EBADMSG,
				      "database: more than %u stores",
				      PLURI_STORES_MAX);
	if (r < 0)
		return r;
	*ret_n = n;
	return 0;
}

static int stores_policy_num(struct meta_tx *tx, const struct policy_row *p,
	uint32_t *ret, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r;

	if (p->num != UINT32_MAX || strcmp(p->name, "default") == 0) {
		*ret = p->num != UINT32_MAX ? p->num : 0;
		return 0;
	}
	r = meta_query(
		tx, "SELECT num FROM policy ORDER BY num", NULL, 0, &s, err);
	if (r == 0)
		r = stores_free_num(tx, s, 1, PLURI_POLICIES_MAX, ret, err);
	return r < 0 ? pluri_where(err, "policies"), r : 0;
}

int stores_put_policy(
	struct meta_tx *tx, struct policy_row *p, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	uint32_t num = 0;
	int r;

	if (!stores_text(p->name, sizeof(p->name), false) ||
		!stores_text(p->text, sizeof(p->text), true))
		return pluri_fail(err, EINVAL,
			"policy: its name or text is empty or too long");
	r = stores_policy_num(tx, p, &num, err);
	if (r < 0)
		return r;
	if (num >= PLURI_POLICIES_MAX)
		return pluri_fail(
			err, EINVAL, "policy \"%s\": number %u", p->name, num);
	r = meta_query(tx,
		"INSERT INTO policy (num, name, text) VALUES (?1, ?2, ?3)"
		" ON CONFLICT (num) DO UPDATE SET name = excluded.name,"
		" text = excluded.text",
		META_INTS(num), &s, err);
	if (r < 0)
		return r;
	tx->ops->bind_text(s, 2, p->name);
	tx->ops->bind_text(s, 3, p->text);
	r = meta_step_done(tx, s, err);
	if (r == -EEXIST)
		return pluri_fail(err, EEXIST,
			"policy \"%s\": another number has this name", p->name);
	if (r == 0)
		p->num = num;
	return r;
}

static int stores_policy_row(struct meta_tx *tx, struct db_stmt *s,
	struct policy_row *ret, struct pluri_err *err)
{
	const uint64_t num = meta_u64(tx, s, 0);
	int r;

	if (num >= PLURI_POLICIES_MAX)
		return pluri_fail(err, EBADMSG,
			"database: there is a policy number %llu",
			(unsigned long long)num);
	ret->num = (uint32_t)num;
	r = meta_text(tx, s, 1, ret->name, sizeof(ret->name), err);
	if (r == 0)
		r = meta_text(tx, s, 2, ret->text, sizeof(ret->text), err);
	return r < 0 ? pluri_where(err, "policy %u", ret->num), r : 0;
}

int stores_list_policies(struct meta_tx *tx, struct policy_row *ret,
	unsigned *ret_n, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	unsigned n = 0;
	int r = meta_query(tx,
		"SELECT num, name, text FROM policy ORDER BY num", NULL, 0, &s,
		err);

	while (r == 0 && (r = meta_step(tx, s, err)) > 0)
		r = n < PLURI_POLICIES_MAX
			    ? stores_policy_row(tx, s, &ret[n++], err)
			    : pluri_fail(err, EBADMSG,
				      "database: more than %u policies",
				      PLURI_POLICIES_MAX);
	if (r < 0)
		return r;
	*ret_n = n;
	return 0;
}
