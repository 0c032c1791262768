/*
 * fs/fsck.h - a check of an open volume, or of one that is but bare: its
 * metadata (meta/fsck.h), what is registered against the INI, and the local
 * pack files that only fs/ can see. Shared.
 *
 * One check at a time, on a thread of its own, a bracket after the other; of a
 * mounted volume it takes half of the time at most, so that others get theirs.
 * Repair works in rounds, until one finds nothing that it can mend, and asks
 * that the volume is not mounted: the kernel would go on showing what it has
 * learnt before.
 *
 * Each finding of a local file is looked at again, after a while, before it is
 * told: files are made before their rows, and rows say that a file goes before
 * it does.
 */
#ifndef PLURI_FS_FSCK_H
#define PLURI_FS_FSCK_H

#include <jansson.h>

#include "fs/volume.h"

#define FSCK_LIST_MAX 1000u /* findings told; all are counted */
#define FSCK_ROUNDS 6u	    /* of repair */

struct fsck_run;

int fsck_run_new(struct volume *v, struct fsck_run **ret,
	struct pluri_err *err);
/* Stops a check that is under way; what it has repaired stays. */
void fsck_run_free(struct fsck_run *c);
PLURI_OWN(fsck_run);

/* {"check": ID}. -EBUSY: one is under way, or repair of a mounted volume. */
int fsck_run_start(struct fsck_run *c, bool repair, json_t **ret,
	struct pluri_err *err);

/*
 * {"check", "state": "running" | "done" | "failed" | "stopped", "message",
 * "phase", "percent", "round", "rows", "busy", "memory_bytes", "seconds"},
 * "unopened" (why the volume does not open: its database alone is checked) and,
 * when it has ended, "found", "repaired", "left" (counts) and "findings": of
 * each "code", "text", "action", "state": "repaired" | "left", "grave", and
 * what applies of "ino", "path", "name", "off", "chunk", "pack", "shard",
 * "file". id 0: the last one. -ENOENT: none, or another one since.
 */
int fsck_run_ask(struct fsck_run *c, uint64_t id, json_t **ret,
	struct pluri_err *err);

/* {"check", "stopping": bool}; returns at once. */
int fsck_run_stop(struct fsck_run *c, json_t **ret, struct pluri_err *err);

#endif
