/*
 * base/buf.h - a growing byte buffer that is born with its ceiling.
 *
 * Confined. Zero-fill or buf_init() makes an empty one; data is NULL while
 * empty. buf_free() may be called twice.
 */
#ifndef PLURI_BASE_BUF_H
#define PLURI_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data; /* owned; always followed by a NUL once not NULL */
	size_t len;
	size_t cap;
	size_t max; /* bytes it will never exceed */
};

void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b);
void buf_clear(struct buf *b); /* empty, memory kept */

/* 0, -ENOMEM, or -EOVERFLOW beyond max; on failure nothing is changed. */
int buf_reserve(struct buf *b, size_t more);
int buf_add(struct buf *b, const void *data, size_t len);
int buf_str(struct buf *b, const char *s);
int buf_fmt(struct buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The text so far, NUL-terminated; "" when empty. Borrowed. */
const char *buf_text(const struct buf *b);

#endif
