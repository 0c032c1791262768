#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "fs/commit.h"
#include "fs/merge_int.h"
#include "fs/repack.h"
#include "fs/trim.h"

#define MERGE_REST_MS 1000u
#define MERGE_WAIT_MS 500u /* for copies to be stored */
#define MERGE_STEP_MS 100u /* between two of the scan */
#define MERGE_BUSY_MS 2000u /* calm is not waited for longer */
#define MERGE_REGIONS 16u /* in one round */
#define MERGE_ROWS 1024u /* of the scan, in one bracket */
#define MERGE_FOUND 256u /* due already: the scan waits */
#define MERGE_AGAIN_MS 60000u /* before it begins anew, if it must */

/* --- waiting -------------------------------------------------------------- */

bool merge_stopped(struct merge *m)
{
	bool stop;

	(void)pthread_mutex_lock(&m->lock);
	stop = m->stop;
	(void)pthread_mutex_unlock(&m->lock);
	return stop;
}

/* Waits; false: stopped. */
static bool merge_nap(struct merge *m, uint64_t ms)
{
	const uint64_t until = clock_mono_ms(clock_system()) + ms;
	bool stop;

	(void)pthread_mutex_lock(&m->lock);
	while (!m->stop && clock_mono_ms(clock_system()) < until)
		(void)clock_wait(&m->wake, &m->lock, until);
	stop = m->stop;
	(void)pthread_mutex_unlock(&m->lock);
	return !stop;
}

bool merge_pace(struct merge *m, uint64_t bytes)
{
	const uint64_t began = clock_mono_ms(clock_system());
	uint64_t now = began;

	while (now < m->pace_ms ||
		(repack_busy(m->v) && now < began + MERGE_BUSY_MS)) {
		const uint64_t rest =
			now < m->pace_ms ? m->pace_ms - now : MERGE_STEP_MS / 2;

		if (!merge_nap(m, rest))
			return false;
		now = clock_mono_ms(clock_system());
	}
	m->pace_ms = now + bytes * 1000 / m->v->config->merge_rate;
	return !merge_stopped(m);
}

/* It makes garbage, which nobody collects without repacking. */
static bool merge_off(const struct volume *v)
{
	return v->config->merge_rate == 0 || v->config->repack_percent < 0;
}

/* --- what to look at ------------------------------------------------------ */

/* Small files are written as a whole, many of them: none has many extents
 * without one that begins later. */
static void merge_note_one(
	struct merge *m, uint64_t ino, const struct extent *e, uint64_t now)
{
	const struct merge_at at = {ino, e->off / MERGE_REGION};

	if (e->off > 0 && e->len < MERGE_SMALL)
		merge_table_note(&m->table, at, now);
}

void merge_note(struct volume *v, uint64_t ino, const struct batch *b)
{
	const uint64_t now = clock_mono_ms(clock_system());
	struct merge *m = v->merge;

	if (!m || merge_off(v))
		return;
	(void)pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; i < b->items; i++)
		merge_note_one(m, ino, &b->item[i].e, now);
	for (unsigned i = 0; i < b->parts; i++)
		merge_note_one(m, ino, &b->part[i].e, now);
	(void)pthread_mutex_unlock(&m->lock);
}

void merge_told(struct merge *m, struct merge_at at, enum merge_end how)
{
	(void)pthread_mutex_lock(&m->lock);
	merge_table_ended(&m->table, at, clock_mono_ms(clock_system()), how);
	m->stats.vain += how == MERGE_VAIN || how == MERGE_FAILED;
	(void)pthread_mutex_unlock(&m->lock);
}

/* The scan has left the region that it was in. */
static void merge_scan_told(struct merge *m)
{
	const bool many =
		m->scan_extents >= MERGE_NOTES &&
		m->scan_bytes < (uint64_t)m->scan_extents * MERGE_SMALL;

	m->scan_extents = 0;
	m->scan_bytes = 0;
	if (!many)
		return;
	(void)pthread_mutex_lock(&m->lock);
	merge_table_found(&m->table, m->at, clock_mono_ms(clock_system()));
	(void)pthread_mutex_unlock(&m->lock);
}

