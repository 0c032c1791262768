/* What happens while small extents are put together wins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fs/clone.h"
#include "fs/commit.h"
#include "fs/names.h"
#include "fs/read.h"
#include "fs/repack_int.h"
#include "fs/write.h"
#include "tests/unit/fs/pages.h"

/* --- the world moves meanwhile -------------------------------------------- */

static void do_write(struct pages *g)
{
	pages_put(g, 7777, 5 * PAGE, PAGE);
	pages_flush(g);
	pages_put(g, 7778, MIB + 5 * PAGE + 10, 100);
	pages_flush(g);
	pages_put(g, 7779, 2 * MIB + 5 * PAGE, 9 * PAGE);
	pages_flush(g);
}

/* Recorded above: not even flushed. */
static void do_dirty(struct pages *g)
{
	pages_put(g, 7777, 5 * PAGE, 300 * PAGE);
}

static void do_cut(struct pages *g)
{
	house_truncate(&g->h, g->n, 2 * PAGE + 5);
	memset(g->data + 2 * PAGE + 5, 0, LEN - 2 * PAGE - 5);
	house_truncate(&g->h, g->n, LEN);
}

static void do_punch(struct pages *g)
{
	for (unsigned i = 0; i < 3; i++) {
		const uint64_t off = i * MIB + 11 * PAGE;

		assert_int_equal(
			write_punch(g->h.v, g->n, off, 3 * PAGE, NULL), 0);
		memset(g->data + off, 0, 3 * PAGE);
	}
}

static void do_clone(struct pages *g)
{
	const struct clone_ask ask = {.from = g->n,
		.to = g->n,
		.from_off = 20 * PAGE,
		.to_off = 2 * MIB,
		.len = MIB};
	uint64_t done = 0;

	assert_int_equal(clone_range(g->h.v, &ask, &done, NULL), 0);
	assert_int_equal(done, MIB);
	memmove(g->data + 2 * MIB, g->data + 20 * PAGE, MIB);
}

/* What was there comes back, as extents of the same chunks. */
static void do_undo(struct pages *g)
{
	uint8_t *old = malloc(PAGE);

	memcpy(old, g->data, PAGE);
	pages_put(g, 7777, 0, PAGE);
	pages_flush(g);
	house_write(&g->h, g->n, 0, old, PAGE);
	memcpy(g->data, old, PAGE);
	pages_flush(g);
	free(old);
}

static void copies__world_moves_meanwhile__it_wins(void **state)
{
	/* How many of three copies are in vain; the last extent of a region
	 * may reach into the next. */
	static const struct {
		void (*what)(struct pages *g);
		unsigned least, most;
	} move[] = {{do_write, 3, 3}, {do_dirty, 0, 0}, {do_cut, 3, 3},
		{do_punch, 3, 3}, {do_clone, 1, 2}, {do_undo, 0, 0}};

	(void)state;
	for (unsigned i = 0; i < sizeof(move) / sizeof(move[0]); i++) {
		struct merge_stats s;
		struct pages g;

		pages_begin(&g, VOLUME);
		pages_database(&g, 300);
		pages_turn(&g);
		assert_int_equal(g.m->copies, 3);
		move[i].what(&g);
		pages_same(&g);
		assert_true(house_paid(&g.h, 20000));
		pages_turn(&g);
		pages_same(&g);
		merge_stats(g.m, &s);
		assert_in_range(s.vain, move[i].least, move[i].most);
		pages_same_all(&g);
		pages_merge(&g);
		assert_true(pages_count(&g) < 80);
		pages_same_all(&g);
		pages_end(&g);
	}
}

static void copies__file_is_removed_meanwhile__nothing_is_revived(void **state)
{
	struct merge_stats s;
	struct pages g;
	uint64_t ino;

	(void)state;
	pages_begin(&g, VOLUME);
	pages_database(&g, 300);
	pages_turn(&g);
	assert_int_equal(g.m->copies, 3);
	ino = g.n->ino;
	assert_int_equal(names_unlink(g.h.v, TREE_ROOT, "db", false, NULL), 0);
	node_unpin(g.h.v->nodes, g.n);
	while (names_stat(g.h.v, ino, &(struct tree_attr){0}, NULL) == 0)
		nodes_tick(g.h.v->nodes);
	assert_true(house_paid(&g.h, 20000));
	pages_turn(&g);
	merge_stats(g.m, &s);
	assert_int_equal(s.vain, 3);
	assert_int_equal(s.ranges, 0);
	pages_turn(&g); /* looked at again: there is nothing */
	assert_int_equal(g.m->copies, 0);
	g.n = house_file(&g.h, "other");
	assert_int_equal(pages_count(&g), 0);
	pages_end(&g);
}

/* The pack with the copies has no chunk that lives: it ends before they are in
 * their place. */
static void copies__their_pack_is_collected__made_anew(void **state)
{
	struct merge_stats s;
	struct pages g;

	(void)state;
	pages_begin(&g, VOLUME);
	pages_database(&g, 300);
	assert_true(house_paid(&g.h, 20000));
	pages_turn(&g);
	assert_int_equal(g.m->copies, 3);
	assert_true(house_paid(&g.h, 20000));
	for (unsigned i = 0; i < 6; i++) {
		struct repack *r = g.h.v->repack;
		bool more = false;

		r->scan_next_ms = 0;
		for (unsigned c = 0; c < r->cools; c++)
			r->cool[c].due_ms = 0;
		assert_int_equal(repack_round(r, &more, NULL), 0);
		assert_true(house_paid(&g.h, 20000));
	}
	pages_turn(&g);
	merge_stats(g.m, &s);
	assert_true(s.vain > 0);
	pages_same_all(&g);
	pages_merge(&g);
	assert_true(pages_count(&g) <= 12);
	pages_same_all(&g);
	pages_end(&g);
}

