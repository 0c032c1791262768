#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/meta/bed.h"

static const uint32_t file = S_IFREG | 0644;
static const uint32_t folder = S_IFDIR | 0755;

static int look(struct bed *b, uint64_t dir, const char *name, uint64_t *ino)
{
	struct tree_attr a = {0};
	const int r = tree_lookup(b->tx, dir, bed_name(name), &a, &b->err);

	*ino = a.ino;
	return r;
}

static int make_len(struct bed *b, const char *name, size_t len)
{
	struct tree_attr a = {.mode = file};

	return tree_make(b->tx, TREE_ROOT, (struct tree_name){name, len}, NULL,
		BED_NOW, &a, &b->err);
}

static int drop_name(
	struct bed *b, const char *name, bool is_dir, struct tree_attr *a)
{
	return tree_unlink(b->tx, TREE_ROOT, bed_name(name), is_dir,
		BED_NOW + 5, a, &b->err);
}

static void name__each_rule__its_code(void **state)
{
	char longest[TREE_NAME_MAX + 1];
	const struct {
		const char *name;
		size_t len;
		int want;
	} rows[] = {
		{"a", 1, 0},
		{"", 0, -EINVAL},
		{".", 1, -EINVAL},
		{"..", 2, -EINVAL},
		{"...", 3, 0},
		{".a", 2, 0},
		{"a/b", 3, -EINVAL},
		{"a\0b", 3, -EINVAL},
		{"\xff\xfe\n ", 4, 0},
		{longest, TREE_NAME_MAX, 0},
		{longest, TREE_NAME_MAX + 1, -ENAMETOOLONG},
		{"a", 1, -EEXIST},
	};
	struct bed *b = *state;

	memset(longest, 'x', sizeof(longest));
	bed_begin(b);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(
			make_len(b, rows[i].name, rows[i].len), rows[i].want);
	bed_undo(b);
}

static void make__file__attributes_and_parent(void **state)
{
	struct tree_attr a = {.mode = S_IFCHR | 0600, .rdev = 0x103};
	struct tree_attr root = {0};
	struct bed *b = *state;

	bed_begin(b);
	assert_int_equal(tree_make(b->tx, TREE_ROOT, bed_name("dev"), NULL,
				 BED_NOW + 9, &a, &b->err),
		0);
	assert_int_equal(a.ino, 2);
	a = bed_get(b, a.ino);
	root = bed_get(b, TREE_ROOT);
	bed_end(b);
	assert_int_equal(a.rdev, 0x103);
	assert_int_equal(a.nlink, 1);
	assert_int_equal(a.generation, 1);
	assert_int_equal(a.ctime_ns, BED_NOW + 9);
	assert_int_equal(root.mtime_ns, BED_NOW + 9);
	assert_int_equal(root.nlink, 2);
	assert_int_equal(root.uid, 1000);
	assert_int_equal(root.gid, 1001);
}

static void make__folder__parent_counts_it(void **state)
{
	struct bed *b = *state;
	struct tree_attr a = {0};
	uint64_t d, up = 0;

	bed_begin(b);
	d = bed_make(b, TREE_ROOT, "d", folder);
	assert_int_equal(bed_get(b, TREE_ROOT).nlink, 3);
	assert_int_equal(bed_get(b, d).nlink, 2);
	assert_int_equal(tree_parent(b->tx, d, &up, &b->err), 0);
	assert_int_equal(up, TREE_ROOT);
	assert_int_equal(drop_name(b, "d", true, &a), 0);
	assert_int_equal(a.nlink, 0);
	assert_int_equal(bed_get(b, TREE_ROOT).nlink, 2);
	bed_end(b);
}

static void make__in_what_is_no_folder__refused(void **state)
{
	struct tree_attr a = {.mode = file};
	struct bed *b = *state;
	uint64_t f, d;

	bed_begin(b);
	f = bed_make(b, TREE_ROOT, "f", file);
	d = bed_make(b, TREE_ROOT, "d", folder);
	assert_int_equal(
		tree_make(b->tx, f, bed_name("x"), NULL, BED_NOW, &a, &b->err),
		-ENOTDIR);
	assert_int_equal(
		tree_make(b->tx, 99, bed_name("x"), NULL, BED_NOW, &a, &b->err),
		-ENOENT);
	assert_int_equal(drop_name(b, "d", true, &a), 0);
	a = (struct tree_attr){.mode = file};
	assert_int_equal(
		tree_make(b->tx, d, bed_name("x"), NULL, BED_NOW, &a, &b->err),
		-ENOENT);
	bed_end(b);
}

static void policy__of_folder__inherited(void **state)
{
	struct tree_attr a = {.ino = TREE_ROOT, .policy = 3};
	struct bed *b = *state;

	bed_begin(b);
	assert_int_equal(tree_set(b->tx, TREE_SET_POLICY, &a, &b->err), 0);
	assert_int_equal(a.mode, S_IFDIR | 0755);
	assert_int_equal(
		bed_get(b, bed_make(b, TREE_ROOT, "f", file)).policy, 3);
	bed_end(b);
}

