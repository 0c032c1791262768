/*
 * First good `need` of n sources. All of a read's state is on the caller's
 * stack except the ops; those that lose the race are abandoned.
 *
 *   IDLE -> ASKED -> GOOD   its bytes passed the judge
 *   IDLE -> ASKED -> BAD    it failed, was late, or its bytes are bad
 *   IDLE -> BAD             its store refused to be asked
 */
#include <errno.h>

#include "backends/fleet_int.h"

#define READ_STOP_MS 100u /* between two questions whether to go on */

enum read_step { READ_IDLE, READ_ASKED, READ_GOOD, READ_BAD };

struct read_racer {
	enum read_step step;
	bool up; /* its store, when the read began */
	bool hedge; /* asked since another one was slow */
	bool hedged; /* another one was asked in its stead */
	struct fleet_patience patience;
	uint64_t hedge_ms; /* when that is due, */
	uint64_t must_ms; /* ... and when at the latest */
	uint64_t due_ms; /* of op */
	struct fleet_store *store;
	struct fleet_op *op;
	uint8_t *bytes; /* of a good one */
	int code; /* of a bad one, and its story */
	char text[200];
};

struct read_race {
	struct fleet *f;
	const struct fleet_read *r;
	uint64_t deadline_ms;
	uint64_t time_ms; /* until then, from the beginning */
	struct fleet_wait wait;
	unsigned seen;
	struct read_racer racers[PLURI_SHARDS_MAX];
	unsigned order[PLURI_SHARDS_MAX];
	unsigned next; /* in order: not asked yet */
	unsigned asked, good;
	bool ahead; /* nobody waits for it yet */
	bool stopped;
};

static enum fleet_sort read_sort(const struct read_race *race)
{
	if (race->r->background)
		return FLEET_BACK;
	return race->ahead ? FLEET_AHEAD : FLEET_WAITED;
}

static void read_line_up(struct read_race *race)
{
	const struct fleet_read *r = race->r;
	struct fleet_rank ranks[PLURI_SHARDS_MAX] = {0};

	for (unsigned i = 0; i < r->n; i++) {
		struct fleet_store *s =
			fleet_store_of(race->f, r->sources[i].store);

		race->racers[i].store = s;
		if (!s)
			continue;
		ranks[i] = fleet_rank_of(s, r->len, read_sort(race));
		race->racers[i].up = ranks[i].up;
	}
	fleet_rank_order(ranks, r->n, race->order);
}

/* Those that are not asked are not forgotten. */
static void read_sample(struct read_race *race)
{
	const struct fleet_read *r = race->r;

	for (unsigned at = r->need; at < r->n && r->hedge_ms; at++) {
		const unsigned i = race->order[at];

		if (race->racers[i].step == READ_IDLE && race->racers[i].up)
			fleet_sample(race->f, race->racers[i].store,
				r->sources[i].key, r->off, r->len);
	}
}

/* --- asking --------------------------------------------------------------- */

static void read_bad(struct read_racer *racer, int code, const char *text)
{
	racer->step = READ_BAD;
	racer->code = code;
	(void)snprintf(racer->text, sizeof(racer->text), "%.*s",
		(int)sizeof(racer->text) - 1, text[0] ? text : strerror(-code));
}

/* How long this one is waited for. */
static void read_wind(
	const struct read_race *race, struct read_racer *racer, uint64_t now)
{
	struct fleet_store *s = racer->store;

	racer->hedge_ms = UINT64_MAX;
	if (race->r->hedge_ms == 0)
		return;
	(void)pthread_mutex_lock(&s->lock);
	racer->patience = fleet_speed_patience(&s->speed, race->r->len,
		race->r->hedge_ms, clock_mono_ms(s->clock));
	(void)pthread_mutex_unlock(&s->lock);
	racer->hedge_ms = now + racer->patience.ms;
	racer->must_ms = now + racer->patience.must_ms;
}

