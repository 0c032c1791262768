/* Inodes without a name: when they go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/stat.h>

#include "fs/reap.h"
#include "fs/trim.h"
#include "tests/unit/fs/house.h"

#define MANY 200u
#define SOME 64u /* too many between two ticks to be calm */

struct lost {
	struct house h;
	struct reap *r;
	uint64_t before; /* inodes that stay */
};

static bool held(void *arg, uint64_t ino)
{
	(void)arg;
	(void)ino;
	return false;
}

static uint64_t inodes(struct lost *l)
{
	struct tree_totals t = {0};
	struct meta_tx *tx = NULL;

	assert_int_equal(meta_begin(l->h.v->meta, &tx, NULL), 0);
	assert_int_equal(meta_end(tx, tree_totals(tx, &t, NULL), NULL), 0);
	return t.inodes;
}

static void wait_all_gone(struct lost *l)
{
	const uint64_t until = clock_mono_ms(clock_system()) + 20000;

	while (inodes(l) > l->before) {
		assert_true(clock_mono_ms(clock_system()) < until);
		trim_rest();
	}
}

/* So many more, and the reaper is told of them. */
static void lose(struct lost *l, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct tree_attr a = {.mode = S_IFREG | 0600};
		struct meta_tx *tx = NULL;
		int r;

		assert_int_equal(meta_begin(l->h.v->meta, &tx, NULL), 0);
		r = tree_make_nameless(tx, TREE_ROOT, 1, &a, NULL);
		assert_int_equal(meta_end(tx, r, NULL), 0);
		reap_soon(l->r, a.ino);
	}
}

static int setup(void **state)
{
	static struct lost l;

	house_new(&l.h, "", "");
	assert_int_equal(reap_new(l.h.v, held, NULL, &l.r, NULL), 0);
	l.before = inodes(&l);
	*state = &l;
	return 0;
}

static int teardown(void **state)
{
	struct lost *l = *state;

	reap_free(l->r);
	house_free(&l->h);
	return 0;
}

static void soon__many_at_once__go_when_it_is_calm(void **state)
{
	struct lost *l = *state;

	lose(l, MANY);
	reap_tick(l->r);
	assert_int_equal(inodes(l), l->before + MANY);
	reap_tick(l->r);
	wait_all_gone(l);
}

static void soon__never_calm__go_at_the_fourth_tick(void **state)
{
	struct lost *l = *state;

	for (unsigned i = 1; i <= 3; i++) {
		lose(l, SOME);
		reap_tick(l->r);
		assert_int_equal(inodes(l), l->before + (uint64_t)i * SOME);
	}
	lose(l, SOME);
	reap_tick(l->r);
	wait_all_gone(l);
}

static void soon__few__go_at_the_next_tick(void **state)
{
	struct lost *l = *state;

	lose(l, SOME - 1);
	reap_tick(l->r);
	wait_all_gone(l);
}

static void free__some_wait__the_next_open_reaps_them(void **state)
{
	struct lost *l = *state;

	lose(l, MANY);
	reap_free(l->r);
	l->r = NULL;
	assert_int_equal(inodes(l), l->before + MANY);
	assert_int_equal(reap_new(l->h.v, held, NULL, &l->r, NULL), 0);
	assert_int_equal(reap_all(l->r, NULL), 0);
	assert_int_equal(inodes(l), l->before);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(soon__many_at_once__go_when_it_is_calm),
		T(soon__never_calm__go_at_the_fourth_tick),
		T(soon__few__go_at_the_next_tick),
		T(free__some_wait__the_next_open_reaps_them),
	};

	return cmocka_run_group_tests_name("reap", tests, NULL, NULL);
}