static void merge_scan_row(struct merge *m, const struct extent_of *row)
{
	const struct merge_at at = {row->ino, row->e.off / MERGE_REGION};

	if (at.ino != m->at.ino || at.region != m->at.region)
		merge_scan_told(m);
	m->at = at;
	m->scan_off = row->e.off;
	m->scan_extents++;
	m->scan_bytes += row->e.len;
}

static int merge_scan_rows(struct merge *m, struct extent_of *row,
	unsigned *ret_n, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int r = meta_begin(m->v->meta, &tx, err);

	if (r < 0)
		return r;
	r = extent_walk(
		tx, m->at.ino, m->scan_off, row, MERGE_ROWS, ret_n, err);
	return meta_end(tx, r, err);
}

/* Once through everything, and again when regions were lost sight of. */
static void merge_scan_end(struct merge *m)
{
	merge_scan_told(m);
	m->at = (struct merge_at){0};
	m->scan_off = 0;
	m->scan_next_ms = clock_mono_ms(clock_system()) + MERGE_AGAIN_MS;
	(void)pthread_mutex_lock(&m->lock);
	m->scanning = m->table.missed;
	m->table.missed = false;
	(void)pthread_mutex_unlock(&m->lock);
}

/* One damaged file is fsck's; the others are looked at. */
static void merge_scan_skip(
	struct merge *m, uint64_t ino, const struct pluri_err *why)
{
	merge_scan_told(m);
	log_line(LOG_WARN, "inode %llu stays in pieces: %s",
		(unsigned long long)ino, why->text);
	m->at = (struct merge_at){ino, INT64_MAX / MERGE_REGION};
	m->scan_off = INT64_MAX;
}

static int merge_scan(struct merge *m, struct pluri_err *err)
{
	const uint64_t now = clock_mono_ms(clock_system());
	pluri_auto_mem struct extent_of *row = NULL;
	struct pluri_err why = {0};
	unsigned n = 0;
	unsigned due;
	int r;

	(void)pthread_mutex_lock(&m->lock);
	m->scanning |= m->table.missed;
	due = merge_table_due(&m->table, now, m->quiet_ms);
	(void)pthread_mutex_unlock(&m->lock);
	if (!m->scanning || now < m->scan_next_ms || due > MERGE_FOUND)
		return 0;
	row = calloc(MERGE_ROWS, sizeof(*row));
	if (!row)
		return pluri_fail(err, ENOMEM, "merge: no memory");
	r = merge_scan_rows(m, row, &n, &why);
	for (unsigned i = 0; i < n; i++)
		merge_scan_row(m, &row[i]);
	if (r == -EBADMSG && n < MERGE_ROWS && row[n].ino > 0) {
		merge_scan_skip(m, row[n].ino, &why);
		return 0;
	}
	if (r < 0 && err)
		*err = why;
	if (r < 0 || n < MERGE_ROWS)
		merge_scan_end(m);
	return r;
}

/* --- rounds --------------------------------------------------------------- */

static bool merge_next(struct merge *m, struct merge_at *ret)
{
	bool found;

	(void)pthread_mutex_lock(&m->lock);
	found = merge_table_next(&m->table, m->after,
		clock_mono_ms(clock_system()), m->quiet_ms, ret);
	(void)pthread_mutex_unlock(&m->lock);
	return found;
}

/* What ails the volume is told; what ails a region can wait, as can others,
 * then: 1. */
static int merge_region(
	struct merge *m, struct merge_at at, struct pluri_err *err)
{
	struct pluri_err why = {0};
	bool busy = false;
	const int r = merge_copy_region(m, at, &busy, &why);
	const enum merge_end how = r < 0  ? MERGE_FAILED
				   : busy ? MERGE_BUSY
					  : MERGE_NOTHING;

