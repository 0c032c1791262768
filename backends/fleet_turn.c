/*
 * Whose turn it is in a store. Calls are of four sorts, the more urgent first:
 *
 *   WAITED  gets that somebody waits for
 *   AHEAD   gets that somebody is expected to wait for; who comes to do so
 *           makes them WAITED at once (fleet_queue_promote), running or queued
 *   BACK    gets for work in the background
 *   OTHER   puts, deletions, listings: with BACK "the rest", as they come
 *
 * - The first two come before the rest, and a quarter of the window is theirs
 *   alone; of them and of the rest one call may always run, lest one starves
 *   behind the other. Where only one call may run at all, they take turns.
 * - One WAITED may always run beside what is read ahead: while none does, that
 *   leaves one of the store's places. When seven times the bytes of the first
 *   AHEAD have overtaken it, it is its turn.
 * - With a bound of bytes a second each sort of gets has its turns after itself
 *   and those before it, and for each later one that waits they leave an
 *   eighth. A get that has become WAITED keeps the turn it may have had before:
 *   it cannot lose by it.
 * - While that bound holds a call back its time does not run; but it does from
 *   when its store is in trouble. That of an AHEAD begins anew with each answer
 *   that its store gives to others: it gives way to them without end.
 *
 * All with the store's lock.
 */
#include "backends/fleet_int.h"

#define TURN_SHARE 8u /* of the bytes; one part is for each later sort */
#define TURN_LOOK_MS 1000u /* at what is held back: is its store up? */
#define TURN_SORT(sort) (1u << (sort))
#define TURN_REST (TURN_SORT(FLEET_BACK) | TURN_SORT(FLEET_OTHER))

enum fleet_sort fleet_turn_sort(const struct fleet_op *op)
{
	if (op->kind != FLEET_GET)
		return FLEET_OTHER;
	if (op->flags & FLEET_BACKGROUND)
		return FLEET_BACK;
	return op->ahead ? FLEET_AHEAD : FLEET_WAITED;
}

unsigned fleet_turn_calls(const struct fleet_store *s)
{
	return s->in_flight - s->late;
}

/* What bounds its bytes, or NULL. */
static const struct fleet_pace *turn_pace(const struct fleet_op *op)
{
	if (op->kind == FLEET_GET)
		return &op->store->down[fleet_turn_sort(op)];
	return op->kind == FLEET_PUT ? &op->store->up : NULL;
}

/* From when on a queued one's time runs; 0: from its birth. */
static uint64_t turn_from_ms(const struct fleet_op *op)
{
	const uint64_t soon = fleet_now_ms() + TURN_LOOK_MS;
	const struct fleet_pace *pace = turn_pace(op);
	uint64_t from = pace ? pace->ready_us / 1000 : 0;

	if (from > soon)
		from = soon;
	if (op->ahead && from < op->store->said_ms)
		from = op->store->said_ms;
	return from;
}

uint64_t fleet_turn_due_ms(const struct fleet_op *op)
{
	const struct fleet_store *s = op->store;
	uint64_t from = turn_from_ms(op);

	if (from == 0 || s->hurry || s->stopping)
		return op->deadline_ms;
	/* A store in trouble is not waited for longer than agreed; one that
	 * throttles is none: its pause ends by itself */
	if (s->pulse.trouble_ms && from > s->pulse.trouble_ms)
		from = s->pulse.trouble_ms;
	if (from + op->span_ms < op->deadline_ms)
		return op->deadline_ms;
	return from + op->span_ms;
}

/* --- places --------------------------------------------------------------- */

static unsigned turn_rest(const struct fleet_store *s)
{
	return s->running_of[FLEET_BACK] + s->running_of[FLEET_OTHER];
}

static bool turn_rest_waits(const struct fleet_store *s)
{
	return s->queued_of[FLEET_BACK] + s->queued_of[FLEET_OTHER] > 0;
}

static bool turn_may_get(const struct fleet_store *s, unsigned reads)
{
	const unsigned all = fleet_turn_calls(s);
	const bool kept = turn_rest(s) == 0 && turn_rest_waits(s);

	return reads == 0 || all + kept < fleet_window_calls(&s->window);
}

static bool turn_may_rest(const struct fleet_store *s)
{
	const unsigned calls = fleet_window_calls(&s->window);
	const unsigned own = calls < 8 ? 1 : calls / 4;
	const unsigned rest = turn_rest(s);

	return rest == 0 || (fleet_turn_calls(s) < calls && rest + own < calls);
}

/* Have so many overtaken the first that is read ahead that it is its turn? */
static bool turn_due(const struct fleet_store *s)
{
	const struct fleet_op *op = TAILQ_FIRST(&s->queue);

	while (op && fleet_turn_sort(op) < FLEET_AHEAD)
		op = TAILQ_NEXT(op, link);
	return op && op->ahead && s->passed / (TURN_SHARE - 1) >= op->room.cap;
}

