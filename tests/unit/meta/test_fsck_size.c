#include "tests/unit/meta/fsck_volume.h"

/* What lies behind the end is never shown again, however much it is. */
static void fsck__much_behind_the_end__cut(void **state)
{
	struct storage *s = *state;
	struct extent_row row[4];
	struct seen seen;
	unsigned n = 0;

	for (uint64_t i = 0; i < 300; i++) {
		const struct extent e = {i, 1, (uint32_t)i, 4};

		assert_int_equal(extent_write(s->tx, 5, &e, 1, NULL), 0);
	}
	sized(s, 5, 10);
	check(s, false, &seen);
	assert_string_equal(seen.codes, "extent-past-end ");
	repair_all(s);
	expect_clean(s);
	sized(s, 5, 300);
	assert_int_equal(extent_read(s->tx, 5, (struct extent_span){10, 290},
				 row, 4, &n, NULL),
		0);
	assert_int_equal(n, 0);
	assert_int_equal(extent_read(s->tx, 5, (struct extent_span){9, 1}, row,
				 4, &n, NULL),
		0);
	assert_int_equal(n, 1);
}

static void fsck__dead_extents_behind_the_end__no_finding(void **state)
{
	struct storage *s = *state;
	bool more = false;

	assert_int_equal(extent_cut(s->tx, 4, 0, 1, &more, NULL), 0);
	assert_true(more);
	sized(s, 4, 0);
	expect_clean(s);
}

/* A size that cannot be becomes what is shown, not what is dead. */
static void fsck__size_lost_while_trimmed__dead_stay_dead(void **state)
{
	struct storage *s = *state;
	struct tree_attr a = {0};
	bool more = false;

	assert_int_equal(extent_cut(s->tx, 4, 500, 0, &more, NULL), 0);
	assert_true(more);
	storage_poke(s, "UPDATE extent SET len = 500 WHERE ino = 4 AND off = 0;"
			"UPDATE inode SET size = -1, bytes = 1200"
			" WHERE ino = 4");
	repair_all(s);
	expect_clean(s);
	assert_int_equal(tree_get(s->tx, 4, &a, NULL), 0);
	assert_int_equal(a.size, 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fsck_test(fsck__much_behind_the_end__cut),
		fsck_test(fsck__dead_extents_behind_the_end__no_finding),
		fsck_test(fsck__size_lost_while_trimmed__dead_stay_dead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
