#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "tests/unit/backends/s3_talk.h"

/* --- requests ------------------------------------------------------------ */

static void put__sent__plain_and_signed(void **state)
{
	static const char *const never[] = {"aws-chunked", "x-amz-checksum",
		"x-amz-sdk", "x-amz-trailer", "Expect:", "Transfer-Encoding",
		"application/json", "If-None-Match", "if-none-match"};
	S3_TALK(t, {.reply = OK});

	(void)state;
	assert_int_equal(s3_talk_put(t, 0), 0);
	assert_true(s3_talk_sent(t, 0, "PUT /bucket/pre/k HTTP/1.1\r\n"));
	assert_true(s3_talk_sent(t, 0, "Content-Length: 4\r\n"));
	assert_true(s3_talk_sent(t, 0,
		"x-amz-content-sha256: 230d8358dc8e8890b4c58deeb62912ee"
		"2f20357ae92a5cc861b98e68fe31acb5\r\n"));
	assert_true(s3_talk_sent(t, 0, "Credential=first-id/"));
	assert_true(s3_talk_sent(t, 0, "\r\n\r\nbody"));
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		assert_false(s3_talk_sent(t, 0, never[i]));
	assert_int_equal(t->call.requests, 1);
	s3_talk_free(t);
}

/* --- refusals ------------------------------------------------------------ */

