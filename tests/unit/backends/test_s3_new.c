#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/backends/s3_talk.h"

/* --- PLURI_PUT_NEW ------------------------------------------------------- */

#define CONDITION "if-none-match: *\r\n"
#define THERE                                        \
	"HTTP/1.1 206 Part\r\nContent-Length: 1\r\n" \
	"Content-Range: bytes 0-0/4\r\n\r\nb"
#define WHOLE(bytes)                                 \
	"HTTP/1.1 206 Part\r\nContent-Length: 4\r\n" \
	"Content-Range: bytes 0-3/4\r\n\r\n" bytes
#define FAILED REFUSAL("412 No", "PreconditionFailed")

static void put_new__condition_honoured__relied_on(void **state)
{
	S3_TALK(t, {.reply = NO_KEY, .then = SCRIPTED_CLOSE}, {.reply = OK},
		{.reply = FAILED, .then = SCRIPTED_CLOSE},
		{.reply = FAILED, .then = SCRIPTED_CLOSE}, {.reply = OK});

	(void)state;
	assert_false(s3_talk_caps(t) & PLURI_CAP_NEW);
	assert_int_equal(s3_talk_put(t, PLURI_PUT_NEW), 0);
	assert_int_equal(scripted_requests(t->server), 3);
	assert_true(s3_talk_sent(t, 1, CONDITION));
	assert_true(s3_talk_sent(t, 1, "SignedHeaders=host;if-none-match;"));
	assert_true(s3_talk_sent(t, 2, CONDITION));
	assert_true(s3_talk_caps(t) & PLURI_CAP_NEW);
	assert_int_equal(s3_talk_put(t, PLURI_PUT_NEW), -EEXIST);
	assert_int_equal(s3_talk_put(t, PLURI_PUT_NEW), 0);
	assert_int_equal(scripted_requests(t->server), 5);
	assert_true(s3_talk_sent(t, 4, CONDITION));
	s3_talk_free(t);
}

static void put_new__condition_ignored__looks_first(void **state)
{
	S3_TALK(t, {.reply = NO_KEY, .then = SCRIPTED_CLOSE}, {.reply = OK},
		{.reply = OK}, {.reply = THERE},
		{.reply = NO_KEY, .then = SCRIPTED_CLOSE}, {.reply = OK});

	(void)state;
	assert_int_equal(s3_talk_put(t, PLURI_PUT_NEW), 0);
	assert_false(s3_talk_caps(t) & PLURI_CAP_NEW);
	assert_int_equal(s3_talk_put(t, PLURI_PUT_NEW), -EEXIST);
	assert_int_equal(scripted_requests(t->server), 4);
	assert_int_equal(s3_talk_put(t, PLURI_PUT_NEW), 0);
	assert_int_equal(scripted_requests(t->server), 6);
	assert_false(s3_talk_sent(t, 5, CONDITION));
	s3_talk_free(t);
}

static void put_new__condition_not_implemented__put_without(void **state)
{
	S3_TALK(t, {.reply = NO_KEY, .then = SCRIPTED_CLOSE},
		{.reply = REFUSAL("501 No", "NotImplemented"),
			.then = SCRIPTED_CLOSE},
		{.reply = OK});

	(void)state;
	assert_int_equal(s3_talk_put(t, PLURI_PUT_NEW), 0);
	assert_false(s3_talk_sent(t, 2, CONDITION));
	assert_false(s3_talk_caps(t) & PLURI_CAP_NEW);
	s3_talk_free(t);
}

/* A server that ignores the condition must not get to overwrite. */
static void put_new__other_there_and_nothing_known__never_sent(void **state)
{
	S3_TALK(t, {.reply = THERE}, {.reply = WHOLE("bydo")});

	(void)state;
	assert_int_equal(s3_talk_put(t, PLURI_PUT_NEW), -EEXIST);
	assert_int_equal(scripted_requests(t->server), 2);
	assert_true(s3_talk_sent(t, 1, "GET "));
	assert_false(s3_talk_caps(t) & PLURI_CAP_NEW);
	s3_talk_free(t);
}

static void put_new__larger_there_already__never_sent(void **state)
{
	S3_TALK(t, {.reply = "HTTP/1.1 206 Part\r\nContent-Length: 1\r\n"
			     "Content-Range: bytes 0-0/5\r\n\r\nb"});

	(void)state;
	assert_int_equal(s3_talk_put(t, PLURI_PUT_NEW), -EEXIST);
	assert_int_equal(scripted_requests(t->server), 1);
	s3_talk_free(t);
}

