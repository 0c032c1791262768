/* A caller waits on its own stack; ops reach it only until they let go of it,
 * which they do under their store's lock. */
#include "backends/fleet_int.h"

void fleet_wait_init(struct fleet_wait *w)
{
	(void)pthread_mutex_init(&w->lock, NULL);
	clock_cond_init(&w->cond);
	w->told = 0;
}

void fleet_wait_fini(struct fleet_wait *w)
{
	(void)pthread_cond_destroy(&w->cond);
	(void)pthread_mutex_destroy(&w->lock);
}

void fleet_wait_wake(struct fleet_wait *w)
{
	(void)pthread_mutex_lock(&w->lock);
	w->told++;
	(void)pthread_cond_signal(&w->cond);
	(void)pthread_mutex_unlock(&w->lock);
}

void fleet_wait_for(struct fleet_wait *w, unsigned *seen, uint64_t until_ms)
{
	(void)pthread_mutex_lock(&w->lock);
	while (w->told == *seen)
		if (clock_wait(&w->cond, &w->lock, until_ms) < 0)
			break;
	*seen = w->told;
	(void)pthread_mutex_unlock(&w->lock);
}
