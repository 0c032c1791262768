/*
 * A store that nobody asks shows no speed, and would be avoided for what it
 * was once. So with the reads of others it gets one now and then, in which
 * nobody is interested but for its time.
 */
#include <errno.h>

#include "backends/fleet_int.h"

#define SAMPLE_BYTES (64u << 10)

/* May it be asked? Then it is about to be. */
static bool sample_claim(struct fleet_store *s)
{
	bool may;

	(void)pthread_mutex_lock(&s->lock);
	may = !s->witness && !s->stopping && fleet_health_up(s) &&
	      fleet_speed_stale(&s->speed, clock_mono_ms(s->clock));
	if (may)
		s->witness = true;
	(void)pthread_mutex_unlock(&s->lock);
	return may;
}

static void sample_unclaim(struct fleet_store *s)
{
	(void)pthread_mutex_lock(&s->lock);
	s->witness = false;
	(void)pthread_mutex_unlock(&s->lock);
}

static bool sample_afford(struct fleet *f)
{
	bool may;

	(void)pthread_mutex_lock(&f->lock);
	may = fleet_budget_spare(&f->budget);
	(void)pthread_mutex_unlock(&f->lock);
	return may;
}

static int sample_ask(struct fleet *f, struct fleet_op *op, uint64_t off,
	size_t len, struct pluri_err *err)
{
	uint64_t wait_ms = 0;

	if (len > SAMPLE_BYTES)
		len = SAMPLE_BYTES;
	op->room.data = malloc(len ? len : 1);
	if (!op->room.data)
		return pluri_fail(err, ENOMEM, "no memory for a sample");
	op->room.cap = len;
	op->off = off;
	op->witness = true;
	op->span_ms = fleet_span_ms(f, op->store, len);
	op->deadline_ms = fleet_now_ms() + op->span_ms;
	return fleet_queue_add(f, op, &wait_ms, err);
}

void fleet_sample(struct fleet *f, struct fleet_store *s, const char *key,
	uint64_t off, size_t len)
{
	pluri_auto(fleet_op) op = NULL;

	if (!sample_claim(s))
		return;
	if (sample_afford(f))
		op = fleet_op_new(s, FLEET_GET, key, NULL);
	if (!op || sample_ask(f, op, off, len, NULL) < 0)
		sample_unclaim(s);
}
