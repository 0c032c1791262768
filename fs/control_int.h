/*
 * fs/control_int.h - what server and client of the local API have in common;
 * for fs/control*.c alone.
 */
#ifndef PLURI_FS_CONTROL_INT_H
#define PLURI_FS_CONTROL_INT_H

#include "fs/control.h"
#include "fs/volume.h"

#define CONTROL_PREFIX "/v1/"
#define CONTROL_ASK_MAX (1u << 20)    /* bytes of a call's arguments */
#define CONTROL_ANSWER_MAX (256u << 20) /* of what a client believes */
#define CONTROL_TIMEOUT_MS 30000u     /* of one call */
#define CONTROL_START_MS 5000u	      /* until a daemon that starts answers */
#define CONTROL_PATH_MAX 108u	      /* sun_path, with its NUL */

/*
 * The socket's path in a directory that is open: short whatever the state
 * directory is called.
 */
static inline void control_path(int dir_fd, char to[CONTROL_PATH_MAX])
{
	(void)snprintf(to, CONTROL_PATH_MAX, "/proc/self/fd/%d/%s", dir_fd,
		VOLUME_SOCKET);
}

#endif
