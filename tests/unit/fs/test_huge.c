/* Files of very many extents: what goes by itself, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/clone.h"
#include "fs/commit.h"
#include "fs/names.h"
#include "fs/trim.h"
#include "fs/write.h"
#include "tests/unit/fs/house.h"

#define FILE_MAX (2u << 20)

struct huge {
	struct house h;
	struct node *n;
	uint8_t *buf; /* FILE_MAX */
};

/* Rows that are left of the file, dead ones too, as the inode counts them. */
static uint64_t bytes_held(struct house *h, uint64_t ino)
{
	struct tree_attr a = {0};
	struct meta_tx *tx = NULL;

	assert_int_equal(meta_begin(h->v->meta, &tx, NULL), 0);
	if (meta_end(tx, tree_get(tx, ino, &a, NULL), NULL) == -ENOENT)
		return 0;
	return a.bytes;
}

static void wait_held(struct house *h, uint64_t ino, uint64_t bytes)
{
	const uint64_t until = clock_mono_ms(clock_system()) + 20000;

	while (bytes_held(h, ino) != bytes) {
		assert_true(clock_mono_ms(clock_system()) < until);
		trim_rest();
	}
}

/* A file of 4096 extents. */
static void huge_new(struct huge *w)
{
	house_new(&w->h, "", "");
	w->n = house_file(&w->h, "f");
	w->buf = malloc(FILE_MAX);
	house_noise(3, w->buf, FILE_MAX);
	house_write(&w->h, w->n, 0, w->buf, FILE_MAX);
	house_shatter(&w->h, w->n);
	assert_int_equal(commit_now(w->h.v->commit, false, NULL), 0);
}

static void huge_free(struct huge *w)
{
	node_unpin(w->h.v->nodes, w->n);
	house_free(&w->h);
	free(w->buf);
}

/* Nobody asks for it: not the first time, not after a crash. */
static void cut__huge_file__goes_by_itself(void **state)
{
	struct huge w = {0};
	const uint64_t ino = (huge_new(&w), w.n->ino);

	(void)state;
	house_truncate(&w.h, w.n, FILE_MAX / 2);
	assert_int_equal(house_size(&w.h, w.n), FILE_MAX / 2);
	wait_held(&w.h, ino, FILE_MAX / 2);
	house_truncate(&w.h, w.n, 1000);
	assert_int_equal(commit_now(w.h.v->commit, false, NULL), 0);
	node_unpin(w.h.v->nodes, w.n);
	house_crash(&w.h);
	house_open(&w.h);
	w.n = house_file(&w.h, "f");
	wait_held(&w.h, ino, 1000);
	huge_free(&w);
}

static void unlink__huge_file_and_a_crash__goes_by_itself(void **state)
{
	struct huge w = {0};
	const uint64_t ino = (huge_new(&w), w.n->ino);

	(void)state;
	house_truncate(&w.h, w.n, FILE_MAX / 2);
	assert_int_equal(names_unlink(w.h.v, TREE_ROOT, "f", false, NULL), 0);
	assert_int_equal(commit_now(w.h.v->commit, false, NULL), 0);
	node_unpin(w.h.v->nodes, w.n);
	house_crash(&w.h);
	house_open(&w.h);
	wait_held(&w.h, ino, 0);
	w.n = house_file(&w.h, "other");
	huge_free(&w);
}

/* Dead extents and dirty bytes over others count for more than there is. */
static void stat__pending_trim_or_dirty__no_more_than_size(void **state)
{
	struct huge w = {0};
	struct tree_attr a = {0};

	(void)state;
	huge_new(&w);
	for (unsigned i = 0; i < 2; i++) {
		house_write(&w.h, w.n, 100, w.buf, 100000);
		assert_int_equal(names_stat(w.h.v, w.n->ino, &a, NULL), 0);
		assert_int_equal(a.bytes, FILE_MAX);
	}
	house_truncate(&w.h, w.n, 7);
	assert_int_equal(names_stat(w.h.v, w.n->ino, &a, NULL), 0);
	assert_int_equal(a.bytes, 7);
	huge_free(&w);
}

static void clone__behind_a_pending_cut__lies_there_alone(void **state)
{
	const uint64_t at = FILE_MAX / 2;
	struct huge w = {0};
	struct clone_ask ask = {.to_off = at, .len = FILE_MAX};
	uint8_t *got = malloc(FILE_MAX);
	uint64_t done = 0;

	(void)state;
	huge_new(&w);
	ask.from = ask.to = w.n;
	house_truncate(&w.h, w.n, 1000);
	assert_int_equal(clone_range(w.h.v, &ask, &done, NULL), 0);
	assert_int_equal(done, 1000);
	assert_int_equal(house_size(&w.h, w.n), at + 1000);
	house_read(&w.h, w.n, 0, got, at + 1000);
	assert_memory_equal(got, w.buf, 1000);
	assert_memory_equal(got + at, w.buf, 1000);
	for (uint64_t i = 1000; i < at; i++)
		assert_int_equal(got[i], 0);
	wait_held(&w.h, w.n->ino, 2000);
	free(got);
	huge_free(&w);
}

static void clone__other_policy_or_bad_range__refused(void **state)
{
	struct huge w = {0};
	struct tree_attr a = {.policy = 7};
	struct clone_ask ask = {.to_off = PLURI_FILE_MAX - 5, .len = 10};
	uint64_t done = 7;

	(void)state;
	huge_new(&w);
	ask.from = w.n;
	ask.to = house_file(&w.h, "to");
	assert_int_equal(clone_range(w.h.v, &ask, &done, NULL), -EFBIG);
	ask.to_off = 0;
	assert_int_equal(
		write_setattr(w.h.v, ask.to, TREE_SET_POLICY, 1, &a, NULL), 0);
	assert_int_equal(clone_range(w.h.v, &ask, &done, NULL), -EXDEV);
	node_unpin(w.h.v->nodes, ask.to);
	ask.to = ask.from;
	ask.to_off = 9;
	assert_int_equal(clone_range(w.h.v, &ask, &done, NULL), -EINVAL);
	assert_int_equal(done, 7);
	ask.from_off = FILE_MAX; /* the end: nothing to copy */
	assert_int_equal(clone_range(w.h.v, &ask, &done, NULL), 0);
	assert_int_equal(done, 0);
	huge_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut__huge_file__goes_by_itself),
		cmocka_unit_test(unlink__huge_file_and_a_crash__goes_by_itself),
		cmocka_unit_test(
			stat__pending_trim_or_dirty__no_more_than_size),
		cmocka_unit_test(clone__behind_a_pending_cut__lies_there_alone),
		cmocka_unit_test(clone__other_policy_or_bad_range__refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
