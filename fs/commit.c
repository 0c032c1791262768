#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "fs/commit.h"
#include "fs/staging.h"

#define COMMIT_EVERY_MS 1000u
#define COMMIT_DURABLE_EVERY 5u /* of those */

struct commit {
	struct volume *v;
	pthread_rwlock_t gate; /* recorders share it, a commit excludes them */
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t done;
	pthread_cond_t stop_cond;
	uint64_t asked; /* tickets given out */
	uint64_t ended; /* tickets whose cycle has ended */
	bool durable; /* somebody in the next cycle wants it durable */
	bool running;
	bool stop;
	int broken; /* -errno, for ever */
	struct pluri_err why;
	pthread_t thread;
};

static int commit_cycle(struct commit *c, bool durable, struct pluri_err *err)
{
	int r;

	(void)pthread_rwlock_wrlock(&c->gate);
	r = staging_sync(c->v->staging, err);
	if (r >= 0)
		r = meta_commit(c->v->meta, err);
	(void)pthread_rwlock_unlock(&c->gate);
	if (r >= 0 && durable)
		r = meta_sync(c->v->meta, err);
	return r < 0 ? r : 0;
}

/* Lead one cycle for all who have asked so far; with the lock held. */
static void commit_lead(struct commit *c)
{
	const uint64_t upto = c->asked;
	const bool durable = c->durable;
	struct pluri_err e = {0};
	int r;

	c->running = true;
	c->durable = false;
	(void)pthread_mutex_unlock(&c->lock);
	r = commit_cycle(c, durable, &e);
	(void)pthread_mutex_lock(&c->lock);
	c->running = false;
	c->ended = upto;
	if (r < 0 && !c->broken) {
		c->broken = r;
		c->why = e;
		log_line(LOG_ERROR,
			"cannot commit, no more writes are taken: %s", e.text);
	}
	(void)pthread_cond_broadcast(&c->done);
}

int commit_now(struct commit *c, bool durable, struct pluri_err *err)
{
	uint64_t mine;
	int r;

	(void)pthread_mutex_lock(&c->lock);
	mine = ++c->asked;
	c->durable |= durable;
	while (c->ended < mine && !c->broken) {
		if (c->running)
			(void)pthread_cond_wait(&c->done, &c->lock);
		else
			commit_lead(c);
	}
	r = c->broken;
	if (r < 0 && err)
		*err = c->why;
	(void)pthread_mutex_unlock(&c->lock);
	return r;
}

int commit_broken(struct commit *c, struct pluri_err *err)
{
	int r;

	(void)pthread_mutex_lock(&c->lock);
	r = c->broken;
	if (r < 0 && err)
		*err = c->why;
	(void)pthread_mutex_unlock(&c->lock);
	return r;
}

void commit_enter(struct commit *c)
{
	(void)pthread_rwlock_rdlock(&c->gate);
}

void commit_leave(struct commit *c)
{
	(void)pthread_rwlock_unlock(&c->gate);
}

static void *commit_main(void *arg)
{
	struct commit *c = arg;
	unsigned ticks = 0;
	bool owed = false; /* committed, not yet durable */

	(void)pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		const uint64_t until =
			clock_mono_ms(clock_system()) + COMMIT_EVERY_MS;
		bool pending;

		(void)clock_wait(&c->stop_cond, &c->lock, until);
		if (c->stop)
			break;
		(void)pthread_mutex_unlock(&c->lock);
		ticks++;
		pending = meta_pending(c->v->meta) > 0;
		owed |= pending;
		if (owed && ticks % COMMIT_DURABLE_EVERY == 0) {
			(void)commit_now(c, true, NULL);
			owed = false;
		} else if (pending) {
			(void)commit_now(c, false, NULL);
		}
		(void)pthread_mutex_lock(&c->lock);
	}
	(void)pthread_mutex_unlock(&c->lock);
	return NULL;
}

int commit_new(struct volume *v, struct commit **ret, struct pluri_err *err)
{
	struct commit *c = calloc(1, sizeof(*c));
	pthread_rwlockattr_t attr;
	int r;

	if (!c)
		return pluri_fail(err, ENOMEM, "commit: no memory");
	c->v = v;
	(void)pthread_rwlockattr_init(&attr);
	/* Without this, a stream of recorders would starve the commit. */
	(void)pthread_rwlockattr_setkind_np(
		&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	(void)pthread_rwlock_init(&c->gate, &attr);
	(void)pthread_rwlockattr_destroy(&attr);
	(void)pthread_mutex_init(&c->lock, NULL);
	(void)pthread_cond_init(&c->done, NULL);
	clock_cond_init(&c->stop_cond);
	r = pthread_create(&c->thread, NULL, commit_main, c);
	if (r) {
		free(c);
		return pluri_fail(err, r, "commit: cannot start a thread: %s",
			strerror(r));
	}
	(void)pthread_setname_np(c->thread, "commit");
	*ret = c;
	return 0;
}

void commit_free(struct commit *c)
{
	if (!c)
		return;
	(void)pthread_mutex_lock(&c->lock);
	c->stop = true;
	(void)pthread_cond_signal(&c->stop_cond);
	(void)pthread_mutex_unlock(&c->lock);
	(void)pthread_join(c->thread, NULL);
	(void)pthread_cond_destroy(&c->stop_cond);
	(void)pthread_cond_destroy(&c->done);
	(void)pthread_mutex_destroy(&c->lock);
	(void)pthread_rwlock_destroy(&c->gate);
	free(c);
}
