#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/secret.h"
#include "fs/secret_int.h"

static char dir[] = "/tmp/pluri-secret-XXXXXX";
static char path[64];
static char ref[80];

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/cred", dir);
	(void)snprintf(ref, sizeof(ref), "file:%s", path);
	return 0;
}

static int drop_dir(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(dir);
}

static void put(const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void get__credentials_file__values_by_name(void **state)
{
	pluri_auto(secret) s = NULL;
	struct pluri_err err = {0};
	char v[32];

	(void)state;
	put("# two\n\naccess_key = AK:1\r\n secret_key=s=ec ret \n", 0600);
	assert_int_equal(secret_new(ref, &s, &err), 0);
	assert_int_equal(secret_get(s, "access_key", 0, v, 32, &err), 0);
	assert_string_equal(v, "AK:1");
	assert_int_equal(secret_get(s, "secret_key", 0, v, 32, &err), 0);
	assert_string_equal(v, "s=ec ret");
	assert_int_equal(secret_get(s, "token", 0, v, 32, &err), -ENOENT);
	assert_string_equal(v, "s=ec ret");
	assert_int_equal(secret_get(s, "access_key", 0, v, 4, &err), -ERANGE);
	assert_null(strstr(err.text, "AK:1"));
}

static void get__rotated_file__fresh_alone_sees_it(void **state)
{
	pluri_auto(secret) s = NULL;
	char v[32];

	(void)state;
	put("k = old\n", 0600);
	assert_int_equal(secret_new(ref, &s, NULL), 0);
	assert_int_equal(secret_get(s, "k", 0, v, 32, NULL), 0);
	put("k = new\n", 0600);
	assert_int_equal(secret_get(s, "k", 0, v, 32, NULL), 0);
	assert_string_equal(v, "old");
	assert_int_equal(secret_get(s, "k", 1, v, 32, NULL), 0);
	assert_string_equal(v, "new");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(secret_get(s, "k", 1, v, 32, NULL), -EACCES);
	assert_int_equal(secret_get(s, "k", 0, v, 32, NULL), 0);
	assert_string_equal(v, "new");
}

static void get__file_open_to_others__refused_with_the_chmod(void **state)
{
	pluri_auto(secret) s = NULL;
	struct pluri_err err = {0};
	char v[32];

	(void)state;
	put("k = hunter2\n", 0640);
	assert_int_equal(secret_new(ref, &s, NULL), 0);
	assert_int_equal(secret_get(s, "k", 0, v, 32, &err), -EACCES);
	assert_non_null(strstr(err.text, "chmod 600"));
	assert_non_null(strstr(err.text, path));
}

static void get__line_of_no_form__number_without_text(void **state)
{
	pluri_auto(secret) s = NULL;
	struct pluri_err err = {0};
	char v[32];

	(void)state;
	put("k = v\nhunter2\n", 0600);
	assert_int_equal(secret_new(ref, &s, NULL), 0);
	assert_int_equal(secret_get(s, "k", 0, v, 32, &err), -EINVAL);
	assert_non_null(strstr(err.text, "line 2"));
	assert_null(strstr(err.text, "hunter2"));
}

static void get__environment__its_lines(void **state)
{
	pluri_auto(secret) s = NULL;
	pluri_auto(secret) none = NULL;
	char v[32];

	(void)state;
	assert_int_equal(setenv("PLURI_TEST_CRED", "a = 1\nb = 2", 1), 0);
	assert_int_equal(secret_new("env:PLURI_TEST_CRED", &s, NULL), 0);
	assert_int_equal(secret_get(s, "b", 0, v, 32, NULL), 0);
	assert_string_equal(v, "2");
	assert_int_equal(secret_new("env:PLURI_TEST_NONE", &none, NULL), 0);
	assert_int_equal(secret_get(none, "b", 0, v, 32, NULL), -EACCES);
}

static void get__no_reference__no_line(void **state)
{
	pluri_auto(secret) s = NULL;
	struct pluri_err err = {0};
	char v[32];

	(void)state;
	assert_int_equal(secret_new("", &s, NULL), 0);
	assert_int_equal(secret_get(s, "k", 0, v, 32, &err), -ENOENT);
	assert_non_null(strstr(err.text, "credentials = file:PATH"));
}

static void new__reference_of_no_form__refused_and_not_shown(void **state)
{
	struct secret *s = NULL;
	struct pluri_err err = {0};

	(void)state;
	assert_int_equal(secret_new("hunter2", &s, &err), -EINVAL);
	assert_null(strstr(err.text, "hunter2"));
	assert_int_equal(secret_new("file:", &s, &err), -EINVAL);
	assert_null(s);
}

static void command__writes_lines__read(void **state)
{
	pluri_auto(secret) s = NULL;
	char v[32];

	(void)state;
	assert_int_equal(
		secret_new("command:cat; echo k = $((1+1))", &s, NULL), 0);
	assert_int_equal(secret_get(s, "k", 0, v, 32, NULL), 0);
	assert_string_equal(v, "2");
}

static void command__fails__status_without_output(void **state)
{
	pluri_auto(secret) s = NULL;
	struct pluri_err err = {0};
	char v[32];

	(void)state;
	assert_int_equal(
		secret_new("command:echo hun''ter2; exit 3", &s, NULL), 0);
	assert_int_equal(secret_get(s, "k", 0, v, 32, &err), -EACCES);
	assert_non_null(strstr(err.text, "exit status 3"));
	assert_null(strstr(err.text, "hunter2"));
}

static void command__never_ends__its_whole_group_is_ended(void **state)
{
	struct secret_room room = {NULL, 0};
	struct pluri_err err = {0};
	char line[160];
	char *end = NULL;
	long pid;
	int r;

	(void)state;
	assert_int_equal(secret_room_new(&room, NULL), 0);
	(void)snprintf(line, sizeof(line), "sleep 600 & echo $!; wait");
	r = secret_command_read(line, 200, &room, &err);
	assert_int_equal(r, -ETIMEDOUT);
	pid = strtol(room.data, &end, 10);
	assert_true(pid > 1 && *end == '\n');
	/* Gone, or a zombie whose parent has not looked yet. */
	(void)snprintf(line, sizeof(line),
		"! grep -q '^State:.[RSD]' /proc/%ld/status 2>&-", pid);
	for (unsigned i = 0; i < 100 && system(line) != 0; i++)
		(void)usleep(10000);
	assert_int_equal(system(line), 0);
	secret_room_free(&room);
}

static void command__writes_for_ever__stopped_at_the_limit(void **state)
{
	struct secret_room room = {NULL, 0};
	struct pluri_err err = {0};

	(void)state;
	assert_int_equal(secret_room_new(&room, NULL), 0);
	assert_int_equal(
		secret_command_read("exec yes", 5000, &room, &err), -EINVAL);
	assert_non_null(strstr(err.text, "65536"));
	secret_room_free(&room);
}

static void key__made_and_read__same_bytes(void **state)
{
	uint8_t key[PLURI_KEY_BYTES];
	uint8_t back[PLURI_KEY_BYTES] = {0};
	struct pluri_err err = {0};
	struct stat st;

	(void)state;
	(void)unlink(path);
	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(i * 7 + 200);
	assert_int_equal(secret_key(ref, back, &err), -ENOENT);
	assert_int_equal(secret_key_create(ref, key, &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(secret_key(ref, back, &err), 0);
	assert_memory_equal(key, back, sizeof(key));
	key[0]++;
	assert_int_equal(secret_key_create(ref, key, &err), -EEXIST);
	assert_int_equal(secret_key(ref, back, &err), 0);
	assert_int_equal(back[0], 200);
	assert_int_equal(secret_key_create("env:X", key, &err), -EINVAL);
}

static void key__of_another_form__refused_and_not_shown(void **state)
{
	uint8_t key[PLURI_KEY_BYTES];
	struct pluri_err err = {0};

	(void)state;
	put("c0ffee\n", 0600);
	assert_int_equal(secret_key(ref, key, &err), -EINVAL);
	assert_null(strstr(err.text, "c0ffee"));
	put("  00112233445566778899AABBCCDDEEFF"
	    "00112233445566778899aabbccddeeff \r\n",
		0600);
	assert_int_equal(secret_key(ref, key, &err), 0);
	assert_int_equal(key[15], 0xff);
	put("00112233445566778899aabbccddeeff"
	    "00112233445566778899aabbccddeeff 0\n",
		0600);
	assert_int_equal(secret_key(ref, key, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(get__credentials_file__values_by_name),
		cmocka_unit_test(get__rotated_file__fresh_alone_sees_it),
		cmocka_unit_test(
			get__file_open_to_others__refused_with_the_chmod),
		cmocka_unit_test(get__line_of_no_form__number_without_text),
		cmocka_unit_test(get__environment__its_lines),
		cmocka_unit_test(get__no_reference__no_line),
		cmocka_unit_test(
			new__reference_of_no_form__refused_and_not_shown),
		cmocka_unit_test(command__writes_lines__read),
		cmocka_unit_test(command__fails__status_without_output),
		cmocka_unit_test(command__never_ends__its_whole_group_is_ended),
		cmocka_unit_test(
			command__writes_for_ever__stopped_at_the_limit),
		cmocka_unit_test(key__made_and_read__same_bytes),
		cmocka_unit_test(key__of_another_form__refused_and_not_shown),
	};

	return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
