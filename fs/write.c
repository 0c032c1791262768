#include <errno.h>
#include <stdlib.h>

#include "base/crew.h"
#include "base/log.h"
#include "base/work.h"
#include "fs/commit.h"
#include "fs/flush.h"
#include "fs/node_int.h"
#include "fs/pace.h"
#include "fs/stats.h"
#include "fs/upload.h"
#include "fs/write.h"

#define WRITE_THREADS 2u
#define WRITE_FLUSH_BYTES (8u << 20) /* of one node: flush begins */
#define WRITE_TICK_MS 500u
#define WRITE_SCAN 64u
#define WRITE_STOP_MS 100u /* between two questions whether to go on */
#define WRITE_FEW (64u << 10) /* bytes of one write, that... */
#define WRITE_ROOM (1u << 20) /* ...has so much room (of max, 1/4) to itself */
#define WRITE_MANY (1u << 20) /* of one that is longer, at most */
#define WRITE_FAIR_MS 1000u /* it waits while shorter ones pass */

struct writer {
	struct volume *v;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t room; /* dirty fell, or a flush failed */
	pthread_cond_t wake; /* the timer */
	uint64_t dirty, max;
	uint64_t many_ms; /* since when none of many passed... */
	unsigned many; /* ...while so many writes of many bytes wait */
	struct pace pace;
	bool hungry; /* somebody waits for room */
	bool stop;
	uint64_t failures; /* flushes that failed so far */
	int stuck; /* -errno of the last one that did */
	struct pluri_err why;
	struct work *pool;
	pthread_t timer;
};

/* --- accounting ---------------------------------------------------------- */

static void writer_give(struct writer *w, uint64_t bytes)
{
	(void)pthread_mutex_lock(&w->lock);
	w->dirty -= bytes < w->dirty ? bytes : w->dirty;
	(void)pthread_cond_broadcast(&w->room);
	(void)pthread_mutex_unlock(&w->lock);
}

void writer_forgive(struct volume *v, uint64_t bytes)
{
	if (v->writer)
		writer_give(v->writer, bytes);
}

/* The mount ends: what the kernel still holds is to come in. */
static bool writer_leaves(const struct write_ask *ask)
{
	return ask->leaves && ask->leaves(ask->arg);
}

/* Up to ms, unless its program is being killed, or the mount ends. */
static int writer_rest(struct writer *w, const struct write_ask *ask,
	uint64_t ms, struct pluri_err *err)
{
	const uint64_t from = clock_mono_ms(clock_system());
	const uint64_t until = from + ms;
	uint64_t now;
	int r = 0;

	(void)pthread_mutex_lock(&w->lock);
	while (r == 0 && !writer_leaves(ask) &&
		(now = clock_mono_ms(clock_system())) < until) {
		const uint64_t tick = now + WRITE_STOP_MS;

		(void)clock_wait(
			&w->room, &w->lock, tick < until ? tick : until);
		if (ask->stop && ask->stop(ask->arg))
			r = pluri_fail(
				err, ECANCELED, "the write was interrupted");
	}
	(void)pthread_mutex_unlock(&w->lock);
	if (ms > 0)
		stats_add(w->v->stats, STATS_SLOWED_US,
			1000 * (clock_mono_ms(clock_system()) - from));
	return r;
}

/* No quicker than the clouds once they are far behind (fs/pace.h). */
static int writer_pace(
	struct writer *w, const struct write_ask *ask, struct pluri_err *err)
{
	struct upload_backlog b;
	struct pace_now now;
	uint64_t ms = 0;
	int r = 0;

	if (upload_pending(w->v->upload) <= w->pace.max / 2)
		return 0;
	do {
		r = writer_rest(w, ask, ms, err);
		if (r < 0 || writer_leaves(ask))
			return r;
		upload_backlog(w->v->upload, &b);
		now = (struct pace_now){clock_mono_ms(clock_system()),
			b.pending, b.paid, b.moves};
		(void)pthread_mutex_lock(&w->lock);
		r = pace_ask(&w->pace, &now, ask->data.len, &ms);
		(void)pthread_mutex_unlock(&w->lock);
	} while (r == -EAGAIN);
	if (r < 0)
		return pluri_fail(err, -r,
			"%llu bytes wait here for the clouds, %llu may, and no "
			"store takes any: pluri status tells why",
			(unsigned long long)b.pending,
			(unsigned long long)w->pace.max);
	return writer_rest(w, ask, ms, err);
}

