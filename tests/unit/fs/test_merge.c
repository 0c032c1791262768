/* Many small extents become few, and nobody sees anything of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/log.h"
#include "fs/commit.h"
#include "meta/meta_int.h"
#include "tests/unit/fs/pages.h"

/* --- it is done ----------------------------------------------------------- */

static void round__many_small_writes__few_extents_of_the_same(void **state)
{
	struct merge_stats s;
	struct tree_attr was;
	struct tree_attr is;
	unsigned before;
	unsigned chunks;
	struct pages g;

	(void)state;
	pages_begin(&g, VOLUME);
	pages_database(&g, 300);
	before = pages_count(&g);
	assert_true(before > 400);
	pages_stat(&g, &was);
	pages_merge(&g);
	assert_true(pages_extents(&g, &chunks) <= 12);
	assert_true(chunks <= 12);
	pages_stat(&g, &is);
	assert_memory_equal(&was, &is, sizeof(was));
	assert_false(g.n->attr_dirty);
	merge_stats(g.m, &s);
	assert_int_equal(s.ranges, 3);
	assert_true(s.before <= before && s.before > 400);
	assert_true(s.after <= 12);
	assert_int_equal(s.bytes, LEN);
	assert_int_equal(s.copied_bytes, LEN);
	assert_int_equal(s.vain, 0);
	pages_same_all(&g);
	pages_merge(&g); /* nothing is left to do */
	merge_stats(g.m, &s);
	assert_int_equal(s.copied_bytes, LEN);
	assert_int_equal(commit_now(g.h.v->commit, true, NULL), 0);
	pages_shut(&g);
	house_crash(&g.h);
	house_open(&g.h);
	pages_open(&g);
	assert_true(pages_count(&g) <= 12);
	pages_same_all(&g);
	pages_end(&g);
}

static void round__after_a_remount__found_by_the_scan(void **state)
{
	struct pages g;

	(void)state;
	pages_begin(&g, VOLUME);
	pages_database(&g, 300);
	pages_shut(&g);
	house_close(&g.h);
	house_open(&g.h);
	pages_open(&g);
	assert_true(pages_count(&g) > 400);
	pages_merge(&g);
	assert_true(pages_count(&g) <= 12);
	assert_false(g.m->scanning);
	pages_same_all(&g);
	pages_end(&g);
}

static void round__appended_bit_by_bit__few_extents(void **state)
{
	struct pages g;

	(void)state;
	pages_begin(&g, VOLUME);
	for (unsigned i = 0; i < LEN / 3000; i++) {
		pages_put(&g, i, (uint64_t)i * 3000, 3000);
		pages_flush(&g);
	}
	assert_int_equal(pages_count(&g), LEN / 3000);
	pages_merge(&g);
	assert_true(pages_count(&g) <= 16);
	house_read(&g.h, g.n, 0, g.got, LEN / 3000 * 3000);
	assert_memory_equal(g.got, g.data, LEN / 3000 * 3000);
	pages_end(&g);
}

/* Pages with holes between them: as many extents, but few chunks. */
static void round__holes_between__stay_holes(void **state)
{
	struct tree_attr was;
	struct tree_attr is;
	unsigned chunks;
	struct pages g;

	(void)state;
	pages_begin(&g, VOLUME);
	house_truncate(&g.h, g.n, LEN);
	for (unsigned i = 0; i < PAGES; i += 4) {
		pages_put(&g, i + 1, (uint64_t)i * PAGE, PAGE);
		pages_flush(&g);
	}
	assert_int_equal(pages_extents(&g, &chunks), PAGES / 4);
	assert_int_equal(chunks, PAGES / 4);
	pages_stat(&g, &was);
	pages_merge(&g);
	assert_int_equal(pages_extents(&g, &chunks), PAGES / 4);
	assert_true(chunks <= 6);
	pages_stat(&g, &is);
	assert_memory_equal(&was, &is, sizeof(was));
	pages_same_all(&g);
	pages_end(&g);
}

/* Only where it is worth it: what is large is not copied. */
static void round__few_places_of_a_large_file__the_rest_stays(void **state)
{
	struct merge_stats s;
	struct pages g;

	(void)state;
	pages_begin(&g, VOLUME);
	pages_put(&g, 1, 0, LEN);
	pages_flush(&g);
	for (unsigned i = 0; i < 7; i++) { /* too few */
		pages_put(&g, 50 + i, i * 100 * KIB + PAGE, PAGE);
		pages_flush(&g);
	}
	for (unsigned i = 0; i < 32; i++) { /* all in one place */
		pages_put(&g, 70 + i, 2 * MIB + 512 * KIB + i * PAGE, PAGE);
		pages_flush(&g);
	}
	pages_merge(&g);
	merge_stats(g.m, &s);
	assert_int_equal(s.ranges, 1);
	assert_in_range(s.bytes, 32 * PAGE, 60 * PAGE); /* and a rest */
	assert_in_range(s.before, 32, 34);
	g.m->scanning = true;
	pages_merge(&g);
	assert_false(g.m->scanning);
	merge_stats(g.m, &s);
	assert_int_equal(s.ranges, 1);
	pages_same_all(&g);
	pages_end(&g);
}

