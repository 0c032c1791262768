/*
 * fs/commit.h - group commit over packs and database: data before name.
 *
 * A flush appends chunks to a pack file and then records them. The gate keeps
 * that order on disk: a commit waits for recorders to leave, syncs the pack
 * files (or has the database take few new bytes along; what a recorder has
 * synced itself, fs/staging.h, it need not), commits the database,
 * and lets recorders in again; only then is the database synced. So no
 * committed extent names bytes that a power cut can take. Other metadata
 * changes never wait at the gate.
 *
 * Shared. A background thread commits every second when there is something to
 * commit, durably every five.
 */
#ifndef PLURI_FS_COMMIT_H
#define PLURI_FS_COMMIT_H

#include "fs/volume.h"

struct commit;

int commit_new(struct volume *v, struct commit **ret, struct pluri_err *err);
void commit_free(struct commit *c); /* stops the thread, commits nothing */
PLURI_OWN(commit);

/* Around the bracket that records chunks and extents. Short; not nested. */
void commit_enter(struct commit *c);
void commit_leave(struct commit *c);

/*
 * Commit everything recorded before the call. durable: it also survives a
 * power cut when this returns 0. Callers share one cycle. A failure to sync
 * is final: the volume takes no more writes (every later call fails alike).
 */
int commit_now(struct commit *c, bool durable, struct pluri_err *err);

/* The sticky failure: 0 or -EIO/-ENOSPC with its story. */
int commit_broken(struct commit *c, struct pluri_err *err);

#endif
