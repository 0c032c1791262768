#include "tests/unit/meta/bed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "meta/meta_int.h"
#include "meta/rows.h"

#define MANY (ROWS_MAX + 100u) /* more than are remembered */

/* What the table itself says of a file's mtime. */
static int64_t written(struct bed *b, uint64_t ino)
{
	int64_t t = -1;

	assert_int_equal(
		meta_ask(b->tx, "SELECT mtime FROM inode WHERE ino = ?1",
			META_INTS((int64_t)ino), &t, &b->err),
		1);
	return t;
}

static void set_mtime(struct bed *b, uint64_t ino, int64_t t)
{
	struct tree_attr a = {.ino = ino, .mtime_ns = t};

	assert_int_equal(tree_set(b->tx, TREE_SET_MTIME, &a, &b->err), 0);
}

static void reopened(struct bed *b)
{
	assert_int_equal(meta_commit(b->m, &b->err), 0);
	bed_reopen(b);
	(void)bed_begin(b);
}

static void set__not_committed__seen_but_not_written(void **state)
{
	struct bed *b = *state;
	struct tree_attr a = {0};
	uint64_t f;

	(void)bed_begin(b);
	f = bed_make(b, TREE_ROOT, "f", S_IFREG | 0644);
	set_mtime(b, f, 5);
	assert_int_equal(written(b, f), BED_NOW);
	assert_int_equal(bed_get(b, f).mtime_ns, 5);
	assert_int_equal(
		tree_lookup(b->tx, TREE_ROOT, bed_name("f"), &a, NULL), 0);
	assert_int_equal(a.mtime_ns, 5);
	bed_end(b);
	reopened(b);
	assert_int_equal(written(b, f), 5);
	bed_end(b);
}

static int listed(void *arg, const struct tree_entry *e)
{
	*(int64_t *)arg = e->attr.mtime_ns;
	return 0;
}

static void list__not_written__shows_it(void **state)
{
	struct bed *b = *state;
	int64_t t = 0;

	(void)bed_begin(b);
	set_mtime(b, bed_make(b, TREE_ROOT, "f", S_IFREG | 0644), 5);
	assert_int_equal(
		tree_list(b->tx, TREE_ROOT, 0, true, listed, &t, NULL), 0);
	assert_int_equal(t, 5);
	bed_end(b);
}

/* Changed before the bracket, and again in it: the first stays. */
static void undo__row_of_an_earlier_bracket__as_it_left_it(void **state)
{
	struct bed *b = *state;
	uint64_t f;

	(void)bed_begin(b);
	f = bed_make(b, TREE_ROOT, "f", S_IFREG | 0644);
	set_mtime(b, f, 5);
	bed_end(b);
	(void)bed_begin(b);
	set_mtime(b, f, 6);
	assert_int_equal(rows_settle(b->tx, &b->err), 0);
	set_mtime(b, f, 7);
	bed_undo(b);
	(void)bed_begin(b);
	assert_int_equal(bed_get(b, f).mtime_ns, 5);
	bed_end(b);
	reopened(b);
	assert_int_equal(bed_get(b, f).mtime_ns, 5);
	bed_end(b);
}

static void undo__inode_made__not_remembered(void **state)
{
	struct bed *b = *state;
	struct tree_attr a = {0};
	uint64_t f;

	(void)bed_begin(b);
	f = bed_make(b, TREE_ROOT, "f", S_IFREG | 0644);
	bed_undo(b);
	(void)bed_begin(b);
	assert_int_equal(tree_get(b->tx, f, &a, NULL), -ENOENT);
	assert_int_equal(bed_get(b, TREE_ROOT).nlink, 2);
	bed_end(b);
}

static void undo__inode_dropped__there_again(void **state)
{
	struct bed *b = *state;
	struct tree_attr a = {0};
	uint64_t f;

	(void)bed_begin(b);
	f = bed_make(b, TREE_ROOT, "f", S_IFREG | 0644);
	assert_int_equal(tree_unlink(b->tx, TREE_ROOT, bed_name("f"), false, 5,
				 &a, NULL),
		0);
	bed_end(b);
	(void)bed_begin(b);
	assert_int_equal(tree_drop(b->tx, f, &b->err), 0);
	assert_int_equal(tree_get(b->tx, f, &a, NULL), -ENOENT);
	bed_undo(b);
	(void)bed_begin(b);
	assert_int_equal(bed_get(b, f).nlink, 0);
	assert_int_equal(bed_get(b, f).ctime_ns, 5);
	assert_int_equal(tree_drop(b->tx, f, &b->err), 0);
	bed_end(b);
	reopened(b);
	assert_int_equal(tree_get(b->tx, f, &a, NULL), -ENOENT);
	bed_end(b);
}

static uint64_t make_many(struct bed *b)
{
	uint64_t first = 0;

	(void)bed_begin(b);
	for (unsigned i = 0; i < MANY; i++) {
		char name[16];
		uint64_t ino;

		(void)snprintf(name, sizeof(name), "%u", i);
		ino = bed_make(b, TREE_ROOT, name, S_IFREG | 0644);
		first = first ? first : ino;
	}
	bed_end(b);
	return first;
}

static void set__more_than_are_remembered__all_written(void **state)
{
	struct bed *b = *state;
	const uint64_t first = make_many(b);

	(void)bed_begin(b);
	for (unsigned i = 0; i < MANY; i++)
		set_mtime(b, first + i, i);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(bed_get(b, first + i).mtime_ns, i);
	bed_end(b);
	reopened(b);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(written(b, first + i), i);
	bed_end(b);
}

static void undo__more_than_are_remembered__as_before(void **state)
{
	struct bed *b = *state;
	const uint64_t first = make_many(b);

	(void)bed_begin(b);
	for (unsigned i = 0; i < ROWS_DIRTY_MAX; i++)
		set_mtime(b, first + i, 1000 + i);
	bed_end(b);
	(void)bed_begin(b);
	for (unsigned i = 0; i < MANY; i++)
		set_mtime(b, first + i, i);
	for (unsigned i = 0; i < MANY; i++)
		set_mtime(b, first + i, i + 1);
	bed_undo(b);
	reopened(b);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(written(b, first + i),
			i < ROWS_DIRTY_MAX ? 1000 + i : BED_NOW);
	bed_end(b);
}

static void direct__statements_of_others__seen_at_once(void **state)
{
	struct bed *b = *state;
	uint64_t f;

	(void)bed_begin(b);
	f = bed_make(b, TREE_ROOT, "f", S_IFREG | 0644);
	set_mtime(b, f, 5);
	assert_int_equal(rows_direct(b->tx, &b->err), 0);
	assert_int_equal(written(b, f), 5);
	assert_int_equal(bed_get(b, f).mtime_ns, 5);
	assert_int_equal(
		meta_change(b->tx, "UPDATE inode SET mtime = 6 WHERE ino = ?1",
			META_INTS((int64_t)f), &b->err),
		0);
	assert_int_equal(bed_get(b, f).mtime_ns, 6);
	set_mtime(b, f, 7);
	assert_int_equal(written(b, f), 7);
	bed_end(b);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)
	const struct CMUnitTest tests[] = {
		T(set__not_committed__seen_but_not_written),
		T(list__not_written__shows_it),
		T(undo__row_of_an_earlier_bracket__as_it_left_it),
		T(undo__inode_made__not_remembered),
		T(undo__inode_dropped__there_again),
		T(set__more_than_are_remembered__all_written),
		T(undo__more_than_are_remembered__as_before),
		T(direct__statements_of_others__seen_at_once),
	};

	return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}
