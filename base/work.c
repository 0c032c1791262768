#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/work.h"

struct work {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t more;
	struct work_item *head;
	struct work_item **tail;
	unsigned queued; /* items in the list */
	unsigned idle; /* threads waiting for one */
	unsigned running; /* threads started */
	unsigned max;
	bool stop;
	char name[16];
	pthread_t threads[];
};

static struct work_item *work_next(struct work *w)
{
	struct work_item *item;

	(void)pthread_mutex_lock(&w->lock);
	while (!w->head && !w->stop) {
		w->idle++;
		(void)pthread_cond_wait(&w->more, &w->lock);
		w->idle--;
	}
	item = w->head;
	if (item) {
		w->head = item->next;
		if (!w->head)
			w->tail = &w->head;
		w->queued--;
	}
	(void)pthread_mutex_unlock(&w->lock);
	return item;
}

static void *work_main(void *arg)
{
	struct work *w = arg;
	struct work_item *item;

	while ((item = work_next(w)) != NULL)
		item->run(item);
	return NULL;
}

/* One more thread; with the lock held. */
static int work_grow(struct work *w)
{
	const int r =
		pthread_create(&w->threads[w->running], NULL, work_main, w);

	if (r)
		return -r;
	(void)pthread_setname_np(w->threads[w->running], w->name);
	w->running++;
	return 0;
}

int work_new(unsigned threads, const char *name, struct work **ret,
	struct pluri_err *err)
{
	struct work *w;
	int r;

	if (threads < 1 || threads > 1024)
		return pluri_fail(
			err, EINVAL, "pool %s: %u threads", name, threads);
	w = calloc(1, sizeof(*w) + threads * sizeof(w->threads[0]));
	if (!w)
		return pluri_fail(err, ENOMEM, "pool %s: no memory", name);
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_cond_init(&w->more, NULL);
	w->tail = &w->head;
	w->max = threads;
	(void)snprintf(w->name, sizeof(w->name), "%.12s", name);
	/* With one thread at least, a later failure to grow costs speed only */
	r = work_grow(w);
	if (r < 0) {
		work_free(w);
		return pluri_fail(err, -r, "pool %s: cannot start a thread: %s",
			name, strerror(-r));
	}
	*ret = w;
	return 0;
}

void work_free(struct work *w)
{
	if (!w)
		return;
	(void)pthread_mutex_lock(&w->lock);
	w->stop = true;
	(void)pthread_cond_broadcast(&w->more);
	(void)pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->running; i++)
		(void)pthread_join(w->threads[i], NULL);
	(void)pthread_cond_destroy(&w->more);
	(void)pthread_mutex_destroy(&w->lock);
	free(w);
}

void work_submit(struct work *w, struct work_item *item)
{
	item->next = NULL;
	(void)pthread_mutex_lock(&w->lock);
	*w->tail = item;
	w->tail = &item->next;
	w->queued++;
	if (w->queued > w->idle && w->running < w->max && !w->stop)
		(void)work_grow(w);
	(void)pthread_cond_signal(&w->more);
	(void)pthread_mutex_unlock(&w->lock);
}
