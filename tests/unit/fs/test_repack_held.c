/* Collecting while copies wait for stores, and of stores that lose them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/unit/fs/yard.h"

/* As if many more had been copied, of packs that nobody has. */
static void copies_of_many(struct repack *r, unsigned n)
{
	const struct repack_copy one = r->copy[0];

	r->copy = realloc(r->copy, n * sizeof(*r->copy));
	assert_non_null(r->copy);
	r->copy_cap = n;
	for (; r->copies < n; r->copies++) {
		r->copy[r->copies] = one;
		r->copy[r->copies].off = 1; /* there is no chunk */
	}
}

static void sources_of_many(struct repack *r)
{
	while (r->sources < REPACK_SOURCES)
		r->source[r->sources++] = r->copy[0].pack;
}

/* Copies that wait hold up copying, and not what needs none. */
static void copies__very_many_wait__dead_packs_go(void **state)
{
	struct repack_stats s;
	struct yard y;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		yard_begin(&y, VOLUME);
		yard_put(&y, 0, 100);
		house_clouds(&y.h);
		yard_poor(&y);
		house_fault(&y.h, "error EBUSY op=put\n");
		yard_turn(&y);
		assert_int_equal(y.h.v->repack->copies, 2);
		if (i == 0)
			copies_of_many(y.h.v->repack, REPACK_COPIES - 1);
		else
			sources_of_many(y.h.v->repack);
		yard_put(&y, 0, 0); /* all that its pack had */
		yard_turn(&y);
		yard_turn(&y);
		repack_stats(y.h.v->repack, &s);
		assert_int_equal(s.copied, 2);
		assert_int_equal(s.buried, 1);
		house_fault(&y.h, "");
		assert_true(house_paid(&y.h, 20000));
		yard_collect(&y);
		yard_check_all(&y);
		house_free(&y.h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies__very_many_wait__dead_packs_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
