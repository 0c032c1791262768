#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/call.h"
#include "backends/registry.h"

#include "tests/conformance/host.h"

#define WAIT_MS 20000u

/* A get of a key that is not there, with these secrets and this url. */
static int ask(const char *url, const char *const *secrets,
	const char *const *options, struct pluri_err *err)
{
	const struct pluri_backend_ops *ops = NULL;
	struct pluri_backend *b = NULL;
	struct pluri_call call = {.deadline_ms = call_now_ms() + WAIT_MS};
	char byte;
	struct pluri_room room = {.data = &byte, .cap = 1};
	struct host h;
	int r;

	host_init(&h, options, secrets);
	assert_int_equal(registry_find("s3", &ops, err), 0);
	assert_int_equal(ops->open(&h.host, url, &b, err), 0);
	r = ops->get(b, &call, "no/such/key", 0, &room, NULL, err);
	ops->close(b);
	assert_true(r < 0);
	assert_int_equal(err->code, -r);
	assert_null(strstr(err->text, "testing"));
	return r;
}

static const char *const good[] = {
	"access_key_id=test:tester", "secret_access_key=testing", NULL};

static void get__all_right__only_the_object_is_missing(void **state)
{
	struct pluri_err err = {0};

	assert_int_equal(ask(*state, good, NULL, &err), -ENOENT);
}

static void get__wrong_secret__credentials_refused(void **state)
{
	static const char *const wrong[] = {
		"access_key_id=test:tester", "secret_access_key=tasting", NULL};
	struct pluri_err err = {0};

	assert_int_equal(ask(*state, wrong, NULL, &err), -EACCES);
	assert_non_null(strstr(err.text, "credentials"));
	assert_null(strstr(err.text, "tasting"));
}

static void get__wrong_key_id__credentials_refused(void **state)
{
	static const char *const wrong[] = {
		"access_key_id=test:nobody", "secret_access_key=testing", NULL};
	struct pluri_err err = {0};

	assert_int_equal(ask(*state, wrong, NULL, &err), -EACCES);
	assert_non_null(strstr(err.text, "credentials"));
}

static void get__wrong_region__named(void **state)
{
	static const char *const options[] = {"region=eu-north-7", NULL};
	struct pluri_err err = {0};

	assert_int_equal(ask(*state, good, options, &err), -EACCES);
	assert_non_null(strstr(err.text, "us-east-1"));
	assert_non_null(strstr(err.text, "eu-north-7"));
}

static void get__no_such_bucket__missing_not_the_object(void **state)
{
	struct pluri_err err = {0};

	(void)state;
	assert_int_equal(
		ask(getenv("PLURI_TEST_S3_NONE"), good, NULL, &err), -ENODEV);
	assert_non_null(strstr(err.text, "bucket is missing"));
}

static void get__nobody_listens__down(void **state)
{
	struct pluri_err err = {0};

	(void)state;
	assert_int_equal(
		ask("http://127.0.0.1:1/bucket", good, NULL, &err), -EAGAIN);
}

static int find_server(void **state)
{
	*state = getenv("PLURI_TEST_S3");
	return *state ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(get__all_right__only_the_object_is_missing),
		cmocka_unit_test(get__wrong_secret__credentials_refused),
		cmocka_unit_test(get__wrong_key_id__credentials_refused),
		cmocka_unit_test(get__wrong_region__named),
		cmocka_unit_test(get__no_such_bucket__missing_not_the_object),
		cmocka_unit_test(get__nobody_listens__down),
	};

	return cmocka_run_group_tests(tests, find_server, NULL);
}
