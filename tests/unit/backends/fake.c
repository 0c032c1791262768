#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "backends/fleet_int.h"
#include "tests/unit/backends/fake.h"

#define FAKE_PATIENCE_MS 10000u

void fake_init(struct pluri_backend *b)
{
	memset(b, 0, sizeof(*b));
	(void)pthread_mutex_init(&b->lock, NULL);
	clock_cond_init(&b->cond);
	b->heeds = true;
	b->size = 1000;
	b->concurrency = 4;
}

void fake_say(struct pluri_backend *b, int code, unsigned times)
{
	(void)pthread_mutex_lock(&b->lock);
	b->code = code;
	b->code_times = times;
	(void)pthread_mutex_unlock(&b->lock);
}

void fake_hold(struct pluri_backend *b, bool hold)
{
	(void)pthread_mutex_lock(&b->lock);
	b->hold = hold;
	(void)pthread_cond_broadcast(&b->cond);
	(void)pthread_mutex_unlock(&b->lock);
}

void fake_delay(struct pluri_backend *b, unsigned ms)
{
	(void)pthread_mutex_lock(&b->lock);
	b->delay_ms = ms;
	(void)pthread_mutex_unlock(&b->lock);
}

static void fake_await(
	struct pluri_backend *b, const unsigned *what, unsigned n)
{
	const uint64_t until = clock_mono_ms(clock_system()) + FAKE_PATIENCE_MS;
	int r = 0;

	(void)pthread_mutex_lock(&b->lock);
	while (*what < n && r == 0)
		r = clock_wait(&b->cond, &b->lock, until);
	(void)pthread_mutex_unlock(&b->lock);
	assert_int_equal(r, 0);
}

void fake_await_entered(struct pluri_backend *b, unsigned n)
{
	fake_await(b, &b->entered, n);
}

void fake_await_left(struct pluri_backend *b, unsigned n)
{
	fake_await(b, &b->left, n);
}

void fake_await_closed(struct pluri_backend *b)
{
	fake_await(b, &b->closed, 1);
}

unsigned fake_entered(struct pluri_backend *b)
{
	unsigned n;

	(void)pthread_mutex_lock(&b->lock);
	n = b->entered;
	(void)pthread_mutex_unlock(&b->lock);
	return n;
}

static bool fake_cancelled(
	const struct pluri_backend *b, const struct pluri_call *call)
{
	return b->heeds && call->cancel &&
	       __atomic_load_n(call->cancel, __ATOMIC_ACQUIRE);
}

/* Take as long as ordered, cancelled or not when it does not heed. */
static void fake_linger(
	struct pluri_backend *b, const struct pluri_call *call, unsigned ms)
{
	const uint64_t until = clock_mono_ms(clock_system()) + ms;
	uint64_t now = clock_mono_ms(clock_system());

	while (now < until && !fake_cancelled(b, call)) {
		(void)clock_wait(
			&b->cond, &b->lock, until < now + 5 ? until : now + 5);
		now = clock_mono_ms(clock_system());
	}
}

/* Every operation begins here: be held, then say what was ordered. */
static int fake_enter(struct pluri_backend *b, char letter,
	struct pluri_call *call, struct pluri_err *err)
{
	int code;

	(void)pthread_mutex_lock(&b->lock);
	if (b->entered < sizeof(b->trace) - 1)
		b->trace[b->entered] = letter;
	b->entered++;
	b->overdue += call->deadline_ms <= clock_mono_ms(clock_system());
	(void)pthread_cond_broadcast(&b->cond);
	if (b->delay_ms)
		fake_linger(b, call, b->delay_ms);
	while (b->hold && !fake_cancelled(b, call))
		(void)clock_wait(
			&b->cond, &b->lock, clock_mono_ms(clock_system()) + 5);
	code = b->hold ? -ECANCELED : b->code;
	if (b->code_times > 0 && --b->code_times == 0)
		b->code = 0;
	if (code == -EBUSY)
		call->retry_after_ms = b->retry_after_ms;
	(void)pthread_mutex_unlock(&b->lock);
	return code ? pluri_fail(err, -code, "fake answers %d", code) : 0;
}

