/*
 * fs/create.h - make a volume where there was none.
 */
#ifndef PLURI_FS_CREATE_H
#define PLURI_FS_CREATE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/types.h"
#include "fs/config.h"

struct volume; /* what is made: fs/volume.h */

/* What the recovery kit needs to say. */
struct create_report {
	char volume_id[2 * PLURI_ID_BYTES + 1]; /* lower-case hexadecimal */
	char key_ref[CONFIG_VALUE_MAX + 1];	/* where the key is */
	bool key_made; /* it was not there and has been written */
};

/*
 * Make the state directory (0700), the key when its file: is absent, and the
 * database; write the volume's descriptor to every store. Every store must
 * answer: a volume that starts out degraded is a configuration mistake.
 *
 * -EEXIST when the state directory or a store holds a volume already; nothing
 * is changed then. After any other failure what was made is left so that the
 * same call can be repeated: the key is never removed, and never replaced.
 */
int volume_create(const struct config *c, struct create_report *ret,
	struct pluri_err *err);

#endif
