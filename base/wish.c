#include "base/wish.h"

void wish_init(struct wish *w)
{
	*w = (struct wish){.told = false};
	(void)pthread_mutex_init(&w->lock, NULL);
}

void wish_fini(struct wish *w)
{
	(void)pthread_mutex_destroy(&w->lock);
}

void wish_tell(struct wish *w)
{
	(void)pthread_mutex_lock(&w->lock);
	if (!w->told && w->bell)
		w->bell(w->arg);
	w->told = true;
	(void)pthread_mutex_unlock(&w->lock);
}

bool wish_told(struct wish *w)
{
	bool told;

	(void)pthread_mutex_lock(&w->lock);
	told = w->told;
	(void)pthread_mutex_unlock(&w->lock);
	return told;
}

void wish_bell(struct wish *w, void (*bell)(void *arg), void *arg)
{
	(void)pthread_mutex_lock(&w->lock);
	w->bell = bell;
	w->arg = arg;
	(void)pthread_mutex_unlock(&w->lock);
}
