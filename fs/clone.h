/*
 * fs/clone.h - a range of a file over a range of a file, by reference: no byte
 * is read, stored or sent. Shared.
 */
#ifndef PLURI_FS_CLONE_H
#define PLURI_FS_CLONE_H

#include "fs/node.h"

struct clone_ask {
	struct node *from, *to; /* regular files; may be the same */
	uint64_t from_off, to_off;
	uint64_t len;
};

/*
 * As copy_file_range(2): what was written to the source before is copied, its
 * holes too, up to its end; *ret_done may be less than asked for when that is
 * much, and is 0 only at the source's end. -EXDEV: the two have different
 * policies, so that the bytes have to be stored again; -EINVAL: a range over
 * itself; -EFBIG. On a failure half-way what was done before counts.
 */
int clone_range(struct volume *v, const struct clone_ask *ask,
	uint64_t *ret_done, struct pluri_err *err);

#endif
