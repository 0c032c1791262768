/*
 * modelrun_shrink.c - fewer operations that fail alike.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/system/modelrun_run.h"

#define SHRINK_SECONDS 90

struct shrink {
	struct model_worker *w;
	struct model_op *op, *try;
	size_t n;
	time_t until;
	char why[MODEL_TEXT];
};

/* Alike but for the figures. */
static bool shrink_alike(const char *a, const char *b)
{
	static const char *const any = "0123456789abcdef";

	while (*a && *b) {
		a += strspn(a, any);
		b += strspn(b, any);
		if (*a != *b)
			return false;
		a += *a != 0;
		b += *b != 0;
	}
	return *a == *b;
}

/* Without op[from, from + len), does it still fail? Then be rid of them. */
static bool shrink_without(struct shrink *s, size_t from, size_t len)
{
	char why[MODEL_TEXT];
	const size_t rest = s->n - from - len;

	memcpy(s->try, s->op, from * sizeof(*s->op));
	memcpy(s->try + from, s->op + from + len, rest * sizeof(*s->op));
	if (model_replay(s->w, s->try, s->n - len, why) != 1 ||
		!(len == 0 || shrink_alike(why, s->why)))
		return false;
	s->n -= len;
	memcpy(s->op, s->try, s->n * sizeof(*s->op));
	memcpy(s->why, why, sizeof(s->why));
	return true;
}

static void shrink_all(struct shrink *s)
{
	for (size_t len = s->n / 2; len > 0 && time(NULL) < s->until;) {
		bool less = false;

		/* from the end: the last ones matter */
		for (size_t at = s->n; at > 0 && time(NULL) < s->until;) {
			const size_t step = len < at ? len : at;

			at -= step;
			less = shrink_without(s, at, step) || less;
		}
		if (len == 1 && !less)
			break;
		len = len > 1 ? len / 2 : 1;
	}
}

static void shrink_tell(const struct shrink *s)
{
	char text[MODEL_TEXT];

	for (size_t i = 0; i < s->n; i++) {
		model_tell(&s->op[i], text);
		model_say(s->w->at, "  %s", text);
	}
	model_say(s->w->at, "%s", s->why);
}

void model_shrink(struct model_worker *w)
{
	struct shrink s = {.w = w, .n = w->ops, .until = time(NULL)};

	s.until += SHRINK_SECONDS;
	s.op = malloc((s.n + 1) * sizeof(*s.op));
	s.try = malloc((s.n + 1) * sizeof(*s.op));
	if (!s.op || !s.try)
		abort();
	memcpy(s.op, w->op, s.n * sizeof(*s.op));
	if (shrink_without(&s, s.n, 0)) {
		shrink_all(&s);
		model_say(w->at,
			"fails alone, of %zu operations these do:", w->ops);
		shrink_tell(&s);
	} else {
		model_say(w->at, "does not fail alone");
	}
	model_keep(w, s.op, s.n);
	free(s.op);
	free(s.try);
}
