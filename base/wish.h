/*
 * base/wish.h - work that nobody waits for, until somebody does.
 *
 * Who does such work has the wish, and may hang a bell on it; who comes to wait
 * for the outcome tells it. It is told once and stays so. The work ends before
 * its wish does. Shared.
 */
#ifndef PLURI_BASE_WISH_H
#define PLURI_BASE_WISH_H

#include <pthread.h>
#include <stdbool.h>

struct wish {
	pthread_mutex_t lock; /* guards all below */
	bool told;
	void (*bell)(void *arg);
	void *arg;
};

void wish_init(struct wish *w);
void wish_fini(struct wish *w);

/* Rings the bell that hangs there, on the caller's thread. */
void wish_tell(struct wish *w);
bool wish_told(struct wish *w);

/*
 * From now on bell(arg) is called when the wish is told: it must be short, and
 * may come as soon as this is called. Instead of one that hangs there, which
 * is not being called any more when this returns; NULL: none.
 */
void wish_bell(struct wish *w, void (*bell)(void *arg), void *arg);

#endif
