#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "backends/registry.h"

#include "tests/conformance/drive.h"

static struct rig {
	char dir[256];
	char root[300];
	struct host h;
	const struct pluri_backend_ops *ops;
	struct pluri_backend *b;
	struct pluri_err err;
} rig;

static const char *path(const char *name)
{
	static char to[600];

	(void)snprintf(to, sizeof(to), "%s/%s", rig.root, name);
	return to;
}

static int read_body(
	void *arg, uint64_t off, void *to, size_t len, struct pluri_err *err)
{
	(void)arg;
	(void)off;
	(void)err;
	memset(to, 'x', len);
	return 0;
}

static int put(const char *key)
{
	const struct pluri_body body = {.size = 10, .read = read_body};
	struct pluri_call call = {0};

	return rig.ops->put(rig.b, &call, key, &body, PLURI_PUT_NEW, &rig.err);
}

static int killed_body(
	void *arg, uint64_t off, void *to, size_t len, struct pluri_err *err)
{
	if (off > 0)
		(void)kill(getpid(), SIGKILL);
	return read_body(arg, off, to, len, err);
}

/* A put of some pieces, whose process is gone after the first. */
static void put_killed(const char *key, uint32_t flags)
{
	const struct pluri_body body = {.size = 8 << 20, .read = killed_body};
	struct pluri_call call = {0};
	const pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		(void)rig.ops->put(rig.b, &call, key, &body, flags, NULL);
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static int get(const char *key)
{
	char data[20];
	struct pluri_room room = {.data = data, .cap = sizeof(data)};
	struct pluri_call call = {0};

	return rig.ops->get(rig.b, &call, key, 0, &room, NULL, &rig.err);
}

static int del(const char *key)
{
	struct pluri_call call = {0};

	return rig.ops->del(rig.b, &call, key, &rig.err);
}

static int count(void *arg, const char *key, uint64_t size)
{
	unsigned *n = arg;

	(void)key;
	(void)size;
	++*n;
	return 0;
}

static int list(unsigned *n)
{
	struct pluri_page page = {.each = count, .arg = n};
	struct pluri_call call = {0};

	*n = 0;
	return rig.ops->list(rig.b, &call, "", &page, &rig.err);
}

static unsigned count_all(void)
{
	unsigned n = 0;
	struct pluri_page page = {.each = count, .arg = &n};
	struct pluri_call call = {0};

	do
		assert_int_equal(
			rig.ops->list(rig.b, &call, "", &page, NULL), 0);
	while (page.token[0]);
	return n;
}

static void open_store(const char *const *options)
{
	host_init(&rig.h, options, NULL);
	if (rig.ops->open(&rig.h.host, rig.root, &rig.b, &rig.err) < 0)
		fail_msg("%s", rig.err.text);
}

static int set_up(void **state)
{
	(void)state;
	if (registry_find("local", &rig.ops, &rig.err) < 0)
		fail_msg("%s", rig.err.text);
	(void)snprintf(
		rig.root, sizeof(rig.root), "%s/root", drive_dir(rig.dir));
	assert_int_equal(mkdir(rig.root, 0700), 0);
	open_store(NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig.ops->close(rig.b);
	drive_remove(rig.dir);
	return 0;
}

static unsigned temporaries(void)
{
	DIR *d = opendir(path(".tmp~"));
	unsigned n = 0;

	for (struct dirent *e; d && (e = readdir(d));)
		n += e->d_name[0] != '.';
	if (d)
		(void)closedir(d);
	return n;
}

static bool has_nameless(void)
{
	const int fd = open(rig.root, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

	if (fd >= 0)
		(void)close(fd);
	return fd >= 0;
}

static void put__killed_half_way__nothing_is_left(void **state)
{
	const struct pluri_body body = {.size = 10, .read = read_body};
	struct pluri_call call = {0};

	(void)state;
	if (!has_nameless())
		skip();
	put_killed("a", PLURI_PUT_NEW);
	put_killed("a", 0);
	assert_int_equal(get("a"), -ENOENT);
	assert_int_equal(temporaries(), 0);
	assert_int_equal(put("a"), 0);
	assert_int_equal(put("a"), -EEXIST);
	assert_int_equal(
		rig.ops->put(rig.b, &call, "a", &body, 0, &rig.err), 0);
	assert_int_equal(get("a"), 0);
	put_killed("a", 0); /* and the old one stays */
	assert_int_equal(get("a"), 0);
	assert_int_equal(temporaries(), 0);
	assert_int_equal(count_all(), 1);
}

static void root__missing__is_down_not_empty(void **state)
{
	unsigned n;

	(void)state;
	assert_int_equal(put("a"), 0);
	assert_int_equal(get("b"), -ENOENT);
	drive_remove(rig.root);
	assert_int_equal(get("a"), -EAGAIN);
	assert_non_null(strstr(rig.err.text, "is the disk mounted?"));
	assert_int_equal(put("b"), -EAGAIN);
	assert_int_equal(del("a"), -EAGAIN);
	assert_int_equal(list(&n), -EAGAIN);
}

static void root__create__made_once_and_never_again(void **state)
{
	static const char *const options[] = {"create=yes", NULL};
	unsigned n;

	(void)state;
	rig.ops->close(rig.b);
	drive_remove(rig.root);
	open_store(options);
	assert_int_equal(access(rig.root, F_OK), -1);
	assert_int_equal(list(&n), 0);
	assert_int_equal(put("a/b"), 0);
	drive_remove(rig.root);
	assert_int_equal(put("a/b"), -EAGAIN);
}

static void open__values_it_cannot_use__refused(void **state)
{
	static const char *const options[] = {"create=maybe", NULL};
	struct pluri_backend *b = NULL;
	struct host h;

	(void)state;
	host_init(&h, options, NULL);
	assert_int_equal(rig.ops->open(&h.host, rig.root, &b, NULL), -EINVAL);
	host_init(&h, NULL, NULL);
	assert_int_equal(
		rig.ops->open(&h.host, "relative/path", &b, NULL), -EINVAL);
	assert_null(b);
}

static void links__anywhere__never_followed(void **state)
{
	unsigned n;

	(void)state;
	assert_int_equal(mkdir(path("real"), 0700), 0);
	assert_int_equal(put("real/object"), 0);
	assert_int_equal(symlink("real", path("dir")), 0);
	assert_int_equal(symlink("real/object", path("file")), 0);
	assert_int_equal(get("file"), -EBADMSG);
	assert_int_equal(get("dir/object"), -EBADMSG);
	assert_int_equal(put("dir/new"), -EBADMSG);
	assert_int_equal(del("dir/object"), -EBADMSG);
	assert_int_equal(put("file"), -EEXIST);
	assert_int_equal(list(&n), 0);
	assert_int_equal(n, 1);
}

static void list__foreign_names__skipped(void **state)
{
	unsigned n;

	(void)state;
	assert_int_equal(put("a"), 0);
	assert_int_equal(mkdir(path("lost+found"), 0700), 0);
	assert_int_equal(mkfifo(path("fifo"), 0600), 0);
	assert_int_equal(close(creat(path("with space"), 0600)), 0);
	assert_int_equal(mkdir(path("empty"), 0700), 0);
	assert_int_equal(list(&n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(get("fifo"), -EBADMSG);
	assert_int_equal(get("empty"), -ENOENT);
	assert_int_equal(del("empty"), 0);
}

/* More names than are held at once, some of them of empty directories. */
static void list__2500_names_in_one_directory__all_told(void **state)
{
	char name[32];
	unsigned n;

	(void)state;
	for (unsigned i = 0; i < 2500; i++) {
		(void)snprintf(
			name, sizeof(name), "%s%u", i % 2 ? "o" : "d", i);
		assert_int_equal(i % 2 ? close(creat(path(name), 0600))
				       : mkdir(path(name), 0700),
			0);
	}
	assert_int_equal(close(creat(path("zlast"), 0600)), 0);
	assert_int_equal(list(&n), 0);
	assert_int_equal(n, 1000);
	assert_int_equal(count_all(), 1251);
}

static void put__stale_temporaries__swept_fresh_ones_kept(void **state)
{
	const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};

	(void)state;
	assert_int_equal(mkdir(path(".tmp~"), 0700), 0);
	assert_int_equal(close(creat(path(".tmp~/put-old"), 0600)), 0);
	assert_int_equal(utimensat(AT_FDCWD, path(".tmp~/put-old"), old, 0), 0);
	assert_int_equal(close(creat(path(".tmp~/put-fresh"), 0600)), 0);
	assert_int_equal(put("a"), 0);
	assert_int_equal(access(path(".tmp~/put-old"), F_OK), -1);
	assert_int_equal(access(path(".tmp~/put-fresh"), F_OK), 0);
}

static void put__failed__leaves_no_temporary(void **state)
{
	(void)state;
	assert_int_equal(put("a"), 0);
	assert_int_equal(put("a/b"), -EINVAL);
	assert_non_null(strstr(rig.err.text, "both"));
	assert_int_equal(rmdir(path(".tmp~")), 0);
}

static void key__name_of_temporaries__is_an_object(void **state)
{
	unsigned n;

	(void)state;
	assert_int_equal(put(".tmp/x"), 0);
	assert_int_equal(get(".tmp/x"), 0);
	assert_int_equal(list(&n), 0);
	assert_int_equal(n, 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(put__killed_half_way__nothing_is_left),
		CASE(root__missing__is_down_not_empty),
		CASE(root__create__made_once_and_never_again),
		CASE(open__values_it_cannot_use__refused),
		CASE(links__anywhere__never_followed),
		CASE(list__foreign_names__skipped),
		CASE(list__2500_names_in_one_directory__all_told),
		CASE(put__stale_temporaries__swept_fresh_ones_kept),
		CASE(put__failed__leaves_no_temporary),
		CASE(key__name_of_temporaries__is_an_object),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
