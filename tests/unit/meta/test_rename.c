#include <errno.h>
#include <sys/stat.h>

#include "tests/unit/meta/bed.h"

/*
 * The stage: a/ has file f, folder e (empty), folder n (has x); b/ has file g,
 * folder e (empty), folder n (has x, which has folder y). a/h is b/h.
 */
enum { IN_ROOT, IN_A, IN_B, IN_AN, IN_BNX };
static const uint32_t file = S_IFREG | 0644;
static const uint32_t folder = S_IFDIR | 0755;

struct stage {
	uint64_t dir[5];
};

static struct stage stage_build(struct bed *b)
{
	struct tree_attr a = {0};
	struct stage s = {{TREE_ROOT}};
	uint64_t bn, h;

	s.dir[IN_A] = bed_make(b, TREE_ROOT, "a", folder);
	s.dir[IN_B] = bed_make(b, TREE_ROOT, "b", folder);
	(void)bed_make(b, s.dir[IN_A], "f", file);
	(void)bed_make(b, s.dir[IN_A], "e", folder);
	s.dir[IN_AN] = bed_make(b, s.dir[IN_A], "n", folder);
	(void)bed_make(b, s.dir[IN_AN], "x", folder);
	(void)bed_make(b, s.dir[IN_B], "g", file);
	(void)bed_make(b, s.dir[IN_B], "e", folder);
	bn = bed_make(b, s.dir[IN_B], "n", folder);
	s.dir[IN_BNX] = bed_make(b, bn, "x", folder);
	(void)bed_make(b, s.dir[IN_BNX], "y", folder);
	h = bed_make(b, s.dir[IN_A], "h", file);
	assert_int_equal(tree_link(b->tx, h, s.dir[IN_B], bed_name("h"),
				 BED_NOW, &a, &b->err),
		0);
	return s;
}

static int count_one(void *arg, const struct tree_entry *e)
{
	unsigned *subdirs = arg;

	if (S_ISDIR(e->attr.mode))
		(*subdirs)++;
	return 0;
}

static int check_one(void *arg, const struct tree_entry *e)
{
	uint64_t *dirs = arg;

	if (S_ISDIR(e->attr.mode))
		dirs[++dirs[0]] = e->attr.ino;
	return 0;
}

/* Every folder counts its subfolders, and they know their parent. */
static void stage_check(struct bed *b, uint64_t dir)
{
	uint64_t dirs[16] = {0};
	unsigned subdirs = 0;

	assert_int_equal(
		tree_list(b->tx, dir, 0, true, count_one, &subdirs, &b->err),
		0);
	assert_int_equal(bed_get(b, dir).nlink, 2 + subdirs);
	assert_int_equal(
		tree_list(b->tx, dir, 0, false, check_one, dirs, &b->err), 0);
	assert_int_equal(dirs[0], subdirs);
	for (uint64_t i = 1; i <= dirs[0]; i++) {
		uint64_t up = 0;

		assert_int_equal(tree_parent(b->tx, dirs[i], &up, &b->err), 0);
		assert_int_equal(up, dir);
		stage_check(b, dirs[i]);
	}
}

struct row {
	int from_dir;
	const char *from;
	int to_dir;
	const char *to;
	unsigned flags;
	int want;
};

static const struct row rows[] = {
	{IN_A, "f", IN_A, "new", 0, 0},
	{IN_A, "f", IN_B, "new", 0, 0},
	{IN_A, "f", IN_B, "g", 0, 0},
	{IN_A, "f", IN_A, "f", 0, 0},
	{IN_A, "h", IN_B, "h", 0, 0},
	{IN_A, "no", IN_B, "new", 0, -ENOENT},
	{IN_A, "f", IN_B, "..", 0, -EINVAL},
	{IN_A, "e", IN_B, "new", 0, 0},
	{IN_A, "e", IN_B, "e", 0, 0},
	{IN_A, "n", IN_B, "e", 0, 0},
	{IN_A, "n", IN_A, "e", 0, 0},
	{IN_A, "n", IN_ROOT, "n", 0, 0},
	{IN_A, "e", IN_B, "n", 0, -ENOTEMPTY},
	{IN_A, "e", IN_B, "g", 0, -ENOTDIR},
	{IN_A, "f", IN_B, "e", 0, -EISDIR},
	{IN_A, "f", IN_B, "n", 0, -EISDIR},
	{IN_ROOT, "a", IN_A, "in", 0, -EINVAL},
	{IN_ROOT, "a", IN_AN, "in", 0, -EINVAL},
	{IN_ROOT, "b", IN_BNX, "y", 0, -EINVAL},
	{IN_BNX, "y", IN_ROOT, "b", 0, -ENOTEMPTY},
	{IN_A, "f", IN_B, "g", TREE_NOREPLACE, -EEXIST},
	{IN_A, "h", IN_B, "h", TREE_NOREPLACE, -EEXIST},
	{IN_A, "f", IN_B, "new", TREE_NOREPLACE, 0},
	{IN_A, "f", IN_B, "g", TREE_EXCHANGE, 0},
	{IN_A, "f", IN_B, "n", TREE_EXCHANGE, 0},
	{IN_A, "n", IN_B, "g", TREE_EXCHANGE, 0},
	{IN_A, "n", IN_B, "n", TREE_EXCHANGE, 0},
	{IN_A, "n", IN_A, "f", TREE_EXCHANGE, 0},
	{IN_A, "h", IN_B, "h", TREE_EXCHANGE, 0},
	{IN_A, "f", IN_B, "no", TREE_EXCHANGE, -ENOENT},
	{IN_ROOT, "b", IN_BNX, "y", TREE_EXCHANGE, -EINVAL},
	{IN_BNX, "y", IN_ROOT, "b", TREE_EXCHANGE, -EINVAL},
	{IN_A, "f", IN_B, "g", TREE_NOREPLACE | TREE_EXCHANGE, -EINVAL},
	{IN_A, "f", IN_B, "g", 8, -EINVAL},
};

