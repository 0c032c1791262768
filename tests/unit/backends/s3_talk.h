/*
 * tests/unit/backends/s3_talk.h - the S3 backend and one scripted server.
 */
#ifndef TESTS_S3_TALK_H
#define TESTS_S3_TALK_H

#include "backends/backend.h"

#include "tests/unit/backends/scripted.h"

#define WAIT_MS 20000u /* no call may need it, on a busy machine */

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define ANSWER(status, body)                                      \
	"HTTP/1.1 " status "\r\nConnection: close\r\nServer: x\r\n\r\n" body
#define REFUSAL(status, code) \
	ANSWER(status, "<Error><Code>" code "</Code></Error>")
#define NO_KEY REFUSAL("404 No", "NoSuchKey")

struct s3_talk {
	struct scripted *server;
	struct pluri_host host;
	const char *rotated; /* access_key_id after a fresh reading, or NULL */
	const char *option;  /* "name=value", or NULL */
	unsigned fresh;	     /* readings anew */
	const struct pluri_backend_ops *ops;
	struct pluri_backend *b;
	struct pluri_call call;
	struct pluri_err err;
	char bytes[32];
	struct pluri_room room;
	uint64_t size;
	char listed[256]; /* keys, a space after each */
	struct pluri_page page;
};

/* Opens .../bucket/pre against these steps. */
struct s3_talk *s3_talk_new(const struct scripted_step *s, size_t n,
	const char *option);
void s3_talk_free(struct s3_talk *t);

/* The operations, on key "k" and body "body"; the stories are checked. */
int s3_talk_get(struct s3_talk *t, uint64_t off, size_t cap);
int s3_talk_put(struct s3_talk *t, uint32_t flags);
int s3_talk_del(struct s3_talk *t);
int s3_talk_list(struct s3_talk *t, const char *prefix);

uint64_t s3_talk_caps(const struct s3_talk *t);
/* Does request i hold text? */
int s3_talk_sent(struct s3_talk *t, unsigned i, const char *text);

/* struct s3_talk *t with these steps; s3_talk_free() it. */
#define S3_TALK(t, ...)                                      \
	const struct scripted_step steps_[] = {__VA_ARGS__}; \
	struct s3_talk *t = s3_talk_new(                     \
		steps_, sizeof(steps_) / sizeof(steps_[0]), NULL)

#endif
