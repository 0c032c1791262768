/*
 * tests/unit/backends/reads.h - reads of a fake_scene's stores, each on a
 * thread of its own.
 */
#ifndef PLURI_TESTS_READS_H
#define PLURI_TESTS_READS_H

#include "backends/fleet_int.h"
#include "tests/unit/backends/fake.h"

struct reads {
	struct fake_scene *s;
	pthread_t thread;
	struct wish wish; /* of what is read ahead */
	bool ahead;
	bool told; /* ... that somebody waits, from the start */
	bool background;
	char letter;	 /* of what it reads */
	size_t bytes;	 /* 0: 8 */
	unsigned stores; /* 0: one */
	uint32_t hedge_ms;
	unsigned time_ms; /* 0: 20 s */
	bool endless;	   /* one after the other, until it is over */
	bool over;	   /* atomically */
	unsigned answered; /* by which store, after the end */
	int code;
};

#define READS_WAITED(scene, name) {.s = (scene), .letter = (name)}
#define READS_AHEAD(scene, name) \
	{.s = (scene), .letter = (name), .ahead = true}
#define READS_BEHIND(scene, name) \
	{.s = (scene), .letter = (name), .background = true}

void reads_start(struct reads *r);
void reads_end(struct reads *r, int code);
void reads_all_end(struct reads *r, unsigned n); /* 0 each */
/* Until n gets of store 0 are waited for: of the running, or of the queue's. */
void reads_await_waited(struct fake_scene *s, bool running, unsigned n);

#endif
