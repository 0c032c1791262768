#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/work.h"
#include "fs/reap.h"
#include "fs/trim.h"
#include "meta/extent.h"
#include "meta/tree.h"

#define REAP_BATCH 64u
#define REAP_SMALL (EXTENT_STEP / REAP_BATCH) /* extents of one of many */

#define REAP_CALM REAP_BATCH /* fewer between two ticks: nobody removes much */
#define REAP_TICKS 4u /* they wait for that no longer */
#define REAP_WAITING 256u /* batches; and no more than these */

struct reap_batch {
	struct work_item item;
	struct reap_batch *next; /* that waits */
	struct reap *r;
	unsigned n;
	uint64_t ino[REAP_BATCH];
};

struct reap {
	struct volume *v;
	bool (*held)(void *arg, uint64_t ino);
	void *arg;
	struct work *pool; /* one thread */
	_Atomic bool stop;
	pthread_mutex_t lock; /* a leaf; guards all below */
	struct reap_batch *filling; /* or NULL */
	struct reap_batch *first, *last; /* full, waiting for calm */
	unsigned waiting; /* so many */
	unsigned told, ticks; /* since the last tick; since all went */
};

int reap_new(struct volume *v, bool (*held)(void *arg, uint64_t ino), void *arg,
	struct reap **ret, struct pluri_err *err)
{
	struct reap *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return pluri_fail(err, ENOMEM, "reaper: no memory");
	r->v = v;
	r->held = held;
	r->arg = arg;
	e = work_new(1, "reaper", &r->pool, err);
	if (e < 0) {
		free(r);
		return e;
	}
	(void)pthread_mutex_init(&r->lock, NULL);
	*ret = r;
	return 0;
}

/* The one that has waited longest, or NULL; with the lock held. */
static struct reap_batch *reap_take(struct reap *r)
{
	struct reap_batch *b = r->first;

	if (!b)
		return NULL;
	r->first = b->next;
	if (!r->first)
		r->last = NULL;
	r->waiting--;
	return b;
}