static int read_submit(
	struct read_race *race, unsigned i, struct pluri_err *err)
{
	const struct fleet_read *r = race->r;
	struct read_racer *racer = &race->racers[i];
	const uint64_t now = fleet_now_ms();
	pluri_auto(fleet_op) op = NULL;
	uint64_t wait_ms = 0;
	int code;

	if (!racer->store)
		return pluri_fail(err, EAGAIN, "not in use now");
	op = fleet_op_new(racer->store, FLEET_GET, r->sources[i].key, err);
	if (!op)
		return -err->code;
	op->room.data = malloc(r->len ? r->len : 1);
	if (!op->room.data)
		return pluri_fail(
			err, ENOMEM, "no memory for %zu bytes", r->len);
	op->room.cap = r->len;
	op->off = r->off;
	op->flags = (racer->up ? 0 : FLEET_FORCE) |
		    (r->background ? FLEET_BACKGROUND : 0);
	op->ahead = race->ahead;
	op->span_ms = fleet_span_ms(race->f, racer->store, r->len);
	if (now + op->span_ms > race->deadline_ms)
		op->span_ms =
			race->deadline_ms > now ? race->deadline_ms - now : 0;
	op->deadline_ms = now + op->span_ms;
	op->wait = &race->wait;
	racer->due_ms = op->deadline_ms;
	code = fleet_queue_add(race->f, op, &wait_ms, err);
	if (code < 0)
		return code;
	read_wind(race, racer, now);
	racer->op = pluri_steal(op);
	return 0;
}

/* Ask one more: who, or NULL when nobody is left. */
static struct read_racer *read_ask(struct read_race *race)
{
	while (race->next < race->r->n) {
		const unsigned i = race->order[race->next++];
		struct read_racer *racer = &race->racers[i];
		struct pluri_err e = {0};
		const int code = read_submit(race, i, &e);

		if (code == 0) {
			racer->step = READ_ASKED;
			race->asked++;
			return racer;
		}
		read_bad(racer, code, e.text);
	}
	return NULL;
}

/* Stores that are down are no use as a hedge, only as a last resort. */
static bool read_may_hedge(const struct read_race *race)
{
	return race->next < race->r->n &&
	       race->racers[race->order[race->next]].up;
}

static bool read_afford(struct fleet *f, bool must)
{
	bool may;

	(void)pthread_mutex_lock(&f->lock);
	may = fleet_budget_spend(&f->budget, must);
	(void)pthread_mutex_unlock(&f->lock);
	return may;
}

static void read_count(struct fleet_store *s, bool won)
{
	(void)pthread_mutex_lock(&s->lock);
	s->pulse.hedges += !won;
	s->pulse.hedges_won += won;
	(void)pthread_mutex_unlock(&s->lock);
}

/* Is it slow? Waiting in our own queue is not the store's doing: its time
 * begins when it leaves it, but for the latest moment, and that, too, while
 * nobody waits. */
static bool read_slow(
	const struct read_race *race, struct read_racer *racer, uint64_t now)
{
	const uint64_t began = fleet_queue_began(racer->op) / 1000;
	const uint64_t from = began ? began : now;
	uint64_t due = from + racer->patience.ms;

	if (race->ahead && !began)
		racer->must_ms = now + racer->patience.must_ms;
	if (due > racer->must_ms)
		due = racer->must_ms;
	racer->hedge_ms = due;
	return due <= now;
}

static void read_hedge_one(
	struct read_race *race, struct read_racer *racer, uint64_t now)
{
	struct read_racer *other;

	if (!read_may_hedge(race)) {
		racer->hedged = true;
		return;
	}
	if (!read_slow(race, racer, now))
		return;
	if (!read_afford(race->f, now >= racer->must_ms)) {
		racer->patience.ms = racer->patience.must_ms;
		racer->hedge_ms = racer->must_ms;
		return;
	}
	racer->hedged = true;
	other = read_ask(race);
	if (!other)
		return;
	other->hedge = true;
	read_count(other->store, false);
}

