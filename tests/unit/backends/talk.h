/*
 * tests/unit/backends/talk.h - one HTTP client and one scripted server.
 */
#ifndef TESTS_TALK_H
#define TESTS_TALK_H

#include "backends/http.h"

#include "tests/unit/backends/scripted.h"

#define SHORT_MS 1000u
#define LONG_MS 20000u /* nothing here may need it, on a busy machine */

/* A server, a client, and the last exchange between them. */
struct talk {
	struct scripted *server;
	struct http *http;
	char url[128];
	char room_bytes[64];
	struct pluri_room room;
	struct buf text;
	struct pluri_call call;
	struct http_request q;
	struct http_answer a;
	struct pluri_err err;
	uint64_t took_ms;
};

struct talk *talk_new(const struct scripted_step *s, size_t n);

/* One exchange; the code of http_run(). */
int talk_run(struct talk *t, unsigned within_ms);

void talk_free(struct talk *t);

/* struct talk *t with these steps; talk_free() it. */
#define TALK(t, ...)                                         \
	const struct scripted_step steps_[] = {__VA_ARGS__}; \
	struct talk *t = talk_new(steps_, sizeof(steps_) / sizeof(steps_[0]))

#endif
