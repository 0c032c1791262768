#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/proxy_flow.h"
#include "bench/proxy_http.h"

#define MS UINT64_C(1000000)

static const char stream[] =
	"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
	"GET /b?x=1 HTTP/1.1\r\nA: b\r\n\r\n"
	"GET /b/?x HTTP/1.1\r\n\r\n"
	"GET /b/k%20?x HTTP/1.1\r\n\r\n"
	"POST /b/k HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
	"5;x=y\r\nhe\nlo\r\nA\r\n0123456789\r\n0\r\nT: 1\r\n\r\n"
	"HEAD /b/k HTTP/1.1\r\n\r\n"
	"DELETE /b/k HTTP/1.1\r\n\r\n"
	"LIST /b/k HTTP/1.1\r\n\r\n"
	"GET / HTTP/1.1\r\n\r\n";

static const uint64_t stream_counts[HTTP_KINDS] = {
	[HTTP_GET] = 1,
	[HTTP_LIST] = 3,
	[HTTP_HEAD] = 1,
	[HTTP_PUT] = 1,
	[HTTP_POST] = 1,
	[HTTP_DELETE] = 1,
	[HTTP_OTHER] = 1,
};

/* Fed in pieces of that many bytes, each of exactly its own memory. */
static int feed(const char *text, size_t len, size_t step, uint64_t *counts)
{
	struct http *h = calloc(1, sizeof(*h));
	int seen = 0;

	assert_non_null(h);
	for (size_t i = 0; i < len && seen >= 0; i += step) {
		const size_t n = len - i < step ? len - i : step;
		uint8_t *piece = malloc(n);
		int r = 0;

		assert_non_null(piece);
		memcpy(piece, text + i, n);
		r = http_feed(h, piece, n, counts);
		free(piece);
		seen = r < 0 ? r : seen + r;
	}
	free(h);
	return seen;
}

static void http__cut_anywhere__same_counts(void **state)
{
	(void)state;
	for (size_t step = 1; step < sizeof(stream); step++) {
		uint64_t counts[HTTP_KINDS] = {0};

		assert_int_equal(
			feed(stream, sizeof(stream) - 1, step, counts), 9);
		assert_memory_equal(counts, stream_counts, sizeof(counts));
	}
}

static void http__malformed__lost(void **state)
{
	static const char *const bad[] = {
		"GET  HTTP/1.1\r\n\r\n",
		"GET /x HTTP/1.0\r\n\r\n",
		"GET /x\r\n",
		"x\r\n",
		"PUT /b/x HTTP/1.1\r\nContent-Length: 5\r\n"
		"Content-Length: 6\r\n\r\n",
		"PUT /b/x HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
		"PUT /b/x HTTP/1.1\r\nContent-Length:\r\n\r\n",
		"PUT /b/x HTTP/1.1\r\nContent-Length: 9999999999999999\r\n\r\n",
		"PUT /b/x HTTP/1.1\r\nContent-Length: 5\r\n"
		"Transfer-Encoding: chunked\r\n\r\n",
		"PUT /b/x HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
		"PUT /b/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\ng\r\n",
		"GET /x HTTP/1.1\r\nUpgrade: y\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		uint64_t counts[HTTP_KINDS] = {0};

		assert_int_equal(
			feed(bad[i], strlen(bad[i]), 1000, counts), -1);
	}
}

static void http__too_long__lost(void **state)
{
	static char text[HTTP_LINE_MAX * 2];
	uint64_t counts[HTTP_KINDS] = {0};

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_int_equal(feed(text, sizeof(text), 100, counts), -1);
	memset(text, '\n', sizeof(text));
	assert_int_equal(feed(text, sizeof(text), 100, counts), -1);
}

/* One direction between two socket pairs, at times of our own. */
struct line {
	struct flow_link link;
	struct flow flow;
	int in[2], out[2];
};

static void line_open(struct line *l, uint64_t delay_ns, uint64_t rate)
{
	memset(l, 0, sizeof(*l));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, l->in), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, l->out), 0);
	l->link.delay_ns = delay_ns;
	l->link.rate = rate;
	l->flow.link = &l->link;
}

static void line_close(struct line *l)
{
	flow_clear(&l->flow);
	assert_int_equal(l->link.held, 0);
	for (int i = 0; i < 2; i++) {
		close(l->in[i]);
		close(l->out[i]);
	}
}

/* Sends so many bytes at that time. */
static void line_send(struct line *l, size_t n, uint64_t now_ns)
{
	static const uint8_t bytes[FLOW_PIECE];
	const uint8_t *data = NULL;
	size_t len = 0;

	assert_int_equal(send(l->in[0], bytes, n, 0), n);
	assert_int_equal(
		flow_read(&l->flow, l->in[1], now_ns, &data, &len), FLOW_SOME);
	assert_int_equal(len, n);
}

