#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

#include "tests/unit/backends/talk.h"

/* --- whole answers ------------------------------------------------------- */

static void run__plain_answer__status_headers_body(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
			  "ETag:  x y \r\n"
			  "Date: Fri, 24 May 2013 00:00:00 GMT\r\n\r\nhello"});
	const char *const headers[] = {"X-One: 1", NULL};

	(void)state;
	t->q.text = &t->text;
	t->q.headers = headers;
	assert_int_equal(talk_run(t, LONG_MS), 0);
	assert_int_equal(t->a.status, 200);
	assert_int_equal(t->a.length, 5);
	assert_string_equal(buf_text(&t->text), "hello");
	assert_string_equal(http_header(&t->a, "etag"), "x y");
	assert_null(http_header(&t->a, "x y"));
	assert_int_equal(http_date(&t->a), 1369353600);
	assert_int_equal(t->call.requests, 1);
	assert_non_null(
		strstr(scripted_request(t->server, 0), "GET /p?q HTTP"));
	assert_non_null(strstr(scripted_request(t->server, 0), "X-One: 1\r\n"));
	talk_free(t);
}

static void run__two_requests__one_connection(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 204 No Content\r\n\r\n"},
		{.reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"});

	(void)state;
	assert_int_equal(talk_run(t, LONG_MS), 0);
	assert_int_equal(talk_run(t, LONG_MS), 0);
	assert_int_equal(t->call.requests, 2);
	assert_int_equal(scripted_connections(t->server), 1);
	talk_free(t);
}

static void run__redirect__not_followed(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 301 Moved\r\nLocation: /other\r\n"
			  "Content-Length: 0\r\n\r\n"});

	(void)state;
	assert_int_equal(talk_run(t, LONG_MS), 0);
	assert_int_equal(t->a.status, 301);
	assert_int_equal(scripted_requests(t->server), 1);
	talk_free(t);
}

static void run__error_answer__body_kept_to_its_ceiling(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 403 No\r\nConnection: close\r\n\r\n<E>x",
			.repeat = 300000,
			.then = SCRIPTED_CLOSE});

	(void)state;
	t->q.into = &t->room;
	assert_int_equal(talk_run(t, LONG_MS), 0);
	assert_int_equal(t->a.status, 403);
	assert_int_equal(t->a.error.len, HTTP_ERROR_BODY_MAX);
	assert_memory_equal(t->a.error.data, "<E>x", 4);
	assert_int_equal(t->room.len, 0);
	talk_free(t);
}

static void run__head__length_without_body(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n"},
		{.reply = "HTTP/1.1 200 OK\r\nContent-Length: 78\r\n\r\n"});

	(void)state;
	t->q.method = "HEAD";
	assert_int_equal(talk_run(t, LONG_MS), 0);
	assert_int_equal(t->a.length, 77);
	assert_int_equal(talk_run(t, LONG_MS), 0);
	assert_int_equal(t->a.length, 78);
	assert_int_equal(scripted_connections(t->server), 1);
	talk_free(t);
}

static void run__continue_first__last_status_counts(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 100 Continue\r\nX-A: 1\r\n\r\n"
			  "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"});

	(void)state;
	assert_int_equal(talk_run(t, LONG_MS), 0);
	assert_int_equal(t->a.status, 201);
	assert_null(http_header(&t->a, "x-a"));
	talk_free(t);
}

#define THREADS 4u
#define EACH 8u

static void *run_several(void *arg)
{
	const struct talk *t = arg;
	struct pluri_call call = {
		.deadline_ms = clock_mono_ms(clock_system()) + 10000};
	uintptr_t good = 0;

	for (unsigned i = 0; i < EACH; i++) {
		char bytes[8];
		struct pluri_room room = {.data = bytes, .cap = sizeof(bytes)};
		struct http_request q = t->q;
		struct http_answer a;

		q.into = &room;
		if (http_run(t->http, &call, &q, &a, NULL) < 0)
			continue;
		good += room.len == 3 && memcmp(bytes, "abc", 3) == 0;
		http_answer_free(&a);
	}
	return (void *)good;
}

static void run__from_many_threads__each_its_answer(void **state)
{
	struct scripted_step steps[THREADS * EACH];
	pthread_t th[THREADS];
	uintptr_t good = 0;
	struct talk *t;

	(void)state;
	for (unsigned i = 0; i < THREADS * EACH; i++)
		steps[i] = (struct scripted_step){
			.reply = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
				 "Content-Length: 3\r\n\r\nabc",
			.then = SCRIPTED_CLOSE};
	t = talk_new(steps, THREADS * EACH);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&th[i], NULL, run_several, t), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		void *one = NULL;

		pthread_join(th[i], &one);
		good += (uintptr_t)one;
	}
	assert_int_equal(good, THREADS * EACH);
	talk_free(t);
}

