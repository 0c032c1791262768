/*
 * fs/stats.h - what was done since the volume was opened, as counters, and the
 * answer of "stats" that tells them.
 *
 * Counters only grow: whoever wants rates asks twice. To count is some relaxed
 * additions and no lock, so that it may be done anywhere. Times are kept as a
 * histogram: four steps to a doubling, so a quantile is at most a quarter too
 * large. Shared.
 */
#ifndef PLURI_FS_STATS_H
#define PLURI_FS_STATS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/own.h"

struct volume;
struct stats;

int stats_new(struct stats **ret, struct pluri_err *err);
void stats_free(struct stats *s);
PLURI_OWN(stats);

/* --- requests of programs ------------------------------------------------ */

enum stats_kind {
	STATS_READ,
	STATS_WRITE,
	STATS_FSYNC, /* of directories, too */
	STATS_LOOKUP,
	STATS_GETATTR,
	STATS_SETATTR,
	STATS_CREATE, /* whatever gets a name: links and directories, too */
	STATS_UNLINK, /* ... and loses it */
	STATS_RENAME,
	STATS_READDIR,
	STATS_XATTR,
	STATS_OTHER,
	STATS_KINDS
};
const char *stats_kind_text(enum stats_kind k);

struct stats_request { /* one that is answered */
	enum stats_kind kind;
	bool failed; /* for a reason that is not the program's */
	uint64_t ns; /* it took */
	uint64_t bytes; /* of content that it moved */
};
void stats_began(struct stats *s);
/* request NULL: it has no answer. */
void stats_ended(struct stats *s, const struct stats_request *request);

/* --- what else is added up ------------------------------------------------ */

enum stats_count {
	STATS_SLOWED_US, /* writes were held back for the clouds (fs/pace.h) */
	STATS_LOCAL, /* fetches from a local pack, and the bytes of these */
	STATS_LOCAL_BYTES,
	STATS_CLOUD, /* ... from stores */
	STATS_CLOUD_BYTES,
	STATS_COUNTS
};
void stats_add(struct stats *s, enum stats_count c, uint64_t n);
uint64_t stats_value(const struct stats *s, enum stats_count c);

/* --- looking ------------------------------------------------------------- */

#define STATS_STEPS 100u
/* Which step a time belongs to, and the time that is beyond it. */
unsigned stats_step(uint64_t us);
uint64_t stats_step_end(unsigned step);
/* What permille of all stay below, in us: 0 when there are none. */
uint64_t stats_quantile(const uint64_t step[STATS_STEPS], unsigned permille);

struct stats_view { /* of one kind */
	uint64_t requests, errors, bytes, busy_us, max_us;
	uint64_t step[STATS_STEPS];
};
void stats_look(
	const struct stats *s, enum stats_kind k, struct stats_view *ret);
uint64_t stats_in_flight(const struct stats *s);

/*
 * Everything, with what is on its way to the clouds. Never waits for one, nor
 * for a lock that is held across a call to one. docs/OPERATIONS.md has the
 * members.
 */
int stats_tell(struct volume *v, json_t **ret, struct pluri_err *err);

#endif
