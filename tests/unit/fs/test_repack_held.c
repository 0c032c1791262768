/* Collecting while copies wait for stores, and of stores that lose them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
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

/* --- stores that lose what they took -------------------------------------- */

static void yard_lost(struct yard *y)
{
	yard_begin(y, VOLUME);
	log_limit((enum log_level) - 1); /* it is to be told */
	yard_poor(y);
	house_fault(&y->h, "notfound op=get key=packs/\n");
	yard_turn(y);
	assert_int_equal(y->h.v->repack->copies, 3);
	assert_true(house_paid(&y->h, 20000));
	yard_turn(y);
	assert_int_equal(y->h.v->repack->copies, 3); /* not believed yet */
}

static void copies__store_has_lost_them__not_made_again_and_again(void **state)
{
	struct repack_stats s;
	struct repack *r;
	struct yard y;

	(void)state;
	yard_lost(&y);
	r = y.h.v->repack;
	for (unsigned i = 0; i < 4; i++) {
		r->look_next_ms = 0;
		yard_turn(&y);
		assert_true(house_paid(&y.h, 20000));
	}
	repack_stats(r, &s);
	assert_int_equal(s.copied, 3);
	assert_int_equal(s.switched, 0);
	assert_int_equal(r->copies, 0);
	assert_true(repack_look_held(r, 0));
	yard_check(&y);
	for (unsigned i = 0; i < 3; i++) { /* nor when it is tried again */
		r->hold[0].until_ms = 0;
		for (unsigned k = 0; k < 4; k++) {
			r->look_next_ms = 0;
			yard_turn(&y);
			assert_true(house_paid(&y.h, 20000));
		}
	}
	repack_stats(r, &s);
	assert_int_equal(s.copied, 12);
	assert_int_equal(r->hold[0].wait_ms, 8 * 600000);
	house_fault(&y.h, "");
	r->hold[0].until_ms = 0;
	yard_collect(&y);
	repack_stats(r, &s);
	assert_int_equal(s.switched, 3);
	assert_int_equal(r->hold[0].wait_ms, 0);
	yard_check_all(&y);
	house_free(&y.h);
}

static void copies__said_to_be_lost_once__looked_at_again(void **state)
{
	struct repack_stats s;
	struct yard y;

	(void)state;
	yard_lost(&y);
	house_fault(&y.h, "");
	yard_turn(&y);
	assert_int_equal(y.h.v->repack->copies, 3); /* not at once */
	y.h.v->repack->look_next_ms = 0;
	yard_collect(&y);
	repack_stats(y.h.v->repack, &s);
	assert_int_equal(s.copied, 3);
	assert_int_equal(s.switched, 3);
	yard_check_all(&y);
	house_free(&y.h);
}

/* --- stores that are busy ------------------------------------------------- */

/* For a minute nothing in the background is asked of a store. */
static void use_up(struct yard *y, unsigned store)
{
	struct pluri_room room = {.data = calloc(1, 60000), .cap = 60000};

	fleet_limit(y->h.v->fleet, store,
		&(struct fleet_limits){.bandwidth = 1000});
	(void)fleet_get(y->h.v->fleet,
		&(struct fleet_at){.store = store,
			.key = "none",
			.flags = FLEET_BACKGROUND},
		0, &room, NULL, NULL);
	free(room.data);
}

static void copies__stores_are_busy_with_moves__looked_at_at_once(void **state)
{
	struct repack_stats s;
	uint64_t began;
	struct yard y;

	(void)state;
	yard_begin(&y, VOLUME);
	yard_poor(&y);
	yard_turn(&y);
	assert_int_equal(y.h.v->repack->copies, 3);
	assert_true(house_paid(&y.h, 20000));
	began = clock_mono_ms(clock_system());
	for (unsigned store = 0; store < PLURI_STORES_MAX; store++)
		use_up(&y, store);
	yard_turn(&y);
	assert_true(clock_mono_ms(clock_system()) < began + 30000);
	repack_stats(y.h.v->repack, &s);
	assert_int_equal(s.switched, 3);
	for (unsigned store = 0; store < PLURI_STORES_MAX; store++)
		fleet_limit(y.h.v->fleet, store, &(struct fleet_limits){0});
	yard_check_all(&y);
	house_free(&y.h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies__very_many_wait__dead_packs_go),
		cmocka_unit_test(
			copies__store_has_lost_them__not_made_again_and_again),
		cmocka_unit_test(copies__said_to_be_lost_once__looked_at_again),
		cmocka_unit_test(
			copies__stores_are_busy_with_moves__looked_at_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
