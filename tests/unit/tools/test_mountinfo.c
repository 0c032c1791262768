#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "tools/mountinfo.h"

#define ROOT "27 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
#define A                                                              \
	"42 27 0:39 / /mnt/a rw,nosuid - fuse.pluri pluri:/etc/a.ini " \
	"rw,user_id=0\n"

static struct mountinfo m;
static struct pluri_err err;

static int match(const char *text, const char *path)
{
	memset(&m, 0, sizeof(m));
	memset(&err, 0, sizeof(err));
	return mountinfo_match(text, path, &m, &err);
}

static void match__file_in_a_volume__ini_and_relative_path(void **state)
{
	(void)state;
	assert_int_equal(match(ROOT A, "/mnt/a/d/f"), 0);
	assert_string_equal(m.dir, "/mnt/a");
	assert_string_equal(m.config, "/etc/a.ini");
	assert_string_equal(m.path, "d/f");
	assert_int_equal(match(ROOT A, "/mnt/a"), 0);
	assert_string_equal(m.path, "");
}

static void match__name_that_only_begins_alike__not_in_it(void **state)
{
	(void)state;
	assert_int_equal(match(ROOT A, "/mnt/ab"), -ENOENT);
	assert_non_null(strstr(err.text, "ext4 mounted at /"));
	assert_int_equal(match("", "/mnt/a"), -ENOENT);
}

static void match__mount_on_a_mount__the_upper_one(void **state)
{
	static const char tmp[] = "50 42 0:40 / /mnt/a/t rw - tmpfs tmpfs rw\n";
	static const char over[] =
		"51 42 0:41 / /mnt/a rw - fuse.pluri pluri:/b.ini rw\n";
	char text[1024];

	(void)state;
	(void)snprintf(text, sizeof(text), "%s%s%s", tmp, ROOT, A);
	assert_int_equal(match(text, "/mnt/a/t/x"), -ENOENT);
	assert_non_null(strstr(err.text, "tmpfs"));
	assert_int_equal(match(text, "/mnt/a/u"), 0);
	(void)snprintf(text, sizeof(text), "%s%s", A, over);
	assert_int_equal(match(text, "/mnt/a"), 0);
	assert_string_equal(m.config, "/b.ini");
}

static void match__octal_escapes__undone(void **state)
{
	(void)state;
	assert_int_equal(match("1 0 0:1 / /m\\040p\\134 rw a:1 b:2 - "
			       "fuse.pluri pluri:/a\\040b.ini rw",
				 "/m p\\/f"),
		0);
	assert_string_equal(m.dir, "/m p\\");
	assert_string_equal(m.config, "/a b.ini");
	assert_string_equal(m.path, "f");
}

static void match__lines_cut_short__passed_over(void **state)
{
	(void)state;
	assert_int_equal(match("1 0 0:1\n\n1 0 0:1 / /mnt\n" A, "/mnt/a"), 0);
	assert_int_equal(match("1 0 0:1 / /mnt rw - fuse.pluri\n", "/mnt"), 0);
}

static void match__fuse_under_another_name__to_be_asked(void **state)
{
	(void)state;
	assert_int_equal(
		match("1 0 0:1 / /mnt rw - fuse.pluri x rw\n", "/mnt/f"), 0);
	assert_string_equal(m.dir, "/mnt");
	assert_string_equal(m.config, "");
	assert_string_equal(m.path, "f");
	assert_int_equal(match("1 0 0:1 / /mnt rw - fuse x rw\n", "/mnt"), 0);
	assert_int_equal(
		match("1 0 0:1 / /mnt rw - fuse.y pluri:/a rw\n", "/mnt"), 0);
	assert_string_equal(m.config, "/a");
	assert_int_equal(
		match("1 0 0:1 / /mnt rw - fuseblk x rw\n", "/mnt"), -ENOENT);
}

static void find__root__named_by_its_type(void **state)
{
	(void)state;
	assert_int_equal(mountinfo_find("/", &m, &err), -ENOENT);
	assert_non_null(strstr(err.text, "not in a mounted volume"));
	assert_int_equal(mountinfo_find("", &m, &err), -EINVAL);
	assert_int_equal(mountinfo_find("/no/such/dir", &m, &err), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			match__file_in_a_volume__ini_and_relative_path),
		cmocka_unit_test(match__name_that_only_begins_alike__not_in_it),
		cmocka_unit_test(match__mount_on_a_mount__the_upper_one),
		cmocka_unit_test(match__octal_escapes__undone),
		cmocka_unit_test(match__lines_cut_short__passed_over),
		cmocka_unit_test(match__fuse_under_another_name__to_be_asked),
		cmocka_unit_test(find__root__named_by_its_type),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
