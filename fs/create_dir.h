/*
 * fs/create_dir.h - the state directory while a volume is being made in it;
 * for create.c alone. Confined.
 */
#ifndef PLURI_FS_CREATE_DIR_H
#define PLURI_FS_CREATE_DIR_H

#include <stdbool.h>

#include "base/own.h"
#include "fs/config.h"

struct create_dir;

/*
 * Make it (0700, parents too) or take an existing one of ours, and lock it.
 * -EEXIST when it holds a volume, -EBUSY when somebody else is at it.
 */
int create_dir_open(const struct config *c, struct create_dir **ret,
	struct pluri_err *err);
/* Lets the lock go; without create_dir_keep() whatever is empty goes, too. */
void create_dir_free(struct create_dir *d);
PLURI_OWN(create_dir);
void create_dir_keep(struct create_dir *d);

/*
 * The volume's id is on disk before any store is claimed, so that a create
 * that was killed knows its own descriptors when it is repeated. *id comes
 * in as drawn and goes out as it was drawn the first time.
 */
int create_dir_recall(struct create_dir *d, struct pluri_id *id,
	bool *ret_again, struct pluri_err *err);
int create_dir_remember(struct create_dir *d, const struct pluri_id *id,
	struct pluri_err *err);
void create_dir_forget(struct create_dir *d);

/* Path of the database as long as it is not complete; freed with d. What an
 * earlier attempt left there is removed. */
int create_dir_draft(struct create_dir *d, const char **ret,
	struct pluri_err *err);
/* It is complete: give it its name, durably. */
int create_dir_publish(struct create_dir *d, struct pluri_err *err);

#endif
