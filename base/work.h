/*
 * base/work.h - a pool of threads that run small tasks, first in, first out.
 *
 * Shared. A task is embedded in the caller's struct, so that submitting cannot
 * fail and allocates nothing; the task may free itself when it runs. Threads
 * start on demand, up to the ceiling, and stay.
 */
#ifndef PLURI_BASE_WORK_H
#define PLURI_BASE_WORK_H

#include <stddef.h>

#include "base/err.h"
#include "base/own.h"

struct work; /* the pool */

struct work_item {
	void (*run)(struct work_item *item); /* called once, on a pool thread */
	struct work_item *next;		     /* the pool's */
};

/* threads: ceiling, 1..1024. name: at most 12 bytes, shown by ps and gdb. */
int work_new(unsigned threads, const char *name, struct work **ret,
	struct pluri_err *err);

/* Runs what was submitted to its end, then joins all threads. NULL is fine. */
void work_free(struct work *w);
PLURI_OWN(work);

void work_submit(struct work *w, struct work_item *item);

/* The struct that embeds a member. */
#define work_of(ptr, type, member)                                            \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