void reap_free(struct reap *r)
{
	struct reap_batch *b;

	if (!r)
		return;
	atomic_store(&r->stop, true);
	work_free(r->pool);
	while ((b = reap_take(r)))
		free(b);
	free(r->filling);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

/* In a bracket: 1 when more than limit extents are left of it. */
static int reap_rows(
	struct meta_tx *tx, uint64_t ino, unsigned limit, struct pluri_err *err)
{
	bool more = false;
	int e = tree_drop(tx, ino, NULL); /* most have nothing in them */

	if (e != -EBUSY)
		return e;
	e = extent_punch(tx, ino, 0, UINT64_MAX, limit, &more, err);
	if (e >= 0 && !more)
		e = tree_drop(tx, ino, err);
	return e < 0 ? e : more;
}

/* One bounded step; 1: more is left. */
static int reap_step(struct reap *r, uint64_t ino, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int e = meta_begin(r->v->meta, &tx, err);

	return e < 0 ? e
		     : meta_end(tx, reap_rows(tx, ino, EXTENT_STEP, err), err);
}

static bool reap_may(const struct reap *r, uint64_t ino)
{
	return !atomic_load(&r->stop) && !r->held(r->arg, ino);
}

/* A huge one, or one that failed in company. */
static void reap_one(struct reap *r, uint64_t ino)
{
	struct pluri_err err = {0};
	int e = 1;

	while (e > 0 && reap_may(r, ino)) {
		e = reap_step(r, ino, &err);
		if (e > 0)
			trim_rest();
	}
	if (e < 0 && e != -ENOENT)
		log_line(LOG_WARN, "removing a deleted file: %s", err.text);
}

/* All of a batch in one bracket. Afterwards 0 stands for what is gone. */
static int reap_together(struct reap *r, struct reap_batch *b)
{
	bool gone[REAP_BATCH] = {false};
	struct meta_tx *tx = NULL;
	int e = meta_begin(r->v->meta, &tx, NULL);

	if (e < 0)
		return e;
	for (unsigned i = 0; i < b->n && e >= 0; i++) {
		if (!reap_may(r, b->ino[i]))
			continue;
		e = reap_rows(tx, b->ino[i], REAP_SMALL, NULL);
		gone[i] = e == 0;
	}
	e = meta_end(tx, e < 0 ? e : 0, NULL);
	for (unsigned i = 0; i < b->n && e >= 0; i++)
		b->ino[i] = gone[i] ? 0 : b->ino[i];
	return e;
}

static void reap_run(struct work_item *item)
{
	struct reap_batch *b = work_of(item, struct reap_batch, item);

	(void)reap_together(b->r, b);
	for (unsigned i = 0; i < b->n; i++)
		if (b->ino[i])
			reap_one(b->r, b->ino[i]);
	free(b);
}

/* What is filling has to wait as well, full or not; with the lock held. */
static void reap_wait(struct reap *r)
{
	struct reap_batch *b = r->filling;

	if (!b)
		return;
	r->filling = NULL;
	*(r->last ? &r->last->next : &r->first) = b;
	r->last = b;
	r->waiting++;
}

void reap_soon(struct reap *r, uint64_t ino)
{
	struct reap_batch *due = NULL;

	(void)pthread_mutex_lock(&r->lock);
	r->told++;
	if (!r->filling) {
		r->filling = calloc(1, sizeof(*r->filling));
		if (r->filling) {
			r->filling->r = r;
			r->filling->item.run = reap_run;
		}
	}
	if (r->filling) { /* else the next open finds it */
		r->filling->ino[r->filling->n++] = ino;
		if (r->filling->n == REAP_BATCH)
			reap_wait(r);
	}
	if (r->waiting > REAP_WAITING)
		due = reap_take(r);
	(void)pthread_mutex_unlock(&r->lock);
	if (due)
		work_submit(r->pool, &due->item);
}

void reap_tick(struct reap *r)
{
	struct reap_batch *b = NULL;

	(void)pthread_mutex_lock(&r->lock);
	if (r->told < REAP_CALM || ++r->ticks >= REAP_TICKS) {
		reap_wait(r);
		b = r->first;
		r->first = NULL;
		r->last = NULL;
		r->waiting = 0;
		r->ticks = 0;
	}
	r->told = 0;
	(void)pthread_mutex_unlock(&r->lock);
	while (b) {
		struct reap_batch *const next = b->next;

		work_submit(r->pool, &b->item);
		b = next;
	}
}

/* At open. One that is damaged is fsck's, and keeps nobody from opening. */
static int reap_first(struct reap *r, uint64_t ino, struct pluri_err *err)
{
	struct pluri_err why = {0};
	const int e = reap_step(r, ino, &why);

	if (e == -EBADMSG)
		log_line(LOG_ERROR,
			"removing a deleted file: %s: run pluri "
			"fsck",
			why.text);
	if (e == -EBADMSG || e >= 0) {
		if (e > 0) /* a huge one */
			reap_soon(r, ino);
		return 0;
	}
	if (err)
		*err = why;
	return e;
}

int reap_all(struct reap *r, struct pluri_err *err)
{
	uint64_t ino[REAP_BATCH] = {0};
	unsigned got = REAP_BATCH;
	int e = 0;

	while (got == REAP_BATCH && e >= 0) {
		const uint64_t after = ino[REAP_BATCH - 1];
		struct meta_tx *tx = NULL;

		got = 0;
		e = meta_begin(r->v->meta, &tx, err);
		if (e < 0)
			return e;
		e = meta_end(tx,
			tree_orphans(tx, after, ino, REAP_BATCH, &got, err),
			err);
		for (unsigned i = 0; i < got && e >= 0; i++) {
			e = reap_first(r, ino[i], err);
		}
	}
	reap_tick(r);
	return e < 0 ? e : 0;
}
