#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "backends/registry.h"

static int any_open(const struct pluri_host *host, const char *url,
	struct pluri_backend **ret, struct pluri_err *err)
{
	(void)host;
	(void)url;
	(void)ret;
	return pluri_fail(err, EINVAL, "never called");
}

static void any_close(struct pluri_backend *b)
{
	(void)b;
}

static void any_limits(const struct pluri_backend *b, struct pluri_limits *ret)
{
	(void)b;
	(void)ret;
}

static int any_put(struct pluri_backend *b, struct pluri_call *call,
	const char *key, const struct pluri_body *body, uint32_t flags,
	struct pluri_err *err)
{
	(void)b;
	(void)call;
	(void)body;
	return pluri_fail(err, EINVAL, "%s %u", key, flags);
}

static int any_get(struct pluri_backend *b, struct pluri_call *call,
	const char *key, uint64_t off, struct pluri_room *into,
	uint64_t *ret_size, struct pluri_err *err)
{
	(void)b;
	(void)call;
	(void)off;
	(void)into;
	(void)ret_size;
	return pluri_fail(err, EINVAL, "%s", key);
}

static int any_del(struct pluri_backend *b, struct pluri_call *call,
	const char *key, struct pluri_err *err)
{
	(void)b;
	(void)call;
	return pluri_fail(err, EINVAL, "%s", key);
}

static int any_list(struct pluri_backend *b, struct pluri_call *call,
	const char *prefix, struct pluri_page *page, struct pluri_err *err)
{
	(void)b;
	(void)call;
	(void)page;
	return pluri_fail(err, EINVAL, "%s", prefix);
}

static const struct pluri_backend_ops good = {
	.abi = PLURI_BACKEND_ABI,
	.size = sizeof(good),
	.name = "good",
	.open = any_open,
	.close = any_close,
	.limits = any_limits,
	.put = any_put,
	.get = any_get,
	.del = any_del,
	.list = any_list,
};

static void refused(const struct pluri_backend_ops *ops, const char *story)
{
	struct pluri_err err = {0};

	assert_int_equal(
		registry_judge("/x/pluri-good.so", "good", ops, &err), -EINVAL);
	assert_non_null(strstr(err.text, "/x/pluri-good.so"));
	if (!strstr(err.text, story))
		fail_msg("\"%s\" is not in \"%s\"", story, err.text);
}

static void judge__whole_plugin__is_taken(void **state)
{
	struct pluri_backend_ops longer = good;

	(void)state;
	assert_int_equal(registry_judge("p", "good", &good, NULL), 0);
	longer.size += 64;
	assert_int_equal(registry_judge("p", "good", &longer, NULL), 0);
}

static void judge__broken_plugins__each_its_own_story(void **state)
{
	struct pluri_backend_ops o = good;

	(void)state;
	refused(NULL, "returned nothing");
	o.abi = 2;
	refused(&o, "speaks plugin ABI 2, this plurifs speaks ABI 1");
	o = good;
	o.size = 16;
	refused(&o, "take 16 bytes, ABI 1 has 72");
	o = good;
	o.name = "evil";
	refused(&o, "calls itself \"evil\"");
	o.name = NULL;
	refused(&o, "calls itself \"\"");
	o = good;
	o.open = NULL;
	refused(&o, "has no open()");
	o = good;
	o.close = NULL;
	refused(&o, "has no close()");
	o = good;
	o.limits = NULL;
	refused(&o, "has no limits()");
	o = good;
	o.put = NULL;
	refused(&o, "has no put()");
	o = good;
	o.get = NULL;
	refused(&o, "has no get()");
	o = good;
	o.del = NULL;
	refused(&o, "has no del()");
	o = good;
	o.list = NULL;
	refused(&o, "has no list()");
}

static void find__names_that_are_paths__are_refused(void **state)
{
	static const char *const names[] = {"", "../s3", "a/b", "S3", "a.b",
		"a b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	const struct pluri_backend_ops *ops = NULL;

	(void)state;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(registry_find(names[i], &ops, NULL), -EINVAL);
	assert_null(ops);
}

static void find__nowhere__story_lists_where(void **state)
{
	const struct pluri_backend_ops *ops = NULL;
	struct pluri_err err = {0};

	(void)state;
	assert_int_equal(setenv("PLURI_PLUGINS", "/none/1::/none/2", 1), 0);
	assert_int_equal(registry_find("nosuch", &ops, &err), -ENOENT);
	assert_non_null(strstr(err.text, "\"nosuch\""));
	assert_non_null(strstr(err.text, "/none/1, /none/2, "));
	assert_null(ops);
}

static void find__file_is_no_module__says_why(void **state)
{
	char dir[] = "/tmp/plurifs-registry-XXXXXX";
	char path[128];
	const struct pluri_backend_ops *ops = NULL;
	struct pluri_err err = {0};
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/pluri-junk.so", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs("junk", f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(setenv("PLURI_PLUGINS", dir, 1), 0);
	assert_int_equal(registry_find("junk", &ops, &err), -EINVAL);
	assert_non_null(strstr(err.text, "cannot be loaded"));
	(void)unlink(path);
	(void)rmdir(dir);
}

static void find__built_plugins__are_loaded(void **state)
{
	static const char *const names[] = {"local", "mem"};

	(void)state;
	assert_int_equal(setenv("PLURI_PLUGINS", getenv("TEST_PLUGINS"), 1), 0);
	for (unsigned i = 0; i < 2; i++) {
		const struct pluri_backend_ops *ops = NULL;
		const struct pluri_backend_ops *again = NULL;
		struct pluri_err err = {0};

		if (registry_find(names[i], &ops, &err) < 0)
			fail_msg("%s", err.text);
		assert_string_equal(ops->name, names[i]);
		assert_int_equal(registry_find(names[i], &again, &err), 0);
		assert_ptr_equal(ops, again);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(judge__whole_plugin__is_taken),
		cmocka_unit_test(judge__broken_plugins__each_its_own_story),
		cmocka_unit_test(find__names_that_are_paths__are_refused),
		cmocka_unit_test(find__nowhere__story_lists_where),
		cmocka_unit_test(find__file_is_no_module__says_why),
		cmocka_unit_test(find__built_plugins__are_loaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
