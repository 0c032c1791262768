/*
 * fs/claim.h - whose bytes lie on a store: its volume descriptor, looked at,
 * written, taken back. Works on any fleet, registered stores or not, and
 * passes by breaker and marks. Waits for the cloud. Shared.
 */
#ifndef PLURI_FS_CLAIM_H
#define PLURI_FS_CLAIM_H

#include "backends/fleet.h"
#include "chunker/descriptor.h"
#include "fs/roster.h"

/* Stores of an INI, open without being registered: numbered as in it. */
struct claim_stores;

/* pick: bit set of c->store[] numbers. A plugin that refuses names itself. */
int claim_open(const struct config *c, uint64_t pick,
	struct claim_stores **ret, struct pluri_err *err);
void claim_stores_free(struct claim_stores *s);
PLURI_OWN(claim_stores);
struct fleet *claim_fleet(struct claim_stores *s);

struct claim {
	struct fleet *fleet;
	unsigned store; /* in that fleet */
	const char *name;
	uint64_t deadline_ms; /* monotonic */
};

/*
 * 1: ours (*ret_store, PLURI_NAME_MAX + 1 bytes, may be NULL: the name that
 * it was claimed for); 0: there is none; -EEXIST: another volume's; -EACCES:
 * ours under another key, or credentials refused; -EBADMSG: no descriptor of
 * any volume; else what the cloud said.
 */
int claim_look(const struct claim *at, const struct keys *keys,
	char *ret_store, struct pluri_err *err);

/*
 * Write our descriptor; never over another. *ret_made tells whether this call
 * put it there; ours already there is fine. volume: its name.
 */
int claim_make(const struct claim *at, const struct keys *keys,
	const char *volume, const struct clock *clock, bool *ret_made,
	struct pluri_err *err);

/*
 * Put ours once more, byte for byte as it lies there, which a store refuses: so
 * that a plugin that knows it (backends/s3/s3.c) learns whether this one would,
 * and need not look before each put. 0: it is still ours.
 */
int claim_repeat(const struct claim *at, const struct keys *keys,
	struct pluri_err *err);

/* Take ours back; another's stays: -EEXIST. None there is fine. */
int claim_remove(const struct claim *at, const struct keys *keys,
	struct pluri_err *err);

#endif
