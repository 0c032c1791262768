/*
 * fs/watch.h - looking at every store now and then: is it there, is it ours?
 *
 * Each store is greeted at the start, every 30 s while it is well, every 2 s
 * while it is not, all at once, so that a slow one delays nobody. A store that
 * has come back is paid its debts at once. One small GET a greeting. When the
 * volume begins to put (v->puts), each store is asked what puts may rely on
 * (volume_rehearse), beside everything else. Shared.
 */
#ifndef PLURI_FS_WATCH_H
#define PLURI_FS_WATCH_H

#include "fs/volume.h"

struct watch;

int watch_new(struct volume *v, struct watch **ret, struct pluri_err *err);
/* Greetings under way end first, by their deadline. */
void watch_free(struct watch *w);
PLURI_OWN(watch);

/* Has the store been greeted since the volume was opened? */
bool watch_met(struct watch *w, uint32_t store);

#endif
