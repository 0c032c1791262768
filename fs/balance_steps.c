#include <errno.h>

#include "fs/balance_int.h"

/* One pack's decision. Places are indices into the table. */
struct balance_deal {
	const struct balance_table *t;
	struct place_rule rule;
	unsigned n; /* shards */
	unsigned want[PLURI_SHARDS_MAX]; /* best first */
	unsigned wanted;
	uint64_t want_set, have_set; /* places */
	bool must; /* a shard may not stay where it is */
};

static int balance_find(const struct balance_table *t, uint32_t num)
{
	for (unsigned i = 0; i < t->n; i++)
		if (t->num[i] == num)
			return (int)i;
	return -1;
}

static void balance_take(struct balance_deal *d, unsigned place)
{
	d->want[d->wanted++] = place;
	d->want_set |= UINT64_C(1) << place;
}

/* Where the shards are; those on stores that keep stay wanted there. */
static void balance_have(struct balance_deal *d, const struct shard_row *shards)
{
	for (unsigned i = 0; i < d->n; i++) {
		const int at = balance_find(d->t, shards[i].store);
		const uint64_t bit = at < 0 ? 0 : UINT64_C(1) << at;

		if (at < 0 || (d->have_set & bit) != 0) {
			d->must = true;
			continue;
		}
		d->have_set |= bit;
		if (d->t->keeps[at])
			balance_take(d, (unsigned)at);
		else if (!d->t->store[at].eligible)
			d->must = true;
	}
}

static bool balance_provider_taken(const struct balance_deal *d, unsigned place)
{
	const char *mine = d->t->store[place].provider;

	for (unsigned i = 0; i < d->wanted; i++)
		if (strcmp(d->t->store[d->want[i]].provider, mine) == 0)
			return true;
	return false;
}

static unsigned balance_providers(const struct balance_deal *d)
{
	unsigned distinct = 0;

	for (unsigned i = 0; i < d->wanted; i++) {
		unsigned j = 0;

		while (j < i && strcmp(d->t->store[d->want[i]].provider,
					d->t->store[d->want[j]].provider) != 0)
			j++;
		distinct += j == i;
	}
	return distinct;
}

/* The best place that is not wanted yet; fresh: of a provider not yet taken.
 * -1: there is none. */
static int balance_best(const struct balance_deal *d,
	const struct place_reason *score, bool fresh)
{
	int best = -1;

	for (unsigned i = 0; i < d->t->n; i++) {
		const bool may = d->t->store[i].eligible &&
				 !(d->want_set >> i & 1) &&
				 !(fresh && balance_provider_taken(d, i));

		if (may && (best < 0 || score[i].score > score[best].score))
			best = (int)i;
	}
	return best;
}

/*
 * Some shards stay whatever placement says: the other places are chosen for
 * them by the same scores, spread with regard to those that stay.
 */
static int balance_want_more(struct balance_deal *d,
	const struct pluri_id *pack, struct pluri_err *err)
{
	const struct place_rule any = {.copies = 1, .min_providers = 1};
	struct place_reason score[PLURI_STORES_MAX];
	int r;

	if (d->wanted >= d->n)
		return 0;
	r = place_explain(pack, &any, d->t->store, d->t->n, score, err);
	while (r == 0 && d->wanted < d->n) {
		const unsigned have = balance_providers(d);
		const unsigned left = d->n - d->wanted;
		const bool fresh = have + left <= d->rule.min_providers;
		const int at = balance_best(d, score, fresh);

		if (at < 0)
			return pluri_fail(err, ENOSPC,
				"%u shards need %u stores of %u providers; "
				"%u stay where they are, and there is no "
				"store for another",
				d->n, d->n, d->rule.min_providers, d->wanted);
		balance_take(d, (unsigned)at);
	}
	return r;
}

static int balance_want(struct balance_deal *d, const struct pluri_id *pack,
	struct pluri_err *err)
{
	struct place_choice choice;
	int r;

	if (d->wanted > 0)
		return balance_want_more(d, pack, err);
	r = place_choose(pack, &d->rule, d->t->store, d->t->n, &choice, err);
	for (unsigned i = 0; r == 0 && i < choice.n; i++)
		balance_take(d, choice.store[i]);
	return r;
}

/* Shards in places that are not wanted, each to the best place still free. */
static unsigned balance_pair(const struct balance_deal *d,
	const struct shard_row *shards, struct balance_step *ret)
{
	uint64_t stays = 0;
	unsigned next = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < d->n; i++) {
		const int at = balance_find(d->t, shards[i].store);
		const uint64_t bit = at < 0 ? 0 : UINT64_C(1) << at;

		if ((d->want_set & bit & ~stays) != 0) {
			stays |= bit;
			continue;
		}
		while (next < d->wanted &&
			(d->have_set >> d->want[next] & 1) != 0)
			next++;
		if (next == d->wanted)
			break;
		ret[n++] = (struct balance_step){
			.index = shards[i].index,
			.from = shards[i].store,
			.to = d->t->num[d->want[next++]],
		};
	}
	return n;
}

int balance_steps(const struct balance_table *t, const struct pluri_id *pack,
	const struct shard_row *shards, unsigned n, struct balance_step *ret,
	unsigned *ret_n, struct pluri_err *err)
{
	struct balance_deal d = {.t = t, .n = n, .rule = t->rule};
	int r;

	*ret_n = 0;
	if (n == 0)
		return 0;
	/* the pack's layout is fixed; the policy's may have changed since */
	d.rule.copies = n;
	if (d.rule.min_providers > n)
		d.rule.min_providers = n;
	balance_have(&d, shards);
	r = balance_want(&d, pack, err);
	if (r == -ENOSPC && !d.must)
		return 0; /* where all of it may stay */
	if (r < 0)
		return r;
	*ret_n = balance_pair(&d, shards, ret);
	return 0;
}
