#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "backends/call.h"
#include "base/clock.h"
#include "base/own.h"

#include "backends/conformance.h"
#include "backends/conformance_case.h"

#define CONFORMANCE_KEYS 2500u
#define CONFORMANCE_TIMEOUT_MS 30000u
#define CONFORMANCE_GUARD 0xa5

uint8_t conformance_byte(uint64_t seed, uint64_t i)
{
	const uint64_t z = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) +
			   (i / 8 + 1) * UINT64_C(0xbf58476d1ce4e5b9);

	return (uint8_t)((z ^ z >> 29) >> (i % 8 * 4 + 8));
}

static int conformance_read(
	void *arg, uint64_t off, void *to, size_t len, struct pluri_err *err)
{
	const struct conformance_body *b = arg;
	uint8_t *p = to;

	if (b->cancel)
		__atomic_store_n(b->cancel, 1, __ATOMIC_RELEASE);
	if (off > b->body.size || len > b->body.size - off)
		return pluri_fail(
			err, EINVAL, "the body was read beyond its end");
	if (off + len > b->fail_at)
		return pluri_fail(err, EDOM, "the body broke, as planned");
	for (size_t i = 0; i < len; i++)
		p[i] = conformance_byte(b->seed, off + i);
	return 0;
}

void conformance_body(struct conformance_body *b, uint64_t seed, uint64_t size)
{
	*b = (struct conformance_body){.seed = seed, .fail_at = UINT64_MAX};
	b->body = (struct pluri_body){
		.size = size, .read = conformance_read, .arg = b};
}

struct pluri_call conformance_call(const struct conformance_suite *s)
{
	const uint32_t ms =
		s->c->timeout_ms ? s->c->timeout_ms : CONFORMANCE_TIMEOUT_MS;

	return (struct pluri_call){.deadline_ms = call_now_ms() + ms};
}

const char *conformance_key(const struct conformance_suite *s, const char *name,
	char to[CONFORMANCE_KEY_ROOM])
{
	(void)snprintf(to, CONFORMANCE_KEY_ROOM, "%s%s", s->prefix, name);
	return to;
}

static const char *conformance_said(int code)
{
	return code == 0 ? "success" : strerrorname_np(-code);
}

int conformance_want(int got, int want, const char *what,
	const struct pluri_err *story, struct pluri_err *err)
{
	if (got == want)
		return 0;
	return pluri_fail(err, EBADMSG, "%.160s: %s instead of %s%s%s", what,
		conformance_said(got), conformance_said(want),
		got < 0 ? ": " : "", got < 0 ? story->text : "");
}

int conformance_put(struct conformance_suite *s, const char *key, uint64_t seed,
	uint64_t size, uint32_t flags, int want, struct pluri_err *err)
{
	struct pluri_call call = conformance_call(s);
	struct pluri_err story = {0};
	struct conformance_body b;
	int r;

	conformance_body(&b, seed, size);
	r = s->c->ops->put(s->b, &call, key, &b.body, flags, &story);
	return conformance_want(r, want, "put", &story, err);
}

int conformance_del(struct conformance_suite *s, const char *key, int want,
	struct pluri_err *err)
{
	struct pluri_call call = conformance_call(s);
	struct pluri_err story = {0};
	const int r = s->c->ops->del(s->b, &call, key, &story);

	return conformance_want(r, want, "del", &story, err);
}

int conformance_absent(
	struct conformance_suite *s, const char *key, struct pluri_err *err)
{
	struct pluri_call call = conformance_call(s);
	struct pluri_err story = {0};
	uint8_t byte;
	struct pluri_room room = {.data = &byte, .cap = 1};
	const int r = s->c->ops->get(s->b, &call, key, 0, &room, NULL, &story);

	return conformance_want(
		r, -ENOENT, "get of a missing object", &story, err);
}

