#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/s3/target.h"
#include "backends/s3/xml.h"

/* --- url and options ----------------------------------------------------- */

/* ctx: "name=value" lines, NULL at the end; NULL: none. */
static const char *option(void *ctx, const char *name)
{
	const char *const *line = ctx;
	const size_t n = strlen(name);

	for (; line && *line; line++)
		if (strncmp(*line, name, n) == 0 && (*line)[n] == '=')
			return *line + n + 1;
	return NULL;
}

static int parse(const char *url, const char *const *options, struct target *t,
	struct pluri_err *err)
{
	const struct pluri_host h = {
		.ctx = (void *)(uintptr_t)options, .option = option};

	return target_parse(url, &h, t, err);
}

static void target__lawful_urls__taken_apart(void **state)
{
	static const struct {
		const char *url;
		const char *options[3];
		const char *origin, *host, *root, *prefix;
	} t[] = {
		{"https://s3.eu-central-1.amazonaws.com/my-bucket/prefix",
			{NULL}, "https://s3.eu-central-1.amazonaws.com",
			"s3.eu-central-1.amazonaws.com", "/my-bucket",
			"prefix/"},
		{"https://h:9000/bucket", {NULL}, "https://h:9000", "h:9000",
			"/bucket", ""},
		{"https://h/b//x/y/", {NULL}, "https://h", "h", "/b", "x/y/"},
		{"http://127.0.0.1:1024/spider/s3/b/p",
			{"base_path=/spider/s3", NULL}, "http://127.0.0.1:1024",
			"127.0.0.1:1024", "/spider/s3/b", "p/"},
		{"https://b.h", {"addressing=virtual", NULL}, "https://b.h",
			"b.h", "", ""},
		{"https://b.h/p/q", {"addressing=virtual", NULL}, "https://b.h",
			"b.h", "", "p/q/"},
		{"https://b.h/base/p",
			{"addressing=virtual", "base_path=base", NULL},
			"https://b.h", "b.h", "/base", "p/"},
		{"http://far.example/b", {"allow_plain_http=yes", NULL},
			"http://far.example", "far.example", "/b", ""},
		{"http://[::1]:80/b", {NULL}, "http://[::1]:80", "[::1]:80",
			"/b", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct target got;

		assert_int_equal(parse(t[i].url, t[i].options, &got, NULL), 0);
		assert_string_equal(got.origin, t[i].origin);
		assert_string_equal(got.host, t[i].host);
		assert_string_equal(got.root, t[i].root);
		assert_string_equal(got.prefix, t[i].prefix);
		assert_string_equal(got.region, "us-east-1");
	}
}

static void target__unlawful_urls__refused(void **state)
{
	static const struct {
		const char *url;
		const char *options[3];
	} t[] = {
		{"", {NULL}},
		{"s3", {NULL}},
		{"ftp://h/b", {NULL}},
		{"https:///b", {NULL}},
		{"https://h", {NULL}},
		{"https://h/", {NULL}},
		{"https://h/b?x=1", {NULL}},
		{"https://h/b#x", {NULL}},
		{"https://u:p@h/b", {NULL}},
		{"https://h:port/b", {NULL}},
		{"https://h:/b", {NULL}},
		{"https://h o/b", {NULL}},
		{"https://h/b c", {NULL}},
		{"https://h/b%20c", {NULL}},
		{"https://h/b/../c", {NULL}},
		{"https://h/b/.", {NULL}},
		{"http://far.example/b", {NULL}},
		{"http://localhost.example/b", {NULL}},
		{"http://127.example/b", {NULL}},
		{"http://far.example/b", {"allow_plain_http=no", NULL}},
		{"https://h/b", {"allow_plain_http=maybe", NULL}},
		{"https://h/b", {"base_path=/other", NULL}},
		{"https://h/b", {"base_path=/b", NULL}},
		{"https://h/b", {"addressing=dns", NULL}},
		{"https://h/b", {"list_version=3", NULL}},
		{"https://h/b", {"payload=none", NULL}},
		{"https://h/b", {"region=", NULL}},
		{"https://h/b", {"region=a/b", NULL}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct target got;
		struct pluri_err err = {0};

		if (parse(t[i].url, t[i].options, &got, &err) != -EINVAL)
			fail_msg("%s was taken", t[i].url);
		assert_int_equal(err.code, EINVAL);
		assert_true(strlen(err.text) > 0);
	}
}

static void target__plain_http_far_away__says_the_option(void **state)
{
	struct pluri_err err = {0};
	struct target t;

	(void)state;
	(void)parse("http://far.example/b", NULL, &t, &err);
	assert_non_null(strstr(err.text, "allow_plain_http = yes"));
}

static void target__password_in_url__refused_without_telling(void **state)
{
	struct pluri_err err = {0};
	struct target t;

	(void)state;
	(void)parse("https://joe:hush@h/b", NULL, &t, &err);
	assert_null(strstr(err.text, "hush"));
}

static void target__payload__signed_where_tls_does_not_protect(void **state)
{
	static const char *const sign[] = {"payload=signed", NULL};
	static const char *const dont[] = {"payload=unsigned", NULL};
	struct target t;

	(void)state;
	assert_int_equal(parse("https://h/b", NULL, &t, NULL), 0);
	assert_false(t.sign_payload);
	assert_int_equal(parse("http://localhost/b", NULL, &t, NULL), 0);
	assert_true(t.sign_payload);
	assert_int_equal(parse("https://h/b", sign, &t, NULL), 0);
	assert_true(t.sign_payload);
	assert_int_equal(parse("http://localhost/b", dont, &t, NULL), 0);
	assert_false(t.sign_payload);
}

/* --- answers ------------------------------------------------------------- */

#define PAGE(inside) "<ListBucketResult>" inside "</ListBucketResult>"
#define WHOLE "<IsTruncated>false</IsTruncated>"
#define KEY(k) "<Contents><Key>" k "</Key><Size>7</Size></Contents>"

static struct pluri_span span(const char *s)
{
	return (struct pluri_span){s, strlen(s)};
}

static int gather(void *arg, const char *key, uint64_t size)
{
	char *to = arg;

	assert_int_equal(size, 7);
	(void)snprintf(to + strlen(to), 100 - strlen(to), "%s ", key);
	return 0;
}

static void list__whole_page__keys_and_where_to_go_on(void **state)
{
	char keys[100] = "";
	struct xml_page p;

	(void)state;
	assert_int_equal(
		xml_list(span("<?xml version='1.0'?>" PAGE(
				 "<Name>n</Name><IsTruncated>true</IsTruncated>"
				 "<NextMarker>m&amp;m</NextMarker>" KEY("a/1")
					 KEY("b"))),
			gather, keys, &p, NULL),
		0);
	assert_string_equal(keys, "a/1 b ");
	assert_true(p.truncated);
	assert_string_equal(p.next, "m&m");
	assert_string_equal(p.last, "b");
	assert_int_equal(p.keys, 2);
}

static void list__not_a_whole_page__refused(void **state)
{
	static const char *const bad[] = {
		"",
		"<",
		"<Error><Code>InternalError</Code></Error>",
		"<html/>",
		PAGE(""),
		PAGE(KEY("a")),
		PAGE("<IsTruncated>perhaps</IsTruncated>"),
		PAGE(WHOLE WHOLE),
		PAGE("<Contents><Inner>" WHOLE "</Inner></Contents>"),
		"<ListBucketResult>" WHOLE KEY("a"),
		PAGE(WHOLE "<Contents><Key>a</Key></Contents>"),
		PAGE(WHOLE "<Contents><Size>7</Size></Contents>"),
		PAGE(WHOLE "<Contents><Key/><Size>7</Size></Contents>"),
		PAGE(WHOLE "<Contents><Key>a</Key><Size>x</Size></Contents>"),
		PAGE(WHOLE "<Contents><Key>a<b/></Key><Size>7</Size>"
			   "</Contents>"),
		PAGE(WHOLE KEY("b") KEY("a")),
		PAGE(WHOLE KEY("a") KEY("a")),
		"<!DOCTYPE x [<!ENTITY e 'e'>]>" PAGE(WHOLE KEY("&e;")),
		"<!DOCTYPE x SYSTEM 'file:///etc/passwd'>" PAGE(WHOLE),
		PAGE(WHOLE "<a><a><a><a><a><a><a><a><a><a><a><a><a>"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct pluri_err err = {0};
		struct xml_page p = {.keys = 99};

		if (xml_list(span(bad[i]), NULL, NULL, &p, &err) != -EBADMSG)
			fail_msg("taken: %s", bad[i]);
		assert_int_equal(err.code, EBADMSG);
		assert_int_equal(p.keys, 99);
	}
}

static int stop(void *arg, const char *key, uint64_t size)
{
	(void)arg;
	(void)key;
	(void)size;
	return -ECANCELED;
}

static void list__reader_stops__its_code(void **state)
{
	struct xml_page p;

	(void)state;
	assert_int_equal(
		xml_list(span(PAGE(WHOLE KEY("a"))), stop, NULL, &p, NULL),
		-ECANCELED);
}

static void error__words__printable(void **state)
{
	struct xml_error e;

	(void)state;
	assert_int_equal(
		xml_error(
			span("<Error><Code>Slow&#10;Down</Code><Message>a&#x9b;"
			     "[31m\xc3\xa9</Message></Error>"),
			&e),
		0);
	assert_string_equal(e.code, "Slow?Down");
	assert_string_equal(e.message, "a??[31m??");
	assert_int_equal(xml_error(span("<Error></Error>"), &e), -EBADMSG);
	assert_int_equal(xml_error(span("404 page"), &e), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(target__lawful_urls__taken_apart),
		cmocka_unit_test(target__unlawful_urls__refused),
		cmocka_unit_test(target__plain_http_far_away__says_the_option),
		cmocka_unit_test(
			target__password_in_url__refused_without_telling),
		cmocka_unit_test(
			target__payload__signed_where_tls_does_not_protect),
		cmocka_unit_test(list__whole_page__keys_and_where_to_go_on),
		cmocka_unit_test(list__not_a_whole_page__refused),
		cmocka_unit_test(list__reader_stops__its_code),
		cmocka_unit_test(error__words__printable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
