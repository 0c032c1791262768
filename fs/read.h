/*
 * fs/read.h - the way up: dirty ranges over extents over holes. Shared.
 */
#ifndef PLURI_FS_READ_H
#define PLURI_FS_READ_H

#include <sys/uio.h>

#include "fs/node.h"
#include "meta/extent.h"

struct reader;

int reader_new(struct volume *v, struct reader **ret, struct pluri_err *err);
void reader_free(struct reader *r); /* ends its prefetches */
PLURI_OWN(reader);

/* Who reads. */
struct read_ask {
	bool ahead; /* a program's read: note it, and prefetch (fs/trail.h) */
	int (*stop)(void *arg); /* as upload_wait; stays with its answer;
				   may be NULL */
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

/*
 * The same, where they are: in the cache, as a rule, whose frames stay until
 * read_view_free(); where anything of it is not recorded yet, or a hole, or in
 * many pieces, in a copy.
 */
struct read_view;
int read_view(struct volume *v, struct node *n, const struct read_ask *ask,
	struct extent_span at, struct read_view **ret, struct pluri_err *err);
const struct iovec *read_view_parts(const struct read_view *w, unsigned *ret_n);
void read_view_free(struct read_view *w);
PLURI_OWN(read_view);

#endif