static int conformance_compare(const struct conformance_range *g,
	const struct pluri_room *room, uint64_t size, struct pluri_err *err)
{
	const uint64_t left = g->off < g->size ? g->size - g->off : 0;
	const uint64_t want = left < g->cap ? left : g->cap;
	const uint8_t *p = room->data;

	if (size != g->size)
		return pluri_fail(err, EBADMSG,
			"get: size %llu instead of %llu",
			(unsigned long long)size, (unsigned long long)g->size);
	if (room->len != want)
		return pluri_fail(err, EBADMSG,
			"get of %zu from %llu: %zu bytes instead of %llu",
			g->cap, (unsigned long long)g->off, room->len,
			(unsigned long long)want);
	for (size_t i = 0; i < room->len; i++)
		if (p[i] != conformance_byte(g->seed, g->off + i))
			return pluri_fail(err, EBADMSG,
				"get of %zu from %llu: byte %zu is wrong",
				g->cap, (unsigned long long)g->off, i);
	if (p[g->cap] != CONFORMANCE_GUARD)
		return pluri_fail(err, EBADMSG,
			"get of %zu from %llu: wrote behind the room", g->cap,
			(unsigned long long)g->off);
	return 0;
}

int conformance_get(struct conformance_suite *s, const char *key,
	const struct conformance_range *g, struct pluri_err *err)
{
	struct pluri_call call = conformance_call(s);
	pluri_auto_mem uint8_t *data = malloc(g->cap + 1);
	struct pluri_room room = {.data = data, .cap = g->cap};
	struct pluri_err story = {0};
	uint64_t size = UINT64_MAX;
	int r;

	if (!data)
		return pluri_fail(err, ENOMEM, "out of memory");
	memset(data, CONFORMANCE_GUARD, g->cap + 1);
	r = s->c->ops->get(s->b, &call, key, g->off, &room, &size, &story);
	r = conformance_want(r, 0, "get", &story, err);
	return r < 0 ? r : conformance_compare(g, &room, size, err);
}

struct conformance_worker {
	struct conformance_suite *s;
	void *arg;
	int (*run)(struct conformance_suite *s, void *arg, unsigned i,
		struct pluri_err *err);
	unsigned first, n;
	int code;
	struct pluri_err err;
	pthread_t thread;
	bool started;
};

static void *conformance_work(void *arg)
{
	struct conformance_worker *w = arg;

	for (unsigned i = w->first; i < w->n && w->code == 0;
		i += CONFORMANCE_CROWD)
		w->code = w->run(w->s, w->arg, i, &w->err);
	return NULL;
}

int conformance_crowd(struct conformance_suite *s, unsigned n, void *arg,
	int (*run)(struct conformance_suite *s, void *arg, unsigned i,
		struct pluri_err *err),
	struct pluri_err *err)
{
	struct conformance_worker w[CONFORMANCE_CROWD];
	int r = 0;

	for (unsigned t = 0; t < CONFORMANCE_CROWD; t++) {
		w[t] = (struct conformance_worker){
			.s = s, .arg = arg, .run = run, .first = t, .n = n};
		w[t].started = pthread_create(&w[t].thread, NULL,
				       conformance_work, &w[t]) == 0;
		if (!w[t].started)
			(void)conformance_work(&w[t]);
	}
	for (unsigned t = 0; t < CONFORMANCE_CROWD; t++) {
		if (w[t].started)
			(void)pthread_join(w[t].thread, NULL);
		if (r == 0 && w[t].code < 0)
			r = pluri_fail(err, -w[t].code, "%s", w[t].err.text);
	}
	return r;
}

int conformance_list(struct conformance_suite *s, const char *prefix,
	unsigned max_pages,
	int (*each)(void *arg, const char *key, uint64_t size), void *arg,
	struct pluri_err *err)
{
	struct pluri_page page = {.each = each, .arg = arg};
	struct pluri_err story = {0};
	int r;

	for (unsigned i = 0; i < max_pages; i++) {
		struct pluri_call call = conformance_call(s);

		r = s->c->ops->list(s->b, &call, prefix, &page, &story);
		r = conformance_want(r, 0, "list", &story, err);
		if (r < 0 || page.token[0] == 0)
			return r;
	}
	return pluri_fail(
		err, EBADMSG, "list: no end after %u pages", max_pages);
}

/* --- the run ------------------------------------------------------------ */

