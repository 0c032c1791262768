/*
 * fs/sync.h - "is everything in the clouds now?", asked without waiting
 * for long.
 *
 * A ticket stands for all bytes written before it was drawn. A thread flushes
 * them and closes the open packs; asking then looks at the debts alone. A
 * store that is down does not hold up a ticket: its name is told. Shared.
 *
 *   DRAWN -> FLUSHED (packs up to a number known) -> DONE (asked and found)
 */
#ifndef PLURI_FS_SYNC_H
#define PLURI_FS_SYNC_H

#include <jansson.h>

#include "fs/volume.h"

struct sync;

int sync_new(struct volume *v, struct sync **ret, struct pluri_err *err);
/* A flush under way ends first. Before the writer and staging go. */
void sync_free(struct sync *s);
PLURI_OWN(sync);

/* {"ticket"} */
int sync_start(struct sync *s, json_t **ret, struct pluri_err *err);

/*
 * {"done", "pending_bytes", "stores_down"}. Done: at quorum, and nothing of
 * the ticket is owed to a store that is up. The flush's own failure is told
 * as this call's. -ENOENT: a ticket that was not drawn, or long ago. An answer
 * that is not "done" may wait for it, at most that long.
 */
#define SYNC_WAIT_MS 1000u
int sync_ask(struct sync *s, uint64_t ticket, uint64_t wait_ms, json_t **ret,
	struct pluri_err *err);

#endif
