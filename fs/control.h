/*
 * fs/control.h - the local API: one door for the command line, whether the
 * volume is mounted or not.
 *
 * A live daemon serves HTTP/1.1 with JSON on the Unix socket STATE/control.sock
 * (the state directory is 0700): POST /v1/NAME with a JSON object of arguments
 * answers 200 and a JSON object, or 4xx/5xx and {"error": text, "code": errno}.
 * Without a daemon the same functions run in the tool's own process, on the
 * database. Every answer comes quickly: long work is a job whose progress is
 * asked for again; no handler waits for a cloud.
 */
#ifndef PLURI_FS_CONTROL_H
#define PLURI_FS_CONTROL_H

#include <jansson.h>

#include "base/err.h"
#include "base/own.h"
#include "fs/config.h"

struct volume;
struct control; /* the daemon's server */

/* Serve v until control_stop(). The socket is 0600; a stale one is replaced
 * (the state directory's lock says that nobody else serves). */
int control_start(struct volume *v, struct control **ret,
	struct pluri_err *err);
void control_stop(struct control *c); /* NULL is fine; answers in flight end */

/* Run one call by name on an open volume. *ret: new reference. -ENOENT for an
 * unknown name. For the server, and for tools without a daemon. */
int control_call(struct volume *v, const char *name, const json_t *args,
	json_t **ret, struct pluri_err *err);

struct control_client; /* a tool's view of a volume */

/* When no daemon lives: */
enum control_offline {
	CONTROL_REFUSE = 0, /* -ENOENT: "is not mounted" */
	CONTROL_HERE = 1,   /* open the volume here */
	CONTROL_BARE = 2,   /* and if it does not open, its database alone, of
			       which nothing but "fsck" may be asked */
};

/* Reach the daemon when one lives, else as `offline` says. */
int control_open(const struct config *c, int offline,
	struct control_client **ret, struct pluri_err *err);
void control_client_free(struct control_client *c);
PLURI_OWN(control_client);

/* 1 when a daemon answers, 0 when the volume was opened here. */
int control_live(const struct control_client *c);

int control_ask(struct control_client *c, const char *name,
	const json_t *args, json_t **ret, struct pluri_err *err);

#endif
