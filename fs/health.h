/*
 * fs/health.h - what is true now: answers of "status", "where", "policy-list".
 * Never waits for a cloud. Shared.
 */
#ifndef PLURI_FS_HEALTH_H
#define PLURI_FS_HEALTH_H

#include <jansson.h>

#include "fs/volume.h"

/*
 * critical: a pack is unreadable, a store holds another volume's descriptor, or
 * the volume takes no more writes; warning: a store is not reachable or its
 * credentials are refused, a pack is not fully redundant for longer than a
 * minute, bytes pending for longer than five; else ok. "reasons" says which.
 */
int health_status(struct volume *v, json_t **ret, struct pluri_err *err);

/* path: inside the volume, "" or "/" is the root. */
int health_where(struct volume *v, const char *path, bool explain,
	json_t **ret, struct pluri_err *err);
int health_policies(struct volume *v, json_t **ret, struct pluri_err *err);

#endif
