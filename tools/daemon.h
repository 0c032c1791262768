/*
 * tools/daemon.h - becoming a daemon: the parent stays until the child has
 * told whether it works. Called once, before any thread runs.
 */
#ifndef PLURI_TOOLS_DAEMON_H
#define PLURI_TOOLS_DAEMON_H

#include <sys/types.h>

#include "base/err.h"

/*
 * Fork. In the child: 0, in a session of its own, in "/", with standard input
 * and output at /dev/null and standard error appended to log (0600; a large
 * one is first renamed to log.1); *ret_ready is for daemon_failed() or one
 * byte 0. In the parent: the child's pid, and *ret_ready is for daemon_wait().
 */
pid_t daemon_fork(const char *log, int *ret_ready, struct pluri_err *err);

/* Child: hand the story to the parent. Closes ready. */
void daemon_failed(int ready, const struct pluri_err *err);

/* Parent: 0 once the child works, or its story. Closes ready. */
int daemon_wait(int ready, pid_t child, const char *log,
	struct pluri_err *err);

#endif
