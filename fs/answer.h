/*
 * fs/answer.h - bytes of unknown origin as JSON strings. Pure.
 *
 * File names and what servers said may be any bytes, JSON is UTF-8: what is
 * not becomes '?', a byte each. Never fails for its content.
 */
#ifndef PLURI_FS_ANSWER_H
#define PLURI_FS_ANSWER_H

#include <jansson.h>

/* New reference; NULL when out of memory. */
json_t *answer_text(const char *s);

#endif
