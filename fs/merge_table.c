#include <stddef.h>

#include "fs/merge_table.h"

#define MERGE_FORGIVE 8u /* so many back-offs later it is forgotten */

static struct merge_spot *merge_set(struct merge_table *t, struct merge_at at)
{
	uint64_t x = at.ino * UINT64_C(0x9e3779b97f4a7c15) + at.region;

	x ^= x >> 29;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	return t->spot[(x >> 40) & (MERGE_SETS - 1)];
}

static bool merge_same(struct merge_at a, struct merge_at b)
{
	return a.ino == b.ino && a.region == b.region;
}

static struct merge_spot *merge_find(struct merge_table *t, struct merge_at at)
{
	struct merge_spot *s = merge_set(t, at);

	for (unsigned i = 0; i < MERGE_WAYS; i++)
		if (merge_same(s[i].at, at))
			return &s[i];
	return NULL;
}

static bool merge_old(const struct merge_spot *s, uint64_t now)
{
	return now > s->due_ms + (uint64_t)MERGE_FORGIVE * s->wait_ms;
}

/* Does a newcomer matter more? */
static bool merge_yields(const struct merge_spot *s, uint64_t now)
{
	if (s->copies > 0 || s->notes >= MERGE_NOTES)
		return false;
	return s->wait_ms == 0 || merge_old(s, now);
}

/* A place of its own: free, or the one with the fewest notes. */
static struct merge_spot *merge_place(
	struct merge_table *t, struct merge_at at, uint64_t now)
{
	struct merge_spot *s = merge_set(t, at);
	struct merge_spot *best = NULL;

	for (unsigned i = 0; i < MERGE_WAYS; i++) {
		if (s[i].at.ino == 0) {
			best = &s[i];
			break;
		}
		if (!merge_yields(&s[i], now))
			continue;
		if (!best || s[i].notes < best->notes ||
			(s[i].notes == best->notes &&
				s[i].noted_ms < best->noted_ms))
			best = &s[i];
	}
	if (best)
		*best = (struct merge_spot){.at = at};
	else
		t->missed = true;
	return best;
}

static struct merge_spot *merge_spot(
	struct merge_table *t, struct merge_at at, uint64_t now)
{
	struct merge_spot *s = merge_find(t, at);

	if (!s)
		return merge_place(t, at, now);
	if (s->copies == 0 && merge_old(s, now))
		s->wait_ms = 0;
	return s;
}

void merge_table_note(
	struct merge_table *t, struct merge_at at, uint64_t now_ms)
{
	struct merge_spot *s = merge_spot(t, at, now_ms);

	if (!s)
		return;
	s->notes += s->notes < UINT32_MAX;
	s->noted_ms = now_ms;
}

void merge_table_found(
	struct merge_table *t, struct merge_at at, uint64_t now_ms)
{
	struct merge_spot *s = merge_spot(t, at, now_ms);

	if (s && s->notes < MERGE_NOTES)
		s->notes = MERGE_NOTES;
}

static bool merge_is_due(
	const struct merge_spot *s, uint64_t now, uint64_t quiet)
{
	return s->at.ino != 0 && s->copies == 0 && s->notes >= MERGE_NOTES &&
	       now >= s->due_ms &&
	       (s->noted_ms == 0 || now >= s->noted_ms + quiet);
}

static bool merge_before(struct merge_at a, struct merge_at b)
{
	return a.ino < b.ino || (a.ino == b.ino && a.region < b.region);
}

/* Is a a better next one than b, from `after` on? */
static bool merge_sooner(
	struct merge_at a, struct merge_at b, struct merge_at after)
{
	const bool a_wraps = !merge_before(after, a);
	const bool b_wraps = !merge_before(after, b);

	return a_wraps == b_wraps ? merge_before(a, b) : b_wraps;
}

bool merge_table_next(struct merge_table *t, struct merge_at after,
	uint64_t now_ms, uint64_t quiet_ms, struct merge_at *ret)
{
	struct merge_spot *best = NULL;

	for (unsigned i = 0; i < MERGE_SETS * MERGE_WAYS; i++) {
		struct merge_spot *s = &t->spot[i / MERGE_WAYS][i % MERGE_WAYS];

		if (merge_is_due(s, now_ms, quiet_ms) &&
			(!best || merge_sooner(s->at, best->at, after)))
			best = s;
	}
	if (!best)
		return false;
	best->notes = 0;
	*ret = best->at;
	return true;
}

unsigned merge_table_due(
	const struct merge_table *t, uint64_t now_ms, uint64_t quiet_ms)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MERGE_SETS * MERGE_WAYS; i++)
		n += merge_is_due(&t->spot[i / MERGE_WAYS][i % MERGE_WAYS],
			now_ms, quiet_ms);
	return n;
}

static void merge_back_off(struct merge_spot *s, uint64_t now)
{
	const uint32_t next = s->wait_ms < MERGE_WAIT_MAX_MS / 2
				      ? 2 * s->wait_ms
				      : MERGE_WAIT_MAX_MS;

	s->wait_ms = s->wait_ms ? next : MERGE_WAIT_MIN_MS;
	s->due_ms = now + s->wait_ms;
}

void merge_table_ended(struct merge_table *t, struct merge_at at,
	uint64_t now_ms, enum merge_end how)
{
	struct merge_spot *s = merge_find(t, at);

	if (!s)
		return;
	switch (how) {
	case MERGE_NOTHING:
		if (s->wait_ms == 0 && s->notes == 0 && s->copies == 0)
			*s = (struct merge_spot){0};
		break;
	case MERGE_BUSY:
		s->notes += MERGE_NOTES;
		s->noted_ms = now_ms;
		break;
	case MERGE_REST:
		s->notes += MERGE_NOTES;
		break;
	case MERGE_COPIED:
		s->copies++;
		break;
	case MERGE_DONE:
	case MERGE_VAIN:
	case MERGE_FAILED:
		s->copies -= how != MERGE_FAILED && s->copies > 0;
		if (how != MERGE_DONE && s->notes < MERGE_NOTES)
			s->notes = MERGE_NOTES;
		merge_back_off(s, now_ms);
		break;
	}
}
