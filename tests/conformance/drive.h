/*
 * tests/conformance/drive.h - run the conformance suite, tell it as TAP.
 */
#ifndef PLURI_TESTS_CONFORMANCE_DRIVE_H
#define PLURI_TESTS_CONFORMANCE_DRIVE_H

#include "tests/conformance/host.h"

/* Load the backend through the registry, judge it on url; an exit status.
 * keys: of the paging cases, 0 for all. */
int drive(const char *backend, struct host *h, const char *url, unsigned keys);

/* A new empty directory in TMPDIR; to has room for 256. Exits on failure. */
const char *drive_dir(char to[256]);
void drive_remove(const char *dir); /* with all that is in it */

#endif