static void symlink__longest__comes_back(void **state)
{
	char target[TREE_SYMLINK_MAX + 2], got[TREE_SYMLINK_MAX + 1];
	struct tree_attr a = {.mode = S_IFLNK | 0777};
	struct bed *b = *state;

	memset(target, 't', sizeof(target));
	target[sizeof(target) - 1] = '\0';
	bed_begin(b);
	assert_int_equal(tree_make(b->tx, TREE_ROOT, bed_name("l"), target,
				 BED_NOW, &a, &b->err),
		-ENAMETOOLONG);
	target[TREE_SYMLINK_MAX] = '\0';
	assert_int_equal(tree_make(b->tx, TREE_ROOT, bed_name("l"), target,
				 BED_NOW, &a, &b->err),
		0);
	assert_int_equal(a.size, TREE_SYMLINK_MAX);
	assert_int_equal(tree_readlink(b->tx, a.ino, got, &b->err), 0);
	assert_string_equal(got, target);
	assert_int_equal(
		tree_readlink(b->tx, TREE_ROOT, got, &b->err), -EINVAL);
	bed_end(b);
}

static void set__each_field__alone(void **state)
{
	struct tree_attr a = {0};
	struct bed *b = *state;
	uint64_t f;

	bed_begin(b);
	f = bed_make(b, TREE_ROOT, "f", file);
	a = (struct tree_attr){.ino = f, .mode = 0107, .size = 77};
	assert_int_equal(tree_set(b->tx, TREE_SET_MODE, &a, &b->err), 0);
	assert_int_equal(a.mode, S_IFREG | 0107);
	assert_int_equal(a.size, 0);
	a.size = 500;
	a.uid = 1;
	assert_int_equal(tree_set(b->tx, TREE_SET_SIZE, &a, &b->err), 0);
	assert_int_equal(bed_get(b, f).size, 500);
	assert_int_equal(bed_get(b, f).uid, 5);
	a.ino = TREE_ROOT;
	assert_int_equal(tree_set(b->tx, TREE_SET_SIZE, &a, &b->err), -EISDIR);
	a.ino = 77;
	assert_int_equal(tree_set(b->tx, TREE_SET_UID, &a, &b->err), -ENOENT);
	bed_end(b);
}

static void link__and_unlink__count(void **state)
{
	struct tree_attr a = {0};
	struct bed *b = *state;
	unsigned n = 9;
	uint64_t f, ino, orphan[2];

	bed_begin(b);
	f = bed_make(b, TREE_ROOT, "f", file);
	assert_int_equal(tree_link(b->tx, f, TREE_ROOT, bed_name("g"),
				 BED_NOW + 2, &a, &b->err),
		0);
	assert_int_equal(a.nlink, 2);
	assert_int_equal(bed_get(b, f).ctime_ns, BED_NOW + 2);
	assert_int_equal(tree_link(b->tx, f, TREE_ROOT, bed_name("g"), BED_NOW,
				 &a, &b->err),
		-EEXIST);
	assert_int_equal(tree_link(b->tx, TREE_ROOT, TREE_ROOT, bed_name("r"),
				 BED_NOW, &a, &b->err),
		-EPERM);
	assert_int_equal(drop_name(b, "f", false, &a), 0);
	assert_int_equal(a.nlink, 1);
	assert_int_equal(look(b, TREE_ROOT, "f", &ino), -ENOENT);
	assert_int_equal(look(b, TREE_ROOT, "g", &ino), 0);
	assert_int_equal(tree_orphans(b->tx, 0, orphan, 2, &n, &b->err), 0);
	assert_int_equal(n, 0);
	assert_int_equal(drop_name(b, "g", false, &a), 0);
	assert_int_equal(a.nlink, 0);
	/* Who may link what has no name is the kernel's to say (O_TMPFILE). */
	assert_int_equal(tree_link(b->tx, f, TREE_ROOT, bed_name("h"), BED_NOW,
				 &a, &b->err),
		0);
	assert_int_equal(tree_orphans(b->tx, 0, orphan, 2, &n, &b->err), 0);
	assert_int_equal(n, 0);
	assert_int_equal(drop_name(b, "h", false, &a), 0);
	assert_int_equal(tree_orphans(b->tx, 0, orphan, 2, &n, &b->err), 0);
	assert_int_equal(n, 1);
	assert_int_equal(orphan[0], f);
	bed_end(b);
}

static void time__any_seconds__come_back_in_order(void **state)
{
	static const int64_t sec[] = {-INT64_C(100000000000), -9200000001,
		-9200000000, -9199999999, -1, 0, 1, 2147483648, 9199999999,
		9200000000, 9200000001, 16725225600, INT64_C(1) << 40};
	int64_t last = INT64_MIN;

	(void)state;
	for (size_t i = 0; i < sizeof(sec) / sizeof(*sec); i++) {
		const int64_t t = tree_time(sec[i], 0);
		int64_t s = 0;
		int64_t ns = -1;

		tree_time_split(t, &s, &ns);
		assert_true(s == sec[i]);
		assert_int_equal(ns, 0);
		assert_true(t > last);
		last = t;
	}
	assert_true(tree_time(INT64_MAX, 999999999) == INT64_MAX);
	assert_true(tree_time(INT64_MIN, 0) == -INT64_MAX);
	tree_time_split(tree_time(-1, 999999999), &last, &(int64_t){0});
	assert_true(last == -1);
}

