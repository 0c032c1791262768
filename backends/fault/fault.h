/*
 * backends/fault/fault.h - inside of the fault plugin: which call suffers
 * what.
 *
 * fault:BACKEND:URL is the store URL of BACKEND, whose calls fail as the file
 * named by the option fault_file says. It is read again for every call, so
 * that a test changes faults under a running daemon; replace it by rename. A
 * line that is not understood, or a file that is missing, makes every call
 * fail with -EINVAL: never silently no fault. Lines: # comment, or
 *
 *   MODE [op=get|put|del|list|all] [key=SUBSTRING] [nth=N | every=N | p=0.N]
 *        [seed=N] [delay_ms=N] [bytes=N] [keys=N] [hard]
 *
 *   error CODE   EAGAIN EBUSY EACCES ENOENT ENOSPC EBADMSG EEXIST ETIMEDOUT...
 *   delay        delay_ms=N before the call, cut short by cancel and deadline
 *   hang         until cancelled or the deadline, or until the file changes;
 *                hard: neither stops it, but delay_ms=N or a change does
 *   truncate     get tells, put stores, bytes=N (1) fewer, with success
 *   flip         one bit is wrong, drawn from seed: of a get, or a put's body
 *   notfound     404 to everything: del succeeds without deleting
 *   full         put: ENOSPC
 *   list-cut     list: keys=N (1) keys, then pretends to be the last page
 *   list-fail    list: keys=N (1) keys, then EAGAIN
 *   lost-answer  it is done, but the answer is EAGAIN
 *   late         it is done, but the answer comes delay_ms=N (50) after the
 *                deadline
 *
 * Without nth, every or p every call suffers. Counting starts anew when the
 * file changes. All matching lines apply; of two errors the first.
 *
 * Options: fault_file; fault_log, a file that gets a line "OP KEY CODE" for
 * each finished call; fault_without, names of capabilities to deny: "range
 * new visible sorted".
 */
#ifndef PLURI_BACKENDS_FAULT_FAULT_H
#define PLURI_BACKENDS_FAULT_FAULT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/own.h"
#include "base/types.h"

#define FAULT_FILE_MAX 16384u
#define FAULT_RULES_MAX 64u

#define FAULT_GET 1u
#define FAULT_PUT 2u
#define FAULT_DEL 4u
#define FAULT_LIST 8u
#define FAULT_ALL 15u

/* What one call suffers. */
struct fault_plan {
	int code; /* positive errno; 0: none */
	bool hang, hard, flip, notfound, cut, lost, late;
	uint64_t hang_ms; /* hard: 0 for ever */
	uint64_t delay_ms, late_ms;
	uint64_t truncate; /* bytes */
	uint64_t chance;   /* drawn, for flip */
	uint32_t keys;	   /* before a cut */
	int cut_code;	   /* 0: pretends to be the last page */
	uint64_t version;  /* of the file */
};

struct fault_rules; /* shared */

/* path: borrowed, NULL for no faults at all. */
int fault_rules_new(const char *path, struct fault_rules **ret,
	struct pluri_err *err);
void fault_rules_free(struct fault_rules *r);
PLURI_OWN(fault_rules);

/* 0, or -EINVAL with file and line. key: of a list its prefix. */
int fault_rules_ask(struct fault_rules *r, unsigned op, const char *key,
	struct fault_plan *ret, struct pluri_err *err);

/* Has the file changed since that plan was made? */
bool fault_rules_changed(struct fault_rules *r, uint64_t version);

#endif
