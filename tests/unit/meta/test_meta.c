#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/meta/bed.h"

static const uint32_t file = S_IFREG | 0644;

static int open_again(const char *path, struct pluri_err *err)
{
	struct meta_volume v = {0};
	struct meta *m = NULL;
	const int r = meta_open(path, &m, &v, err);

	meta_free(m);
	return r;
}

static void close_bed(struct bed *b)
{
	meta_free(b->m);
	b->m = NULL;
}

static unsigned count_names(struct bed *b)
{
	struct tree_totals t = {0};

	bed_begin(b);
	assert_int_equal(tree_totals(b->tx, &t, &b->err), 0);
	bed_end(b);
	return (unsigned)t.inodes - 1;
}

static void create__where_one_is__eexist(void **state)
{
	struct meta_volume v = {.name = "two"};
	struct bed *b = *state;

	close_bed(b);
	assert_int_equal(meta_create(b->path, &v, 0, 0, &b->err), -EEXIST);
}

static void create__after_interrupted_one__succeeds(void **state)
{
	struct meta_volume v = {.name = "two"};
	struct bed *b = *state;

	close_bed(b);
	assert_int_equal(truncate(b->path, 0), 0);
	assert_int_equal(open_again(b->path, &b->err), -EBADMSG);
	assert_int_equal(meta_create(b->path, &v, 0, 0, &b->err), 0);
	assert_int_equal(open_again(b->path, &b->err), 0);
}

static void create__made_file__is_private(void **state)
{
	struct bed *b = *state;
	struct stat st;

	assert_int_equal(stat(b->path, &st), 0);
	assert_int_equal(st.st_mode & 077, 0);
}

static void open__volume__comes_back(void **state)
{
	struct meta_volume v = {0};
	struct bed *b = *state;

	close_bed(b);
	assert_int_equal(meta_open(b->path, &b->m, &v, &b->err), 0);
	assert_string_equal(v.name, "bed");
	assert_int_equal(v.id.b[15], 7);
	assert_int_equal(v.created_ns, BED_NOW);
}

static void open__no_file__enoent(void **state)
{
	struct bed *b = *state;
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/none", b->dir);
	assert_int_equal(open_again(path, &b->err), -ENOENT);
	assert_int_equal(access(path, F_OK), -1);
}

/* Run fn in a child; its answer is the child's exit code. */
static int in_child(int (*fn)(struct bed *b), struct bed *b)
{
	int status = 0;
	const pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) /* _exit() would have TSan miss the parent's threads */
		(void)syscall(SYS_exit_group, fn(b));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int child_open(struct bed *b)
{
	return -open_again(b->path, &b->err);
}

static void open__held_by_another__ebusy(void **state)
{
	struct bed *b = *state;

	assert_int_equal(in_child(child_open, b), EBUSY);
	close_bed(b);
	assert_int_equal(in_child(child_open, b), 0);
}

/* As a process sees it that does not know what SQLite remembers of ours. */
static int child_locked(struct bed *b)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	const int fd = open(b->path, O_RDWR);

	return fd >= 0 && fcntl(fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

/* Large enough to be read ahead, by a descriptor that may not cost the lock. */
static void open__large_and_twice_here__lock_stays(void **state)
{
	static const uint8_t zeros[TREE_XATTR_VALUE_MAX];
	const struct pluri_span v = {zeros, sizeof(zeros)};
	struct bed *b = *state;
	char name[16];

	bed_begin(b);
	for (unsigned i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof(name), "user.%u", i);
		assert_int_equal(tree_setxattr(b->tx, TREE_ROOT, name, v, 0,
					 BED_NOW, &b->err),
			0);
	}
	bed_end(b);
	assert_int_equal(meta_commit(b->m, &b->err), 0);
	bed_reopen(b);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(open_again(b->path, &b->err), -EBUSY);
	assert_int_equal(in_child(child_locked, b), 1);
	close_bed(b);
	assert_int_equal(in_child(child_locked, b), 0);
}

