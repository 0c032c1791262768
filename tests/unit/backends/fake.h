/*
 * tests/unit/backends/fake.h - a backend that answers as the test says.
 *
 * Its object is endless: byte n is n * 7 (8 bits), up to size. Calls block
 * while it is held; the test releases them. The test owns it: close() only
 * leaves a note. Shared.
 */
#ifndef PLURI_TESTS_FAKE_H
#define PLURI_TESTS_FAKE_H

#include <pthread.h>
#include <stdbool.h>

#include "backends/fleet.h"
#include "base/clock.h"

struct pluri_backend {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t cond;
	int code;		 /* what calls answer */
	unsigned code_times;	 /* ... so often, then 0; 0: always */
	uint64_t retry_after_ms; /* ... with EBUSY */
	bool hold;		 /* calls block */
	bool heeds;		 /* ... but heed cancel */
	unsigned delay_ms;	 /* calls take so long */
	unsigned slow_ms;	 /* ... and gets with a turn for it, so long */
	unsigned slow_every;	 /* 10: the 10th, 20th... get; 0: none */
	unsigned gets;
	char trace[64]; /* a letter for each call: g, p, d, l; for a get whose
			   key begins with a capital, that */
	uint64_t size;
	uint8_t spoil; /* added to each byte */
	bool lies;     /* get claims a byte more than there is room for */
	uint32_t concurrency;
	uint64_t caps;
	unsigned entered, left; /* calls */
	unsigned overdue;	/* ... that had no time left from the start */
	unsigned read_back;	/* codes of body.read that were not 0 */
	unsigned closed;
};

extern const struct pluri_backend_ops fake_ops;

void fake_init(struct pluri_backend *b);
void fake_say(struct pluri_backend *b, int code, unsigned times);
void fake_hold(struct pluri_backend *b, bool hold);
void fake_delay(struct pluri_backend *b, unsigned ms);
/* Wait (10 s at most, then the test dies) for so many calls. */
void fake_await_entered(struct pluri_backend *b, unsigned n);
void fake_await_left(struct pluri_backend *b, unsigned n);
void fake_await_closed(struct pluri_backend *b);
unsigned fake_entered(struct pluri_backend *b);

/* A clock that stands until the test moves it; draws zeros. */
struct fake_clock {
	struct clock clock;
	uint64_t now_ms; /* read and moved atomically */
};
void fake_clock_init(struct fake_clock *c);
void fake_clock_move(struct fake_clock *c, uint64_t ms);

/* A fleet with the stores 0 "nas", 1 "aws", 2 "gcs", on a standing clock. */
#define FAKE_STORES 3u
struct fake_scene {
	struct fake_clock clock;
	struct fleet *fleet;
	struct pluri_backend b[FAKE_STORES];
};
int fake_scene_new(void **state);
int fake_scene_free(void **state); /* releases all, checks all is closed */
#define fake_scene_test(f)                                                    \
	cmocka_unit_test_setup_teardown(f, fake_scene_new, fake_scene_free)

uint64_t fake_soon(uint64_t ms); /* a deadline */
/* Wait (10 s at most) until n calls of store 0 are in its queue. */
void fake_await_queued(struct fake_scene *s, unsigned n);
int fake_get(struct fake_scene *s, unsigned store, uint64_t ms, unsigned flags,
	struct pluri_err *err);
/* Read what stores 0 to 2 all have: which answered, or a code. */
int fake_mirror(struct fleet *f, uint32_t hedge_ms);
struct fleet_health fake_health(struct fake_scene *s, unsigned store);

#endif
