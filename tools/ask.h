/*
 * tools/ask.h - a verb's line to a volume: its INI, and the daemon or the
 * database behind it. Confined.
 */
#ifndef PLURI_TOOLS_ASK_H
#define PLURI_TOOLS_ASK_H

#include <jansson.h>

#include "base/err.h"
#include "base/own.h"
#include "fs/config.h"
#include "fs/control.h"

struct ask {
	struct config *config;
	struct control_client *client;
};

/* volume: as for config_load(). offline: as for control_open(). */
int ask_new(const char *volume, int offline, struct ask **ret,
	struct pluri_err *err);
void ask_free(struct ask *a); /* NULL is fine */
PLURI_OWN(ask);

/* args: an object whose reference is taken, or NULL for {}. */
int ask_call(struct ask *a, const char *name, json_t *args, json_t **ret,
	struct pluri_err *err);

/* The whole of a simple verb's talk: open, one call, close. */
int ask_once(const char *volume, const char *name, json_t *args, json_t **ret,
	struct pluri_err *err);

/* json_decref() at the end of the scope. */
static inline void ask_drop_json(json_t **o)
{
	json_decref(*o);
}
#define ask_auto_json __attribute__((cleanup(ask_drop_json))) json_t *

/* {"config": the INI's absolute path}: for calls that read it anew. */
json_t *ask_config(const struct ask *a);

#endif
