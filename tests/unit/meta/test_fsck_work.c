#include "tests/unit/meta/fsck_volume.h"

/* --- bounds -------------------------------------------------------------- */

static void fsck__tiny_slices_and_windows__the_same_is_found(void **state)
{
	const struct fsck_options tiny = {
		.rows = 1, .inodes = 2, .chunks = 1, .now_ns = NOW};
	struct storage *s = *state;
	struct seen big;
	struct seen small;

	check_with(s, &tiny, &small);
	assert_string_equal(small.codes, "");
	storage_poke(s, "UPDATE inode SET nlink = 9 WHERE ino = 4;"
			"UPDATE inode SET bytes = 9 WHERE ino = 4;"
			"DELETE FROM dentry WHERE ino = 6;"
			"UPDATE chunk SET refs = 5 WHERE num = 2;"
			"INSERT INTO extent VALUES (7, 100, 100, 0, 4)");
	check(s, false, &big);
	check_with(s, &tiny, &small);
	assert_string_equal(big.codes, "nlink-wrong inode-unnamed "
				       "inode-bytes extent-overlap inode-bytes "
				       "chunk-refs chunk-refs ");
	assert_string_equal(small.codes, big.codes);
}

static void fsck__many_findings__all_told(void **state)
{
	struct storage *s = *state;
	struct seen seen;

	for (unsigned i = 0; i < 300; i++) {
		char sql[100];

		(void)snprintf(sql, sizeof(sql),
			"INSERT INTO orphan VALUES (%u)", 1000 + i);
		storage_poke(s, sql);
	}
	check(s, false, &seen);
	assert_int_equal(seen.left, 300);
	repair_all(s);
	expect_clean(s);
}

static void fsck__second_check__busy(void **state)
{
	struct storage *s = *state;
	const struct fsck_options o = {0};
	struct fsck *one = NULL;
	struct fsck *two = NULL;

	(void)meta_end(s->tx, 0, NULL);
	assert_int_equal(fsck_new(s->meta, &o, &one, NULL), 0);
	assert_int_equal(fsck_new(s->meta, &o, &two, NULL), -EBUSY);
	fsck_free(one);
	assert_int_equal(fsck_new(s->meta, &o, &two, NULL), 0);
	fsck_free(two);
	assert_int_equal(meta_begin(s->meta, &s->tx, NULL), 0);
}

/* --- others at work ------------------------------------------------------ */

struct churn {
	struct meta_tx *tx;
	uint64_t d1, d2;
	char one[16], two[16];
	struct tree_name n1, n2;
};

static struct tree_name churn_name(struct storage *s, char to[16])
{
	(void)snprintf(to, 16, "c%u", storage_random(s, 40));
	return (struct tree_name){to, strlen(to)};
}

static int churn_remove(struct churn *c, struct tree_attr *a)
{
	bool more = false;
	int r = tree_unlink(c->tx, c->d1, c->n1, false, NOW, a, NULL);

	if (r < 0 || a->nlink > 0)
		return r;
	r = extent_punch(c->tx, a->ino, 0, UINT64_MAX, 100, &more, NULL);
	return r < 0 ? r : tree_drop(c->tx, a->ino, NULL);
}

/* Whoever records something behind the end moves it. */
static int churn_grow(struct churn *c, uint64_t ino, uint64_t end)
{
	struct tree_attr a = {0};
	const int r = tree_get(c->tx, ino, &a, NULL);

	if (r < 0 || a.size >= end)
		return r;
	a.size = end;
	return tree_set(c->tx, TREE_SET_SIZE, &a, NULL);
}

/* Cut in two steps, or let a part of it be shown elsewhere in it. */
static int churn_cut(
	struct storage *s, struct churn *c, const struct tree_attr *a)
{
	const struct extent_copy copy = {.from = a->ino,
		.to = a->ino,
		.to_off = 4000 + storage_random(s, 500),
		.len = 1 + storage_random(s, 3000)};
	uint64_t done = 0;
	bool more = false;
	int r = extent_trim(c->tx, a->ino, 1, &more, NULL);

	if (r < 0 || more)
		return r;
	if (storage_random(s, 2)) {
		r = extent_clone(c->tx, &copy, 3, &done, NULL);
		return r < 0 ? r : churn_grow(c, a->ino, copy.to_off + done);
	}
	return extent_cut(c->tx, a->ino, a->size, 1, &more, NULL);
}