/* A stream fills what there is; who writes a little and calls fsync would
 * stand in its line. But many of them may not take all that becomes free. */
static bool writer_full(const struct writer *w, uint64_t len)
{
	const uint64_t room = WRITE_ROOM < w->max / 4 ? WRITE_ROOM : w->max / 4;
	uint64_t less = len <= WRITE_FEW ? 0 : room;

	if (len <= WRITE_FEW && w->many > 0 &&
		clock_mono_ms(clock_system()) - w->many_ms >= WRITE_FAIR_MS)
		less = room + WRITE_MANY;
	return w->dirty > 0 && w->dirty + len + less > w->max;
}

/* A write comes for room (1), and goes (-1), be it without. */
static void writer_line(struct writer *w, uint64_t len, int step)
{
	if (len <= WRITE_FEW)
		return;
	if (w->many == 0 || step < 0)
		w->many_ms = clock_mono_ms(clock_system());
	w->many += (unsigned)step;
	(void)pthread_cond_broadcast(&w->room);
}

/* Wait until len more dirty bytes are within the bound, or a flush that ended
 * meanwhile has failed: an earlier failure may be a thing of the past. */
static int writer_take(
	struct writer *w, const struct write_ask *ask, struct pluri_err *err)
{
	const uint64_t len = ask->data.len;
	uint64_t failures;
	int r = 0;

	(void)pthread_mutex_lock(&w->lock);
	failures = w->failures;
	writer_line(w, len, 1);
	while (writer_full(w, len) && r == 0) {
		w->hungry = true;
		(void)pthread_cond_signal(&w->wake);
		(void)clock_wait(&w->room, &w->lock,
			ask->stop
				? clock_mono_ms(clock_system()) + WRITE_STOP_MS
				: UINT64_MAX);
		if (w->failures != failures && writer_full(w, len)) {
			r = w->stuck;
			if (err)
				*err = w->why;
		} else if (ask->stop && ask->stop(ask->arg)) {
			r = pluri_fail(
				err, ECANCELED, "the write was interrupted");
		}
	}
	writer_line(w, len, -1);
	if (r == 0)
		w->dirty += len;
	(void)pthread_mutex_unlock(&w->lock);
	return r;
}

uint64_t write_dirty_bytes(struct volume *v)
{
	struct writer *w = v->writer;
	uint64_t dirty;

	if (!w)
		return 0;
	(void)pthread_mutex_lock(&w->lock);
	dirty = w->dirty;
	(void)pthread_mutex_unlock(&w->lock);
	return dirty;
}

/* --- flushing ------------------------------------------------------------ */

static int write_flush_node(
	struct volume *v, struct node *n, bool whole, struct pluri_err *err)
{
	struct writer *w = v->writer;
	struct pluri_err why = {0};
	uint64_t done = 0;
	const int r = flush_node(v, n, whole, &done, &why);

	(void)pthread_mutex_lock(&w->lock);
	w->dirty -= done < w->dirty ? done : w->dirty;
	if (r < 0) {
		w->failures++;
		w->stuck = r;
		w->why = why;
		if (err)
			*err = why;
	}
	(void)pthread_cond_broadcast(&w->room);
	(void)pthread_mutex_unlock(&w->lock);
	return r;
}

struct write_task {
	struct work_item item;
	struct volume *v;
	struct node *n; /* pinned */
	bool whole;
};

static void write_task_run(struct work_item *item)
{
	struct write_task *t = work_of(item, struct write_task, item);
	struct pluri_err err = {0};
	int r;

	(void)pthread_mutex_lock(&t->n->lock);
	t->n->queued = false;
	(void)pthread_mutex_unlock(&t->n->lock);
	r = write_flush_node(t->v, t->n, t->whole, &err);
	if (r < 0)
		log_line(LOG_WARN, "inode %llu cannot be flushed yet: %s",
			(unsigned long long)t->n->ino, err.text);
	node_unpin(t->v->nodes, t->n);
	free(t);
}

