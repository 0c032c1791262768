#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

#include "tests/unit/backends/talk.h"

struct talk *talk_new(const struct scripted_step *s, size_t n)
{
	struct talk *t = calloc(1, sizeof(*t));
	const struct http_options o = {.connect_ms = 10000};

	assert_non_null(t);
	t->server = scripted_new(s, n);
	assert_non_null(t->server);
	assert_int_equal(http_new(&o, &t->http, NULL), 0);
	(void)snprintf(t->url, sizeof(t->url), "http://127.0.0.1:%u/p?q",
		scripted_port(t->server));
	t->room = (struct pluri_room){
		.data = t->room_bytes, .cap = sizeof(t->room_bytes)};
	buf_init(&t->text, 100000);
	t->q = (struct http_request){.method = "GET", .url = t->url};
	return t;
}

int talk_run(struct talk *t, unsigned within_ms)
{
	const uint64_t start = clock_mono_ms(clock_system());
	int r;

	http_answer_free(&t->a);
	t->err.code = 0;
	t->call.deadline_ms = start + within_ms;
	r = http_run(t->http, &t->call, &t->q, &t->a, &t->err);
	t->took_ms = clock_mono_ms(clock_system()) - start;
	if (r < 0)
		assert_int_equal(t->err.code, -r);
	return r;
}

void talk_free(struct talk *t)
{
	http_answer_free(&t->a);
	buf_free(&t->text);
	http_free(t->http);
	scripted_free(t->server);
	free(t);
}
