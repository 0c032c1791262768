#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "meta/meta_int.h"
#include "tests/unit/meta/bed.h"

/*
 * A full disk, in child processes: one with a limit on file sizes, where a
 * commit fails and the transaction is lost; one on a small filesystem of its
 * own, where changes are refused before that can happen.
 */
#define NO_NAMESPACE 77 /* exit code: this machine does not let us mount */

static const uint32_t file = S_IFREG | 0644;

/* In a child cmocka cannot judge: a line and an exit code instead. */
#define EXPECT(cond)                                                  \
	do {                                                          \
		if (!(cond)) {                                        \
			(void)fprintf(stderr, "# line %d: %s (%s)\n", \
				__LINE__, #cond, b->err.text);        \
			return 1;                                     \
		}                                                     \
	} while (0)

static int child_make(struct bed *b, unsigned n)
{
	struct tree_attr a = {.mode = file};
	char name[TREE_NAME_MAX + 1];
	struct meta_tx *tx = NULL;
	int r = meta_begin(b->m, &tx, &b->err);

	if (r < 0)
		return r;
	(void)snprintf(name, sizeof(name), "%0200u", n);
	r = tree_make(
		tx, TREE_ROOT, bed_name(name), NULL, BED_NOW, &a, &b->err);
	return meta_end(tx, r, &b->err);
}

static int child_unmake(struct bed *b, unsigned n)
{
	struct tree_attr a = {0};
	char name[TREE_NAME_MAX + 1];
	struct meta_tx *tx = NULL;
	int r = meta_begin(b->m, &tx, &b->err);

	if (r < 0)
		return r;
	(void)snprintf(name, sizeof(name), "%0200u", n);
	r = tree_unlink(
		tx, TREE_ROOT, bed_name(name), false, BED_NOW, &a, &b->err);
	return meta_end(tx, r, &b->err);
}

static int64_t child_count(struct bed *b)
{
	struct tree_totals t = {0};
	struct meta_tx *tx = NULL;

	if (meta_begin(b->m, &tx, &b->err) < 0)
		return -1;
	(void)tree_totals(tx, &t, &b->err);
	return meta_end(tx, 0, &b->err) < 0 ? -1 : (int64_t)t.inodes;
}

static int child_reopen(struct bed *b)
{
	struct meta_volume v = {0};

	meta_free(b->m);
	b->m = NULL;
	return meta_open(b->path, &b->m, &v, &b->err);
}

static int child_limit(rlim_t bytes)
{
	struct rlimit lim = {bytes, RLIM_INFINITY};

	return setrlimit(RLIMIT_FSIZE, &lim);
}

static int child_lost(struct bed *b)
{
	EXPECT(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	EXPECT(child_reopen(b) == 0);
	EXPECT(child_make(b, 0) == 0);
	EXPECT(meta_commit(b->m, &b->err) == 0);
	for (unsigned i = 1; i < 1000; i++)
		EXPECT(child_make(b, i) == 0);
	EXPECT(child_limit(100000) == 0);
	EXPECT(meta_commit(b->m, &b->err) == -EIO);
	EXPECT(strstr(b->err.text, "lost") != NULL);
	EXPECT(child_make(b, 2000) == -EIO);
	EXPECT(child_count(b) == -1);
	EXPECT(meta_commit(b->m, &b->err) == -EIO);
	EXPECT(meta_close(b->m, &b->err) == -EIO);
	EXPECT(child_limit(RLIM_INFINITY) == 0);
	EXPECT(child_reopen(b) == 0);
	EXPECT(child_count(b) == 2);
	EXPECT(child_make(b, 1) == 0);
	return meta_close(b->m, &b->err) < 0;
}

/* The engine writes in the middle of a bracket, since its cache is tiny. */
static int child_lost_early(struct bed *b)
{
	struct tree_attr a = {.mode = file};
	struct meta_tx *tx = NULL;
	char name[TREE_NAME_MAX + 1];
	int r = 0;

	EXPECT(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	EXPECT(child_reopen(b) == 0);
	EXPECT(child_make(b, 0) == 0);
	EXPECT(meta_commit(b->m, &b->err) == 0);
	EXPECT(meta_begin(b->m, &tx, &b->err) == 0);
	EXPECT(tx->ops->exec(tx->db, "PRAGMA cache_size = 10", NULL) == 0);
	EXPECT(child_limit(100000) == 0);
	for (unsigned i = 1; i < 5000 && r == 0; i++) {
		(void)snprintf(name, sizeof(name), "%0200u", i);
		r = tree_make(tx, TREE_ROOT, bed_name(name), NULL, BED_NOW, &a,
			&b->err);
	}
	EXPECT(r < 0);
	EXPECT(child_limit(RLIM_INFINITY) == 0);
	EXPECT(tree_make(tx, TREE_ROOT, bed_name("x"), NULL, BED_NOW, &a,
		       &b->err) == -EIO);
	EXPECT(meta_end(tx, 0, &b->err) == -EIO);
	EXPECT(child_make(b, 2000) == -EIO);
	EXPECT(child_reopen(b) == 0);
	EXPECT(child_count(b) == 2);
	return 0;
}

/* Take all that is left of the filesystem. */
static int child_fill(const char *path)
{
	static const char block[65536];
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ssize_t n;

	if (fd < 0)
		return -1;
	do
		n = write(fd, block, sizeof(block));
	while (n > 0);
	(void)close(fd);
	return 0;
}

static int child_small_disk(struct bed *b)
{
	if (unshare(CLONE_NEWNS) < 0 &&
		unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return NO_NAMESPACE;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("none", b->dir, "tmpfs", 0, "size=64m") < 0)
		return NO_NAMESPACE;
	return 0;
}

static int child_refused(struct bed *b)
{
	const struct meta_volume v = {.name = "small"};
	char fill[128];
	unsigned n = 0;

	if (child_small_disk(b) == NO_NAMESPACE)
		return NO_NAMESPACE;
	(void)snprintf(fill, sizeof(fill), "%s/fill", b->dir);
	b->m = NULL; /* the parent's */
	EXPECT(meta_create(b->path, &v, 0, 0, &b->err) == 0);
	EXPECT(child_reopen(b) == 0);
	EXPECT(child_make(b, n++) == 0);
	EXPECT(child_fill(fill) == 0);
	while (child_make(b, n) == 0) {
		n++;
		EXPECT(n < 1000000);
		if (n % 100 == 0)
			EXPECT(meta_commit(b->m, &b->err) == 0);
	}
	EXPECT(b->err.code == ENOSPC);
	EXPECT(child_count(b) == (int64_t)n + 1);
	EXPECT(child_unmake(b, --n) == 0);
	EXPECT(meta_commit(b->m, &b->err) == 0);
	EXPECT(meta_sync(b->m, &b->err) == 0);
	EXPECT(child_make(b, n) == -ENOSPC);
	EXPECT(unlink(fill) == 0);
	EXPECT(child_make(b, n) == 0);
	EXPECT(meta_close(b->m, &b->err) == 0);
	EXPECT(child_reopen(b) == 0);
	EXPECT(child_count(b) == (int64_t)n + 3); /* root, orphan, n + 1 */
	meta_free(b->m);
	return 0;
}

static int in_child(int (*fn)(struct bed *b), struct bed *b)
{
	int status = 0;
	pid_t pid;

	(void)fflush(stdout);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn(b));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void commit__disk_full__lost_and_told(void **state)
{
	struct bed *b = *state;

	meta_free(b->m);
	b->m = NULL;
	assert_int_equal(in_child(child_lost, b), 0);
}

static void change__disk_full_in_bracket__nothing_of_it(void **state)
{
	struct bed *b = *state;

	meta_free(b->m);
	b->m = NULL;
	assert_int_equal(in_child(child_lost_early, b), 0);
}

static void change__disk_full__refused_in_time(void **state)
{
	struct bed *b = *state;
	int code;

	meta_free(b->m);
	b->m = NULL;
	code = in_child(child_refused, b);
	if (code == NO_NAMESPACE)
		skip();
	assert_int_equal(code, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)
		T(commit__disk_full__lost_and_told),
		T(change__disk_full_in_bracket__nothing_of_it),
		T(change__disk_full__refused_in_time),
#undef T
	};

	return cmocka_run_group_tests_name("full", tests, NULL, NULL);
}
