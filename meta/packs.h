/*
 * meta/packs.h - packs and their shards. Confined to a bracket.
 *
 *   pack:  OPEN -> CLOSED (bytes and sum known, shards wanted)
 *   shard: WANTED -> STORED (the object is at its store, whole)
 *                 <-> BAD (proved missing or corrupt; to be made again)
 *
 * A pack is safe in the clouds when at least its quorum of shards is STORED,
 * fully redundant when all are. Its local file may go when it is fully
 * redundant.
 */
#ifndef PLURI_META_PACKS_H
#define PLURI_META_PACKS_H

#include "meta/meta.h"

enum pack_state { PACK_OPEN = 0, PACK_CLOSED = 1 };
enum shard_state { SHARD_WANTED = 0, SHARD_STORED = 1, SHARD_BAD = 2 };

struct pack_row {
	uint64_t num;
	struct pluri_id id;
	uint32_t policy; /* number */
	enum pack_state state;
	uint8_t kind, k, m; /* the layout, fixed when opened */
	bool local;	    /* its file is in the state directory */
	uint64_t bytes, sum;
	int64_t created_ns; /* when opened */
};

struct shard_row {
	uint64_t pack;
	uint32_t index;
	uint32_t store; /* number */
	enum shard_state state;
};

/* num is filled in; state OPEN, local. */
int packs_add(struct meta_tx *tx, struct pack_row *p, struct pluri_err *err);
int packs_get(struct meta_tx *tx, uint64_t num, struct pack_row *ret,
	struct pluri_err *err);
int packs_find(struct meta_tx *tx, const struct pluri_id *id,
	struct pack_row *ret, struct pluri_err *err);
/* OPEN -> CLOSED with its shards, all WANTED: index i on stores[i]. -ESTALE
 * when it is not OPEN, -ENOENT when the volume knows no such store. */
int packs_close(struct meta_tx *tx, uint64_t num, uint64_t bytes,
	uint64_t sum, const uint32_t *stores, unsigned n,
	struct pluri_err *err);
/* A pack without chunks: its row and its shards' go. -EBUSY while it has some,
 * or a shard of it is being moved. */
int packs_drop(struct meta_tx *tx, uint64_t num, struct pluri_err *err);
int packs_set_local(struct meta_tx *tx, uint64_t num, bool local,
	struct pluri_err *err);

/*
 * The newest bytes of an open pack's file, kept in the database until the file
 * is flushed: so few bytes that the log takes them along costs one flush, file
 * and log would cost two. Rows never overlap. A pack that is closed or dropped
 * has none.
 */
#define PACKS_TAIL_MAX (1u << 20) /* bytes of one row */
int packs_tail_add(struct meta_tx *tx, uint64_t num, uint64_t off,
	struct pluri_span bytes, struct pluri_err *err);
int packs_tail_drop(struct meta_tx *tx, uint64_t num, struct pluri_err *err);
/* Where they begin: 1; 0: there are none. */
int packs_tail_begin(struct meta_tx *tx, uint64_t num, uint64_t *ret,
	struct pluri_err *err);
/* Ascending; bytes are borrowed. each() fails with -errno, which ends it. */
int packs_tail_list(struct meta_tx *tx, uint64_t num,
	int (*each)(void *arg, uint64_t off, struct pluri_span bytes),
	void *arg, struct pluri_err *err);

/* All packs with num > after, ascending; each() non-zero stops. It may change
 * packs. Rows that are damaged are left out: one of many must not keep a volume
 * from opening, and fsck.h tells of them. */
int packs_list(struct meta_tx *tx, uint64_t after,
	int (*each)(void *arg, const struct pack_row *p), void *arg,
	struct pluri_err *err);

int packs_shards(struct meta_tx *tx, uint64_t num, struct shard_row *ret,
	unsigned max, unsigned *ret_n, struct pluri_err *err);
int packs_set_shard(struct meta_tx *tx, const struct shard_row *s,
	struct pluri_err *err); /* state and store of (pack, index) */

/* Is it CLOSED, and every shard STORED? 1, 0; -ENOENT: there is no such pack.
 */
int packs_full(struct meta_tx *tx, uint64_t num, struct pluri_err *err);

/* Shards that are not STORED, oldest pack first, at most max. */
int packs_debt(struct meta_tx *tx, struct shard_row *ret, unsigned max,
	unsigned *ret_n, struct pluri_err *err);

/*
 * An OPEN pack has no shard in the clouds; it counts as soon as it has chunks,
 * with the bytes up to their end. A shard has bytes / k of its pack.
 */
struct packs_totals {
	uint64_t packs, bytes;		 /* closed ones */
	uint64_t full, degraded;	 /* all shards; at least k, not all */
	uint64_t unsafe;		 /* fewer than k in the clouds, local */
	uint64_t unreadable;		 /* likewise, no local file; open too */
	uint64_t below_quorum;		 /* packs, open ones with chunks too */
	uint64_t pending_bytes;		 /* of those */
	int64_t oldest_ns;		 /* creation of the oldest; 0: none */
	uint64_t local_packs, local_bytes;
	uint64_t debt_shards, debt_bytes; /* not STORED, of closed packs */
};
int packs_totals(struct meta_tx *tx, struct packs_totals *ret,
	struct pluri_err *err);
/* Of these: below_quorum, pending_bytes, oldest_ns, debts; the rest means
 * nothing. In the time of the packs that lack a shard, few when all is well. */
int packs_pending(struct meta_tx *tx, struct packs_totals *ret,
	struct pluri_err *err);

/* The debts again, by number of store. */
struct packs_owed {
	uint64_t shards, bytes;
};
int packs_owed(struct meta_tx *tx, struct packs_owed ret[PLURI_STORES_MAX],
	struct pluri_err *err);

struct packs_store {
	uint64_t objects, bytes;  /* STORED there */
	uint64_t wanted;	  /* shards that should be but are not yet */
};
int packs_of_store(struct meta_tx *tx, uint32_t store,
	struct packs_store *ret, struct pluri_err *err);

#endif