struct writer_arg {
	struct pages *g;
	unsigned n;
};

static void *write_much(void *arg)
{
	struct writer_arg *w = arg;

	pages_scatter(w->g, 5000, w->n);
	return NULL;
}

static void rounds__beside_a_writer__its_bytes_win(void **state)
{
	struct writer_arg w = {.n = 800};
	pthread_t thread;
	struct pages g;

	(void)state;
	pages_begin(&g, VOLUME);
	pages_database(&g, 300);
	w.g = &g;
	assert_int_equal(pthread_create(&thread, NULL, write_much, &w), 0);
	for (unsigned i = 0; i < 12; i++) {
		struct pluri_err err = {0};
		bool more = false;

		atomic_store(&g.h.v->asked_ms, 0);
		if (merge_round(g.m, &more, &err) < 0)
			fail_msg("%s", err.text);
		assert_true(house_paid(&g.h, 20000));
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	pages_same(&g);
	pages_merge(&g);
	pages_same_all(&g);
	assert_true(pages_count(&g) <= 12);
	pages_end(&g);
}

/* --- stores --------------------------------------------------------------- */

/* No row leads to a copy before it is stored as a whole. */
static void copies__store_takes_nothing__old_extents_stay(void **state)
{
	unsigned before;
	struct pages g;

	(void)state;
	pages_begin(&g, VOLUME);
	pages_database(&g, 300);
	assert_true(house_paid(&g.h, 20000));
	before = pages_count(&g);
	house_fault(&g.h, "error EBUSY op=put\n");
	pages_turn(&g);
	assert_int_equal(g.m->copies, 3);
	assert_false(house_paid(&g.h, 300));
	pages_turn(&g);
	assert_int_equal(g.m->copies, 3);
	assert_int_equal(pages_count(&g), before);
	pages_same(&g);
	pages_shut(&g);
	assert_int_equal(commit_now(g.h.v->commit, true, NULL), 0);
	house_crash(&g.h); /* copies are forgotten, and nothing is lost */
	house_fault(&g.h, "");
	house_open(&g.h);
	pages_open(&g);
	assert_int_equal(pages_count(&g), before);
	pages_same_all(&g);
	pages_merge(&g);
	assert_true(pages_count(&g) <= 12);
	pages_same_all(&g);
	pages_end(&g);
}

static void region__cannot_be_read__left_and_tried_later(void **state)
{
	struct merge_stats s;
	unsigned before;
	struct pages g;

	(void)state;
	pages_begin_as(
		&g, VOLUME, "layout = mirror:1\nstores = b\npack_age = 60s");
	pages_database(&g, 300);
	before = pages_count(&g);
	house_clouds(&g.h);
	house_fault(&g.h, "error EBUSY op=get\n");
	pages_turn(&g);
	merge_stats(g.m, &s);
	assert_int_equal(s.copied_bytes, 0);
	assert_true(s.vain > 0);
	assert_int_equal(g.m->copies, 0);
	assert_int_equal(pages_count(&g), before);
	house_fault(&g.h, "");
	pages_same(&g); /* the store is trusted again */
	house_forget(&g.h);
	pages_merge(&g);
	assert_true(pages_count(&g) <= 12);
	pages_same_all(&g);
	pages_end(&g);
}

/* One of a region's two ranges is in memory, the other at a store that has gone
 * away: the copy of the first is not made again while it waits. */
static void region__read_in_part__its_copy_is_waited_for(void **state)
{
	const struct read_ask not_ahead = {0};
	struct pluri_room room;
	struct pages g;

	(void)state;
	pages_begin_as(&g, VOLUME,
		"layout = mirror:1\nstores = b\npack = 4M\npack_age = 60s\n"
		"chunking = fixed");
	pages_put(&g, 1, 0, LEN);
	pages_flush(&g);
	for (unsigned i = 0; i < 2; i++) { /* large extents between them */
		for (unsigned k = 0; k < 64; k++) {
			pages_put(&g, 100 + 100 * i + k,
				(i ? MIB - 64 * PAGE : 0) + k * PAGE, PAGE);
			pages_flush(&g);
		}
		assert_true(house_paid(&g.h, 20000));
	}
	house_clouds(&g.h);
	room = (struct pluri_room){.data = g.got, .cap = 64 * PAGE};
	assert_int_equal(read_bytes(g.h.v, g.n, &not_ahead, 0, &room, NULL), 0);
	house_fault(&g.h, "error EBUSY op=all key=packs/\n");
	pages_turn(&g);
	assert_int_equal(g.m->copies, 1);
	house_fault(&g.h, "error EBUSY op=put key=packs/\n");
	for (unsigned i = 0; i < 2; i++) {
		pages_same(&g); /* the store is well again */
		pages_turn(&g);
		assert_int_equal(g.m->copies, 1);
	}
	house_fault(&g.h, "");
	pages_same(&g);
	pages_merge(&g);
	pages_same_all(&g);
	pages_end(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies__world_moves_meanwhile__it_wins),
		cmocka_unit_test(
			copies__file_is_removed_meanwhile__nothing_is_revived),
		cmocka_unit_test(copies__their_pack_is_collected__made_anew),
		cmocka_unit_test(rounds__beside_a_writer__its_bytes_win),
		cmocka_unit_test(copies__store_takes_nothing__old_extents_stay),
		cmocka_unit_test(region__cannot_be_read__left_and_tried_later),
		cmocka_unit_test(region__read_in_part__its_copy_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
