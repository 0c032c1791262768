/*
 * tools/rates.h - what two answers of "stats" say of the time between them.
 *
 * Pure. Counters begin anew with a daemon, and with a store that was changed:
 * then what has been counted since that beginning is what came between, so no
 * rate is ever negative. Without a first answer all of it is.
 */
#ifndef PLURI_TOOLS_RATES_H
#define PLURI_TOOLS_RATES_H

#include <jansson.h>
#include <stdint.h>

/* before; or NULL when the daemon of `now` is another one. */
const json_t *rates_base(const json_t *before, const json_t *now);

/* Between the two answers, or since the daemon began; always above 0. */
double rates_seconds(const json_t *before, const json_t *now);

/* By how much a counter of two objects has grown. */
uint64_t rates_more(
	const json_t *before, const json_t *now, const char *key);

/* What permille of those in a histogram's growth stayed below, in us. */
uint64_t rates_quantile(
	const json_t *before, const json_t *now, unsigned permille);

/* The object of an array that has this name, or NULL. */
const json_t *rates_named(const json_t *array, const char *name);

#endif
