/*
 * The breaker of one store; everything here needs the store's lock.
 *
 *   state   what passes      an answer     class down       neither
 *   CLOSED  everything       CLOSED        3rd: OPEN, 1 s   CLOSED
 *   OPEN    bare, forced     CLOSED        OPEN             OPEN
 *           (try_ms passed: the caller becomes the trial -> TRYING)
 *   TRYING  bare, forced     CLOSED        the trial's:     the trial's: OPEN,
 *                                          OPEN, doubled    next trial now
 *
 * An answer is anything an authority said, be it a refusal. "Neither" is a
 * call that tells nothing of the store: cancelled, or refused by ourselves.
 * A mark and a throttling's pause bar calls in every state.
 */
#include <assert.h>
#include <errno.h>

#include "backends/fleet_int.h"

#define HEALTH_FAILS 3u
#define HEALTH_PAUSE_MIN_MS 1000u
#define HEALTH_PAUSE_MAX_MS 30000u
#define HEALTH_BUSY_MAX_MS 60000u
#define HEALTH_SHY_MS 100u
#define HEALTH_SHY_TIMES 5u /* doubled: 3.2 s */

const char *fleet_class_text(enum fleet_class c)
{
	switch (c) {
	case FLEET_OK:
		return "ok";
	case FLEET_DOWN:
		return "down";
	case FLEET_THROTTLED:
		return "throttled";
	case FLEET_AUTH:
		return "credentials refused";
	case FLEET_MISSING:
		return "bucket or directory missing";
	case FLEET_CORRUPT:
		return "corrupt answers";
	case FLEET_FULL:
		return "full";
	case FLEET_FOREIGN:
		return "belongs to another volume";
	}
	return "unknown";
}

enum fleet_class fleet_class_of(int code)
{
	switch (code) {
	case 0:
	case -ENOENT:
	case -EEXIST:
	case -ESTALE:
	case -EINVAL:
	case -ENOTSUP:
	case -ECANCELED:
	case -ENOMEM:
		return FLEET_OK;
	case -EBUSY:
		return FLEET_THROTTLED;
	case -EACCES:
		return FLEET_AUTH;
	case -ENODEV:
		return FLEET_MISSING;
	case -EBADMSG:
		return FLEET_CORRUPT;
	case -ENOSPC:
		return FLEET_FULL;
	default:
		return FLEET_DOWN;
	}
}

static void health_check(const struct fleet_pulse *p)
{
	assert((p->breaker == FLEET_CLOSED) == (p->pause_ms == 0));
	assert(p->breaker != FLEET_CLOSED || p->fails < HEALTH_FAILS);
	assert(p->pause_ms <= HEALTH_PAUSE_MAX_MS);
	assert((p->class == FLEET_OK) == (p->text[0] == '\0'));
	assert(p->mark != FLEET_OK || p->why[0] == '\0');
	(void)p;
}

/* Since when it takes no calls but for a throttling's pause. */
static void health_trouble(struct fleet_pulse *p)
{
	if (p->breaker == FLEET_CLOSED && p->mark == FLEET_OK)
		p->trouble_ms = 0;
	else if (p->trouble_ms == 0)
		p->trouble_ms = fleet_now_ms();
}

static void health_class(
	struct fleet_store *s, enum fleet_class c, const char *text)
{
	struct fleet_pulse *p = &s->pulse;

	if (p->class != c && p->mark == FLEET_OK)
		p->since_ms = clock_mono_ms(s->clock);
	p->class = c;
	p->text[0] = '\0';
	if (c != FLEET_OK)
		(void)snprintf(p->text, sizeof(p->text), "%s",
			text[0] ? text : fleet_class_text(c));
}

static void health_close(struct fleet_pulse *p)
{
	p->breaker = FLEET_CLOSED;
	p->fails = 0;
	p->pause_ms = 0;
}

static void health_open(struct fleet_pulse *p, uint64_t now, uint64_t pause_ms)
{
	p->breaker = FLEET_OPEN;
	p->pause_ms =
		pause_ms < HEALTH_PAUSE_MAX_MS ? pause_ms : HEALTH_PAUSE_MAX_MS;
	p->try_ms = now + p->pause_ms;
}

static void health_down(struct fleet_pulse *p, bool trial, uint64_t now)
{
	p->fails++;
	if (p->breaker == FLEET_TRYING && trial)
		health_open(p, now, p->pause_ms * 2);
	else if (p->breaker == FLEET_CLOSED && p->fails >= HEALTH_FAILS)
		health_open(p, now, HEALTH_PAUSE_MIN_MS);
}

/* Success mends the class; only a change of what is stored mends "full". */
static void health_good(struct fleet_store *s, enum fleet_kind kind, int code)
{
	const bool room = code == 0 && (kind == FLEET_PUT || kind == FLEET_DEL);

	health_close(&s->pulse);
	if (code == 0)
		s->pulse.throttles = 0;
	if (s->pulse.class != FLEET_FULL || room)
		health_class(s, FLEET_OK, "");
}

static bool health_neutral(int code)
{
	return code != 0 && code != -ENOENT && code != -EEXIST &&
	       fleet_class_of(code) == FLEET_OK;
}

/* One that does not say for how long is asked last by reads, for a while that
 * doubles; whoever has no choice asks it as ever. */
static void health_busy(
	struct fleet_pulse *p, uint64_t now, uint64_t retry_after_ms)
{
	if (retry_after_ms > HEALTH_BUSY_MAX_MS)
		retry_after_ms = HEALTH_BUSY_MAX_MS;
	p->busy_ms = now + retry_after_ms;
	if (p->shy_ms > now)
		return; /* others of the same burst said so already */
	p->shy_ms = now + (HEALTH_SHY_MS << p->throttles);
	p->throttles += p->throttles < HEALTH_SHY_TIMES;
}