/* How many have arrived by then, since the last time. */
static size_t line_came(struct line *l, uint64_t now_ns)
{
	uint8_t bytes[FLOW_PIECE];
	ssize_t n = 0;

	assert_int_equal(flow_write(&l->flow, l->out[0], now_ns), FLOW_LATER);
	n = recv(l->out[1], bytes, sizeof(bytes), MSG_DONTWAIT);
	return n < 0 ? 0 : (size_t)n;
}

static void flow__delay__late_but_all_at_once(void **state)
{
	struct line l;

	(void)state;
	line_open(&l, 25 * MS, 0);
	for (uint64_t i = 0; i < 10; i++)
		line_send(&l, 1000, 100 * MS + i);
	assert_int_equal(flow_next(&l.flow), 125 * MS);
	assert_int_equal(line_came(&l, 125 * MS - 1), 0);
	assert_int_equal(line_came(&l, 125 * MS + 9), 10000);
	assert_int_equal(flow_next(&l.flow), FLOW_NEVER);
	assert_int_equal(l.link.passed, 10000);
	line_close(&l);
}

static void flow__rate__paced_and_held_back(void **state)
{
	struct line l;

	(void)state;
	line_open(&l, 5 * MS, 1000000); /* 1,000 bytes a millisecond */
	for (int i = 0; i < 11; i++) {
		assert_int_equal(flow_room(&l.flow, 100 * MS), 0);
		line_send(&l, 1000, 100 * MS);
	}
	assert_int_equal(flow_room(&l.flow, 100 * MS), 101 * MS);
	assert_int_equal(flow_room(&l.flow, 101 * MS), 0);
	assert_int_equal(line_came(&l, 105 * MS), 0);
	assert_int_equal(line_came(&l, 108 * MS), 3000);
	assert_int_equal(line_came(&l, 116 * MS), 8000);
	line_close(&l);
}

static void flow__full__no_room_until_some_left(void **state)
{
	struct line l;
	size_t sent = 0;

	(void)state;
	line_open(&l, 25 * MS, 0);
	while (flow_room(&l.flow, 0) == 0) {
		line_send(&l, FLOW_PIECE, 0);
		sent += FLOW_PIECE;
	}
	assert_in_range(sent, FLOW_HELD_MAX - (1u << 16), FLOW_HELD_MAX);
	assert_int_equal(flow_room(&l.flow, 0), FLOW_NEVER);
	(void)flow_write(&l.flow, l.out[0], 25 * MS);
	assert_int_equal(flow_room(&l.flow, 25 * MS), 0);
	line_close(&l);
}

static void flow__held__order_kept_and_end_last(void **state)
{
	const uint8_t *data = NULL;
	size_t len = 0;
	struct line l;

	(void)state;
	line_open(&l, MS, 0);
	line_send(&l, 10, 0);
	flow_hold(&l.flow, 50 * MS);
	line_send(&l, 20, 0);
	shutdown(l.in[0], SHUT_WR);
	assert_int_equal(
		flow_read(&l.flow, l.in[1], 0, &data, &len), FLOW_SOME);
	assert_int_equal(len, 0);
	assert_int_equal(line_came(&l, 50 * MS - 1), 0);
	assert_false(l.flow.shut);
	assert_int_equal(line_came(&l, 50 * MS), 30);
	assert_true(l.flow.shut);
	assert_int_equal(flow_room(&l.flow, 50 * MS), FLOW_NEVER);
	line_close(&l);
}

static void flow__floor__nothing_before(void **state)
{
	struct line l;

	(void)state;
	line_open(&l, MS, 0);
	flow_hold(&l.flow, 75 * MS); /* a handshake */
	line_send(&l, 10, 0);
	line_send(&l, 10, 80 * MS);
	assert_int_equal(line_came(&l, 75 * MS - 1), 0);
	assert_int_equal(line_came(&l, 75 * MS), 10);
	assert_int_equal(line_came(&l, 81 * MS), 10);
	line_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(http__cut_anywhere__same_counts),
		cmocka_unit_test(http__malformed__lost),
		cmocka_unit_test(http__too_long__lost),
		cmocka_unit_test(flow__delay__late_but_all_at_once),
		cmocka_unit_test(flow__rate__paced_and_held_back),
		cmocka_unit_test(flow__full__no_room_until_some_left),
		cmocka_unit_test(flow__held__order_kept_and_end_last),
		cmocka_unit_test(flow__floor__nothing_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
