/*
 * backends/registry.h - finding, judging and loading plugins.
 *
 * A backend "s3" is the file pluri-s3.so, looked for in the directories of
 * PLURI_PLUGINS (colon-separated), then beside the running program in
 * backends/s3/ (a build used in place), then in the installed plugin
 * directory. Its ABI number must be ours and its struct at least as long as
 * ABI 1 says; else it is refused with a message that names the file and both
 * numbers. Modules stay loaded. Shared.
 */
#ifndef PLURI_BACKENDS_REGISTRY_H
#define PLURI_BACKENDS_REGISTRY_H

#include "backends/backend.h"

/* -ENOENT (no such plugin; the story lists where it looked), -EINVAL. */
int registry_find(const char *name, const struct pluri_backend_ops **ret,
	struct pluri_err *err);

/* Judge one module's answer; registry_find's own check, open to tests. */
int registry_judge(const char *path, const char *name,
	const struct pluri_backend_ops *ops, struct pluri_err *err);

#endif