/* Takes over the caller's pin; with node->lock held. */
static bool write_queue(struct volume *v, struct node *n, bool whole)
{
	struct write_task *t;

	if (n->queued)
		return false;
	t = calloc(1, sizeof(*t));
	if (!t)
		return false; /* the timer will come by again */
	t->v = v;
	t->n = n;
	t->whole = whole;
	t->item.run = write_task_run;
	n->queued = true;
	work_submit(v->writer->pool, &t->item);
	return true;
}

static void write_queue_pinned(struct volume *v, struct node *n, bool whole)
{
	bool taken;

	(void)pthread_mutex_lock(&n->lock);
	taken = write_queue(v, n, whole);
	(void)pthread_mutex_unlock(&n->lock);
	if (!taken)
		node_unpin(v->nodes, n);
}

static void writer_tick(struct writer *w, bool hungry)
{
	const uint64_t now = clock_mono_ms(w->v->clock);
	struct node *node[WRITE_SCAN];
	size_t at = 0;

	do {
		const unsigned n = nodes_dirty(
			w->v->nodes, now, !hungry, &at, node, WRITE_SCAN);

		for (unsigned i = 0; i < n; i++)
			write_queue_pinned(w->v, node[i], true);
	} while (at != 0);
}

static void *writer_main(void *arg)
{
	struct writer *w = arg;

	(void)pthread_mutex_lock(&w->lock);
	while (!w->stop) {
		bool hungry;

		if (!w->hungry)
			(void)clock_wait(&w->wake, &w->lock,
				clock_mono_ms(clock_system()) + WRITE_TICK_MS);
		hungry = w->hungry;
		w->hungry = false;
		if (w->stop)
			break;
		(void)pthread_mutex_unlock(&w->lock);
		writer_tick(w, hungry);
		nodes_tick(w->v->nodes);
		(void)pthread_mutex_lock(&w->lock);
	}
	(void)pthread_mutex_unlock(&w->lock);
	return NULL;
}

int write_flush(struct volume *v, struct node *n, struct pluri_err *err)
{
	return write_flush_node(v, n, true, err);
}

/* Nodes of a walk, flushed by whoever has time. */
struct write_round {
	struct volume *v;
	struct node *node[WRITE_SCAN]; /* pinned */
	_Atomic int failed; /* -errno of the first one that did */
	struct pluri_err *err; /* its story; NULL is fine */
};

static void write_round_one(void *arg, unsigned i)
{
	struct write_round *w = arg;
	struct pluri_err why = {0};
	int none = 0;
	const int r = write_flush_node(w->v, w->node[i], true, &why);

	node_unpin(w->v->nodes, w->node[i]);
	if (r < 0 && atomic_compare_exchange_strong(&w->failed, &none, r) &&
		w->err)
		*w->err = why;
}

/* One try of every node; the first failure is told. */
static int write_flush_each(struct volume *v, uint64_t start,
	unsigned *ret_found, struct pluri_err *err)
{
	struct write_round w = {.v = v, .err = err};
	size_t at = 0;

	*ret_found = 0;
	do {
		const unsigned n = nodes_dirty(
			v->nodes, start, false, &at, w.node, WRITE_SCAN);

		crew_each(v->crew, n, write_round_one, &w);
		*ret_found += n;
	} while (at != 0);
	return atomic_load(&w.failed);
}

int write_flush_all(struct volume *v, struct pluri_err *err)
{
	const uint64_t start = clock_mono_ms(v->clock);
	unsigned found = 1;
	int r = 0;

	while (found > 0 && r >= 0)
		r = write_flush_each(v, start, &found, err);
	return r;
}

/* --- the way in ---------------------------------------------------------- */

void write_mark(struct volume *v, struct node *n)
{
	const uint64_t now = clock_mono_ms(v->clock);

	n->attr_dirty = true;
	if (n->fresh_ms == 0)
		n->fresh_ms = now;
	if (atomic_load(&n->dirty_since_ms) == 0)
		atomic_store(&n->dirty_since_ms, now);
	if (atomic_load(&n->due_ms) == 0)
		atomic_store(&n->due_ms, now + NODE_FLUSH_MS);
}

