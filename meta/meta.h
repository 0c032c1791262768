/*
 * meta/meta.h - the pillar's face: opening, transactions, group commit.
 *
 * One connection, one writer. Operations join an open transaction that the
 * caller of meta_commit() ends; each bracket meta_begin()..meta_end() is
 * atomic inside it (a savepoint), so a failed operation leaves nothing half
 * done, and every bracket sees all earlier ones, committed or not. A bracket
 * is short and never waits for a cloud or a disk flush; meta_sync() flushes
 * outside of it.
 *
 * Shared; brackets exclude each other and must not nest.
 *
 * When the engine itself drops the open transaction (its disk is full or
 * failing), changes that were seen are gone, so nothing true can be answered
 * any more: that bracket and everything after it fails with -EIO and the story,
 * until meta_free() and meta_open(). What was committed is safe. So that a full
 * disk does not come to that, disk is held in reserve: while it cannot be,
 * brackets that begin with a new row fail with -ENOSPC and leave everything
 * as it was; reading, and for a while removing, still work.
 *
 * Two kinds of metadata are kept apart, file metadata (tree.h, extent.h) and
 * storage metadata (chunks.h, packs.h, stores.h, moves.h); only a chunk number
 * passes between them.
 */
#ifndef PLURI_META_META_H
#define PLURI_META_META_H

#include <stdbool.h>

#include "base/err.h"
#include "base/own.h"
#include "base/types.h"

#define META_SCHEMA 4 /* raised by every migration */

struct meta;
struct meta_tx; /* an open bracket */

struct meta_volume { /* what is fixed when a volume is made */
	struct pluri_id id;
	char name[PLURI_NAME_MAX + 1];
	uint8_t key_check[32]; /* keys_check() */
	int64_t created_ns;
};

/*
 * Make a new database at path (directory must exist) with an empty root
 * directory (inode 1, mode 0755, uid, gid). -EEXIST when there is one; an
 * empty file, as a killed meta_create() leaves, counts as none.
 */
int meta_create(const char *path, const struct meta_volume *v, uint32_t uid,
	uint32_t gid, struct pluri_err *err);

/*
 * Open it: -ENOENT, -EBUSY (another process has it), -EBADMSG (not ours or
 * damaged), -ENOTSUP (made by a newer plurifs: says both schema numbers).
 * Older schemas are migrated, each step in one transaction.
 */
int meta_open(const char *path, struct meta **ret, struct meta_volume *ret_v,
	struct pluri_err *err);
/* For fsck.h: counters that cannot be are no failure, and count as 0. */
int meta_open_damaged(const char *path, struct meta **ret,
	struct meta_volume *ret_v, struct pluri_err *err);
/* Commits and syncs. */
int meta_close(struct meta *m, struct pluri_err *err);
void meta_free(struct meta *m); /* as after kill -9: what was not committed
				   is gone; after meta_close just frees */
PLURI_OWN(meta);

int meta_begin(struct meta *m, struct meta_tx **ret, struct pluri_err *err);
/* rc < 0 undoes the bracket. Returns rc, or the failure to keep it. -ESTALE:
 * the world moved (an engine with several writers): start over. */
int meta_end(struct meta_tx *tx, int rc, struct pluri_err *err);

/*
 * End the open transaction. Afterwards kill -9 loses nothing of it; a power
 * cut may. Cheap; nothing to do is fine.
 */
int meta_commit(struct meta *m, struct pluri_err *err);
/* What is committed reaches stable storage. Does not block brackets. */
int meta_sync(struct meta *m, struct pluri_err *err);
/* Brackets with changes since the last commit. */
uint64_t meta_pending(struct meta *m);

/* Small named facts ("clean" -> 1, "epoch" -> 7 ...). -ENOENT. */
int meta_get_fact(struct meta_tx *tx, const char *name, int64_t *ret,
	struct pluri_err *err);
int meta_set_fact(struct meta_tx *tx, const char *name, int64_t v,
	struct pluri_err *err);

#endif
