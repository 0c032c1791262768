/*
 * backends/key.h - which object names are lawful, judged once for all clouds.
 *
 * Pure. Keys are [A-Za-z0-9._/-]{1,432} without empty, "." or ".." parts; a
 * prefix is what a key may begin with, "" too.
 */
#ifndef PLURI_BACKENDS_KEY_H
#define PLURI_BACKENDS_KEY_H

#include <stdbool.h>

#include "base/err.h"
#include "base/types.h"

bool key_lawful(const char *key);

/* 0, or -EINVAL with the story. */
int key_check(const char *key, struct pluri_err *err);
int key_check_prefix(const char *prefix, struct pluri_err *err);

#endif