void write_touch(struct volume *v, struct node *n)
{
	/* With its cache the kernel knows when that was, and tells: an account
	 * of our own would differ from it by a little. */
	if (!v->writeback) {
		n->mtime_ns = clock_real_ns(v->clock);
		n->ctime_ns = n->mtime_ns;
	}
	write_mark(v, n);
}

/* With node->lock held. *ret_new: bytes that are dirty and were not. */
static int write_lay(struct volume *v, struct node *n,
	const struct write_ask *ask, uint64_t *ret_new, struct pluri_err *err)
{
	const struct pluri_span data = ask->data;
	const uint64_t off = ask->off;
	const uint64_t before = n->dirty.bytes;
	int r = node_know(v, n, err);

	*ret_new = 0;
	if (r < 0)
		return r;
	if (data.len > PLURI_FILE_MAX || off > PLURI_FILE_MAX - data.len)
		return pluri_fail(err, EFBIG, "beyond the largest file");
	r = dirty_write(&n->dirty, off, data.data, data.len, true);
	if (r < 0) { /* a part of it may be there; not behind the end */
		(void)dirty_punch(&n->dirty, n->size, UINT64_MAX - n->size);
		write_touch(v, n);
	}
	*ret_new = n->dirty.bytes - before;
	if (r < 0)
		return pluri_fail(err, -r, "no memory for dirty bytes");
	if (off + data.len > n->size)
		n->size = off + data.len;
	write_touch(v, n);
	return 0;
}

int write_bytes(struct volume *v, struct node *n, const struct write_ask *ask,
	struct pluri_err *err)
{
	struct node *pin = NULL;
	uint64_t fresh = 0;
	int r = commit_broken(v->commit, err);

	if (r < 0 || ask->data.len == 0)
		return r;
	/* So that what puts may rely on is known when they begin. */
	if (!atomic_load(&v->puts))
		atomic_store(&v->puts, true);
	r = writer_pace(v->writer, ask, err);
	if (r >= 0)
		r = writer_take(v->writer, ask, err);
	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&n->lock);
	r = write_lay(v, n, ask, &fresh, err);
	if (n->dirty.bytes >= WRITE_FLUSH_BYTES && !n->queued) {
		pin = node_peek(v->nodes, n->ino);
		if (pin && write_queue(v, pin, false))
			pin = NULL;
	}
	(void)pthread_mutex_unlock(&n->lock);
	node_unpin(v->nodes, pin);
	writer_give(v->writer, ask->data.len - fresh);
	return r;
}

/* --- life ---------------------------------------------------------------- */

int writer_new(struct volume *v, struct writer **ret, struct pluri_err *err)
{
	struct writer *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return pluri_fail(err, ENOMEM, "writer: no memory");
	w->v = v;
	w->max = v->config->dirty;
	w->pace.max = write_staging_max(v);
	(void)pthread_mutex_init(&w->lock, NULL);
	clock_cond_init(&w->room);
	clock_cond_init(&w->wake);
	r = work_new(WRITE_THREADS, "flush", &w->pool, err);
	if (r >= 0) {
		r = -pthread_create(&w->timer, NULL, writer_main, w);
		if (r < 0)
			(void)pluri_fail(err, -r,
				"writer: cannot start a "
				"thread: %s",
				strerror(-r));
	}
	if (r < 0) {
		w->timer = 0;
		writer_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

void writer_free(struct writer *w)
{
	if (!w)
		return;
	(void)pthread_mutex_lock(&w->lock);
	w->stop = true;
	(void)pthread_cond_signal(&w->wake);
	(void)pthread_mutex_unlock(&w->lock);
	if (w->timer)
		(void)pthread_join(w->timer, NULL);
	work_free(w->pool);
	(void)pthread_cond_destroy(&w->wake);
	(void)pthread_cond_destroy(&w->room);
	(void)pthread_mutex_destroy(&w->lock);
	free(w);
}
