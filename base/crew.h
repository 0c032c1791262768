/*
 * base/crew.h - one loop, run by several threads at once.
 *
 * crew_each() calls fn(arg, 0), ..., fn(arg, n - 1), each exactly once, in any
 * order, on the caller's thread and on those of the crew that are free, and
 * returns after the last has returned. The caller works, too: a crew that is
 * busy elsewhere, or has no threads, makes nobody wait. Allocates nothing.
 *
 * fn may call crew_each() of the same crew: who waits for others waits for what
 * lies deeper, so nobody waits in a circle. Shared.
 */
#ifndef PLURI_BASE_CREW_H
#define PLURI_BASE_CREW_H

#include "base/err.h"
#include "base/own.h"

#define CREW_MAX 64u

struct crew;

/* threads: beside the callers', 0..CREW_MAX. name: as in base/work.h. */
int crew_new(unsigned threads, const char *name, struct crew **ret,
	struct pluri_err *err);
void crew_free(struct crew *c); /* nobody may be inside. NULL is fine. */
PLURI_OWN(crew);

/* How many cores there are beside the caller's; at most max. */
unsigned crew_others(unsigned max);

void crew_each(struct crew *c, unsigned n,
	void (*fn)(void *arg, unsigned i), void *arg);

#endif