static void open__newer_schema__enotsup_with_both_numbers(void **state)
{
	struct bed *b = *state;
	sqlite3 *raw = NULL;
	char known[16];

	(void)snprintf(known, sizeof(known), "up to %d;", META_SCHEMA);
	close_bed(b);
	assert_int_equal(sqlite3_open(b->path, &raw), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(raw, "PRAGMA user_version = 77", NULL, NULL, NULL),
		SQLITE_OK);
	(void)sqlite3_close(raw);
	assert_int_equal(open_again(b->path, &b->err), -ENOTSUP);
	assert_non_null(strstr(b->err.text, "77"));
	assert_non_null(strstr(b->err.text, known));
}

static void open__somebody_elses_database__ebadmsg(void **state)
{
	struct bed *b = *state;
	sqlite3 *raw = NULL;

	close_bed(b);
	assert_int_equal(unlink(b->path), 0);
	assert_int_equal(sqlite3_open(b->path, &raw), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(raw, "CREATE TABLE t (x)", NULL, NULL, NULL),
		SQLITE_OK);
	(void)sqlite3_close(raw);
	assert_int_equal(open_again(b->path, &b->err), -EBADMSG);
}

static void open__random_bytes__ebadmsg(void **state)
{
	struct bed *b = *state;
	uint8_t junk[8192];
	int fd;

	close_bed(b);
	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = (uint8_t)(i * 167 + (i >> 3));
	fd = open(b->path, O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, junk, sizeof(junk)), sizeof(junk));
	(void)close(fd);
	assert_int_equal(open_again(b->path, &b->err), -EBADMSG);
}

static int ignore_one(void *arg, const struct tree_entry *e)
{
	(void)arg;
	(void)e;
	return 0;
}

/* Open what may be damaged and look around: any answer but a crash. */
static int explore(struct bed *b)
{
	struct meta_volume v = {0};
	struct meta_tx *tx = NULL;
	int r = meta_open(b->path, &b->m, &v, &b->err);

	if (r < 0)
		return r;
	r = meta_begin(b->m, &tx, &b->err);
	if (r == 0) {
		r = tree_list(
			tx, TREE_ROOT, 0, true, ignore_one, NULL, &b->err);
		r = meta_end(tx, r, &b->err);
	}
	close_bed(b);
	return r;
}

static void open__cut_file__ebadmsg(void **state)
{
	struct bed *b = *state;
	struct stat st;

	close_bed(b);
	assert_int_equal(stat(b->path, &st), 0);
	for (off_t size = st.st_size - 4096; size > 0; size -= 4096) {
		assert_int_equal(truncate(b->path, size), 0);
		assert_int_equal(explore(b), -EBADMSG);
	}
	assert_int_equal(truncate(b->path, 100), 0);
	assert_int_equal(explore(b), -EBADMSG);
}

static void open__any_byte_changed__no_crash(void **state)
{
	struct bed *b = *state;
	struct stat st;
	uint8_t was = 0, now;
	int fd, r;

	close_bed(b);
	fd = open(b->path, O_RDWR);
	assert_int_equal(fstat(fd, &st), 0);
	for (off_t at = 18; at < st.st_size; at += at < 512 ? 7 : 613) {
		assert_int_equal(pread(fd, &was, 1, at), 1);
		now = (uint8_t)~was;
		assert_int_equal(pwrite(fd, &now, 1, at), 1);
		r = explore(b);
		assert_true(r <= 0);
		assert_int_equal(pwrite(fd, &was, 1, at), 1);
	}
	(void)close(fd);
	assert_int_equal(explore(b), 0);
}

static void facts__set_and_undone__as_committed(void **state)
{
	struct bed *b = *state;
	int64_t v = 5;

	bed_begin(b);
	assert_int_equal(meta_get_fact(b->tx, "epoch", &v, &b->err), -ENOENT);
	assert_int_equal(v, 5);
	assert_int_equal(meta_set_fact(b->tx, "epoch", -7, &b->err), 0);
	bed_end(b);
	bed_begin(b);
	assert_int_equal(meta_set_fact(b->tx, "epoch", 8, &b->err), 0);
	bed_undo(b);
	assert_int_equal(meta_close(b->m, &b->err), 0);
	bed_reopen(b);
	bed_begin(b);
	assert_int_equal(meta_get_fact(b->tx, "epoch", &v, &b->err), 0);
	assert_int_equal(v, -7);
	bed_end(b);
}

