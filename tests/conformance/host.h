/*
 * tests/conformance/host.h - what the core would offer a plugin, from lists
 * of "name=value" lines.
 */
#ifndef PLURI_TESTS_CONFORMANCE_HOST_H
#define PLURI_TESTS_CONFORMANCE_HOST_H

#include "backends/backend.h"

struct host {
	struct pluri_host host; /* hand &h.host to open() */
	const char *const *options;
	const char *const *secrets;
	unsigned fresh; /* times a secret was asked for anew */
};

/* The lists end with NULL, are borrowed, and may be NULL themselves. */
void host_init(struct host *h, const char *const *options,
	const char *const *secrets);

#endif