static int churn_size(struct churn *c, struct tree_attr *a)
{
	bool more = false;
	const int r = extent_cut(c->tx, a->ino, a->size, 1, &more, NULL);

	return r < 0 ? r : tree_set(c->tx, TREE_SET_SIZE, a, NULL);
}

static int churn_file(struct storage *s, struct churn *c, unsigned what)
{
	struct tree_attr a = {0};
	struct extent e;
	int r = tree_lookup(c->tx, c->d1, c->n1, &a, NULL);

	if (r < 0)
		return r;
	if (what == 0)
		return tree_link(c->tx, a.ino, c->d2, c->n2, NOW, &a, NULL);
	if (!S_ISREG(a.mode))
		return 0;
	a.size = storage_random(s, 5000);
	if (what == 2)
		return churn_cut(s, c, &a);
	if (what == 1)
		return churn_size(c, &a);
	e = (struct extent){storage_random(s, 3000), 1 + storage_random(s, 500),
		storage_random(s, 500), 1 + storage_random(s, 4)};
	r = extent_write(c->tx, a.ino, &e, 1, NULL); /* -EBUSY: trim */
	return r < 0 ? r : churn_grow(c, a.ino, e.off + e.len);
}

static int churn_one(struct storage *s, struct churn *c)
{
	struct tree_attr a = {0};
	struct tree_attr b = {0};
	const struct tree_move mv = {c->d1, c->d2, c->n1, c->n2,
		storage_random(s, 3) ? 0 : TREE_EXCHANGE};
	const unsigned what = storage_random(s, 11);

	switch (what) {
	case 0:
	case 1:
		a.mode = what ? S_IFREG | 0600 : S_IFDIR | 0700;
		return tree_make(c->tx, c->d1, c->n1, NULL, NOW, &a, NULL);
	case 2:
		return churn_remove(c, &a);
	case 3:
		return tree_unlink(c->tx, c->d1, c->n1, true, NOW, &a, NULL);
	case 4:
		return tree_rename(c->tx, &mv, NOW, &a, &b, NULL);
	default:
		return churn_file(s, c, what - 5);
	}
}

/* One random change, in its own bracket; some are undone. */
static void churn(struct storage *s)
{
	struct churn c = {
		.d1 = 1 + storage_random(s, 3), .d2 = 1 + storage_random(s, 3)};
	int r;

	c.n1 = churn_name(s, c.one);
	c.n2 = churn_name(s, c.two);
	assert_int_equal(meta_begin(s->meta, &c.tx, NULL), 0);
	r = churn_one(s, &c);
	if (storage_random(s, 10) == 0)
		r = -ECANCELED;
	(void)meta_end(c.tx, r, NULL);
}

static void fsck__others_at_work__nothing_false_is_found(void **state)
{
	struct fsck_finding *f = calloc(FSCK_FINDINGS, sizeof(*f));
	struct storage *s = *state;
	unsigned rounds = 0;

	assert_non_null(f);
	(void)meta_end(s->tx, 0, NULL);
	for (unsigned i = 0; i < 500; i++)
		churn(s);
	for (unsigned rows = 1; rows < 60; rows += 7, rounds++) {
		const struct fsck_options o = {.rows = rows,
			.inodes = 10 + 3 * rows,
			.chunks = rows % 5 + 1};
		struct fsck *c = NULL;
		bool done = false;

		assert_int_equal(fsck_new(s->meta, &o, &c, NULL), 0);
		while (!done) {
			unsigned n = 0;

			assert_int_equal(fsck_step(c, f, &n, &done, NULL), 0);
			if (n > 0)
				fail_msg("%s: %s (inode %d)", f[0].code,
					f[0].text, (int)f[0].ino);
			for (unsigned i = storage_random(s, 4); i > 0; i--)
				churn(s);
		}
		fsck_free(c);
	}
	free(f);
	assert_true(rounds > 5);
	assert_int_equal(meta_begin(s->meta, &s->tx, NULL), 0);
	expect_clean(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fsck_test(fsck__tiny_slices_and_windows__the_same_is_found),
		fsck_test(fsck__many_findings__all_told),
		fsck_test(fsck__second_check__busy),
		fsck_test(fsck__others_at_work__nothing_false_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