static void round__less_than_it_costs__nothing(void **state)
{
	struct pages g;

	(void)state;
	pages_begin(&g, VOLUME);
	for (unsigned i = 0; i < 8; i++) {
		pages_put(&g, i, (uint64_t)i * PAGE, PAGE);
		pages_flush(&g);
	}
	g.m->scanning = true;
	pages_merge(&g);
	assert_int_equal(pages_count(&g), 8);
	pages_put(&g, 8, 8 * PAGE, PAGE);
	pages_flush(&g);
	g.m->scanning = true;
	g.m->scan_next_ms = 0;
	pages_merge(&g);
	assert_int_equal(pages_count(&g), 1);
	pages_end(&g);
}

static void round__tiny_extents__in_steps(void **state)
{
	unsigned chunks;
	struct pages g;

	(void)state;
	pages_begin(&g, VOLUME);
	for (unsigned i = 0; i < 1000; i++) {
		pages_put(&g, i, (uint64_t)i * 100, 100);
		pages_flush(&g);
	}
	assert_int_equal(pages_count(&g), 1000);
	pages_merge(&g);
	assert_true(pages_extents(&g, &chunks) <= 4);
	house_read(&g.h, g.n, 0, g.got, 100000);
	assert_memory_equal(g.got, g.data, 100000);
	pages_end(&g);
}

/* The same bytes are there already: no chunk is stored for them. */
static void round__content_is_stored_already__shared(void **state)
{
	struct node *first;
	unsigned before;
	struct pages g;

	(void)state;
	pages_begin(&g, VOLUME);
	first = g.n;
	pages_database(&g, 300);
	pages_merge(&g);
	before = pages_count(&g);
	g.n = house_file(&g.h, "twin");
	pages_database(&g, 300);
	pages_merge(&g);
	assert_int_equal(pages_count(&g), before);
	pages_same_all(&g);
	node_unpin(g.h.v->nodes, g.n);
	g.n = first;
	pages_same_all(&g);
	pages_end(&g);
}

/* An extent that cannot be: the files behind it are found all the same. */
static void scan__one_file_is_damaged__others_are_found(void **state)
{
	struct meta_tx *tx = NULL;
	struct pages g;
	uint64_t first;

	(void)state;
	pages_begin(&g, VOLUME);
	pages_put(&g, 1, 0, LEN);
	pages_flush(&g);
	first = g.n->ino;
	pages_shut(&g);
	g.n = house_file(&g.h, "twin");
	assert_true(g.n->ino > first);
	pages_database(&g, 300);
	pages_shut(&g);
	house_close(&g.h);
	house_open(&g.h);
	assert_int_equal(meta_begin(g.h.v->meta, &tx, NULL), 0);
	assert_true(meta_change(tx,
			    "UPDATE extent SET len = -1"
			    " WHERE ino = ?1 AND off > ?2",
			    META_INTS((int64_t)first, MIB), NULL) >= 0);
	assert_int_equal(meta_end(tx, 0, NULL), 0);
	pages_open(&g); /* the file of that name */
	pages_shut(&g);
	g.n = house_file(&g.h, "twin");
	log_limit((enum log_level) - 1); /* it is to be told */
	for (unsigned i = 0; i < 3; i++) /* a step each */
		pages_turn(&g);
	assert_false(g.m->scanning);
	pages_merge(&g);
	assert_true(pages_count(&g) <= 12);
	pages_same_all(&g);
	pages_end(&g);
}

/* What it leaves behind is for repacking to collect: not one without the other.
 */
static void round__off__nothing(void **state)
{
	static const char *const volume[] = {
		"timeout = 2s\nmerge_rate = 0", "timeout = 2s\nrepack = off"};
	unsigned before;
	struct pages g;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		pages_begin(&g, volume[i]);
		g.m->scanning = true;
		pages_database(&g, 100);
		before = pages_count(&g);
		pages_merge(&g);
		assert_int_equal(pages_count(&g), before);
		assert_int_equal(merge_start(g.m, NULL), 0);
		assert_false(g.m->started);
		pages_end(&g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			round__many_small_writes__few_extents_of_the_same),
		cmocka_unit_test(round__after_a_remount__found_by_the_scan),
		cmocka_unit_test(round__appended_bit_by_bit__few_extents),
		cmocka_unit_test(round__holes_between__stay_holes),
		cmocka_unit_test(
			round__few_places_of_a_large_file__the_rest_stays),
		cmocka_unit_test(round__less_than_it_costs__nothing),
		cmocka_unit_test(round__tiny_extents__in_steps),
		cmocka_unit_test(round__content_is_stored_already__shared),
		cmocka_unit_test(scan__one_file_is_damaged__others_are_found),
		cmocka_unit_test(round__off__nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
