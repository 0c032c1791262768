#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/crew.h"

/* One crew_each() under way, on its caller's stack. */
struct crew_job {
	void (*fn)(void *arg, unsigned i);
	void *arg;
	unsigned n;
	unsigned next; /* not begun yet */
	unsigned busy; /* threads of the crew inside fn */
	struct crew_job *after;
};

struct crew {
	pthread_mutex_t lock; /* guards all below, and the jobs */
	pthread_cond_t more;
	pthread_cond_t done; /* nobody is busy with some job */
	struct crew_job *jobs; /* with something to begin */
	unsigned idle, running;
	bool stop;
	pthread_t threads[CREW_MAX];
};

/* The next of a listed job; who takes the last one takes it off the list. */
static unsigned crew_take(struct crew *c, struct crew_job *j)
{
	const unsigned i = j->next++;
	struct crew_job **at = &c->jobs;

	if (j->next < j->n)
		return i;
	while (*at != j)
		at = &(*at)->after;
	*at = j->after;
	return i;
}

static void *crew_main(void *arg)
{
	struct crew *c = arg;

	(void)pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		struct crew_job *j = c->jobs;
		unsigned i;

		if (!j) {
			c->idle++;
			(void)pthread_cond_wait(&c->more, &c->lock);
			c->idle--;
			continue;
		}
		i = crew_take(c, j);
		j->busy++;
		(void)pthread_mutex_unlock(&c->lock);
		j->fn(j->arg, i);
		(void)pthread_mutex_lock(&c->lock);
		if (--j->busy == 0 && j->next == j->n)
			(void)pthread_cond_broadcast(&c->done);
	}
	(void)pthread_mutex_unlock(&c->lock);
	return NULL;
}

void crew_each(struct crew *c, unsigned n, void (*fn)(void *arg, unsigned i),
	void *arg)
{
	struct crew_job j = {.fn = fn, .arg = arg, .n = n};
	struct crew_job **at = &c->jobs;

	if (n < 2 || c->running == 0) {
		for (unsigned i = 0; i < n; i++)
			fn(arg, i);
		return;
	}
	(void)pthread_mutex_lock(&c->lock);
	while (*at)
		at = &(*at)->after;
	*at = &j;
	for (unsigned i = 1; i < n && i <= c->idle; i++)
		(void)pthread_cond_signal(&c->more);
	while (j.next < n) {
		const unsigned i = crew_take(c, &j);

		(void)pthread_mutex_unlock(&c->lock);
		fn(arg, i);
		(void)pthread_mutex_lock(&c->lock);
	}
	while (j.busy > 0)
		(void)pthread_cond_wait(&c->done, &c->lock);
	(void)pthread_mutex_unlock(&c->lock);
}

unsigned crew_others(unsigned max)
{
	const long cores = sysconf(_SC_NPROCESSORS_ONLN);
	const unsigned others = cores > 1 ? (unsigned)cores - 1 : 0;

	return others < max ? others : max;
}

int crew_new(unsigned threads, const char *name, struct crew **ret,
	struct pluri_err *err)
{
	struct crew *c;

	if (threads > CREW_MAX)
		return pluri_fail(
			err, EINVAL, "crew %s: %u threads", name, threads);
	c = calloc(1, sizeof(*c));
	if (!c)
		return pluri_fail(err, ENOMEM, "crew %s: no memory", name);
	(void)pthread_mutex_init(&c->lock, NULL);
	(void)pthread_cond_init(&c->more, NULL);
	(void)pthread_cond_init(&c->done, NULL);
	for (unsigned i = 0; i < threads; i++) {
		char text[16];

		/* fewer than wished for cost speed only */
		if (pthread_create(&c->threads[i], NULL, crew_main, c) != 0)
			break;
		(void)snprintf(text, sizeof(text), "%.12s", name);
		(void)pthread_setname_np(c->threads[i], text);
		c->running++;
	}
	*ret = c;
	return 0;
}

void crew_free(struct crew *c)
{
	if (!c)
		return;
	(void)pthread_mutex_lock(&c->lock);
	c->stop = true;
	(void)pthread_cond_broadcast(&c->more);
	(void)pthread_mutex_unlock(&c->lock);
	for (unsigned i = 0; i < c->running; i++)
		(void)pthread_join(c->threads[i], NULL);
	(void)pthread_cond_destroy(&c->done);
	(void)pthread_cond_destroy(&c->more);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}
