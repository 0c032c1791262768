/*
 * backends/backend.h - the plugin ABI: what a cloud must be able to do.
 *
 * Installed as <plurifs/backend.h> with base/err.h and base/types.h beside it;
 * header only, so a plugin links nothing of plurifs. A plugin is a shared
 * module named pluri-NAME.so that exports one symbol, pluri_backend_entry().
 *
 * Contract for every operation
 *   - any thread, many at once, on one instance;
 *   - done, well or badly, by call->deadline_ms; soon after *call->cancel
 *     turns non-zero;
 *   - may be repeated: put of the same bytes, get, del, list are idempotent;
 *   - one attempt only: repeating is the caller's business, except to renew
 *     expired credentials or a learnt clock offset, once;
 *   - no memory changes hands: the caller brings the room;
 *   - failures are classed by the codes of base/err.h: EAGAIN (down, reset,
 *     5xx, DNS), ETIMEDOUT, EBUSY (throttled; call->retry_after_ms), EACCES
 *     (credentials), ENOENT (only when the answer is an authority's), EBADMSG
 *     (an answer that is not of the protocol, or shorter than it promised),
 *     ENOSPC (quota, full), EEXIST (PLURI_PUT_NEW), EINVAL, ENOTSUP;
 *     the story names the host and what it answered, never a secret;
 *   - keys are [A-Za-z0-9._/-]{1,432}, never with an empty, "." or ".." part;
 *   - objects are immutable: a key is put once with PLURI_PUT_NEW, read, and
 *     at last deleted.
 */
#ifndef PLURI_BACKENDS_BACKEND_H
#define PLURI_BACKENDS_BACKEND_H

#include "base/err.h"
#include "base/types.h"

#define PLURI_BACKEND_ABI 1u /* raised only when a member changes meaning */

#define PLURI_CAP_RANGE (UINT64_C(1) << 0)   /* get() moves only the range */
#define PLURI_CAP_NEW (UINT64_C(1) << 1)     /* PLURI_PUT_NEW is atomic */
#define PLURI_CAP_VISIBLE (UINT64_C(1) << 2) /* a finished put is seen by all */
#define PLURI_CAP_SORTED (UINT64_C(1) << 3)  /* list() goes by byte order */
#define PLURI_CAP_LOCAL (UINT64_C(1) << 4)   /* no network, no money */

/* put() flags. Unknown ones: -ENOTSUP. */
#define PLURI_PUT_NEW 1u /* refuse with -EEXIST when the key exists; without
			    PLURI_CAP_NEW by looking first, which can race */

struct pluri_backend; /* an instance: the plugin's own struct */

/* What the core offers a plugin; valid until close() has returned. */
struct pluri_host {
	uint32_t abi;  /* PLURI_BACKEND_ABI of the core */
	uint32_t size; /* sizeof(struct pluri_host) of the core */
	void *ctx;

	/*
	 * A line of the store's credentials: the value of name copied to
	 * `to` with its NUL. 0, -ENOENT (no such line), -ERANGE (cap too
	 * small), or the story of why they cannot be read. fresh: read them
	 * again from their source first (after a refusal, to follow rotation).
	 */
	int (*secret)(void *ctx, const char *name, int fresh, char *to,
		size_t cap, struct pluri_err *err);

	/* A key of the store's INI section, or NULL. Lives as long as the
	 * instance. Plugins must refuse, at open, values they cannot use. */
	const char *(*option)(void *ctx, const char *name);

	/* A line for the administrator's debug log. Never a secret. */
	void (*debug)(void *ctx, const char *text);
	/* ABI 1 ends here */
};

/* Every operation's frame. */
struct pluri_call {
	uint64_t deadline_ms;	 /* CLOCK_MONOTONIC; 0: none */
	const uint32_t *cancel;	 /* read atomically; NULL: cannot be stopped */
	uint64_t retry_after_ms; /* answer: 0, or what the other side asked */
	uint64_t requests;	 /* answer: network requests made, added up */
};

/* The bytes of a put: pulled, possibly several times from the start. */
struct pluri_body {
	uint64_t size;
	/* Exactly len bytes from off, or -errno; any thread. */
	int (*read)(void *arg, uint64_t off, void *to, size_t len,
		struct pluri_err *err);
	void *arg;
};

struct pluri_limits {
	uint64_t caps;		 /* PLURI_CAP_* of this instance */
	uint64_t object_max;	 /* bytes */
	uint32_t concurrency;	 /* calls that make sense at once */
	uint32_t list_page;	 /* keys a page, at most */
};

#define PLURI_TOKEN_MAX 1024u

struct pluri_page {
	/*
	 * In: where to go on, "" from the start. Out: where the next page
	 * begins, "" when this was the last. Opaque; bounded.
	 */
	char token[PLURI_TOKEN_MAX];
	/* Called for every key of the page; non-zero stops with that code. */
	int (*each)(void *arg, const char *key, uint64_t size);
	void *arg;
};

struct pluri_backend_ops {
	uint32_t abi;	  /* PLURI_BACKEND_ABI as the plugin was compiled */
	uint32_t size;	  /* sizeof(struct pluri_backend_ops), likewise */
	const char *name; /* "s3": static, lower case */

	/*
	 * Make an instance for url. Judges url, options and the shape of
	 * credentials; does not touch the network (a cloud may be away when
	 * a volume is mounted).
	 */
	int (*open)(const struct pluri_host *host, const char *url,
		struct pluri_backend **ret, struct pluri_err *err);

	/* After every call has returned. NULL is fine. */
	void (*close)(struct pluri_backend *b);

	void (*limits)(const struct pluri_backend *b, struct pluri_limits *ret);

	/* The object is whole and durable at the provider, or not there. */
	int (*put)(struct pluri_backend *b, struct pluri_call *call,
		const char *key, const struct pluri_body *body, uint32_t flags,
		struct pluri_err *err);

	/*
	 * Bytes from off on, as many as into->cap holds and the object has;
	 * into->len tells. *ret_size, when not NULL: bytes of the whole
	 * object. cap 0 only asks for it. off at or behind the end: 0 bytes.
	 */
	int (*get)(struct pluri_backend *b, struct pluri_call *call,
		const char *key, uint64_t off, struct pluri_room *into,
		uint64_t *ret_size, struct pluri_err *err);

	/* Gone when it returns 0, also when it never was. */
	int (*del)(struct pluri_backend *b, struct pluri_call *call,
		const char *key, struct pluri_err *err);

	/*
	 * One page of the keys that begin with prefix. A page that was cut
	 * short is a failure, never a short page.
	 */
	int (*list)(struct pluri_backend *b, struct pluri_call *call,
		const char *prefix, struct pluri_page *page,
		struct pluri_err *err);
	/* ABI 1 ends here. New members go below; the core asks `size`. */
};

/* The one symbol a plugin exports. */
#define PLURI_EXPORT __attribute__((visibility("default")))
PLURI_EXPORT const struct pluri_backend_ops *pluri_backend_entry(void);

#endif
