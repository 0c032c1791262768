/*
 * fs/staging_int.h - the inside of fs/staging.h.
 *
 *   slot:    no pack | one pack that takes chunks; two of each policy
 *   closing: packs taken out of their slots, until they are recorded as CLOSED;
 *            one that failed (disk full, placement impossible) is tried again
 */
#ifndef PLURI_FS_STAGING_INT_H
#define PLURI_FS_STAGING_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/work.h"
#include "fs/spread.h"
#include "fs/staging.h"

#define STAGING_USED 4096u /* a power of two */
#define STAGING_TAIL (64u << 10) /* bytes that the log takes along at once... */
#define STAGING_TAILS (1u << 20) /* ...and in all, before the file is flushed */
#define STAGING_FEW (256u << 10) /* bytes that are recorded together, at most */
#define STAGING_HURRY_MS 10000u /* after an fsync of few bytes */
#define STAGING_SLOTS (2 * PLURI_POLICIES_MAX) /* policies; the same, for few */
#define STAGING_NAME (2 * PLURI_ID_BYTES + sizeof(".pack"))

struct staging_pack {
	struct pack_row row;
	int fd;
	/* For staging_stable(), opened with the file. The kernel tells each
	 * description of a failure once: neither takes it from the other. */
	int ahead_fd;
	struct pack_writer *writer;
	_Atomic bool unsynced; /* written since the last sync */
	_Atomic bool sealed;   /* has an index, or a part of one */
	_Atomic uint64_t end;  /* bytes appended */
	_Atomic uint64_t due;  /* what is behind was added `later` */
	/* Under staging.lock: the file is flushed up to synced (0: not at all),
	 * the database has its bytes from there up to logged, or had (rows). */
	uint64_t synced, logged;
	bool rows; /* the database has some: to be dropped */
	uint64_t begun; /* the disk writes up to here; under the slot's lock */
	uint64_t opened_ms;
	uint64_t ticket; /* of its closing */
	bool failed;	 /* its last closing; why is in err */
	struct pluri_err err;
	struct staging_pack *next_file;	   /* in files */
	struct staging_pack *next_closing; /* in closing */
};

struct staging_slot {
	pthread_mutex_t lock; /* serialises appends; guards pack */
	struct staging_pack *pack;
};

struct staging {
	struct volume *v;
	pthread_mutex_t lock; /* guards all below, not the slots */
	pthread_cond_t wake;  /* the timer */
	bool stop;
	bool dir_unsynced; /* files were made since the last sync */
	int sync_failed;   /* -errno, for ever: what was lost is unknown */
	uint8_t tail[STAGING_TAIL];
	struct staging_pack *files; /* with a writer's descriptor */
	struct staging_pack *closing;
	uint64_t tickets;
	unsigned missing; /* set at open */
	_Atomic uint64_t last; /* pack number */
	_Atomic uint64_t hurry_ms; /* until then commits are to be quick */
	pthread_mutex_t ahead_lock; /* one staging_stable() flushes at a time */
	pthread_mutex_t used_lock; /* guards used; a sync holds lock long */
	struct {
		uint64_t key, ms;
	} used[STAGING_USED]; /* when packs were read, roughly */
	struct spread spread;
	pthread_mutex_t close_lock; /* one closing step at a time */
	pthread_t timer;
	struct staging_slot slot[STAGING_SLOTS];
};

const char *staging_name(const struct pluri_id *id, char to[STAGING_NAME]);

/* Take the slot's pack out, if it has chunks (and is older than age_ms). With
 * the slot's lock held. */
void staging_detach(struct staging *s, struct staging_slot *slot,
	uint64_t age_ms);

/* Close what is in `closing`; a failure stays there with its story. */
void staging_close_pending(struct staging *s);

/* Forget a pack's descriptor; with s->lock held. */
void staging_unlist(struct staging *s, struct staging_pack *p);

/* A finished pack, while nobody waits: so the commit has nothing of it left. By
 * a description of its own: the kernel tells each of a failure once, and the
 * commit is to hear of it. */
void staging_sync_ahead(struct staging *s, const struct staging_pack *p);

/* At open: into the file what only the database is sure to have of it. */
int staging_sync_replay(struct staging *s, uint64_t num, int fd,
	struct pluri_err *err);

/* At open: finish what a crash left. */
int staging_recover(struct staging *s, struct pluri_err *err);

/* Record a finished pack as CLOSED with its placement. */
int staging_record(struct staging *s, const struct pack_row *row,
	const struct pack_seal *seal, struct shard_row *ret_shards,
	unsigned *ret_n, struct pluri_err *err);

/* If every shard of the pack is stored: 1, and its row says that there is no
 * local file (any more). Else 0. */
int staging_release(struct staging *s, uint64_t num, struct pluri_err *err);

/*
 * At open: files that no local row names. rows: all that are local or open. A
 * pack that the clouds have is removed, one that they lack is local again; one
 * that the database does not know is set aside in packs/lost, since it may be
 * all that an older database has forgotten.
 */
int staging_sweep(struct staging *s, const struct pack_row *rows, size_t n,
	struct pluri_err *err);

/* Roughly when a pack was last read, monotonic ms; 0: not in this life. */
uint64_t staging_used(struct staging *s, const struct pluri_id *id);

#endif