/* The sorts for which there is a place. */
static unsigned turn_places(const struct fleet_store *s, bool due)
{
	const unsigned waited = s->running_of[FLEET_WAITED];
	const unsigned ahead = s->running_of[FLEET_AHEAD];
	const unsigned all = fleet_turn_calls(s);
	const bool spare = waited == 0 && ahead > 0 && !due;
	unsigned sorts = 0;

	if (all >= s->threads_max)
		return 0;
	if (turn_may_get(s, waited))
		sorts |= TURN_SORT(FLEET_WAITED);
	if (all + spare < s->threads_max && turn_may_get(s, waited + ahead))
		sorts |= TURN_SORT(FLEET_AHEAD);
	if (turn_may_rest(s))
		sorts |= TURN_REST;
	return sorts;
}

/* --- turns ---------------------------------------------------------------- */

static bool turn_ready(const struct fleet_pace *p, uint64_t now)
{
	return fleet_pace_wait_us(p, now) == 0;
}

/* As what a get would run now: as late a sort as it may, to hold up nobody. */
static enum fleet_sort turn_as(const struct fleet_op *op, uint64_t now)
{
	if (op->promoted && turn_ready(&op->store->down[FLEET_AHEAD], now))
		return FLEET_AHEAD;
	return fleet_turn_sort(op);
}

static bool turn_come(const struct fleet_op *op, uint64_t now)
{
	const struct fleet_store *s = op->store;

	if (op->kind == FLEET_GET)
		return turn_ready(&s->down[turn_as(op, now)], now);
	return op->kind != FLEET_PUT || turn_ready(&s->up, now);
}

/* The first of these sorts that may run now, in the queue's order. */
static struct fleet_op *turn_find(
	const struct fleet_store *s, uint64_t now, unsigned sorts)
{
	struct fleet_op *op;

	if (sorts == 0)
		return NULL;
	TAILQ_FOREACH(op, &s->queue, link)
	{
		if (sorts & TURN_SORT(fleet_turn_sort(op)) &&
			turn_come(op, now))
			return op;
	}
	return NULL;
}

struct fleet_op *fleet_turn_first(const struct fleet_store *s)
{
	const uint64_t now = fleet_queue_now_us();
	const bool due = turn_due(s);
	const unsigned sorts = turn_places(s, due);
	struct fleet_op *op = NULL;

	if (s->threads_max == 1 && s->read)
		op = turn_find(s, now, sorts & TURN_REST);
	if (!op && due)
		op = turn_find(s, now, sorts & TURN_SORT(FLEET_AHEAD));
	return op ? op : turn_find(s, now, sorts);
}

/* What a get counts for those of its sort, so that later ones have a part. */
static uint64_t turn_weight(
	const struct fleet_store *s, enum fleet_sort sort, uint64_t bytes)
{
	unsigned later = 0;

	for (unsigned i = sort + 1; i < FLEET_GET_SORTS; i++)
		later += s->queued_of[i] > 0;
	return bytes + bytes * later / (TURN_SHARE - later) + (later > 0);
}

static void turn_pass(struct fleet_store *s, enum fleet_sort sort, uint64_t n)
{
	if (sort == FLEET_AHEAD || s->queued_of[FLEET_AHEAD] == 0)
		s->passed = 0;
	else if (sort == FLEET_WAITED)
		s->passed += n;
}

void fleet_turn_begin(const struct fleet_op *op)
{
	const enum fleet_sort sort = fleet_turn_sort(op);
	const uint64_t bytes = op->room.cap;
	struct fleet_store *s = op->store;

	s->read = sort < FLEET_BACK;
	turn_pass(s, sort, bytes);
	if (op->kind == FLEET_PUT)
		fleet_pace_begin(&s->up, op->body.size, op->start_us);
	if (op->kind != FLEET_GET)
		return;
	for (unsigned i = turn_as(op, op->start_us); i < FLEET_GET_SORTS; i++)
		fleet_pace_begin(&s->down[i],
			turn_weight(s, (enum fleet_sort)i, bytes),
			op->start_us);
}

static void turn_sooner(
	uint64_t *ms, const struct fleet_pace *pace, uint64_t now)
{
	const uint64_t wait = fleet_pace_wait_us(pace, now);

	if (wait && (now + wait) / 1000 + 1 < *ms)
		*ms = (now + wait) / 1000 + 1;
}

uint64_t fleet_turn_ms(const struct fleet_store *s)
{
	const uint64_t now = fleet_queue_now_us();
	uint64_t at = UINT64_MAX;
	unsigned gets = 0;

	/* One that is waited for may have the turn of a later sort */
	for (unsigned i = 0; i < FLEET_GET_SORTS; i++) {
		gets += s->queued_of[i];
		if (gets > 0)
			turn_sooner(&at, &s->down[i], now);
	}
	if (s->queued_of[FLEET_OTHER] > 0)
		turn_sooner(&at, &s->up, now);
	return at;
}
