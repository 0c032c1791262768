/*
 * fs/spread.h - packs in turn over the stores, by the choice of their names.
 *
 * Where a pack lies follows from its id (backends/place.h), and ids are drawn;
 * so of a few packs in a row one store gets many and another few, and a stream
 * is as slow as the store that got most. Of SPREAD_DRAWS ids the one is taken
 * whose stores were given least lately, for their weights: the same stores in
 * the long run, but in turn (the power of several choices: Azar, Broder, Karlin
 * and Upfal 1994). Nothing that placement promises is changed.
 *
 * What was given is forgotten bit by bit, so that a store that is new does not
 * have to catch up with years. Shared; a count that is lost does no harm.
 */
#ifndef PLURI_FS_SPREAD_H
#define PLURI_FS_SPREAD_H

#include <stdatomic.h>

#include "backends/place.h"
#include "base/clock.h"

#define SPREAD_DRAWS 8u

struct spread {
	_Atomic uint32_t given[PLURI_STORES_MAX]; /* by store's number */
};

/* The stores that a policy's packs may go to, as roster_table() tells. */
struct spread_table {
	const struct place_store *store;
	const uint32_t *num;
	unsigned n;
	const struct place_rule *rule;
};

/* The id of a new pack; it counts as given. When nothing can be placed, any. */
void spread_draw(struct spread *s, const struct clock *clock,
	const struct spread_table *t, struct pluri_id *ret);

#endif
