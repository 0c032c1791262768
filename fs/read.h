/*
 * fs/read.h - the way up: dirty ranges over extents over holes. Shared.
 */
#ifndef PLURI_FS_READ_H
#define PLURI_FS_READ_H

#include "fs/node.h"

struct reader;

int reader_new(struct volume *v, struct reader **ret, struct pluri_err *err);
void reader_free(struct reader *r); /* ends its prefetches */
PLURI_OWN(reader);

/* What one open file's reads have looked like; zero to begin with. Has its
 * own order: reads of one handle may run at once. */
struct read_trail {
	_Atomic uint64_t next;	 /* where a sequential read would go on */
	_Atomic uint64_t ahead;	 /* prefetched up to here */
	_Atomic uint32_t window; /* bytes of prefetch; grows */
};

/* Who reads; each may be NULL. */
struct read_ask {
	struct read_trail *trail;
	int (*stop)(void *arg); /* as upload_wait; stays with its answer */
	void *arg;
};

/*
 * Up to to->cap bytes from off; to->len is less only at end of file. All of
 * them are right, or -EIO, or -ETIMEDOUT (fs/fetch.h). -ECANCELED only when
 * this reader's own stop() said so: others who waited for what it was loading
 * load it themselves.
 */
int read_bytes(struct volume *v, struct node *n, const struct read_ask *ask,
	uint64_t off, struct pluri_room *to, struct pluri_err *err);

#endif
