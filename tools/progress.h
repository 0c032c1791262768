/*
 * tools/progress.h - how far long work is, on standard error: a bar on a
 * terminal, elsewhere a plain line at most every 5 seconds. Confined.
 */
#ifndef PLURI_TOOLS_PROGRESS_H
#define PLURI_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *what; /* "sync": borrowed */
	bool silent;	  /* --json: nothing at all */
	bool terminal;
	bool drawn;	  /* a bar stands in the last line */
	uint64_t next_ms; /* monotonic: when a plain line may follow */
	unsigned nap_ms;
};

void progress_start(struct progress *p, const char *what, bool silent);
/* total 0: not known. note may be "". */
void progress_show(struct progress *p, uint64_t done_bytes,
	uint64_t total_bytes, const char *note);
/* The same for work that is not of bytes. */
void progress_part(struct progress *p, unsigned percent, const char *note);
/* Wait before asking again: 100 ms, growing to 500. */
void progress_nap(struct progress *p);
/* The bar goes away. */
void progress_end(struct progress *p);

#endif
