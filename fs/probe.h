/*
 * fs/probe.h - does a store work, and how well: a canary object is written,
 * read, read in part, listed and deleted.
 *
 * Needs neither daemon nor database and touches no other object. Confined.
 */
#ifndef PLURI_FS_PROBE_H
#define PLURI_FS_PROBE_H

#include <stdbool.h>

#include "base/err.h"
#include "fs/config.h"

/* One step at one store; the pointers live until each() returns. */
struct probe_result {
	const char *store;
	const char *step; /* "open", "put", "get", "range", "list", ... */
	bool ok;
	double ms;	  /* how long it took */
	const char *text; /* what was found or went wrong; never NULL */
};

/*
 * Probe one store by name, or all of them (store NULL), telling each step as
 * it ends. A failed step is told, not returned; the store's later steps that
 * need it are not tried. conformance: the full contract of a backend as well
 * (repeats, conditional put, paging, odd keys), which takes longer.
 *
 * 0 when every step was tried, also when some failed; -ENOENT for an unknown
 * store, with the nearest name.
 */
int probe_run(const struct config *c, const char *store, bool conformance,
	void (*each)(void *arg, const struct probe_result *r), void *arg,
	struct pluri_err *err);

#endif
