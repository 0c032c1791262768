#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "tests/unit/meta/bed.h"

#include "meta/meta_int.h"

#define NAMES 300u

static const uint32_t file = S_IFREG | 0644;

/* A reader that comes back, a few names at a time. */
struct reader {
	uint64_t last; /* cookie */
	unsigned left; /* names it still takes this time */
	unsigned met[NAMES]; /* how often, by the number in the name */
	unsigned total;
};

static int read_one(void *arg, const struct tree_entry *e)
{
	struct reader *r = arg;
	unsigned n = 0;

	if (r->left-- == 0)
		return 1;
	assert_true(e->cookie > r->last);
	assert_true(e->cookie < INT32_MAX - 2); /* what 32 bits can hold */
	r->last = e->cookie;
	assert_true(S_ISREG(e->attr.mode));
	assert_int_equal(e->name.len, 4);
	for (size_t i = 1; i < 4; i++)
		n = n * 10 + (unsigned)(e->name.data[i] - '0');
	assert_true(n < NAMES);
	r->met[n]++;
	r->total++;
	return 0;
}

static unsigned read_some(
	struct bed *b, struct reader *r, unsigned n, bool with_attr)
{
	const unsigned before = r->total;

	r->left = n;
	bed_begin(b);
	assert_int_equal(tree_list(b->tx, TREE_ROOT, r->last, with_attr,
				 read_one, r, &b->err),
		0);
	bed_end(b);
	return r->total - before;
}

static const char *name_of(unsigned n)
{
	static char name[16];

	(void)snprintf(name, sizeof(name), "f%03u", n);
	return name;
}

static void make_names(struct bed *b, unsigned from, unsigned to)
{
	bed_begin(b);
	for (unsigned i = from; i < to; i++)
		(void)bed_make(b, TREE_ROOT, name_of(i), file);
	bed_end(b);
}

static void list__under_changes__each_that_stayed_once(void **state)
{
	struct reader r = {0};
	struct tree_attr a = {0};
	struct bed *b = *state;

	make_names(b, 0, 100);
	for (unsigned i = 0; i < 100; i += 10) {
		assert_int_equal(read_some(b, &r, 7, i % 20 == 0) <= 7, 1);
		make_names(b, 100 + i, 110 + i);
		bed_begin(b);
		assert_int_equal(
			tree_unlink(b->tx, TREE_ROOT, bed_name(name_of(i + 1)),
				false, BED_NOW, &a, &b->err),
			0);
		assert_int_equal(
			tree_unlink(b->tx, TREE_ROOT, bed_name(name_of(99 - i)),
				false, BED_NOW, &a, &b->err),
			0);
		bed_end(b);
	}
	while (read_some(b, &r, 7, false) > 0)
		;
	for (unsigned i = 0; i < 200; i++) {
		const bool gone = i % 10 == 1 || i % 10 == 9;

		assert_true(r.met[i] <= 1);
		if (i < 100 && !gone)
			assert_int_equal(r.met[i], 1);
	}
}

static void rename_in_root(struct bed *b, const char *from, const char *to)
{
	struct tree_move mv = {
		TREE_ROOT, TREE_ROOT, bed_name(from), bed_name(to), 0};
	struct tree_attr a = {0};
	struct tree_attr lost = {0};

	bed_begin(b);
	assert_int_equal(
		tree_rename(b->tx, &mv, BED_NOW, &a, &lost, &b->err), 0);
	bed_end(b);
}

static void list__renamed_inside__keeps_its_place(void **state)
{
	struct reader r = {0};
	struct bed *b = *state;

	make_names(b, 0, 10);
	assert_int_equal(read_some(b, &r, 5, true), 5);
	assert_int_equal(r.met[9], 1);
	rename_in_root(b, "f009", "f209"); /* was met */
	rename_in_root(b, "f000", "f200"); /* comes yet */
	rename_in_root(b, "f001", "f002"); /* likewise, instead of another */
	assert_int_equal(read_some(b, &r, 100, true), 4);
	assert_int_equal(r.met[209], 0);
	assert_int_equal(r.met[200], 1);
	assert_int_equal(r.met[2], 1);
	assert_int_equal(r.met[1], 0);
}

