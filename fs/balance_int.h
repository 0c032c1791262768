/*
 * fs/balance_int.h - the inside of fs/balance.h.
 *
 *   steps   pure: one pack's shards against the stores that may hold them
 *   world   the stores and policies in force, or as an INI would have them
 *   diff    an INI against what is registered
 *   plan    every pack's steps, added up
 *   apply   a diff made true
 *   leave   a store that is empty: swept, unclaimed, forgotten
 *
 * and what moves bytes: fs/balance_job.h.
 */
#ifndef PLURI_FS_BALANCE_INT_H
#define PLURI_FS_BALANCE_INT_H

#include "fs/balance.h"
#include "fs/roster.h"
#include "meta/moves.h"
#include "meta/packs.h"

/* --- steps: pure ---------------------------------------------------------- */

/* The stores as one policy sees them. */
struct balance_table {
	unsigned n;
	struct place_store store[PLURI_STORES_MAX];
	uint32_t num[PLURI_STORES_MAX];
	bool keeps[PLURI_STORES_MAX]; /* takes nothing, gives nothing away */
	struct place_rule rule;	      /* of new packs */
};

struct balance_step {
	uint32_t index; /* of the shard, which it keeps */
	uint32_t from, to;
};

/*
 * Fewest steps that bring a pack's n shards (ascending by index) to where they
 * should be; none when they are. -ENOSPC: a shard must leave its store, and
 * there is no lawful place for it.
 */
int balance_steps(const struct balance_table *t, const struct pluri_id *pack,
	const struct shard_row *shards, unsigned n, struct balance_step *ret,
	unsigned *ret_n, struct pluri_err *err);

/* --- world ---------------------------------------------------------------- */

struct balance_world {
	unsigned stores, policies;
	struct store_row store[PLURI_STORES_MAX];
	struct roster_policy policy[PLURI_POLICIES_MAX];
	struct balance_table table[PLURI_POLICIES_MAX]; /* parallel */
};

/* As it is; want: as it would be after apply, or NULL; drain: a store taken
 * as draining, or UINT32_MAX. */
int balance_world_new(struct volume *v, const struct config *want,
	uint32_t drain, struct balance_world **ret, struct pluri_err *err);
void balance_world_free(struct balance_world *w);
PLURI_OWN(balance_world);
/* NULL when no policy has that number. */
const struct balance_table *balance_world_table(
	const struct balance_world *w, uint32_t policy);
/* Can every policy place a new pack? Names the one that cannot. */
int balance_world_check(const struct balance_world *w, struct pluri_err *err);

/* --- diff ----------------------------------------------------------------- */

enum balance_kind {
	STORE_ADD,
	STORE_CHANGE,
	STORE_REMOVE,
	POLICY_ADD,
	POLICY_CHANGE,
	POLICY_REMOVE,
};

struct balance_change {
	enum balance_kind kind;
	char name[PLURI_NAME_MAX + 1];
	char text[PLURI_ERR_TEXT];
	bool pending;	 /* apply will do something about it */
	unsigned at;	 /* in the INI's stores or policies */
	uint32_t num;	 /* registered number; UINT32_MAX: new */
	bool holds;	 /* the store has shards, or is owed some */
	bool elsewhere;	 /* backend or url changed: another place */
};

struct balance_diff {
	unsigned n;
	struct balance_change change[2 * PLURI_STORES_MAX +
		2 * PLURI_POLICIES_MAX];
};

int balance_diff_new(struct volume *v, const struct config *want,
	struct balance_diff **ret, struct pluri_err *err);
void balance_diff_free(struct balance_diff *d);
PLURI_OWN(balance_diff);
json_t *balance_diff_json(const struct balance_diff *d); /* "changes" */
bool balance_diff_pending(const struct balance_diff *d);

/* --- plan ----------------------------------------------------------------- */

#define BALANCE_BATCH 256u

/* A closed pack as it stands. */
struct balance_pack {
	struct pack_row row;
	unsigned n;
	struct shard_row shard[PLURI_SHARDS_MAX];
};

/* Up to BALANCE_BATCH closed packs with num > *after, which moves on; *ret_n
 * 0: there are no more. One bracket. */
int balance_plan_batch(struct volume *v, uint64_t *after,
	struct balance_pack *ret, unsigned *ret_n, struct pluri_err *err);

/* Bytes of one of its shard objects. */
uint64_t balance_plan_shard_bytes(const struct pack_row *p);

struct balance_sums {
	uint64_t shards, bytes;
	uint64_t in[PLURI_STORES_MAX], out[PLURI_STORES_MAX]; /* by number */
	uint64_t bytes_in[PLURI_STORES_MAX], bytes_out[PLURI_STORES_MAX];
	uint64_t stuck; /* packs with a shard that has nowhere to go */
	struct pluri_err why; /* of the first of them */
};
int balance_plan_sum(struct volume *v, const struct balance_world *w,
	struct balance_sums *ret, struct pluri_err *err);

/* The world without a store, known by name (-ENOENT with the nearest), if
 * every policy can do without it (-ENOSPC). */
int balance_plan_drain(struct volume *v, const char *name,
	struct store_row *ret_store, struct balance_world **ret,
	struct pluri_err *err);

/* {"changes", "moves", "pending"}; takes changes. */
int balance_plan_answer(const struct balance_world *w,
	const struct balance_sums *s, json_t *changes, bool pending,
	json_t **ret, struct pluri_err *err);

/* --- leave ---------------------------------------------------------------- */

/*
 * The end of a store on its way out: nothing of ours is left there, it is
 * DRAINED, and forgotten when the INI has forgotten it. -EEXIST:
 * objects that are not ours to delete; all else is to be tried again.
 */
int balance_leave(struct volume *v, const struct store_row *s,
	struct pluri_err *err);
/* A row without shards: forgotten, and its descriptor deleted if the cloud
 * lets us; *ret_why tells when not. */
int balance_leave_forget(struct volume *v, const struct store_row *s,
	struct pluri_err *ret_why, struct pluri_err *err);

#endif
