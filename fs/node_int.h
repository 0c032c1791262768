/*
 * fs/node_int.h - what nodes and the writer's files need of each other.
 */
#ifndef PLURI_FS_NODE_INT_H
#define PLURI_FS_NODE_INT_H

#include "fs/node.h"

/* Dirty bytes of a file without a name were dropped unflushed. */
void writer_forgive(struct volume *v, uint64_t bytes);

/* With node->lock held: size or times are ahead of the database; and written
 * to just now. */
void write_mark(struct volume *v, struct node *n);
void write_touch(struct volume *v, struct node *n);

#endif