/* Copies and renames of what is shown, while it is shown. */
static void list__reader_makes_names__comes_to_an_end(void **state)
{
	struct reader r = {0};
	struct bed *b = *state;
	unsigned made = 10;

	make_names(b, 0, 10);
	while (read_some(b, &r, 1, false) > 0) {
		char name[16];

		assert_true(made < 30);
		make_names(b, made, made + 1);
		made++;
		(void)snprintf(name, sizeof(name), "%s", name_of(made - 1));
		rename_in_root(b, name, "f250");
		rename_in_root(b, "f250", name);
	}
	assert_int_equal(r.total, 10);
}

static void list__cookies_after_reopen__never_reused(void **state)
{
	struct tree_attr a = {0};
	struct reader r = {0};
	struct bed *b = *state;
	uint64_t newest = 0;

	make_names(b, 0, 3);
	assert_int_equal(read_some(b, &r, 1, false), 1);
	assert_int_equal(r.met[2], 1);
	newest = r.last;
	assert_int_equal(read_some(b, &r, 9, false), 2);
	bed_begin(b);
	assert_int_equal(tree_unlink(b->tx, TREE_ROOT, bed_name("f002"), false,
				 BED_NOW, &a, &b->err),
		0);
	bed_end(b);
	assert_int_equal(meta_commit(b->m, &b->err), 0);
	bed_reopen(b);
	make_names(b, 7, 8);
	assert_int_equal(read_some(b, &r, 9, false), 0);
	r = (struct reader){0};
	assert_int_equal(read_some(b, &r, 1, false), 1);
	assert_int_equal(r.met[7], 1);
	assert_true(r.last < newest);
}

/* "INDEXED BY" fails when there is no such index. */
static void list__its_index__has_all_it_tells(void **state)
{
	struct db_stmt *s = NULL;
	struct bed *b = *state;

	bed_begin(b);
	assert_int_equal(
		meta_query(b->tx,
			"EXPLAIN QUERY PLAN SELECT name, cookie, ino, type"
			" FROM dentry INDEXED BY dentry_list WHERE parent = 1"
			" AND cookie > 0 AND cookie < 9 ORDER BY cookie DESC",
			NULL, 0, &s, &b->err),
		0);
	assert_int_equal(meta_step(b->tx, s, &b->err), 1);
	assert_non_null(strstr(b->tx->ops->get_text(s, 3), "COVERING INDEX"));
	assert_int_equal(meta_step(b->tx, s, &b->err), 0);
	bed_end(b);
}

