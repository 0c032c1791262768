/*
 * backends/conformance.h - one suite that judges any plugin by the contract of
 * backend.h; for tests, and for administrators in front of a new cloud.
 *
 * Writes below a prefix of its own, drawn for the run, and removes all of it
 * at the end, whatever went wrong before. Confined.
 */
#ifndef PLURI_BACKENDS_CONFORMANCE_H
#define PLURI_BACKENDS_CONFORMANCE_H

#include <stdbool.h>

#include "backends/backend.h"

struct conformance {
	const struct pluri_backend_ops *ops;
	const struct pluri_host *host;
	const char *url;
	const char *prefix;  /* NULL: drawn; else lawful and ending in '/' */
	unsigned list_keys;  /* for paging; 0: 2500. Slow servers: fewer */
	uint32_t timeout_ms; /* of a call; 0: 30000 */

	/* After each case. story: "" or "skipped: why" when ok. */
	void (*report)(void *arg, const char *name, bool ok, const char *story);
	void *arg;
};

/*
 * 0 when all held; -EBADMSG with the number of cases that did not; or the
 * failure to open an instance.
 */
int conformance_run(const struct conformance *c, struct pluri_err *err);

/* How many cases conformance_run() reports. */
unsigned conformance_count(void);

#endif
