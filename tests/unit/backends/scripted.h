/*
 * tests/unit/backends/scripted.h - an HTTP server of this process that says
 * what it is told, right or wrong, on 127.0.0.1.
 *
 * Steps are played one request each, over as many connections as the client
 * likes; when they run out, connections are closed unanswered. Shared.
 */
#ifndef TESTS_SCRIPTED_H
#define TESTS_SCRIPTED_H

#include <stddef.h>
#include <stdint.h>

#include "base/own.h"

enum scripted_then {
	SCRIPTED_KEEP,	/* the connection stays open for more */
	SCRIPTED_CLOSE, /* orderly end */
	SCRIPTED_RESET, /* RST */
	SCRIPTED_HANG,	/* say no more until the client leaves */
	SCRIPTED_DRIP,	/* the reply, a byte every 20 ms */
};

struct scripted_step {
	const char *reply;
	enum scripted_then then;
	size_t len; /* of reply; 0: up to its NUL */
	size_t repeat; /* the reply's last byte again, so many times */
};

struct scripted;

/* n steps, borrowed until scripted_free(). NULL: no socket to be had. */
struct scripted *scripted_new(const struct scripted_step *steps, size_t n);
void scripted_free(struct scripted *s);
PLURI_OWN(scripted);

unsigned scripted_port(const struct scripted *s);
unsigned scripted_requests(struct scripted *s);    /* that arrived whole */
unsigned scripted_connections(struct scripted *s); /* accepted */

/* Request number i, head and body as sent; "" when there is none. Borrowed. */
const char *scripted_request(struct scripted *s, unsigned i);

#endif
