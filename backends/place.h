/*
 * backends/place.h - which stores hold a pack, and why.
 *
 * Weighted rendezvous hashing (Thaler & Ravishankar 1998; weights after
 * Schindelhauer & Schomaker 2005): store i scores w_i / -log2(h_i) where h_i
 * is the hash XXH3-64 of pack id and store id, read as a fraction. The n best
 * are taken, under the spread constraint, so that a change of stores moves
 * close to the least possible. The logarithm is integer arithmetic: the same
 * answer on every machine, for ever. Pure.
 */
#ifndef PLURI_BACKENDS_PLACE_H
#define PLURI_BACKENDS_PLACE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/types.h"

struct place_store {
	struct pluri_id id;	 /* drawn when the store was registered */
	const char *name;	 /* for explanations */
	const char *provider;	 /* the failure domain; compared as text */
	uint32_t weight;	 /* 1..65535 */
	bool eligible;		 /* of the policy and taking new data */
	const char *why_not;	 /* when not eligible; else NULL */
};

struct place_rule {
	unsigned copies;	/* stores wanted, 1..PLURI_SHARDS_MAX */
	unsigned min_providers; /* distinct providers, 1..copies */
};

struct place_choice {
	unsigned n;
	unsigned store[PLURI_SHARDS_MAX]; /* indices into stores, best first */
};

/*
 * 0, or -ENOSPC with the constraint that cannot be met and the numbers
 * ("needs 2 stores, 1 is eligible: nas (cordoned)").
 */
int place_choose(const struct pluri_id *pack, const struct place_rule *rule,
	const struct place_store *stores, unsigned n,
	struct place_choice *ret, struct pluri_err *err);

/* Can any pack be placed? As place_choose, without a pack. */
int place_check(const struct place_rule *rule,
	const struct place_store *stores, unsigned n, struct pluri_err *err);

/* One store's part in a decision, for `where --explain`. */
struct place_reason {
	uint64_t score; /* higher is better; comparable within a pack */
	bool chosen;
	char text[128]; /* "rank 1 of 4, weight 2" or why it lost */
};

/* ret: n of them, parallel to stores. Same answers as place_choose. */
int place_explain(const struct pluri_id *pack, const struct place_rule *rule,
	const struct place_store *stores, unsigned n,
	struct place_reason *ret, struct pluri_err *err);

#endif
