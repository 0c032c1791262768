#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/backends/talk.h"

/* --- wrong answers ------------------------------------------------------- */

static void run__garbage__not_http(void **state)
{
	TALK(t, {.reply = "SSH-2.0-OpenSSH_9.2\r\n\r\n",
			.then = SCRIPTED_CLOSE});

	(void)state;
	t->q.text = &t->text;
	assert_int_equal(talk_run(t, LONG_MS), -EBADMSG);
	talk_free(t);
}

static void run__body_short__refused(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
			.then = SCRIPTED_CLOSE});

	(void)state;
	t->q.into = &t->room;
	assert_int_equal(talk_run(t, LONG_MS), -EBADMSG);
	talk_free(t);
}

static void run__chunks_cut__refused(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
			  "\r\n5\r\nabcde\r\n",
			.then = SCRIPTED_CLOSE});

	(void)state;
	t->q.into = &t->room;
	assert_int_equal(talk_run(t, LONG_MS), -EBADMSG);
	talk_free(t);
}

static void run__contradictory_lengths__refused(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
			  "Content-Length: 4\r\n\r\nabc"});

	(void)state;
	t->q.into = &t->room;
	assert_int_equal(talk_run(t, LONG_MS), -EBADMSG);
	talk_free(t);
}

static void run__length_no_number__refused(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nabc",
			.then = SCRIPTED_CLOSE});

	(void)state;
	t->q.into = &t->room;
	assert_int_equal(talk_run(t, LONG_MS), -EBADMSG);
	talk_free(t);
}

static void run__huge_header__refused(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 200 OK\r\nX-A: a",
			.repeat = 300000,
			.then = SCRIPTED_HANG});

	(void)state;
	assert_int_equal(talk_run(t, LONG_MS), -EBADMSG);
	talk_free(t);
}

static void run__endless_headers__refused(void **state)
{
	pluri_auto_mem char *flood = calloc(1, 200000);
	struct scripted_step s = {.reply = flood, .then = SCRIPTED_HANG};
	struct talk *t;

	(void)state;
	strcpy(flood, "HTTP/1.1 200 OK\r\n");
	while (strlen(flood) < 100000)
		strcat(flood, "X-Header-Without-End: and a value to it\r\n");
	t = talk_new(&s, 1);
	assert_int_equal(talk_run(t, LONG_MS), -EBADMSG);
	talk_free(t);
}

static void run__text_over_its_ceiling__refused(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nx",
			.repeat = 100000,
			.then = SCRIPTED_CLOSE});

	(void)state;
	t->q.text = &t->text;
	assert_int_equal(talk_run(t, LONG_MS), -EBADMSG);
	talk_free(t);
}

/* --- no answers ---------------------------------------------------------- */

static void run__no_answer__deadline(void **state)
{
	TALK(t, {.reply = "", .then = SCRIPTED_HANG});

	(void)state;
	assert_int_equal(talk_run(t, SHORT_MS), -ETIMEDOUT);
	assert_true(t->took_ms < LONG_MS);
	assert_int_equal(t->call.requests, 1);
	talk_free(t);
}

static void run__a_byte_at_a_time__deadline(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n"
			  "and so on and so on and so on and so on",
			.then = SCRIPTED_DRIP});

	(void)state;
	t->q.into = &t->room;
	assert_int_equal(talk_run(t, SHORT_MS), -ETIMEDOUT);
	assert_true(t->took_ms < LONG_MS);
	talk_free(t);
}

static void run__deadline_passed__nothing_sent(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 204 No\r\n\r\n"});

	(void)state;
	assert_int_equal(talk_run(t, 0), -ETIMEDOUT);
	assert_int_equal(t->call.requests, 0);
	assert_int_equal(scripted_requests(t->server), 0);
	talk_free(t);
}

static void run__reset_before_answer__down(void **state)
{
	TALK(t, {.reply = "", .then = SCRIPTED_RESET});

	(void)state;
	assert_int_equal(talk_run(t, LONG_MS), -EAGAIN);
	talk_free(t);
}