static int fake_leave(struct pluri_backend *b, int code)
{
	(void)pthread_mutex_lock(&b->lock);
	b->left++;
	(void)pthread_cond_broadcast(&b->cond);
	(void)pthread_mutex_unlock(&b->lock);
	return code;
}

static void fake_close(struct pluri_backend *b)
{
	(void)pthread_mutex_lock(&b->lock);
	b->closed++;
	(void)pthread_cond_broadcast(&b->cond);
	(void)pthread_mutex_unlock(&b->lock);
}

static void fake_limits(const struct pluri_backend *b, struct pluri_limits *ret)
{
	*ret = (struct pluri_limits){
		.caps = b->caps,
		.object_max = UINT64_MAX,
		.concurrency = b->concurrency,
		.list_page = 1000,
	};
}

static int fake_put(struct pluri_backend *b, struct pluri_call *call,
	const char *key, const struct pluri_body *body, uint32_t flags,
	struct pluri_err *err)
{
	int r = fake_enter(b, 'p', call, err);

	(void)key;
	(void)flags;
	for (uint64_t off = 0; r == 0 && off < body->size; off += 16) {
		const uint64_t left = body->size - off;
		uint8_t part[16];

		r = body->read(
			body->arg, off, part, left < 16 ? left : 16, err);
		if (r < 0)
			(void)__atomic_add_fetch(
				&b->read_back, 1, __ATOMIC_ACQ_REL);
	}
	return fake_leave(b, r);
}

static int fake_get_op(struct pluri_backend *b, struct pluri_call *call,
	const char *key, uint64_t off, struct pluri_room *into,
	uint64_t *ret_size, struct pluri_err *err)
{
	const bool named = key[0] >= 'A' && key[0] <= 'Z';
	uint8_t *to = into->data;
	int r;

	(void)pthread_mutex_lock(&b->lock);
	b->gets++;
	if (b->slow_every && b->gets % b->slow_every == 0)
		fake_linger(b, call, b->slow_ms);
	(void)pthread_mutex_unlock(&b->lock);
	r = fake_enter(b, named ? key[0] : 'g', call, err);
	if (r == 0) {
		into->len = 0;
		while (into->len < into->cap && off + into->len < b->size) {
			to[into->len] = (uint8_t)((off + into->len) * 7);
			to[into->len++] += b->spoil;
		}
		*ret_size = b->size;
		into->len += b->lies ? 1 + into->cap - into->len : 0;
	}
	return fake_leave(b, r);
}

static int fake_del(struct pluri_backend *b, struct pluri_call *call,
	const char *key, struct pluri_err *err)
{
	(void)key;
	return fake_leave(b, fake_enter(b, 'd', call, err));
}

/* Two pages: a, b, then c. A failure comes after the first key. */
static int fake_list(struct pluri_backend *b, struct pluri_call *call,
	const char *prefix, struct pluri_page *page, struct pluri_err *err)
{
	const bool first = page->token[0] == '\0';
	char key[64];
	int r;

	(void)snprintf(key, sizeof(key), "%s%s", prefix, first ? "a" : "c");
	r = page->each(page->arg, key, first ? 1 : 3);
	if (r == 0)
		r = fake_enter(b, 'l', call, err);
	if (r == 0 && first) {
		(void)snprintf(key, sizeof(key), "%sb", prefix);
		r = page->each(page->arg, key, 2);
	}
	(void)snprintf(
		page->token, sizeof(page->token), "%s", first ? "more" : "");
	return fake_leave(b, r);
}

const struct pluri_backend_ops fake_ops = {
	.abi = PLURI_BACKEND_ABI,
	.size = sizeof(struct pluri_backend_ops),
	.name = "fake",
	.close = fake_close,
	.limits = fake_limits,
	.put = fake_put,
	.get = fake_get_op,
	.del = fake_del,
	.list = fake_list,
};