static unsigned conformance_table(
	const struct conformance_case *t, struct conformance_suite *s)
{
	unsigned bad = 0;

	for (; t->name; t++) {
		struct pluri_err err = {0};
		char story[PLURI_ERR_TEXT + 16] = "";
		const int r = t->run(s, &err);

		if (r < 0)
			(void)snprintf(story, sizeof(story), "%s%s",
				r == -ENOSYS ? "skipped: " : "", err.text);
		bad += r < 0 && r != -ENOSYS;
		s->c->report(s->c->arg, t->name, r == 0 || r == -ENOSYS, story);
	}
	return bad;
}

struct conformance_sweep {
	char (*keys)[CONFORMANCE_KEY_ROOM];
	unsigned n, cap;
};

static int conformance_gather(void *arg, const char *key, uint64_t size)
{
	struct conformance_sweep *w = arg;

	(void)size;
	if (w->n < w->cap)
		(void)snprintf(
			w->keys[w->n++], CONFORMANCE_KEY_ROOM, "%s", key);
	return 0;
}

static int conformance_drop(struct conformance_suite *s, void *arg, unsigned i,
	struct pluri_err *err)
{
	const struct conformance_sweep *w = arg;

	return conformance_del(s, w->keys[i], 0, err);
}

/* Everything below the prefix out; a case of its own, since it can fail. */
static int conformance_clean(struct conformance_suite *s, struct pluri_err *err)
{
	struct conformance_sweep w = {.cap = 2 * s->keys + 1000};
	int r;

	w.keys = calloc(w.cap, sizeof(w.keys[0]));
	if (!w.keys)
		return pluri_fail(err, ENOMEM, "out of memory");
	r = conformance_list(s, s->prefix, w.cap, conformance_gather, &w, err);
	if (r == 0)
		r = conformance_crowd(s, w.n, &w, conformance_drop, err);
	w.n = 0;
	if (r == 0)
		r = conformance_list(
			s, s->prefix, w.cap, conformance_gather, &w, err);
	if (r == 0 && w.n > 0)
		r = pluri_fail(err, EBADMSG, "%u objects are left, such as %s",
			w.n, w.keys[0]);
	free(w.keys);
	return r;
}

static const struct conformance_case conformance_last[] = {
	{"clean__all_deleted__nothing_listed", conformance_clean},
	{NULL, NULL},
};

static const struct conformance_case *const conformance_tables[] = {
	conformance_objects,
	conformance_calls,
	conformance_lists,
	conformance_last,
};
#define CONFORMANCE_TABLES \
	(sizeof(conformance_tables) / sizeof(conformance_tables[0]))

unsigned conformance_count(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CONFORMANCE_TABLES; i++)
		for (unsigned j = 0; conformance_tables[i][j].name; j++)
			n++;
	return n;
}

static void conformance_prefix(struct conformance_suite *s)
{
	uint32_t chance;

	clock_random(clock_system(), &chance, sizeof(chance));
	if (s->c->prefix)
		(void)snprintf(
			s->prefix, sizeof(s->prefix), "%s", s->c->prefix);
	else
		(void)snprintf(s->prefix, sizeof(s->prefix),
			"conformance-%08x/", chance);
}

int conformance_run(const struct conformance *c, struct pluri_err *err)
{
	struct conformance_suite s = {
		.c = c, .keys = c->list_keys ? c->list_keys : CONFORMANCE_KEYS};
	unsigned bad = 0;
	int r;

	if (c->prefix && strlen(c->prefix) >= sizeof(s.prefix))
		return pluri_fail(err, EINVAL, "prefix: at most %zu bytes",
			sizeof(s.prefix) - 1);
	r = c->ops->open(c->host, c->url, &s.b, err);
	if (r < 0)
		return r;
	c->ops->limits(s.b, &s.limits);
	conformance_prefix(&s);
	for (unsigned i = 0; i < CONFORMANCE_TABLES; i++)
		bad += conformance_table(conformance_tables[i], &s);
	c->ops->close(s.b);
	if (bad)
		return pluri_fail(err, EBADMSG, "%u of %u cases failed", bad,
			conformance_count());
	return 0;
}