static void read_hedge(struct read_race *race)
{
	const uint64_t now = fleet_now_ms();

	for (unsigned i = 0; i < race->r->n; i++) {
		struct read_racer *racer = &race->racers[i];

		if (racer->step == READ_ASKED && !racer->hedged &&
			racer->hedge_ms <= now)
			read_hedge_one(race, racer, now);
	}
}

static uint64_t read_until(const struct read_race *race)
{
	const bool hedge = read_may_hedge(race);
	uint64_t until = UINT64_MAX;

	if (race->r->stop)
		until = fleet_now_ms() + READ_STOP_MS;
	for (unsigned i = 0; i < race->r->n; i++) {
		const struct read_racer *racer = &race->racers[i];

		if (racer->step != READ_ASKED)
			continue;
		if (racer->due_ms < until)
			until = racer->due_ms;
		if (hedge && !racer->hedged && racer->hedge_ms < until)
			until = racer->hedge_ms;
	}
	return until;
}

/* --- somebody comes to wait ----------------------------------------------- */

static void read_bell(void *arg)
{
	fleet_wait_wake(arg);
}

/* From now on it is waited for: what still gives way does so no longer. */
static void read_promote(struct read_race *race)
{
	const uint64_t now = fleet_now_ms();

	if (!race->ahead || !wish_told(race->r->ahead))
		return;
	race->ahead = false;
	if (race->deadline_ms < now + race->time_ms) /* held back meanwhile */
		race->deadline_ms = now + race->time_ms;
	for (unsigned i = 0; i < race->r->n; i++) {
		struct read_racer *racer = &race->racers[i];

		if (racer->step != READ_ASKED)
			continue;
		if (fleet_queue_began(racer->op) == 0)
			read_wind(race, racer, now);
		fleet_queue_promote(racer->op);
	}
}

/* --- answers -------------------------------------------------------------- */

/* What the judge finds speaks of the store, though the plugin was content. */
static void read_blame(struct fleet_store *s, const char *text)
{
	(void)pthread_mutex_lock(&s->lock);
	fleet_health_note(s, false, FLEET_GET, 0, -EBADMSG, text);
	(void)pthread_mutex_unlock(&s->lock);
}

static void read_judge(struct read_race *race, unsigned i)
{
	const struct fleet_read *r = race->r;
	struct read_racer *racer = &race->racers[i];
	struct fleet_op *op = racer->op;
	struct pluri_span bytes = {op->room.data, op->room.len};
	struct pluri_err e = {0};
	int code = 0;

	if (bytes.len < r->len)
		code = pluri_fail(&e, EBADMSG,
			"%s: %zu bytes from %llu on, wanted %zu", op->key,
			bytes.len, (unsigned long long)r->off, r->len);
	else if (r->judge)
		code = r->judge(r->arg, r->sources[i].index, bytes, &e);
	if (code == -EBADMSG || code > 0)
		read_blame(racer->store, e.text);
	if (code < 0) {
		read_bad(racer, code, e.text);
		return;
	}
	racer->step = READ_GOOD;
	racer->bytes = pluri_steal(op->room.data);
	race->good++;
	if (racer->hedge)
		read_count(racer->store, true);
}

static void read_collect(struct read_race *race)
{
	for (unsigned i = 0; i < race->r->n; i++) {
		struct read_racer *racer = &race->racers[i];

		if (race->good == race->r->need)
			return;
		if (racer->step != READ_ASKED ||
			!fleet_queue_told(racer->op, &racer->due_ms))
			continue;
		race->asked--;
		if (racer->op->code < 0)
			read_bad(racer, racer->op->code, racer->op->err.text);
		else
			read_judge(race, i);
	}
}

static void read_run(struct read_race *race)
{
	bool sampled = false;

	while (race->good < race->r->need) {
		while (race->asked + race->good < race->r->need)
			if (!read_ask(race))
				break;
		if (race->asked == 0)
			return;
		if (!sampled)
			read_sample(race);
		sampled = true;
		race->stopped =
			race->r->stop && race->r->stop(race->r->stop_arg);
		if (race->stopped)
			return;
		fleet_wait_for(&race->wait, &race->seen, read_until(race));
		read_promote(race);
		read_collect(race);
		read_hedge(race);
	}
}