/* --- ranges -------------------------------------------------------------- */

static void run__partial_answer__into_room(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 206 P\r\nContent-Length: 3\r\n\r\nabc"});

	(void)state;
	t->q.into = &t->room;
	t->q.skip = 2;
	assert_int_equal(talk_run(t, LONG_MS), 0);
	assert_int_equal(t->room.len, 3);
	assert_memory_equal(t->room_bytes, "abc", 3);
	talk_free(t);
}

static void run__partial_answer_too_long__refused(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 206 P\r\nContent-Length: 65\r\n\r\na",
			.repeat = 64});

	(void)state;
	t->q.into = &t->room;
	assert_int_equal(talk_run(t, LONG_MS), -EBADMSG);
	talk_free(t);
}

static void run__whole_answer_to_range__skipped_and_stopped(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 50000003\r\n"
			  "\r\nabcx",
			.repeat = 49999999});

	(void)state;
	t->q.into = &t->room;
	t->q.skip = 2;
	assert_int_equal(talk_run(t, LONG_MS), 0);
	assert_int_equal(t->a.length, 50000003);
	assert_int_equal(t->room.len, sizeof(t->room_bytes));
	assert_memory_equal(t->room_bytes, "cxx", 3);
	talk_free(t);
}

static void run__whole_answer_slightly_long__connection_kept(void **state)
{
	TALK(t,
		{.reply = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx",
			.repeat = 999},
		{.reply = "HTTP/1.1 204 No\r\n\r\n"});

	(void)state;
	t->q.into = &t->room;
	assert_int_equal(talk_run(t, LONG_MS), 0);
	assert_int_equal(t->room.len, sizeof(t->room_bytes));
	assert_int_equal(talk_run(t, LONG_MS), 0);
	assert_int_equal(scripted_connections(t->server), 1);
	talk_free(t);
}

static void run__skip_behind_the_end__nothing(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"});

	(void)state;
	t->q.into = &t->room;
	t->q.skip = 3;
	assert_int_equal(talk_run(t, LONG_MS), 0);
	assert_int_equal(t->room.len, 0);
	talk_free(t);
}

/* --- uploads ------------------------------------------------------------- */

#define UPLOAD_BYTES 1000000u

static int upload_read(
	void *arg, uint64_t off, void *to, size_t len, struct pluri_err *err)
{
	unsigned *fail = arg;

	if (*fail)
		return pluri_fail(err, EIO, "the disk is sick");
	assert_true(off + len <= UPLOAD_BYTES);
	for (size_t i = 0; i < len; i++)
		((char *)to)[i] = (char)('a' + (off + i) % 23);
	return 0;
}

static void run__put__body_arrives_with_its_length(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"});
	unsigned fail = 0;
	const struct pluri_body body = {UPLOAD_BYTES, upload_read, &fail};
	const char *got;

	(void)state;
	t->q.method = "PUT";
	t->q.body = &body;
	assert_int_equal(talk_run(t, LONG_MS), 0);
	got = scripted_request(t->server, 0);
	assert_non_null(strstr(got, "Content-Length: 1000000\r\n"));
	assert_null(strstr(got, "Expect"));
	assert_null(strstr(got, "Transfer-Encoding"));
	got = strstr(got, "\r\n\r\n") + 4;
	for (size_t i = 0; i < UPLOAD_BYTES; i++)
		assert_int_equal(got[i], 'a' + i % 23);
	assert_int_equal(strlen(got), UPLOAD_BYTES);
	talk_free(t);
}

static void run__put_without_body__length_zero(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"});

	(void)state;
	t->q.method = "PUT";
	assert_int_equal(talk_run(t, LONG_MS), 0);
	assert_non_null(strstr(
		scripted_request(t->server, 0), "Content-Length: 0\r\n"));
	talk_free(t);
}

static void run__body_unreadable__the_readers_story(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"});
	unsigned fail = 1;
	const struct pluri_body body = {UPLOAD_BYTES, upload_read, &fail};

	(void)state;
	t->q.method = "PUT";
	t->q.body = &body;
	assert_int_equal(talk_run(t, LONG_MS), -EIO);
	assert_string_equal(t->err.text, "the disk is sick");
	talk_free(t);
}

