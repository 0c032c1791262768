/*
 * fs/flush.h - one file's dirty ranges on their way into packs: cut, name, ask
 * what is new, encode, append, record. Called by fs/write.c. Shared: one flush
 * at a time per node, any number of nodes.
 */
#ifndef PLURI_FS_FLUSH_H
#define PLURI_FS_FLUSH_H

#include "fs/node.h"

/*
 * Record the node's dirty ranges, size and times. whole = false leaves the
 * last bytes of a growing run dirty, so that chunks end where content says.
 * On failure every byte is dirty again. *ret_done: bytes that left memory,
 * also on failure.
 */
int flush_node(struct volume *v, struct node *n, bool whole,
	uint64_t *ret_done, struct pluri_err *err);

#endif