static void get__each_refusal__its_code(void **state)
{
	static const struct {
		const char *reply;
		int code;
	} t[] = {
		{NO_KEY, ENOENT},
		{REFUSAL("404 No", "NoSuchBucket"), ENODEV},
		{ANSWER("404 No", "<html>nginx</html>"), EBADMSG},
		{ANSWER("404 No", ""), EBADMSG},
		{REFUSAL("403 No", "AccessDenied"), EACCES},
		{REFUSAL("403 No", "InvalidAccessKeyId"), EACCES},
		{REFUSAL("403 No", "SignatureDoesNotMatch"), EACCES},
		{REFUSAL("400 No", "ExpiredToken"), EACCES},
		{REFUSAL("400 No", "AuthorizationHeaderMalformed"), EACCES},
		{ANSWER("401 No", ""), EACCES},
		{ANSWER("301 Moved", ""), EACCES},
		{REFUSAL("403 No", "TooManyRequests"), EBUSY},
		{REFUSAL("403 No", "SlowDown"), EBUSY},
		{REFUSAL("503 No", "SlowDown"), EBUSY},
		{REFUSAL("400 No", "RequestLimitExceeded"), EBUSY},
		{ANSWER("429 No", ""), EBUSY},
		{ANSWER("503 No", "down"), EBUSY},
		{REFUSAL("500 No", "InternalError"), EAGAIN},
		{ANSWER("502 No", "<html/>"), EAGAIN},
		{REFUSAL("403 No", "QuotaExceeded"), ENOSPC},
		{REFUSAL("507 No", "XMinioStorageFull"), ENOSPC},
		{ANSWER("507 No", ""), ENOSPC},
		{ANSWER("204 Nothing", ""), EBADMSG},
		{ANSWER("418 Teapot", ""), EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		const struct scripted_step s = {
			.reply = t[i].reply, .then = SCRIPTED_CLOSE};
		struct s3_talk *k = s3_talk_new(&s, 1, NULL);
		const int r = s3_talk_get(k, 0, 4);

		if (r != -t[i].code)
			fail_msg("%s: %d, %s", t[i].reply, r, k->err.text);
		if (t[i].code == EACCES)
			assert_non_null(strstr(k->err.text, "credentials"));
		if (t[i].code == ENODEV)
			assert_non_null(
				strstr(k->err.text, "bucket is missing"));
		assert_int_equal(scripted_requests(k->server), 1);
		s3_talk_free(k);
	}
}

static void get__wrong_region__story_names_it(void **state)
{
	S3_TALK(t, {.reply = ANSWER("400 No",
			    "<Error><Code>AuthorizationHeaderMalformed</Code>"
			    "<Region>eu-west-9</Region></Error>"),
			   .then = SCRIPTED_CLOSE});

	(void)state;
	assert_int_equal(s3_talk_get(t, 0, 4), -EACCES);
	assert_non_null(strstr(t->err.text, "eu-west-9"));
	assert_non_null(strstr(t->err.text, "us-east-1"));
	s3_talk_free(t);
}

static void get__throttled__tells_when_to_return(void **state)
{
	S3_TALK(t, {.reply = "HTTP/1.1 503 Slow\r\nRetry-After: 3\r\n"
			     "Content-Length: 0\r\n\r\n"});

	(void)state;
	assert_int_equal(s3_talk_get(t, 0, 4), -EBUSY);
	assert_int_equal(t->call.retry_after_ms, 3000);
	s3_talk_free(t);
}

#define BYTES_OF_4                                   \
	"HTTP/1.1 206 Part\r\nContent-Length: 4\r\n" \
	"Content-Range: bytes 0-3/9\r\n\r\nabcd"

static void get__our_clock_is_wrong__learnt_once(void **state)
{
	S3_TALK(t,
		{.reply = "HTTP/1.1 403 No\r\n"
			  "Date: Fri, 24 May 2013 12:00:00 GMT\r\n"
			  "Content-Length: 48\r\n\r\n"
			  "<Error><Code>RequestTimeTooSkewed"
			  "</Code></Error>"},
		{.reply = BYTES_OF_4}, {.reply = BYTES_OF_4});

	(void)state;
	assert_int_equal(s3_talk_get(t, 0, 4), 0);
	assert_int_equal(t->call.requests, 2);
	assert_false(s3_talk_sent(t, 0, "x-amz-date: 20130524T1"));
	assert_true(s3_talk_sent(t, 1, "x-amz-date: 20130524T1"));
	assert_true(s3_talk_sent(t, 1, "Credential=first-id/20130524/"));
	assert_int_equal(s3_talk_get(t, 0, 4), 0);
	assert_int_equal(t->call.requests, 1);
	assert_true(s3_talk_sent(t, 2, "x-amz-date: 20130524T1"));
	assert_int_equal(t->fresh, 0);
	s3_talk_free(t);
}

static void get__refused_for_good__secrets_read_again_once(void **state)
{
	S3_TALK(t, {.reply = REFUSAL("403 No", "InvalidAccessKeyId"),
			   .then = SCRIPTED_CLOSE});

	(void)state;
	assert_int_equal(s3_talk_get(t, 0, 4), -EACCES);
	assert_int_equal(t->fresh, 1);
	assert_int_equal(t->call.requests, 1);
	s3_talk_free(t);
}

static void get__secrets_rotated__sent_again_with_new(void **state)
{
	S3_TALK(t,
		{.reply = REFUSAL("403 No", "InvalidAccessKeyId"),
			.then = SCRIPTED_CLOSE},
		{.reply = BYTES_OF_4}, {.reply = BYTES_OF_4});

	(void)state;
	t->rotated = "second-id";
	assert_int_equal(s3_talk_get(t, 0, 4), 0);
	assert_memory_equal(t->bytes, "abcd", 4);
	assert_true(s3_talk_sent(t, 1, "Credential=second-id/"));
	assert_int_equal(s3_talk_get(t, 0, 4), 0);
	assert_int_equal(t->fresh, 1);
	s3_talk_free(t);
}

static void get__throttled_by_403__secrets_left_alone(void **state)
{
	S3_TALK(t, {.reply = REFUSAL("403 No", "TooManyRequests"),
			   .then = SCRIPTED_CLOSE});

	(void)state;
	assert_int_equal(s3_talk_get(t, 0, 4), -EBUSY);
	assert_int_equal(t->fresh, 0);
	s3_talk_free(t);
}

/* --- get ----------------------------------------------------------------- */

#define PART(range, body) ANSWER("206 Part\r\nContent-Range: " range, body)

static void get__range_answered__bytes_and_size(void **state)
{
	S3_TALK(t,
		{.reply = PART("bytes 2-5/9", "cdef"), .then = SCRIPTED_CLOSE},
		{.reply = PART("bytes 7-8/9", "hi"), .then = SCRIPTED_CLOSE});

	(void)state;
	assert_int_equal(s3_talk_get(t, 2, 4), 0);
	assert_true(s3_talk_sent(t, 0, "range: bytes=2-5\r\n"));
	assert_true(s3_talk_sent(t, 0, "SignedHeaders=host;range;x-amz"));
	assert_int_equal(t->room.len, 4);
	assert_memory_equal(t->bytes, "cdef", 4);
	assert_int_equal(t->size, 9);
	assert_int_equal(s3_talk_get(t, 7, 4), 0);
	assert_int_equal(t->room.len, 2);
	assert_true(s3_talk_caps(t) & PLURI_CAP_RANGE);
	s3_talk_free(t);
}

static void get__range_answered_wrongly__refused(void **state)
{
	static const char *const bad[] = {
		PART("bytes 0-3/9", "abcd"), /* another place */
		PART("bytes 2-4/9", "cde"), /* short of the end */
		PART("bytes 2-5/9", "cde"), /* less than it says */
		PART("bytes 2-8/9", "cde"), /* likewise, to the end */
		PART("bytes 2-5/*", "cdef"), /* no size */
		PART("bytes 2-5/4", "cdef"), /* outside the object */
		PART("bytes 5-2/9", "cdef"),
		PART("bytes */9", "cdef"),
		PART("lines 2-5/9", "cdef"),
		PART("bytes 2-5/99999999999999999999", "cdef"),
		ANSWER("206 Part", "cdef"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct scripted_step s = {
			.reply = bad[i], .then = SCRIPTED_CLOSE};
		struct s3_talk *t = s3_talk_new(&s, 1, NULL);

		if (s3_talk_get(t, 2, 4) != -EBADMSG)
			fail_msg("taken: %s", bad[i]);
		s3_talk_free(t);
	}
}

static void get__whole_object_for_a_range__right_bytes(void **state)
{
	S3_TALK(t, {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
			     "abcdefghi"});

	(void)state;
	assert_int_equal(s3_talk_get(t, 2, 4), 0);
	assert_int_equal(t->room.len, 4);
	assert_memory_equal(t->bytes, "cdef", 4);
	assert_int_equal(t->size, 9);
	assert_false(s3_talk_caps(t) & PLURI_CAP_RANGE);
	s3_talk_free(t);
}

static void get__whole_object_fits__ranges_still_trusted(void **state)
{
	S3_TALK(t,
		{.reply = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"});

	(void)state;
	assert_int_equal(s3_talk_get(t, 0, 8), 0);
	assert_int_equal(t->room.len, 4);
	assert_true(s3_talk_caps(t) & PLURI_CAP_RANGE);
	s3_talk_free(t);
}

static void get__whole_object_of_unknown_length__no_guess(void **state)
{
	S3_TALK(t, {.reply = ANSWER("200 OK", "abc"), .then = SCRIPTED_CLOSE});

	(void)state;
	assert_int_equal(s3_talk_get(t, 0, 4), -EBADMSG);
	s3_talk_free(t);
}

static void get__chunked_whole_object__size_asked_apart(void **state)
{
	S3_TALK(t,
		{.reply = "HTTP/1.1 200 OK\r\n"
			  "Transfer-Encoding: chunked\r\n\r\n"
			  "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"},
		{.reply = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"});

	(void)state;
	assert_int_equal(s3_talk_get(t, 1, 8), 0);
	assert_int_equal(t->room.len, 5);
	assert_memory_equal(t->bytes, "bcdef", 5);
	assert_int_equal(t->size, 6);
	assert_true(s3_talk_sent(t, 1, "HEAD /bucket/pre/k "));
	s3_talk_free(t);
}

static void get__behind_the_end__nothing(void **state)
{
	S3_TALK(t,
		{.reply = ANSWER("416 No\r\nContent-Range: bytes */9", ""),
			.then = SCRIPTED_CLOSE},
		{.reply = REFUSAL("416 No", "InvalidRange"),
			.then = SCRIPTED_CLOSE},
		{.reply = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"},
		{.reply = ANSWER("416 No\r\nContent-Range: bytes */9", ""),
			.then = SCRIPTED_CLOSE});

	(void)state;
	assert_int_equal(s3_talk_get(t, 9, 4), 0);
	assert_int_equal(t->room.len, 0);
	assert_int_equal(t->size, 9);
	assert_int_equal(s3_talk_get(t, 9, 4), 0);
	assert_int_equal(t->size, 9);
	assert_int_equal(s3_talk_get(t, 8, 4), -EBADMSG);
	s3_talk_free(t);
}

/* --- del ----------------------------------------------------------------- */

static void del__gone_already__fine(void **state)
{
	S3_TALK(t, {.reply = NO_KEY, .then = SCRIPTED_CLOSE},
		{.reply = "HTTP/1.1 204 Gone\r\n\r\n"},
		{.reply = ANSWER("404 No", "nginx"), .then = SCRIPTED_CLOSE},
		{.reply = REFUSAL("404 No", "NoSuchBucket"),
			.then = SCRIPTED_CLOSE});

	(void)state;
	assert_int_equal(s3_talk_del(t), 0);
	assert_int_equal(s3_talk_del(t), 0);
	assert_int_equal(s3_talk_del(t), -EBADMSG);
	assert_int_equal(s3_talk_del(t), -ENODEV);
	s3_talk_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put__sent__plain_and_signed),
		cmocka_unit_test(get__each_refusal__its_code),
		cmocka_unit_test(get__wrong_region__story_names_it),
		cmocka_unit_test(get__throttled__tells_when_to_return),
		cmocka_unit_test(get__our_clock_is_wrong__learnt_once),
		cmocka_unit_test(
			get__refused_for_good__secrets_read_again_once),
		cmocka_unit_test(get__secrets_rotated__sent_again_with_new),
		cmocka_unit_test(get__throttled_by_403__secrets_left_alone),
		cmocka_unit_test(get__range_answered__bytes_and_size),
		cmocka_unit_test(get__range_answered_wrongly__refused),
		cmocka_unit_test(get__whole_object_for_a_range__right_bytes),
		cmocka_unit_test(get__whole_object_fits__ranges_still_trusted),
		cmocka_unit_test(get__whole_object_of_unknown_length__no_guess),
		cmocka_unit_test(get__chunked_whole_object__size_asked_apart),
		cmocka_unit_test(get__behind_the_end__nothing),
		cmocka_unit_test(del__gone_already__fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
