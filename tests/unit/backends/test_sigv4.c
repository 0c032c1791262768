#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "backends/s3/sigv4.h"

/* The worked examples of AWS's "Signature Calculations for the Authorization
 * Header", whose keys are public. */
#define ID "AKIAIOSFODNN7EXAMPLE"
#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define HOST "examplebucket.s3.amazonaws.com"
#define DATE "20130524T000000Z"
#define NOW 1369353600
#define BODY_HASH                          \
	"44ce7dd67c959e0d3524ffac1771dfbb" \
	"a87d2b6b4b4e99e42034a8b803f8b072"

static void expect(const struct sigv4_request *q, const char *signed_headers,
	const char *signature)
{
	char want[SIGV4_AUTH_MAX];
	char auth[SIGV4_AUTH_MAX];
	struct sigv4_key k;

	assert_int_equal(sigv4_key(ID, SECRET, "us-east-1", NOW, &k, NULL), 0);
	assert_int_equal(sigv4_sign(&k, DATE, q, auth, NULL), 0);
	(void)snprintf(want, sizeof(want),
		"AWS4-HMAC-SHA256 Credential=" ID
		"/20130524/us-east-1/s3/aws4_request,SignedHeaders=%s,"
		"Signature=%s",
		signed_headers, signature);
	assert_string_equal(auth, want);
}

static const struct sigv4_header plain[] = {{"host", HOST},
	{"x-amz-content-sha256", SIGV4_EMPTY}, {"x-amz-date", DATE}};

static void sign__get_with_range__as_published(void **state)
{
	static const struct sigv4_header headers[] = {{"host", HOST},
		{"range", "bytes=0-9"}, {"x-amz-content-sha256", SIGV4_EMPTY},
		{"x-amz-date", DATE}};
	const struct sigv4_request q = {
		"GET", "/test.txt", "", headers, 4, SIGV4_EMPTY};

	(void)state;
	expect(&q, "host;range;x-amz-content-sha256;x-amz-date",
		"f0e8bdb87c964420e857bd35b5d6ed31"
		"0bd44f0170aba48dd91039c6036bdb41");
}

static void sign__put_with_body__as_published(void **state)
{
	static const struct sigv4_header headers[] = {
		{"date", "Fri, 24 May 2013 00:00:00 GMT"}, {"host", HOST},
		{"x-amz-content-sha256", BODY_HASH}, {"x-amz-date", DATE},
		{"x-amz-storage-class", "REDUCED_REDUNDANCY"}};
	const struct sigv4_request q = {
		"PUT", "/test%24file.text", "", headers, 5, BODY_HASH};

	(void)state;
	expect(&q,
		"date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
		"98ad721746da40c64f1a55b78f14c238"
		"d841ea1380cd77a1b5971af0ece108bd");
}

static void sign__query_without_value__as_published(void **state)
{
	const struct sigv4_request q = {
		"GET", "/", "lifecycle=", plain, 3, SIGV4_EMPTY};

	(void)state;
	expect(&q, "host;x-amz-content-sha256;x-amz-date",
		"fea454ca298b7da1c68078a5d1bdbfbb"
		"e0d65c699e0f91ac7a200a0136783543");
}

static void sign__listing__as_published(void **state)
{
	const struct sigv4_request q = {
		"GET", "/", "max-keys=2&prefix=J", plain, 3, SIGV4_EMPTY};

	(void)state;
	expect(&q, "host;x-amz-content-sha256;x-amz-date",
		"34b48302e7b5fa45bde8084f4b7868a8"
		"6f0a534bc59db6670ed5711ef69dc6f7");
}

static void key__another_day__stale(void **state)
{
	struct sigv4_key k;

	(void)state;
	assert_int_equal(sigv4_key(ID, SECRET, "r", NOW, &k, NULL), 0);
	assert_true(sigv4_fresh(&k, NOW));
	assert_true(sigv4_fresh(&k, NOW + 86399));
	assert_false(sigv4_fresh(&k, NOW + 86400));
	assert_false(sigv4_fresh(&k, NOW - 1));
}

static void key__parts_too_long__refused(void **state)
{
	char big[SIGV4_SECRET_MAX + 1];
	struct sigv4_key k;

	(void)state;
	memset(big, 'x', sizeof(big));
	big[SIGV4_SECRET_MAX] = 0;
	assert_int_equal(sigv4_key(ID, big, "r", 0, &k, NULL), -EINVAL);
	big[SIGV4_ID_MAX] = 0;
	assert_int_equal(sigv4_key(big, SECRET, "r", 0, &k, NULL), -EINVAL);
	big[SIGV4_REGION_MAX] = 0;
	assert_int_equal(sigv4_key(ID, SECRET, big, 0, &k, NULL), -EINVAL);
}

static void date__known_moments__basic_format(void **state)
{
	char text[SIGV4_DATE_BYTES];

	(void)state;
	sigv4_date(951782400, text);
	assert_string_equal(text, "20000229T000000Z");
	sigv4_date(4102444799, text);
	assert_string_equal(text, "20991231T235959Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sign__get_with_range__as_published),
		cmocka_unit_test(sign__put_with_body__as_published),
		cmocka_unit_test(sign__query_without_value__as_published),
		cmocka_unit_test(sign__listing__as_published),
		cmocka_unit_test(key__another_day__stale),
		cmocka_unit_test(key__parts_too_long__refused),
		cmocka_unit_test(date__known_moments__basic_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