static void list__name_longer_than_any__ebadmsg(void **state)
{
	struct reader r = {.left = 10};
	struct bed *b = *state;

	make_names(b, 0, 1);
	bed_begin(b);
	assert_int_equal(
		meta_change(b->tx, "UPDATE dentry SET name = zeroblob(256)",
			NULL, 0, &b->err),
		0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(tree_list(b->tx, TREE_ROOT, 0, i == 1,
					 read_one, &r, &b->err),
			-EBADMSG);
	assert_int_equal(r.total, 0);
	bed_end(b);
}

static int set(
	struct bed *b, const char *name, const char *v, size_t len, int flags)
{
	return tree_setxattr(b->tx, TREE_ROOT, name,
		(struct pluri_span){v, len}, flags, BED_NOW + 4, &b->err);
}

static void xattr__flags__as_posix(void **state)
{
	char got[8];
	struct pluri_room to = {got, sizeof(got), 0};
	struct bed *b = *state;

	bed_begin(b);
	assert_int_equal(set(b, "user.a", "1", 1, XATTR_REPLACE), -ENODATA);
	assert_int_equal(set(b, "user.a", "12", 2, XATTR_CREATE), 0);
	assert_int_equal(bed_get(b, TREE_ROOT).ctime_ns, BED_NOW + 4);
	assert_int_equal(set(b, "user.a", "3", 1, XATTR_CREATE), -EEXIST);
	assert_int_equal(set(b, "user.a", "4", 1, 64), -EINVAL);
	assert_int_equal(set(b, "user.a", "567", 3, XATTR_REPLACE), 0);
	assert_int_equal(
		tree_getxattr(b->tx, TREE_ROOT, "user.a", &to, &b->err), 0);
	assert_int_equal(to.len, 3);
	assert_memory_equal(got, "567", 3);
	to.cap = 2;
	assert_int_equal(
		tree_getxattr(b->tx, TREE_ROOT, "user.a", &to, &b->err),
		-ERANGE);
	to.cap = 0;
	assert_int_equal(
		tree_getxattr(b->tx, TREE_ROOT, "user.a", &to, &b->err), 0);
	assert_int_equal(to.len, 3);
	assert_int_equal(
		tree_getxattr(b->tx, TREE_ROOT, "user.b", &to, &b->err),
		-ENODATA);
	assert_int_equal(set(b, "user.e", "", 0, 0), 0);
	assert_int_equal(
		tree_getxattr(b->tx, TREE_ROOT, "user.e", &to, &b->err), 0);
	assert_int_equal(to.len, 0);
	bed_end(b);
}

static void xattr__list_and_remove__names(void **state)
{
	char got[32];
	struct pluri_room to = {got, 0, 0};
	struct bed *b = *state;

	bed_begin(b);
	assert_int_equal(set(b, "user.b", "1", 1, 0), 0);
	assert_int_equal(set(b, "user.a", "1", 1, 0), 0);
	assert_int_equal(tree_listxattr(b->tx, TREE_ROOT, &to, &b->err), 0);
	assert_int_equal(to.len, 14);
	to.cap = 13;
	assert_int_equal(
		tree_listxattr(b->tx, TREE_ROOT, &to, &b->err), -ERANGE);
	to.cap = 14;
	assert_int_equal(tree_listxattr(b->tx, TREE_ROOT, &to, &b->err), 0);
	assert_memory_equal(got, "user.a\0user.b", 14);
	assert_int_equal(
		tree_delxattr(b->tx, TREE_ROOT, "user.a", 9, &b->err), 0);
	assert_int_equal(bed_get(b, TREE_ROOT).ctime_ns, 9);
	assert_int_equal(tree_delxattr(b->tx, TREE_ROOT, "user.a", 9, &b->err),
		-ENODATA);
	assert_int_equal(tree_setxattr(b->tx, 99, "user.a",
				 (struct pluri_span){"1", 1}, 0, 9, &b->err),
		-ENOENT);
	bed_end(b);
}

static void xattr__too_much__refused(void **state)
{
	static char value[TREE_XATTR_VALUE_MAX + 1];
	char name[TREE_XATTR_NAME_MAX + 2];
	struct bed *b = *state;
	unsigned n = 0;
	int r = 0;

	memset(name, 'n', sizeof(name));
	name[TREE_XATTR_NAME_MAX + 1] = '\0';
	bed_begin(b);
	assert_int_equal(set(b, "", "1", 1, 0), -ERANGE);
	assert_int_equal(set(b, name, "1", 1, 0), -ERANGE);
	assert_int_equal(set(b, "user.a", value, sizeof(value), 0), -E2BIG);
	assert_int_equal(set(b, "user.a", value, sizeof(value) - 1, 0), 0);
	while (r == 0 && n < 1000) {
		(void)snprintf(name, sizeof(name), "%0255u", n++);
		r = set(b, name, "1", 1, 0);
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(n, 256); /* 255 of them and "user.a" fit */
	memset(name, 'n', sizeof(name));
	name[249] = '\0'; /* 249 bytes of the list are left, one for a NUL */
	assert_int_equal(set(b, name, "1", 1, 0), -ENOSPC);
	name[248] = '\0';
	assert_int_equal(set(b, name, "1", 1, 0), 0);
	bed_end(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)
		T(list__under_changes__each_that_stayed_once),
		T(list__renamed_inside__keeps_its_place),
		T(list__reader_makes_names__comes_to_an_end),
		T(list__cookies_after_reopen__never_reused),
		T(list__its_index__has_all_it_tells),
		T(list__name_longer_than_any__ebadmsg),
		T(xattr__flags__as_posix),
		T(xattr__list_and_remove__names),
		T(xattr__too_much__refused),
#undef T
	};

	return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