	m->after = at;
	if (r <= 0 || busy)
		merge_told(m, at, how);
	if (r >= 0)
		return 0;
	log_line(LOG_DEBUG, "inode %llu at %llu stays in pieces: %s",
		(unsigned long long)at.ino,
		(unsigned long long)at.region * MERGE_REGION, why.text);
	if (r != -ENOSPC && r != -ENOMEM && r != -ECANCELED)
		return 1;
	if (err)
		*err = why;
	return r;
}

static int merge_regions(struct merge *m, bool *ret_more, struct pluri_err *err)
{
	struct merge_at at;
	int r = 0;

	for (unsigned i = 0; i < MERGE_REGIONS && r >= 0; i++) {
		if (m->copies == MERGE_COPIES || merge_stopped(m))
			return 0;
		if (i == 0 && !repack_able(m->v))
			return 0;
		if (!merge_next(m, &at))
			return 0;
		r = merge_region(m, at, err);
		if (r > 0)
			return 0;
	}
	*ret_more = r >= 0;
	return r;
}

int merge_round(struct merge *m, bool *ret_more, struct pluri_err *err)
{
	int r;

	*ret_more = false;
	if (merge_off(m->v))
		return 0;
	r = commit_broken(m->v->commit, err);
	if (r >= 0)
		r = merge_switch_all(m, err);
	if (r >= 0)
		r = merge_regions(m, ret_more, err);
	if (r >= 0 && !repack_busy(m->v))
		r = merge_scan(m, err);
	(void)pthread_mutex_lock(&m->lock);
	m->stats.waiting = m->copies;
	(void)pthread_mutex_unlock(&m->lock);
	return r;
}

static void *merge_main(void *arg)
{
	struct merge *m = arg;
	uint64_t rest = MERGE_STEP_MS;

	while (merge_nap(m, rest)) {
		struct pluri_err err = {0};
		bool more = false;
		const int r = merge_round(m, &more, &err);

		rest = MERGE_REST_MS;
		if (more || m->scanning)
			rest = MERGE_STEP_MS;
		else if (m->copies > 0)
			rest = MERGE_WAIT_MS;
		if (r < 0 && r != -ECANCELED) {
			rest = MERGE_AGAIN_MS;
			log_line(LOG_WARN, "putting small extents together: %s",
				err.text);
		}
	}
	return NULL;
}

void merge_stats(struct merge *m, struct merge_stats *ret)
{
	(void)pthread_mutex_lock(&m->lock);
	*ret = m->stats;
	(void)pthread_mutex_unlock(&m->lock);
}

/* --- life ----------------------------------------------------------------- */

int merge_new(struct volume *v, struct merge **ret, struct pluri_err *err)
{
	struct merge *m = calloc(1, sizeof(*m));

	if (!m)
		return pluri_fail(err, ENOMEM, "merge: no memory");
	m->v = v;
	m->quiet_ms = MERGE_QUIET_MS;
	m->scanning = true; /* what is there since before */
	(void)pthread_mutex_init(&m->lock, NULL);
	clock_cond_init(&m->wake);
	*ret = m;
	return 0;
}

int merge_start(struct merge *m, struct pluri_err *err)
{
	int r;

	if (merge_off(m->v))
		return 0;
	r = pthread_create(&m->thread, NULL, merge_main, m);
	if (r)
		return pluri_fail(err, r, "merge: cannot start a thread: %s",
			strerror(r));
	(void)pthread_setname_np(m->thread, "merge");
	m->started = true;
	return 0;
}

void merge_stop(struct merge *m)
{
	if (!m)
		return;
	(void)pthread_mutex_lock(&m->lock);
	m->stop = true;
	(void)pthread_cond_broadcast(&m->wake);
	(void)pthread_mutex_unlock(&m->lock);
	if (m->started)
		(void)pthread_join(m->thread, NULL);
	m->started = false;
}

void merge_free(struct merge *m)
{
	if (!m)
		return;
	merge_stop(m);
	for (unsigned i = 0; i < m->copies; i++)
		merge_switch_free(m->copy[i]);
	(void)pthread_cond_destroy(&m->wake);
	(void)pthread_mutex_destroy(&m->lock);
	free(m);
}