static uint64_t fake_clock_now(void *arg)
{
	struct fake_clock *c = arg;

	return __atomic_load_n(&c->now_ms, __ATOMIC_ACQUIRE);
}

static int64_t fake_clock_real(void *arg)
{
	(void)arg;
	return 0;
}

static void fake_clock_random(void *arg, void *to, size_t n)
{
	(void)arg;
	memset(to, 0, n);
}

void fake_clock_init(struct fake_clock *c)
{
	c->clock = (struct clock){
		.mono_ms = fake_clock_now,
		.real_ns = fake_clock_real,
		.random = fake_clock_random,
		.arg = c,
	};
	c->now_ms = 1000000;
}

void fake_clock_move(struct fake_clock *c, uint64_t ms)
{
	(void)__atomic_add_fetch(&c->now_ms, ms, __ATOMIC_ACQ_REL);
}

uint64_t fake_soon(uint64_t ms)
{
	return clock_mono_ms(clock_system()) + ms;
}

int fake_scene_new(void **state)
{
	static const char *const names[FAKE_STORES] = {"nas", "aws", "gcs"};
	struct fake_scene *s = calloc(1, sizeof(*s));
	const struct fleet_options o = {
		.clock = &s->clock.clock,
		.retry_ms = 1,
		.timeout_ms = 10000,
	};

	fake_clock_init(&s->clock);
	assert_int_equal(fleet_new(&o, &s->fleet, NULL), 0);
	for (unsigned i = 0; i < FAKE_STORES; i++) {
		fake_init(&s->b[i]);
		assert_int_equal(fleet_add(s->fleet, i, names[i], &fake_ops,
					 &s->b[i], NULL),
			0);
	}
	*state = s;
	return 0;
}

int fake_scene_free(void **state)
{
	struct fake_scene *s = *state;

	for (unsigned i = 0; i < FAKE_STORES; i++)
		fake_hold(&s->b[i], false);
	fleet_free(s->fleet);
	for (unsigned i = 0; i < FAKE_STORES; i++)
		fake_await_closed(&s->b[i]);
	free(s);
	return 0;
}

void fake_await_queued(struct fake_scene *s, unsigned n)
{
	struct fleet_store *store = fleet_store_of(s->fleet, 0);
	const uint64_t until = fake_soon(FAKE_PATIENCE_MS);
	unsigned queued;

	do {
		assert_true(fake_soon(0) < until);
		(void)sched_yield();
		(void)pthread_mutex_lock(&store->lock);
		queued = store->queued;
		(void)pthread_mutex_unlock(&store->lock);
	} while (queued != n);
	fleet_pool_unref(store);
}

int fake_get(struct fake_scene *s, unsigned store, uint64_t ms, unsigned flags,
	struct pluri_err *err)
{
	uint8_t bytes[8];
	struct pluri_room into = {bytes, sizeof(bytes), 0};

	return fleet_get(s->fleet,
		&(struct fleet_at){.store = store,
			.key = "k",
			.deadline_ms = fake_soon(ms),
			.flags = flags},
		0, &into, NULL, err);
}

int fake_mirror(struct fleet *f, uint32_t hedge_ms)
{
	struct fleet_source sources[FAKE_STORES] = {0};
	struct fleet_answer answer = {0};
	const struct fleet_read r = {
		.sources = sources,
		.n = FAKE_STORES,
		.need = 1,
		.len = 100,
		.deadline_ms = fake_soon(8000),
		.hedge_ms = hedge_ms,
	};
	int code;

	for (unsigned i = 0; i < FAKE_STORES; i++)
		sources[i] = (struct fleet_source){i, i, "k"};
	code = fleet_read(f, &r, &answer, NULL, NULL);
	free(answer.bytes);
	return code < 0 ? code : (int)answer.source;
}

struct fleet_health fake_health(struct fake_scene *s, unsigned store)
{
	struct fleet_health h;

	assert_int_equal(fleet_health(s->fleet, store, &h), 0);
	return h;
}