static void put_new__same_there_and_refused__condition_relied_on(void **state)
{
	S3_TALK(t, {.reply = THERE}, {.reply = WHOLE("body")},
		{.reply = FAILED, .then = SCRIPTED_CLOSE}, {.reply = OK});

	(void)state;
	assert_int_equal(s3_talk_put(t, PLURI_PUT_NEW), -EEXIST);
	assert_true(s3_talk_sent(t, 2, CONDITION));
	assert_true(s3_talk_caps(t) & PLURI_CAP_NEW);
	assert_int_equal(s3_talk_put(t, PLURI_PUT_NEW), 0);
	assert_true(s3_talk_sent(t, 3, CONDITION));
	s3_talk_free(t);
}

static void put_new__same_there_and_accepted__looks_first(void **state)
{
	S3_TALK(t, {.reply = THERE}, {.reply = WHOLE("body")}, {.reply = OK},
		{.reply = NO_KEY, .then = SCRIPTED_CLOSE}, {.reply = OK});

	(void)state;
	assert_int_equal(s3_talk_put(t, PLURI_PUT_NEW), -EEXIST);
	assert_false(s3_talk_caps(t) & PLURI_CAP_NEW);
	assert_int_equal(s3_talk_put(t, PLURI_PUT_NEW), 0);
	assert_int_equal(scripted_requests(t->server), 5);
	assert_false(s3_talk_sent(t, 4, CONDITION));
	s3_talk_free(t);
}

static void put_new__cannot_look__not_put(void **state)
{
	S3_TALK(t, {.reply = REFUSAL("500 No", "InternalError"),
			   .then = SCRIPTED_CLOSE});

	(void)state;
	assert_int_equal(s3_talk_put(t, PLURI_PUT_NEW), -EAGAIN);
	assert_int_equal(scripted_requests(t->server), 1);
	s3_talk_free(t);
}

static void put__error_in_a_200__failure(void **state)
{
	S3_TALK(t, {.reply = REFUSAL("200 OK", "InternalError"),
			   .then = SCRIPTED_CLOSE});

	(void)state;
	assert_int_equal(s3_talk_put(t, 0), -EAGAIN);
	s3_talk_free(t);
}

static void put__page_of_somebody_else__not_stored(void **state)
{
	S3_TALK(t, {.reply = ANSWER("200 OK", "<html>log in</html>"),
			   .then = SCRIPTED_CLOSE});

	(void)state;
	assert_int_equal(s3_talk_put(t, 0), -EBADMSG);
	s3_talk_free(t);
}

static void put__conflict__not_exist(void **state)
{
	S3_TALK(t, {.reply = REFUSAL("409 No", "ConditionalRequestConflict"),
			   .then = SCRIPTED_CLOSE});

	(void)state;
	assert_int_equal(s3_talk_put(t, 0), -EAGAIN);
	s3_talk_free(t);
}

/* --- list ---------------------------------------------------------------- */

#define KEY(k) "<Contents><Key>" k "</Key><Size>7</Size></Contents>"
#define PAGE(more, inside)                                              \
	{                                                               \
		.reply = ANSWER("200 OK",                               \
			"<ListBucketResult><IsTruncated>" more          \
			"</IsTruncated>" inside "</ListBucketResult>"), \
		.then = SCRIPTED_CLOSE                                  \
	}

static void list__two_pages__by_the_last_key(void **state)
{
	S3_TALK(t, PAGE("true", KEY("pre/a/1") KEY("pre/a/2")),
		PAGE("false", KEY("pre/a/3")));

	(void)state;
	assert_int_equal(s3_talk_list(t, "a/"), 0);
	assert_string_equal(t->listed, "a/1 a/2 ");
	assert_true(s3_talk_sent(
		t, 0, "GET /bucket/?max-keys=1000&prefix=pre%2Fa%2F HTTP"));
	assert_int_equal(s3_talk_list(t, "a/"), 0);
	assert_true(s3_talk_sent(
		t, 1, "GET /bucket/?marker=pre%2Fa%2F2&max-keys=1000&prefix="));
	assert_string_equal(t->listed, "a/3 ");
	assert_string_equal(t->page.token, "");
	s3_talk_free(t);
}