/* --- the end -------------------------------------------------------------- */

static void read_story(const struct read_race *race, char *to, size_t cap)
{
	size_t at = 0;

	to[0] = '\0';
	for (unsigned i = 0; i < race->r->n && at < cap; i++) {
		const struct read_racer *racer = &race->racers[i];
		char number[24];
		int n;

		if (racer->step != READ_BAD)
			continue;
		(void)snprintf(number, sizeof(number), "store %u",
			race->r->sources[i].store);
		/* With many sources each gets its fair part of the room */
		n = snprintf(to + at, cap - at, "%s%s: %.*s", at ? "; " : "",
			racer->store ? racer->store->name : number,
			(int)(cap / race->r->n), racer->text);
		at += n > 0 ? (size_t)n : 0;
	}
}

static int read_verdict(const struct read_race *race, struct pluri_err *err)
{
	const bool late = fleet_now_ms() >= race->deadline_ms;
	char story[PLURI_ERR_TEXT - 64];
	int code = EBADMSG;

	if (race->stopped)
		return pluri_fail(err, ECANCELED, "the read was interrupted");
	for (unsigned i = 0; i < race->r->n; i++) {
		const struct read_racer *racer = &race->racers[i];

		if (racer->step == READ_BAD && racer->code != -ENOENT &&
			racer->code != -EBADMSG)
			code = late ? ETIMEDOUT : EIO;
	}
	read_story(race, story, sizeof(story));
	return pluri_fail(err, code, "%u of %u sources are good: %s",
		race->good, race->r->need, story);
}

static void read_answer(struct read_race *race, struct fleet_answer *ret)
{
	unsigned at = 0;

	for (unsigned i = 0; i < race->r->n; i++)
		if (race->racers[i].step == READ_GOOD)
			ret[at++] = (struct fleet_answer){
				.source = i,
				.bytes = pluri_steal(race->racers[i].bytes),
			};
}

static void read_clear(struct read_race *race, int *bad)
{
	for (unsigned i = 0; i < race->r->n; i++) {
		struct read_racer *racer = &race->racers[i];

		if (racer->op && racer->hedged && race->good == race->r->need)
			fleet_queue_witness(racer->op);
		else if (racer->op)
			fleet_queue_abandon(racer->op);
		fleet_op_free(racer->op);
		fleet_pool_unref(racer->store);
		free(racer->bytes);
		if (bad)
			bad[i] = racer->step == READ_BAD ? racer->code : 0;
	}
	if (race->r->ahead)
		wish_bell(race->r->ahead, NULL, NULL);
	fleet_wait_fini(&race->wait);
}

int fleet_read(struct fleet *f, const struct fleet_read *r,
	struct fleet_answer *ret, int *bad, struct pluri_err *err)
{
	const uint64_t now = fleet_now_ms();
	struct read_race race = {.f = f, .r = r};
	int code = 0;

	if (r->need == 0 || r->need > r->n || r->n > PLURI_SHARDS_MAX ||
		r->len > PLURI_PACK_MAX)
		return pluri_fail(err, EINVAL,
			"read: %u of %u sources, %zu bytes", r->need, r->n,
			r->len);
	race.deadline_ms = r->deadline_ms;
	if (race.deadline_ms == 0)
		race.deadline_ms = now + fleet_span_ms(f, NULL, r->len);
	if (race.deadline_ms > now)
		race.time_ms = race.deadline_ms - now;
	fleet_wait_init(&race.wait);
	if (r->ahead) {
		wish_bell(r->ahead, read_bell, &race.wait);
		race.ahead = !r->background && !wish_told(r->ahead);
	}
	(void)pthread_mutex_lock(&f->lock);
	fleet_budget_earn(&f->budget, r->need);
	(void)pthread_mutex_unlock(&f->lock);
	read_line_up(&race);
	read_run(&race);
	if (race.good == r->need)
		read_answer(&race, ret);
	else
		code = read_verdict(&race, err);
	read_clear(&race, bad);
	return code;
}
