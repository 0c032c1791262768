/*
 * meta/packs_int.h - what packs.c, packs_shard.c and stores.c share. Confined
 * to a bracket.
 */
#ifndef PLURI_META_PACKS_INT_H
#define PLURI_META_PACKS_INT_H

#include "meta/meta_int.h"
#include "meta/packs.h"

/* The shards of a pack that closes: all WANTED, index i on stores[i]. */
int packs_shard_add(struct meta_tx *tx, uint64_t pack, const uint32_t *stores,
	unsigned n, struct pluri_err *err);

/* One shard. -ENOENT. */
int packs_shard_get(struct meta_tx *tx, uint64_t pack, uint32_t index,
	struct shard_row *ret, struct pluri_err *err);

/* -ENOENT: the volume knows no store of that number. */
int stores_check(struct meta_tx *tx, uint32_t num, struct pluri_err *err);

#endif
