/*
 * fs/node_int.h - what nodes and the writer's files need of each other.
 */
#ifndef PLURI_FS_NODE_INT_H
#define PLURI_FS_NODE_INT_H

#include "fs/node.h"

/* Dirty bytes of a file without a name were dropped unflushed. */
void writer_forgive(struct volume *v, uint64_t bytes);

/*
 * Forget dirty bytes of a range; with node->lock held and no flush under way
 * (one that could not give its bytes back has left them in flight). It cannot
 * fail when the range reaches to the end.
 */
int write_drop(struct volume *v, struct node *n, uint64_t off, uint64_t len,
	struct pluri_err *err);

/* With node->lock held: size or times are ahead of the database; and written
 * to just now. */
void write_mark(struct volume *v, struct node *n);
void write_touch(struct volume *v, struct node *n);

#endif