void fleet_health_note(struct fleet_store *s, bool trial, enum fleet_kind kind,
	uint64_t retry_after_ms, int code, const char *text)
{
	const uint64_t now = clock_mono_ms(s->clock);
	const enum fleet_class c = fleet_class_of(code);
	struct fleet_pulse *p = &s->pulse;

	if (health_neutral(code)) {
		if (trial && p->breaker == FLEET_TRYING) {
			p->breaker = FLEET_OPEN;
			p->try_ms = now;
		}
	} else if (c == FLEET_OK) {
		health_good(s, kind, code);
	} else {
		p->errors++;
		health_class(s, c, text);
		if (c == FLEET_DOWN)
			health_down(p, trial, now);
		else
			health_close(p);
	}
	if (c == FLEET_THROTTLED)
		health_busy(p, now, retry_after_ms);
	health_trouble(p);
	health_check(p);
}

int fleet_health_admit(struct fleet_store *s, struct fleet_op *op,
	uint64_t *ret_wait_ms, struct pluri_err *err)
{
	const uint64_t now = clock_mono_ms(s->clock);
	struct fleet_pulse *p = &s->pulse;

	health_check(p);
	if ((op->flags & FLEET_BARE) || op->trial)
		return 0;
	if (p->mark != FLEET_OK)
		return pluri_fail(err, EAGAIN, "barred, %s: %s",
			fleet_class_text(p->mark), p->why);
	if (op->flags & FLEET_FORCE)
		return 0;
	if (p->busy_ms > now) {
		*ret_wait_ms = p->busy_ms - now;
		return pluri_fail(err, EAGAIN,
			"throttled, no calls for %llu ms: %s",
			(unsigned long long)(p->busy_ms - now), p->text);
	}
	if (p->breaker == FLEET_CLOSED)
		return 0;
	if (p->breaker == FLEET_OPEN && p->try_ms <= now) {
		p->breaker = FLEET_TRYING;
		op->trial = true;
		return 0;
	}
	if (p->breaker == FLEET_OPEN)
		*ret_wait_ms = p->try_ms - now;
	return pluri_fail(
		err, EAGAIN, "down, waiting before the next try: %s", p->text);
}

bool fleet_health_up(const struct fleet_store *s)
{
	const struct fleet_pulse *p = &s->pulse;

	return p->breaker == FLEET_CLOSED && p->mark == FLEET_OK &&
	       p->busy_ms <= clock_mono_ms(s->clock);
}

/* Of small ones; with the store's lock. */
static void health_times(const struct fleet_store *s, struct fleet_health *ret)
{
	const uint64_t now = clock_mono_ms(s->clock);
	const struct fleet_quantile *get = &s->speed.get[0];
	const struct fleet_quantile *put = &s->speed.put[0];

	ret->latency_us = fleet_speed_expect(
		&s->speed, &(struct fleet_get){.calls = 1}, now);
	ret->get_p50_us = fleet_quantile_us(get, 500, now);
	ret->get_p95_us = fleet_quantile_us(get, 950, now);
	ret->get_p99_us = fleet_quantile_us(get, 990, now);
	ret->put_p50_us = fleet_quantile_us(put, 500, now);
	ret->put_p95_us = fleet_quantile_us(put, 950, now);
	ret->put_p99_us = fleet_quantile_us(put, 990, now);
}

int fleet_health(struct fleet *f, unsigned store, struct fleet_health *ret)
{
	struct fleet_store *s = fleet_store_of(f, store);
	const struct fleet_pulse *p;
	bool marked;

	if (!s)
		return -ENOENT;
	(void)pthread_mutex_lock(&s->lock);
	p = &s->pulse;
	marked = p->mark != FLEET_OK;
	*ret = (struct fleet_health){
		.up = fleet_health_up(s),
		.class = marked ? p->mark : p->class,
		.since_ms = p->since_ms,
		.puts = p->calls[FLEET_PUT],
		.gets = p->calls[FLEET_GET],
		.dels = p->calls[FLEET_DEL],
		.lists = p->calls[FLEET_LIST],
		.puts_us = p->busy_us[FLEET_PUT],
		.gets_us = p->busy_us[FLEET_GET],
		.errors = p->errors,
		.bytes_out = p->bytes_out,
		.bytes_in = p->bytes_in,
		.hedges = p->hedges,
		.hedges_won = p->hedges_won,
		.in_flight = s->in_flight,
		.caps = s->limits.caps,
		.window = fleet_window_calls(&s->window),
	};
	health_times(s, ret);
	(void)snprintf(
		ret->text, sizeof(ret->text), "%s", marked ? p->why : p->text);
	(void)pthread_mutex_unlock(&s->lock);
	fleet_pool_unref(s);
	return 0;
}

void fleet_mark(
	struct fleet *f, unsigned store, enum fleet_class c, const char *why)
{
	struct fleet_store *s = fleet_store_of(f, store);
	struct fleet_pulse *p;

	if (!s)
		return;
	(void)pthread_mutex_lock(&s->lock);
	p = &s->pulse;
	if (p->mark != c)
		p->since_ms = clock_mono_ms(s->clock);
	p->mark = c;
	(void)snprintf(p->why, sizeof(p->why), "%s", c == FLEET_OK ? "" : why);
	health_trouble(p);
	(void)pthread_mutex_unlock(&s->lock);
	fleet_pool_unref(s);
}
