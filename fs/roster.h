/*
 * fs/roster.h - the stores and policies that are in force: what the database
 * has registered, parsed, with the plugin instances in the fleet. Shared.
 */
#ifndef PLURI_FS_ROSTER_H
#define PLURI_FS_ROSTER_H

#include "backends/place.h"
#include "chunker/cdc.h"
#include "chunker/encode.h"
#include "chunker/stripe.h"
#include "fs/config.h"
#include "fs/volume.h"
#include "meta/stores.h"

struct roster;

struct roster_policy {
	uint32_t num;
	char name[PLURI_NAME_MAX + 1];
	struct config_policy text; /* as registered */
	struct layout layout;
	struct cdc cdc;
	struct encode_options encode;
	unsigned min_providers; /* resolved: what was said, else min(2,
				   providers of its stores, shards) */
	uint64_t members; /* bit set of store numbers */
};

/* Reads everything registered and opens the stores in v->fleet. A store whose
 * plugin or options are refused is a failure that names it. */
int roster_open(struct volume *v, struct roster **ret, struct pluri_err *err);
void roster_free(struct roster *r);
PLURI_OWN(roster);

/* After the database changed: read it again, add and remove in the fleet. */
int roster_reload(struct roster *r, struct pluri_err *err);

/* Copies. ret_stores: PLURI_STORES_MAX rows. */
unsigned roster_stores(struct roster *r, struct store_row *ret_stores);
int roster_store(struct roster *r, uint32_t num, struct store_row *ret);
int roster_find_store(struct roster *r, const char *name,
	struct store_row *ret); /* -ENOENT */
unsigned roster_policies(struct roster *r, struct roster_policy *ret);
int roster_policy(struct roster *r, uint32_t num, struct roster_policy *ret);

/* Where the shards of a new pack go, best first: ret_stores are numbers.
 * layout_shards() of them. Fails as place_choose. */
int roster_place(struct roster *r, uint32_t policy,
	const struct pluri_id *pack, uint32_t *ret_stores, unsigned *ret_n,
	struct pluri_err *err);

/* The table that roster_place decides on, for explanations: names stay valid
 * as long as *keep, which the caller frees. */
unsigned roster_table(struct roster *r, uint32_t policy,
	struct place_store *ret, uint32_t *ret_nums, void **keep,
	struct place_rule *ret_rule);

/*
 * Judge a whole set of policies against a whole set of stores, as they would
 * be (create, apply): names the policy and the constraint. Pure.
 */
int roster_judge(const struct config *c, struct pluri_err *err);

/* Parse one registered or configured policy's texts into its parts (all but
 * num and members). */
int roster_policy_read(const struct config_policy *p,
	struct roster_policy *ret, struct pluri_err *err);

/*
 * A store's id follows from volume and name, so that a plan made before the
 * store is registered places packs as they will be placed. Format. Pure.
 */
void roster_store_id(const struct pluri_id *volume, const char *name,
	struct pluri_id *ret);
/* What the database is to remember of a section; num and state stay. */
int roster_store_row(const struct pluri_id *volume,
	const struct config_store *s, struct store_row *ret,
	struct pluri_err *err);
int roster_policy_row(const struct config_policy *p, struct policy_row *ret,
	struct pluri_err *err); /* num stays */

/* Make a plugin instance for a configured store (create, apply, probe). The
 * host and its secrets live until ops->close; *ret_host frees them after. */
struct roster_host;
int roster_instance(const struct config_store *s,
	const struct pluri_backend_ops **ret_ops, struct pluri_backend **ret,
	struct roster_host **ret_host, struct pluri_err *err);
void roster_host_free(struct roster_host *h);
/* What the plugin was opened with. */
const struct pluri_host *roster_host_face(const struct roster_host *h);
PLURI_OWN(roster_host);

#endif