static void link__at_ceiling__refused(void **state)
{
	struct tree_attr a = {0};
	struct bed *b = *state;
	char name[16];
	uint64_t f;

	bed_begin(b);
	f = bed_make(b, TREE_ROOT, "f", file);
	for (unsigned i = 1; i < TREE_NLINK_MAX; i++) {
		(void)snprintf(name, sizeof(name), "%u", i);
		assert_int_equal(tree_link(b->tx, f, TREE_ROOT, bed_name(name),
					 BED_NOW, &a, &b->err),
			0);
	}
	assert_int_equal(tree_link(b->tx, f, TREE_ROOT, bed_name("over"),
				 BED_NOW, &a, &b->err),
		-EMLINK);
	bed_undo(b);
}

static void unlink__wrong_kind__its_code(void **state)
{
	struct tree_attr a = {0};
	struct bed *b = *state;
	uint64_t d;

	bed_begin(b);
	d = bed_make(b, TREE_ROOT, "d", folder);
	(void)bed_make(b, d, "in", file);
	(void)bed_make(b, TREE_ROOT, "f", file);
	assert_int_equal(drop_name(b, "d", false, &a), -EISDIR);
	assert_int_equal(drop_name(b, "f", true, &a), -ENOTDIR);
	assert_int_equal(drop_name(b, "d", true, &a), -ENOTEMPTY);
	assert_int_equal(drop_name(b, "no", false, &a), -ENOENT);
	bed_undo(b);
}

static void drop__with_a_name_or_without__busy_or_gone(void **state)
{
	const struct pluri_span v = {"v", 1};
	struct tree_attr a = {0};
	struct bed *b = *state;
	uint64_t f;

	bed_begin(b);
	f = bed_make(b, TREE_ROOT, "f", file);
	assert_int_equal(
		tree_setxattr(b->tx, f, "user.a", v, 0, BED_NOW, &b->err), 0);
	assert_int_equal(tree_drop(b->tx, f, &b->err), -EINVAL);
	assert_int_equal(drop_name(b, "f", false, &a), 0);
	assert_int_equal(tree_drop(b->tx, f, &b->err), 0);
	assert_int_equal(tree_get(b->tx, f, &a, &b->err), -ENOENT);
	assert_int_equal(tree_drop(b->tx, f, &b->err), -ENOENT);
	bed_end(b);
}

static void numbers__after_delete_and_reopen__new(void **state)
{
	struct tree_attr a = {0};
	struct bed *b = *state;
	uint64_t f;

	bed_begin(b);
	f = bed_make(b, TREE_ROOT, "f", file);
	assert_int_equal(drop_name(b, "f", false, &a), 0);
	assert_int_equal(tree_drop(b->tx, f, &b->err), 0);
	bed_end(b);
	assert_int_equal(meta_commit(b->m, &b->err), 0);
	bed_reopen(b);
	bed_begin(b);
	assert_true(bed_make(b, TREE_ROOT, "f", file) > f);
	bed_end(b);
}

static void totals__through_changes__exact(void **state)
{
	struct tree_totals t = {0};
	struct tree_attr a = {0};
	struct bed *b = *state;

	bed_begin(b);
	a.ino = bed_make(b, TREE_ROOT, "f", file);
	a.size = 1000;
	assert_int_equal(tree_set(b->tx, TREE_SET_SIZE, &a, &b->err), 0);
	bed_end(b);
	bed_begin(b);
	a.size = 50;
	assert_int_equal(tree_set(b->tx, TREE_SET_SIZE, &a, &b->err), 0);
	(void)bed_make(b, TREE_ROOT, "g", file);
	bed_undo(b);
	assert_int_equal(meta_commit(b->m, &b->err), 0);
	bed_reopen(b);
	bed_begin(b);
	assert_int_equal(tree_totals(b->tx, &t, &b->err), 0);
	assert_int_equal(t.inodes, 2);
	assert_int_equal(t.bytes, 1000);
	assert_int_equal(drop_name(b, "f", false, &a), 0);
	assert_int_equal(tree_drop(b->tx, a.ino, &b->err), 0);
	assert_int_equal(tree_totals(b->tx, &t, &b->err), 0);
	assert_int_equal(t.inodes, 1);
	assert_int_equal(t.bytes, 0);
	bed_end(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)
		T(name__each_rule__its_code),
		T(make__file__attributes_and_parent),
		T(make__folder__parent_counts_it),
		T(make__in_what_is_no_folder__refused),
		T(policy__of_folder__inherited),
		T(symlink__longest__comes_back),
		T(set__each_field__alone),
		T(link__and_unlink__count),
		T(time__any_seconds__come_back_in_order),
		T(link__at_ceiling__refused),
		T(unlink__wrong_kind__its_code),
		T(drop__with_a_name_or_without__busy_or_gone),
		T(numbers__after_delete_and_reopen__new),
		T(totals__through_changes__exact),
#undef T
	};

	return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
