#include <errno.h>
#include <xxhash.h>

#include "base/buf.h"

#include "backends/place.h"

/* Format: scores decide where data already is. Never to be changed. */
#define PLACE_LOG_BITS 32u

#define PLACE_WEIGHT_MAX 65535u

/* One store in the running. */
struct place_entry {
	unsigned store;
	uint64_t cost; /* -log2 of its hash, in 2^-32; 1 or more */
	bool chosen;
};

/* One decision: eligible stores, best first. */
struct place_race {
	const struct place_rule *rule;
	const struct place_store *stores;
	struct place_entry entry[PLURI_STORES_MAX];
	unsigned n;
};

/* log2(v) in 2^-32, rounded down; v > 0. By repeated squaring of the
 * mantissa, whose carry is the next bit of the logarithm. */
static uint64_t place_log2(uint64_t v)
{
	const unsigned whole = 63u - (unsigned)__builtin_clzll(v);
	uint64_t log = whole;
	uint64_t m = v << (63u - whole);

	for (unsigned i = 0; i < PLACE_LOG_BITS; i++) {
		const unsigned __int128 sq = (unsigned __int128)m * m >> 63;
		const bool carry = sq >> 64 != 0;

		m = (uint64_t)(carry ? sq >> 1 : sq);
		log = log << 1 | carry;
	}
	return log;
}

static uint64_t place_cost(
	const struct pluri_id *pack, const struct pluri_id *store)
{
	uint8_t both[2 * PLURI_ID_BYTES];

	memcpy(both, pack->b, PLURI_ID_BYTES);
	memcpy(both + PLURI_ID_BYTES, store->b, PLURI_ID_BYTES);
	/* odd, so that it is never 0 and its logarithm always below 64 */
	return (UINT64_C(64) << PLACE_LOG_BITS) -
	       place_log2(XXH3_64bits(both, sizeof(both)) | 1);
}

static bool place_better(const struct place_race *r,
	const struct place_entry *x, const struct place_entry *y)
{
	const struct place_store *a = &r->stores[x->store];
	const struct place_store *b = &r->stores[y->store];
	const uint64_t mine = a->weight * y->cost; /* 16 + 39 bits */
	const uint64_t his = b->weight * x->cost;

	if (mine != his)
		return mine > his;
	return memcmp(a->id.b, b->id.b, PLURI_ID_BYTES) < 0;
}

static bool place_same(const struct place_store *a, const struct place_store *b)
{
	return strcmp(a->provider, b->provider) == 0;
}

/* Is a store of this provider among the chosen ones? */
static bool place_taken(const struct place_race *r, unsigned store)
{
	for (unsigned i = 0; i < r->n; i++)
		if (r->entry[i].chosen &&
			place_same(&r->stores[store],
				&r->stores[r->entry[i].store]))
			return true;
	return false;
}

static void place_rank(
	struct place_race *r, const struct pluri_id *pack, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct place_entry e = {.store = i};
		unsigned at = r->n;

		if (!r->stores[i].eligible)
			continue;
		e.cost = place_cost(pack, &r->stores[i].id);
		for (; at > 0 && place_better(r, &e, &r->entry[at - 1]); at--)
			r->entry[at] = r->entry[at - 1];
		r->entry[at] = e;
		r->n++;
	}
}

/*
 * Best first; a provider that is taken is passed over as soon as all places
 * left are needed for new ones. Never stuck: there are min_providers
 * providers, and from then on each place takes one not seen before.
 */
static void place_run(struct place_race *r, struct place_choice *ret)
{
	unsigned providers = 0;

	for (unsigned i = 0; i < r->n && ret->n < r->rule->copies; i++) {
		struct place_entry *e = &r->entry[i];
		const unsigned left = r->rule->copies - ret->n;
		const bool taken = place_taken(r, e->store);

		if (taken && providers + left <= r->rule->min_providers)
			continue;
		providers += !taken;
		e->chosen = true;
		ret->store[ret->n++] = e->store;
	}
}

static const char *place_is(unsigned n)
{
	return n == 1 ? "is" : "are";
}

static const char *place_s(unsigned n)
{
	return n == 1 ? "" : "s";
}

/* The first eligible store of its provider? */
static bool place_first(const struct place_store *stores, unsigned i)
{
	for (unsigned j = 0; j < i; j++)
		if (stores[j].eligible && place_same(&stores[j], &stores[i]))
			return false;
	return stores[i].eligible;
}

/* Lists in messages; what does not fit in a story may be lost. */
static void place_add(struct buf *b, const char *name, const char *why)
{
	(void)buf_str(b, b->len ? ", " : ": ");
	(void)buf_fmt(b, why ? "%.64s (%.64s)" : "%.64s", name, why);
}

static int place_few_stores(const struct place_rule *rule,
	const struct place_store *stores, unsigned n, struct pluri_err *err)
{
	struct buf who;
	unsigned eligible = 0;
	int r;

	buf_init(&who, 2 * PLURI_ERR_TEXT);
	for (unsigned i = 0; i < n; i++) {
		eligible += stores[i].eligible;
		if (!stores[i].eligible)
			place_add(&who, stores[i].name,
				stores[i].why_not ? stores[i].why_not
						  : "not eligible");
	}
	r = pluri_fail(err, ENOSPC, "needs %u store%s, %u %s eligible%s",
		rule->copies, place_s(rule->copies), eligible,
		place_is(eligible), buf_text(&who));
	buf_free(&who);
	return r;
}

