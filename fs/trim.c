#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "fs/trim.h"
#include "meta/extent.h"

#define TRIM_REST_NS 1000000 /* about what a step takes */
#define TRIM_AGAIN_MS 10000u /* after a failure */

struct trim {
	struct volume *v;
	atomic_bool any; /* trims may be pending; changed within brackets */
	pthread_mutex_t lock; /* guards stop */
	pthread_cond_t wake;
	bool stop;
	pthread_t thread;
};

void trim_rest(void)
{
	const struct timespec rest = {.tv_nsec = TRIM_REST_NS};

	(void)nanosleep(&rest, NULL);
}

void trim_mark(struct volume *v)
{
	struct trim *t = v->trim;

	(void)pthread_mutex_lock(&t->lock);
	atomic_store(&t->any, true);
	(void)pthread_cond_signal(&t->wake);
	(void)pthread_mutex_unlock(&t->lock);
}

/* Of one file, or with 0 of any. */
static int trim_step(
	struct trim *t, uint64_t ino, bool *ret_more, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int r = meta_begin(t->v->meta, &tx, err);

	if (r < 0)
		return r;
	r = extent_trim(tx, ino, EXTENT_STEP, ret_more, err);
	/* Here, where no cut can come in between. */
	if (r >= 0 && ino == 0 && !*ret_more)
		atomic_store(&t->any, false);
	r = meta_end(tx, r, err);
	if (r < 0)
		atomic_store(&t->any, true);
	return r;
}

int trim_blocks(
	struct volume *v, uint64_t ino, uint64_t end, struct pluri_err *err)
{
	uint64_t dead = UINT64_MAX;
	struct meta_tx *tx = NULL;
	int r;

	if (!atomic_load(&v->trim->any))
		return 0;
	r = meta_begin(v->meta, &tx, err);
	if (r < 0)
		return r;
	r = meta_end(tx, extent_dead(tx, ino, &dead, err), err);
	return r < 0 ? r : end > dead;
}

int trim_finish(struct volume *v, uint64_t ino, struct pluri_err *err)
{
	bool more = true;
	int r = 0;

	while (more && r >= 0) {
		r = trim_step(v->trim, ino, &more, err);
		if (more && r >= 0)
			trim_rest();
	}
	return r;
}

/* With the lock held; without it meanwhile. */
static void trim_go_on(struct trim *t)
{
	struct pluri_err err = {0};
	bool more = false;
	int r;

	(void)pthread_mutex_unlock(&t->lock);
	r = trim_step(t, 0, &more, &err);
	if (r < 0)
		log_line(LOG_WARN, "cutting files short: %s", err.text);
	else if (more)
		trim_rest();
	(void)pthread_mutex_lock(&t->lock);
	if (r < 0 && !t->stop)
		(void)clock_wait(&t->wake, &t->lock,
			clock_mono_ms(clock_system()) + TRIM_AGAIN_MS);
}

static void *trim_main(void *arg)
{
	struct trim *t = arg;

	(void)pthread_mutex_lock(&t->lock);
	while (!t->stop)
		if (atomic_load(&t->any))
			trim_go_on(t);
		else
			(void)clock_wait(&t->wake, &t->lock, UINT64_MAX);
	(void)pthread_mutex_unlock(&t->lock);
	return NULL;
}

int trim_new(struct volume *v, struct trim **ret, struct pluri_err *err)
{
	struct trim *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return pluri_fail(err, ENOMEM, "trim: no memory");
	t->v = v;
	atomic_store(&t->any, true); /* a crash may have left some */
	(void)pthread_mutex_init(&t->lock, NULL);
	clock_cond_init(&t->wake);
	r = -pthread_create(&t->thread, NULL, trim_main, t);
	if (r < 0) {
		t->thread = 0;
		trim_free(t);
		return pluri_fail(err, -r, "trim: cannot start a thread: %s",
			strerror(-r));
	}
	*ret = t;
	return 0;
}

void trim_free(struct trim *t)
{
	if (!t)
		return;
	(void)pthread_mutex_lock(&t->lock);
	t->stop = true;
	(void)pthread_cond_signal(&t->wake);
	(void)pthread_mutex_unlock(&t->lock);
	if (t->thread)
		(void)pthread_join(t->thread, NULL);
	(void)pthread_cond_destroy(&t->wake);
	(void)pthread_mutex_destroy(&t->lock);
	free(t);
}