static void pending__counts_brackets_with_changes(void **state)
{
	struct bed *b = *state;
	struct tree_attr a = {0};

	assert_int_equal(meta_pending(b->m), 0);
	bed_begin(b);
	(void)bed_get(b, TREE_ROOT);
	bed_end(b);
	bed_begin(b);
	assert_int_equal(
		tree_delxattr(b->tx, TREE_ROOT, "user.no", BED_NOW, &b->err),
		-ENODATA);
	bed_end(b);
	assert_int_equal(meta_pending(b->m), 0);
	bed_begin(b);
	(void)bed_make(b, TREE_ROOT, "f", file);
	(void)bed_make(b, TREE_ROOT, "g", file);
	bed_end(b);
	bed_begin(b);
	(void)bed_make(b, TREE_ROOT, "h", file);
	bed_undo(b);
	assert_int_equal(meta_pending(b->m), 1);
	assert_int_equal(meta_commit(b->m, &b->err), 0);
	assert_int_equal(meta_pending(b->m), 0);
	assert_int_equal(meta_commit(b->m, &b->err), 0);
	assert_int_equal(meta_sync(b->m, &b->err), 0);
	bed_begin(b);
	assert_int_equal(
		tree_lookup(b->tx, TREE_ROOT, bed_name("h"), &a, &b->err),
		-ENOENT);
	bed_end(b);
}

static int child_crash(struct bed *b)
{
	char name[16];

	bed_reopen(b);
	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "%u", i);
		bed_begin(b);
		(void)bed_make(b, TREE_ROOT, name, file);
		if (i % 3 == 2)
			bed_undo(b);
		else
			bed_end(b);
		if (i == 599 && meta_commit(b->m, &b->err) < 0)
			return 1;
	}
	return 0; /* _exit: as if killed */
}

static void killed__after_commit__exactly_the_committed(void **state)
{
	struct tree_attr a = {0};
	struct bed *b = *state;

	close_bed(b);
	assert_int_equal(in_child(child_crash, b), 0);
	bed_reopen(b);
	assert_int_equal(count_names(b), 400);
	bed_begin(b);
	assert_int_equal(
		tree_lookup(b->tx, TREE_ROOT, bed_name("598"), &a, &b->err), 0);
	assert_int_equal(
		tree_lookup(b->tx, TREE_ROOT, bed_name("599"), &a, &b->err),
		-ENOENT);
	assert_int_equal(
		tree_lookup(b->tx, TREE_ROOT, bed_name("600"), &a, &b->err),
		-ENOENT);
	assert_true(bed_make(b, TREE_ROOT, "new", file) > 401);
	bed_end(b);
}

static void *sync_often(void *arg)
{
	struct bed *b = arg;

	for (unsigned i = 0; i < 20; i++)
		if (meta_sync(b->m, NULL) < 0)
			return b;
	return NULL;
}

static void sync__beside_brackets__both_work(void **state)
{
	struct bed *b = *state;
	pthread_t t;
	void *failed = NULL;
	char name[16];

	assert_int_equal(pthread_create(&t, NULL, sync_often, b), 0);
	for (unsigned i = 0; i < 2000; i++) {
		(void)snprintf(name, sizeof(name), "%u", i);
		bed_begin(b);
		(void)bed_make(b, TREE_ROOT, name, file);
		bed_end(b);
		if (i % 100 == 0)
			assert_int_equal(meta_commit(b->m, &b->err), 0);
	}
	assert_int_equal(pthread_join(t, &failed), 0);
	assert_null(failed);
	assert_int_equal(count_names(b), 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)
		T(create__where_one_is__eexist),
		T(create__after_interrupted_one__succeeds),
		T(create__made_file__is_private),
		T(open__volume__comes_back),
		T(open__no_file__enoent),
		T(open__held_by_another__ebusy),
		T(open__large_and_twice_here__lock_stays),
		T(open__newer_schema__enotsup_with_both_numbers),
		T(open__somebody_elses_database__ebadmsg),
		T(open__random_bytes__ebadmsg),
		T(open__cut_file__ebadmsg),
		T(open__any_byte_changed__no_crash),
		T(facts__set_and_undone__as_committed),
		T(pending__counts_brackets_with_changes),
		T(killed__after_commit__exactly_the_committed),
		T(sync__beside_brackets__both_work),
#undef T
	};

	return cmocka_run_group_tests_name("meta", tests, NULL, NULL);
}
