/*
 * Whose turn it is in a store. Calls are of two sorts: gets that somebody waits
 * for, and the rest: puts, deletions, listings, and gets for work in the
 * background.
 *
 * - Waited gets come first, and a quarter of the window is theirs alone; of
 *   either sort one may always run, lest one starves behind the other. Where
 *   only one call may run at all, they take turns.
 * - With a bound of bytes a second waited gets have their turns among
 *   themselves, and gets in the background what they leave: an eighth of it, as
 *   long as some of them wait.
 * - While that bound holds a call back its time does not run; but it does from
 *   when its store is in trouble.
 *
 * All with the store's lock.
 */
#include "backends/fleet_int.h"

#define TURN_SHARE 8u /* of the bytes; one part is for the background */
#define TURN_LOOK_MS 1000u /* at what is held back: is its store up? */

bool fleet_turn_waited(const struct fleet_op *op)
{
	return op->kind == FLEET_GET && !(op->flags & FLEET_BACKGROUND);
}

bool fleet_turn_background(const struct fleet_op *op)
{
	return op->kind == FLEET_GET && (op->flags & FLEET_BACKGROUND);
}

/* What bounds its bytes, or NULL. */
static const struct fleet_pace *turn_pace(const struct fleet_op *op)
{
	if (op->kind == FLEET_PUT)
		return &op->store->up;
	if (op->kind != FLEET_GET)
		return NULL;
	return fleet_turn_waited(op) ? &op->store->reads : &op->store->down;
}

uint64_t fleet_turn_due_ms(const struct fleet_op *op)
{
	const struct fleet_store *s = op->store;
	const struct fleet_pace *pace = turn_pace(op);
	uint64_t from;

	if (!pace || !pace->ready_us || s->hurry || s->stopping)
		return op->deadline_ms;
	from = fleet_now_ms() + TURN_LOOK_MS;
	/* A store in trouble is not waited for longer than agreed; one that
	 * throttles is none: its pause ends by itself */
	if (s->pulse.trouble_ms && from > s->pulse.trouble_ms)
		from = s->pulse.trouble_ms;
	if (from > pace->ready_us / 1000)
		from = pace->ready_us / 1000;
	if (from + op->span_ms < op->deadline_ms)
		return op->deadline_ms;
	return from + op->span_ms;
}

static bool turn_get(const struct fleet_store *s)
{
	const unsigned calls = fleet_window_calls(&s->window);
	const bool waits = s->rest == 0 && s->queued > s->queued_gets;

	return s->gets + s->rest < s->threads_max &&
	       (s->gets == 0 || s->gets + s->rest + waits < calls);
}

static bool turn_rest(const struct fleet_store *s)
{
	const unsigned calls = fleet_window_calls(&s->window);
	const unsigned own = calls < 8 ? 1 : calls / 4;
	const unsigned all = s->gets + s->rest;

	return all < s->threads_max &&
	       (s->rest == 0 || (all < calls && s->rest + own < calls));
}

/* The first of those that may run now, in the queue's order. */
static struct fleet_op *turn_find(
	const struct fleet_store *s, uint64_t now, bool get, bool rest)
{
	const bool down = fleet_pace_wait_us(&s->down, now) == 0;
	const bool up = fleet_pace_wait_us(&s->up, now) == 0;
	struct fleet_op *op;

	if (!get && !rest)
		return NULL;
	TAILQ_FOREACH(op, &s->queue, link)
	{
		bool may = rest;

		if (fleet_turn_waited(op))
			may = get;
		else if (op->kind == FLEET_GET)
			may = may && down;
		else if (op->kind == FLEET_PUT)
			may = may && up;
		if (may)
			return op;
	}
	return NULL;
}

struct fleet_op *fleet_turn_first(const struct fleet_store *s)
{
	const uint64_t now = fleet_queue_now_us();
	const bool get = turn_get(s) && fleet_pace_wait_us(&s->reads, now) == 0;
	const bool rest = turn_rest(s);
	struct fleet_op *op = NULL;

	if (s->threads_max == 1 && s->got && s->queued > s->queued_gets)
		op = turn_find(s, now, false, rest);
	return op ? op : turn_find(s, now, get, rest);
}

void fleet_turn_begin(const struct fleet_op *op)
{
	struct fleet_store *s = op->store;
	uint64_t share = 0;

	s->got = fleet_turn_waited(op);
	if (s->queued_background > 0)
		share = op->room.cap / (TURN_SHARE - 1) + 1;
	if (op->kind == FLEET_PUT)
		fleet_pace_begin(&s->up, op->body.size, op->start_us);
	if (op->kind == FLEET_GET)
		fleet_pace_begin(&s->down, op->room.cap, op->start_us);
	if (fleet_turn_waited(op))
		fleet_pace_begin(&s->reads, op->room.cap + share, op->start_us);
}

static void turn_sooner(uint64_t *ms, uint64_t at_ms)
{
	if (at_ms < *ms)
		*ms = at_ms;
}

uint64_t fleet_turn_ms(const struct fleet_store *s)
{
	const uint64_t now = fleet_queue_now_us();
	const uint64_t reads = fleet_pace_wait_us(&s->reads, now);
	const uint64_t down = fleet_pace_wait_us(&s->down, now);
	const uint64_t up = fleet_pace_wait_us(&s->up, now);
	const bool rest = s->queued > s->queued_gets;
	uint64_t at = UINT64_MAX;

	if (s->queued_gets > 0 && reads)
		turn_sooner(&at, (now + reads) / 1000 + 1);
	if (rest && down)
		turn_sooner(&at, (now + down) / 1000 + 1);
	if (rest && up)
		turn_sooner(&at, (now + up) / 1000 + 1);
	return at;
}