static void run__reset_in_the_middle__never_success(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",
			.then = SCRIPTED_RESET});
	int r;

	(void)state;
	t->q.into = &t->room;
	r = talk_run(t, LONG_MS);
	assert_true(r == -EAGAIN || r == -EBADMSG);
	talk_free(t);
}

static void run__nobody_listens__down_and_no_request(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 204 No\r\n\r\n"});

	(void)state;
	scripted_free(t->server);
	t->server = NULL;
	assert_int_equal(talk_run(t, LONG_MS), -EAGAIN);
	assert_int_equal(t->call.requests, 0);
	assert_non_null(strstr(t->err.text, "http://127.0.0.1:"));
	talk_free(t);
}

static void run__plain_server_for_tls__down(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 400 No\r\n\r\n", .then = SCRIPTED_CLOSE});

	(void)state;
	(void)snprintf(t->url, sizeof(t->url), "https://127.0.0.1:%u/",
		scripted_port(t->server));
	assert_true(talk_run(t, SHORT_MS) < 0);
	assert_true(t->err.code == EAGAIN || t->err.code == ETIMEDOUT);
	talk_free(t);
}

static void run__user_in_url__never_told(void **state)
{
	TALK(t, {.reply = "", .then = SCRIPTED_RESET});

	(void)state;
	(void)snprintf(t->url, sizeof(t->url),
		"http://joe:hush@127.0.0.1:%u/key?sig=hush",
		scripted_port(t->server));
	assert_int_equal(talk_run(t, LONG_MS), -EAGAIN);
	assert_null(strstr(t->err.text, "hush"));
	assert_null(strstr(t->err.text, "joe"));
	assert_non_null(strstr(t->err.text, "127.0.0.1"));
	talk_free(t);
}

static void run__other_scheme__refused(void **state)
{
	TALK(t, {.reply = "HTTP/1.1 204 No\r\n\r\n"});

	(void)state;
	t->q.url = "file:///etc/passwd";
	assert_int_equal(talk_run(t, LONG_MS), -EINVAL);
	talk_free(t);
}

static void *cancel_later(void *arg)
{
	struct talk *t = arg;

	while (scripted_requests(t->server) == 0)
		sched_yield();
	__atomic_store_n(
		(uint32_t *)(uintptr_t)t->call.cancel, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void run__cancelled__soon_over(void **state)
{
	TALK(t, {.reply = "", .then = SCRIPTED_HANG});
	uint32_t cancel = 0;
	pthread_t th;

	(void)state;
	t->call.cancel = &cancel;
	assert_int_equal(pthread_create(&th, NULL, cancel_later, t), 0);
	assert_int_equal(talk_run(t, 2 * LONG_MS), -ECANCELED);
	assert_true(t->took_ms < LONG_MS);
	pthread_join(th, NULL);
	talk_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(run__garbage__not_http),
		cmocka_unit_test(run__body_short__refused),
		cmocka_unit_test(run__chunks_cut__refused),
		cmocka_unit_test(run__contradictory_lengths__refused),
		cmocka_unit_test(run__length_no_number__refused),
		cmocka_unit_test(run__huge_header__refused),
		cmocka_unit_test(run__endless_headers__refused),
		cmocka_unit_test(run__text_over_its_ceiling__refused),
		cmocka_unit_test(run__no_answer__deadline),
		cmocka_unit_test(run__a_byte_at_a_time__deadline),
		cmocka_unit_test(run__deadline_passed__nothing_sent),
		cmocka_unit_test(run__reset_before_answer__down),
		cmocka_unit_test(run__reset_in_the_middle__never_success),
		cmocka_unit_test(run__nobody_listens__down_and_no_request),
		cmocka_unit_test(run__plain_server_for_tls__down),
		cmocka_unit_test(run__user_in_url__never_told),
		cmocka_unit_test(run__other_scheme__refused),
		cmocka_unit_test(run__cancelled__soon_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