static void list__version_2__by_its_token(void **state)
{
	const struct scripted_step s[] = {
		PAGE("true",
			"<NextContinuationToken>t=</NextContinuationToken>" KEY(
				"pre/a")),
		PAGE("false", "")};
	struct s3_talk *t = s3_talk_new(s, 2, "list_version=2");

	(void)state;
	assert_int_equal(s3_talk_list(t, ""), 0);
	assert_true(s3_talk_sent(t, 0,
		"GET /bucket/?list-type=2&max-keys=1000&prefix=pre%2F HTTP"));
	assert_int_equal(s3_talk_list(t, ""), 0);
	assert_true(s3_talk_sent(
		t, 1, "GET /bucket/?continuation-token=t%3D&list-type=2&"));
	s3_talk_free(t);
}

static void list__unbelievable_pages__no_key_told(void **state)
{
	static const struct scripted_step bad[] = {
		PAGE("true", ""),
		PAGE("false", KEY("pre/a") KEY("other/b")),
		PAGE("false", KEY("a")),
		{.reply = ANSWER(
			 "200 OK", "<ListBucketResult>" KEY(
					   "pre/a") "</ListBucketResult>"),
			.then = SCRIPTED_CLOSE},
		{.reply = ANSWER("200 OK", "<ListBucketResult><IsTruncated>"
					   "false</IsTruncated>" KEY("pre/a")),
			.then = SCRIPTED_CLOSE},
		{.reply = ANSWER("200 OK", ""), .then = SCRIPTED_CLOSE},
		{.reply = ANSWER("204 No", ""), .then = SCRIPTED_CLOSE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct s3_talk *t = s3_talk_new(&bad[i], 1, NULL);

		if (s3_talk_list(t, "") != -EBADMSG)
			fail_msg("taken: %s", bad[i].reply);
		assert_string_equal(t->listed, "");
		assert_string_equal(t->page.token, "");
		s3_talk_free(t);
	}
}

static void list__turning_in_circles__refused(void **state)
{
	S3_TALK(t, PAGE("true", KEY("pre/b")), PAGE("true", KEY("pre/b")));

	(void)state;
	assert_int_equal(s3_talk_list(t, ""), 0);
	assert_int_equal(s3_talk_list(t, ""), -EBADMSG);
	assert_string_equal(t->page.token, "pre/b");
	s3_talk_free(t);
}

static void list__foreign_keys__passed_over(void **state)
{
	S3_TALK(t, PAGE("true", KEY("pre/") KEY("pre/a") KEY("pre/b b")));

	(void)state;
	assert_int_equal(s3_talk_list(t, ""), 0);
	assert_string_equal(t->listed, "a ");
	assert_string_equal(t->page.token, "pre/b b");
	s3_talk_free(t);
}

static void list__error_in_a_200__its_code(void **state)
{
	S3_TALK(t, {.reply = REFUSAL("200 OK", "SlowDown"),
			   .then = SCRIPTED_CLOSE});

	(void)state;
	assert_int_equal(s3_talk_list(t, ""), -EBUSY);
	s3_talk_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put_new__condition_honoured__relied_on),
		cmocka_unit_test(put_new__condition_ignored__looks_first),
		cmocka_unit_test(
			put_new__condition_not_implemented__put_without),
		cmocka_unit_test(
			put_new__other_there_and_nothing_known__never_sent),
		cmocka_unit_test(put_new__larger_there_already__never_sent),
		cmocka_unit_test(
			put_new__same_there_and_refused__condition_relied_on),
		cmocka_unit_test(put_new__same_there_and_accepted__looks_first),
		cmocka_unit_test(put_new__cannot_look__not_put),
		cmocka_unit_test(put__error_in_a_200__failure),
		cmocka_unit_test(put__page_of_somebody_else__not_stored),
		cmocka_unit_test(put__conflict__not_exist),
		cmocka_unit_test(list__two_pages__by_the_last_key),
		cmocka_unit_test(list__version_2__by_its_token),
		cmocka_unit_test(list__unbelievable_pages__no_key_told),
		cmocka_unit_test(list__turning_in_circles__refused),
		cmocka_unit_test(list__foreign_keys__passed_over),
		cmocka_unit_test(list__error_in_a_200__its_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