static int place_few_providers(const struct place_rule *rule,
	const struct place_store *stores, unsigned n, struct pluri_err *err)
{
	struct buf have;
	struct buf lack;
	unsigned providers = 0;
	int r;

	buf_init(&have, PLURI_ERR_TEXT);
	buf_init(&lack, PLURI_ERR_TEXT);
	for (unsigned i = 0; i < n; i++) {
		if (!stores[i].eligible)
			place_add(&lack, stores[i].name,
				stores[i].why_not ? stores[i].why_not
						  : "not eligible");
		if (!place_first(stores, i))
			continue;
		providers++;
		place_add(&have, stores[i].provider, NULL);
	}
	r = pluri_fail(err, ENOSPC,
		"needs %u providers, the eligible stores "
		"are of %u%s%s%s",
		rule->min_providers, providers, buf_text(&have),
		lack.len ? "; not eligible" : "", buf_text(&lack));
	buf_free(&have);
	buf_free(&lack);
	return r;
}

static int place_lawful(const struct place_rule *rule,
	const struct place_store *stores, unsigned n, struct pluri_err *err)
{
	if (rule->copies < 1 || rule->copies > PLURI_SHARDS_MAX)
		return pluri_fail(err, EINVAL, "%u stores a pack: 1 to %u",
			rule->copies, PLURI_SHARDS_MAX);
	if (rule->min_providers < 1 || rule->min_providers > rule->copies)
		return pluri_fail(err, EINVAL,
			"min_providers = %u: 1 to %u, the stores of a pack",
			rule->min_providers, rule->copies);
	if (n > PLURI_STORES_MAX)
		return pluri_fail(err, EINVAL, "%u stores, at most %u", n,
			PLURI_STORES_MAX);
	for (unsigned i = 0; i < n; i++)
		if (!stores[i].weight || stores[i].weight > PLACE_WEIGHT_MAX)
			return pluri_fail(err, EINVAL,
				"store %.64s: weight %u: 1 to %u",
				stores[i].name, stores[i].weight,
				PLACE_WEIGHT_MAX);
	return 0;
}

int place_check(const struct place_rule *rule, const struct place_store *stores,
	unsigned n, struct pluri_err *err)
{
	const int r = place_lawful(rule, stores, n, err);
	unsigned eligible = 0;
	unsigned providers = 0;

	if (r < 0)
		return r;
	for (unsigned i = 0; i < n; i++) {
		eligible += stores[i].eligible;
		providers += place_first(stores, i);
	}
	if (eligible < rule->copies)
		return place_few_stores(rule, stores, n, err);
	if (providers < rule->min_providers)
		return place_few_providers(rule, stores, n, err);
	return 0;
}

int place_choose(const struct pluri_id *pack, const struct place_rule *rule,
	const struct place_store *stores, unsigned n, struct place_choice *ret,
	struct pluri_err *err)
{
	struct place_race race = {.rule = rule, .stores = stores};
	struct place_choice choice = {0};
	const int r = place_check(rule, stores, n, err);

	if (r < 0)
		return r;
	place_rank(&race, pack, n);
	place_run(&race, &choice);
	*ret = choice;
	return 0;
}

static void place_tell(const struct place_race *r, unsigned rank, bool full,
	struct place_reason *ret)
{
	const struct place_entry *e = &r->entry[rank];
	const struct place_store *s = &r->stores[e->store];
	const char *tail = "";
	char why[96] = "";

	if (!e->chosen && full)
		(void)snprintf(why, sizeof(why), ": the rule takes %u",
			r->rule->copies);
	if (!e->chosen && !full) {
		(void)snprintf(why, sizeof(why),
			": passed over, %.24s has one and the rule wants %u",
			s->provider, r->rule->min_providers);
		tail = " providers";
	}
	ret->score = ((uint64_t)s->weight << 48) / e->cost;
	ret->chosen = e->chosen;
	(void)snprintf(ret->text, sizeof(ret->text),
		"rank %u of %u, weight %u%s%s", rank + 1, r->n, s->weight, why,
		tail);
}

int place_explain(const struct pluri_id *pack, const struct place_rule *rule,
	const struct place_store *stores, unsigned n, struct place_reason *ret,
	struct pluri_err *err)
{
	struct place_race race = {.rule = rule, .stores = stores};
	struct place_choice choice = {0};
	unsigned told = 0;
	const int r = place_check(rule, stores, n, err);

	if (r < 0)
		return r;
	place_rank(&race, pack, n);
	place_run(&race, &choice);
	for (unsigned i = 0; i < n; i++) {
		ret[i] = (struct place_reason){0};
		(void)snprintf(ret[i].text, sizeof(ret[i].text),
			"not eligible%s%.100s", stores[i].why_not ? ": " : "",
			stores[i].why_not ? stores[i].why_not : "");
	}
	for (unsigned i = 0; i < race.n; i++) {
		place_tell(
			&race, i, told == choice.n, &ret[race.entry[i].store]);
		told += race.entry[i].chosen;
	}
	return 0;
}
