/*
 * meta/stores.h - the stores and policies that the volume knows: the INI as it
 * was last applied, and what the administrator decided since. Confined to a
 * bracket.
 *
 *   ACTIVE    takes new data
 *   CORDONED  keeps what it has
 *   DRAINING  on its way out: nothing new, everything moves off
 *   DRAINED   empty; stays known until it leaves the INI
 */
#ifndef PLURI_META_STORES_H
#define PLURI_META_STORES_H

#include "meta/meta.h"

#define STORES_URL_MAX 1024u
#define STORES_TEXT_MAX 4096u

enum store_state {
	STORE_ACTIVE = 0,
	STORE_CORDONED = 1,
	STORE_DRAINING = 2,
	STORE_DRAINED = 3,
};
const char *store_state_text(enum store_state s);

struct store_row {
	uint32_t num;	    /* 0..PLURI_STORES_MAX-1, given by stores_put */
	struct pluri_id id; /* random, for placement */
	char name[PLURI_NAME_MAX + 1];
	char provider[PLURI_NAME_MAX + 1];
	uint32_t weight;
	enum store_state state;
	/* Every key of its INI section as "key = value" lines, sorted; has
	 * references to credentials, never credentials. */
	char text[STORES_TEXT_MAX];
};

/* New (num == UINT32_MAX: the lowest free number) or changed (-ENOENT).
 * -ENOSPC when all PLURI_STORES_MAX numbers are taken, -EEXIST when another
 * one has the name or id. */
int stores_put(struct meta_tx *tx, struct store_row *s,
	struct pluri_err *err);
int stores_set_state(struct meta_tx *tx, uint32_t num, enum store_state s,
	struct pluri_err *err);
/* -EBUSY while a shard or move names it, or an object is to be deleted there;
 * of a drained one nothing is, and what says so is forgotten with it. */
int stores_del(struct meta_tx *tx, uint32_t num, struct pluri_err *err);
/* ret: PLURI_STORES_MAX of them; ascending by num. */
int stores_list(struct meta_tx *tx, struct store_row *ret, unsigned *ret_n,
	struct pluri_err *err);

struct policy_row {
	uint32_t num; /* 0.. ; number 0 is "default" */
	char name[PLURI_NAME_MAX + 1];
	char text[STORES_TEXT_MAX]; /* as for stores */
};
/* num == UINT32_MAX: 0 for "default", else the lowest free one from 1; another
 * num: new or changed. -ENOSPC, -EEXIST as above. */
int stores_put_policy(struct meta_tx *tx, struct policy_row *p,
	struct pluri_err *err);
int stores_list_policies(struct meta_tx *tx, struct policy_row *ret,
	unsigned *ret_n, struct pluri_err *err); /* PLURI_POLICIES_MAX */

#endif
