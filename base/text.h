/*
 * base/text.h - numbers and identities as people write them.
 *
 * Pure. Parsers take the whole string or fail with -EINVAL and the story.
 */
#ifndef PLURI_BASE_TEXT_H
#define PLURI_BASE_TEXT_H

#include "base/err.h"
#include "base/types.h"

/* "10G", "512", "1.5T": bytes; K M G T P are powers of 1024. */
int text_size(const char *s, uint64_t *ret_bytes, struct pluri_err *err);

/* Decimal digits alone, at most max. */
int text_uint(const char *s, uint64_t max, uint64_t *ret,
	struct pluri_err *err);

#define TEXT_SIZE_MAX 16
/* "16.0 MiB"; returns to. */
const char *text_bytes(uint64_t bytes, char to[TEXT_SIZE_MAX]);

/* Lower-case hexadecimal: to has room for 2 * len + 1 bytes; returns to. */
const char *text_hex(const void *data, size_t len, char *to);
/* Exactly len bytes from 2 * len digits, or -EINVAL. */
int text_unhex(const char *s, void *to, size_t len);

/*
 * The word of a NULL-ended list that is nearest to a misspelt one (edit
 * distance at most a third of its length and one), or NULL, the first of
 * equals. For "did you mean".
 */
const char *text_nearest(const char *word, const char *const *list);

#endif
