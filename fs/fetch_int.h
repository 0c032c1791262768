/*
 * fs/fetch_int.h - what fetching frames and fetching whole packs share.
 */
#ifndef PLURI_FS_FETCH_INT_H
#define PLURI_FS_FETCH_INT_H

#include "chunker/stripe.h"
#include "fs/fetch.h"

/* The stored shards of p->pack as sources. */
int fetch_sources(struct meta_tx *tx, struct fetch_place *p,
	struct pluri_err *err);

/* Which shard of which pack on which store was wrong, for the log: bad[i] is
 * what the fleet said of src[i]. */
void fetch_accuse(struct volume *v, const struct pack_row *p,
	const struct fleet_source *src, const int *bad, unsigned n);

static inline struct layout fetch_layout(const struct pack_row *p)
{
	return (struct layout){
		.kind = (enum stripe_kind)p->kind, .k = p->k, .m = p->m};
}

#endif