/* The kept connection is dead when the second request goes out on it. */
static void run__kept_connection_died__sent_again(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 204 No\r\n\r\n"},
		{.reply = "", .then = SCRIPTED_CLOSE},
		{.reply = "HTTP/1.1 201 Made\r\nContent-Length: 0\r\n\r\n"});
	unsigned fail = 0;
	const struct pluri_body body = {UPLOAD_BYTES, upload_read, &fail};

	(void)state;
	assert_int_equal(talk_run(t, LONG_MS), 0);
	t->q.method = "PUT";
	t->q.body = &body;
	assert_int_equal(talk_run(t, LONG_MS), 0);
	assert_int_equal(t->a.status, 201);
	assert_int_equal(scripted_connections(t->server), 2);
	talk_free(t);
}

/* --- the rest ------------------------------------------------------------ */

static int class_of(unsigned status, const char *header, uint64_t *ret_after)
{
	struct http_answer a = {.status = status};
	struct pluri_call call = {0};
	int r;

	buf_init(&a.headers, 1000);
	if (header)
		buf_add(&a.headers, header, strlen(header) + 1);
	if (header)
		buf_add(&a.headers, header + strlen(header) + 1,
			strlen(header + strlen(header) + 1) + 1);
	r = http_class(&call, &a);
	*ret_after = call.retry_after_ms;
	http_answer_free(&a);
	return r;
}

static void class__every_status__one_code(void **state)
{
	static const struct {
		unsigned status;
		int code;
	} t[] = {{200, 0}, {204, 0}, {206, 0}, {301, EBADMSG}, {400, EBADMSG},
		{401, EACCES}, {403, EACCES}, {404, ENOENT}, {408, EAGAIN},
		{409, EEXIST}, {412, EEXIST}, {429, EBUSY}, {500, EAGAIN},
		{502, EAGAIN}, {503, EBUSY}, {507, ENOSPC}};
	uint64_t after;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_int_equal(
			class_of(t[i].status, NULL, &after), -t[i].code);
}

static void class__retry_after__in_milliseconds_and_sane(void **state)
{
	uint64_t after = 1;

	(void)state;
	assert_int_equal(class_of(503, "retry-after\0007", &after), -EBUSY);
	assert_int_equal(after, 7000);
	(void)class_of(429, "retry-after\000999999999", &after);
	assert_int_equal(after, 86400000);
	(void)class_of(429, "retry-after\000soon", &after);
	assert_int_equal(after, 0);
}

static void encode__odd_letters__percent(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_int_equal(http_encode(&b, "a b/~\xc3\xa9+", true), 0);
	assert_string_equal(buf_text(&b), "a%20b/~%C3%A9%2B");
	buf_clear(&b);
	assert_int_equal(http_encode(&b, "a/b", false), 0);
	assert_string_equal(buf_text(&b), "a%2Fb");
	buf_free(&b);
}

static void new__no_such_ca_file__refused(void **state)
{
	const struct http_options o = {.ca_file = "/nonexistent/ca.pem"};
	struct pluri_err err;
	struct http *h = NULL;

	(void)state;
	assert_int_equal(http_new(&o, &h, &err), -EINVAL);
	assert_null(h);
	assert_non_null(strstr(err.text, "/nonexistent/ca.pem"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(run__plain_answer__status_headers_body),
		cmocka_unit_test(run__two_requests__one_connection),
		cmocka_unit_test(run__redirect__not_followed),
		cmocka_unit_test(run__error_answer__body_kept_to_its_ceiling),
		cmocka_unit_test(run__head__length_without_body),
		cmocka_unit_test(run__continue_first__last_status_counts),
		cmocka_unit_test(run__from_many_threads__each_its_answer),
		cmocka_unit_test(run__partial_answer__into_room),
		cmocka_unit_test(run__partial_answer_too_long__refused),
		cmocka_unit_test(
			run__whole_answer_to_range__skipped_and_stopped),
		cmocka_unit_test(
			run__whole_answer_slightly_long__connection_kept),
		cmocka_unit_test(run__skip_behind_the_end__nothing),
		cmocka_unit_test(run__put__body_arrives_with_its_length),
		cmocka_unit_test(run__put_without_body__length_zero),
		cmocka_unit_test(run__body_unreadable__the_readers_story),
		cmocka_unit_test(run__kept_connection_died__sent_again),
		cmocka_unit_test(class__every_status__one_code),
		cmocka_unit_test(class__retry_after__in_milliseconds_and_sane),
		cmocka_unit_test(encode__odd_letters__percent),
		cmocka_unit_test(new__no_such_ca_file__refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