static int look(
	struct bed *b, uint64_t dir, const char *name, struct tree_attr *a)
{
	*a = (struct tree_attr){0};
	return tree_lookup(b->tx, dir, bed_name(name), a, &b->err);
}

static void check_names(struct bed *b, const struct row *r,
	const struct tree_move *mv, const struct tree_attr *was)
{
	const bool same = was[0].ino == was[1].ino;
	struct tree_attr now[2];

	(void)look(b, mv->from_dir, r->from, &now[0]);
	(void)look(b, mv->to_dir, r->to, &now[1]);
	assert_int_equal(now[1].ino, was[0].ino);
	if (r->flags & TREE_EXCHANGE || same)
		assert_int_equal(now[0].ino, was[1].ino);
	else
		assert_int_equal(now[0].ino, 0);
	if (!same)
		assert_int_equal(now[1].ctime_ns, BED_NOW + 3);
	if (!same)
		assert_int_equal(
			bed_get(b, mv->from_dir).mtime_ns, BED_NOW + 3);
}

static void try_row(struct bed *b, const struct row *r)
{
	const struct stage s = stage_build(b);
	const struct tree_move mv = {s.dir[r->from_dir], s.dir[r->to_dir],
		bed_name(r->from), bed_name(r->to), r->flags};
	struct tree_attr moved = {0};
	struct tree_attr lost = {.ino = 1};
	struct tree_attr was[2];
	int got;

	(void)look(b, mv.from_dir, r->from, &was[0]);
	(void)look(b, mv.to_dir, r->to, &was[1]);
	got = tree_rename(b->tx, &mv, BED_NOW + 3, &moved, &lost, &b->err);
	if (got != r->want)
		print_error(
			"%s -> %s, %u: %d\n", r->from, r->to, r->flags, got);
	assert_int_equal(got, r->want);
	stage_check(b, TREE_ROOT);
	if (got < 0)
		return;
	assert_int_equal(moved.ino, was[0].ino);
	check_names(b, r, &mv, was);
	if (was[0].ino == was[1].ino)
		assert_int_equal(lost.ino, 0);
	else
		assert_int_equal(lost.ino, was[1].ino);
	if (lost.ino && r->flags & TREE_EXCHANGE)
		assert_int_equal(lost.nlink, bed_get(b, lost.ino).nlink);
	else if (lost.ino)
		assert_int_equal(bed_get(b, lost.ino).nlink, 0);
	if (lost.ino)
		assert_int_equal(lost.ctime_ns, bed_get(b, lost.ino).ctime_ns);
}

static void rename__every_row__as_posix_says(void **state)
{
	struct bed *b = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bed_begin(b);
		try_row(b, &rows[i]);
		bed_undo(b);
	}
}

static void rename__onto_linked_file__one_link_less(void **state)
{
	struct tree_attr moved = {0};
	struct tree_attr lost = {0};
	struct bed *b = *state;
	struct tree_move mv = {0};
	struct stage s;
	unsigned n = 9;
	uint64_t orphan;

	bed_begin(b);
	s = stage_build(b);
	mv = (struct tree_move){
		s.dir[IN_A], s.dir[IN_B], bed_name("f"), bed_name("h"), 0};
	assert_int_equal(
		tree_rename(b->tx, &mv, BED_NOW, &moved, &lost, &b->err), 0);
	assert_int_equal(lost.nlink, 1);
	assert_int_equal(tree_orphans(b->tx, 0, &orphan, 1, &n, &b->err), 0);
	assert_int_equal(n, 0);
	bed_end(b);
}

static void rename__into_removed_folder__enoent(void **state)
{
	struct tree_attr a = {0};
	struct tree_attr lost = {0};
	struct bed *b = *state;
	struct tree_move mv = {.from = bed_name("f"), .to = bed_name("f")};

	bed_begin(b);
	mv.to_dir = bed_make(b, TREE_ROOT, "d", folder);
	mv.from_dir = TREE_ROOT;
	(void)bed_make(b, TREE_ROOT, "f", file);
	assert_int_equal(tree_unlink(b->tx, TREE_ROOT, bed_name("d"), true,
				 BED_NOW, &a, &b->err),
		0);
	assert_int_equal(
		tree_rename(b->tx, &mv, BED_NOW, &a, &lost, &b->err), -ENOENT);
	bed_end(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)
		T(rename__every_row__as_posix_says),
		T(rename__onto_linked_file__one_link_less),
		T(rename__into_removed_folder__enoent),
#undef T
	};

	return cmocka_run_group_tests_name("rename", tests, NULL, NULL);
}
