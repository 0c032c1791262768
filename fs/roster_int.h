/*
 * fs/roster_int.h - the inside of fs/roster.h.
 */
#ifndef PLURI_FS_ROSTER_INT_H
#define PLURI_FS_ROSTER_INT_H

#include <pthread.h>

#include "fs/roster.h"

/* What is registered, parsed. */
struct roster_table {
	unsigned stores, policies;
	struct store_row store[PLURI_STORES_MAX];
	struct config_store text[PLURI_STORES_MAX]; /* parallel to store */
	struct roster_policy policy[PLURI_POLICIES_MAX];
};

struct roster {
	struct volume *v;
	pthread_rwlock_t lock; /* guards now: copied from, and swapped */
	struct roster_table *now;
	pthread_mutex_t reload; /* one at a time; guards all below */
	struct roster_host *host[PLURI_STORES_MAX]; /* by store number */
	char opened[PLURI_STORES_MAX][STORES_TEXT_MAX]; /* text it was opened
							   with, "": not */
};

/* Does the policy name the store (or all)? */
bool roster_names(const struct config_policy *p, const char *store);

/* The spread that a policy asks for over these stores' providers. */
unsigned roster_providers(const struct roster_policy *pol,
	const char *const *provider, unsigned n);

#endif
