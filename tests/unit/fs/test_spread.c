/* Ids of packs that are drawn so that stores take turns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "fs/spread.h"

struct bed {
	struct spread spread;
	struct place_store store[8];
	uint32_t num[8];
	struct place_rule rule;
	struct spread_table table;
	unsigned got[8];
};

static void bed_store(struct bed *b, const char *name, uint32_t weight)
{
	struct place_store *s = &b->store[b->table.n];

	memset(s->id.b, 17 * (int)b->table.n + 5, sizeof(s->id.b));
	s->name = name;
	s->provider = name;
	s->weight = weight;
	s->eligible = true;
	b->num[b->table.n] = 40 + b->table.n; /* numbers are not places */
	b->table.n++;
}

static void bed_new(struct bed *b, unsigned copies)
{
	*b = (struct bed){.rule = {.copies = copies, .min_providers = copies}};
	b->table = (struct spread_table){
		.store = b->store, .num = b->num, .rule = &b->rule};
}

static void bed_draw(struct bed *b, unsigned packs)
{
	memset(b->got, 0, sizeof(b->got));
	for (unsigned i = 0; i < packs; i++) {
		struct place_choice c = {0};
		struct pluri_id id;

		spread_draw(&b->spread, clock_system(), &b->table, &id);
		assert_int_equal(place_choose(&id, &b->rule, b->store,
					 b->table.n, &c, NULL),
			0);
		for (unsigned k = 0; k < c.n; k++)
			b->got[c.store[k]]++;
	}
}

/* 64 packs of 1 GiB on three stores: by chance alone one of them had 27 and
 * more each third time. */
static void draw__equal_stores__in_turn(void **state)
{
	struct bed b;

	(void)state;
	bed_new(&b, 1);
	bed_store(&b, "a", 1);
	bed_store(&b, "b", 1);
	bed_store(&b, "c", 1);
	for (unsigned n = 0; n < 20; n++) {
		bed_draw(&b, 64);
		for (unsigned i = 0; i < 3; i++)
			assert_in_range(b.got[i], 19, 24);
	}
}

static void draw__weights__shares_as_before_but_even(void **state)
{
	struct bed b;

	(void)state;
	bed_new(&b, 1);
	bed_store(&b, "a", 1);
	bed_store(&b, "b", 2);
	bed_store(&b, "c", 5);
	bed_draw(&b, 64);
	for (unsigned n = 0; n < 10; n++) {
		bed_draw(&b, 160);
		assert_in_range(b.got[0], 16, 24);
		assert_in_range(b.got[1], 35, 45);
		assert_in_range(b.got[2], 94, 106);
	}
}

static void draw__two_copies_of_four__each_half(void **state)
{
	struct bed b;

	(void)state;
	bed_new(&b, 2);
	bed_store(&b, "a", 1);
	bed_store(&b, "b", 1);
	bed_store(&b, "c", 1);
	bed_store(&b, "d", 1);
	bed_draw(&b, 32);
	for (unsigned n = 0; n < 10; n++) {
		bed_draw(&b, 64);
		for (unsigned i = 0; i < 4; i++)
			assert_in_range(b.got[i], 28, 36);
	}
}

/* It gets more for a while, not everything until it has caught up. */
static void draw__a_new_store__is_not_flooded(void **state)
{
	struct bed b;

	(void)state;
	bed_new(&b, 1);
	bed_store(&b, "a", 1);
	bed_store(&b, "b", 1);
	bed_draw(&b, 10000);
	bed_store(&b, "c", 1);
	bed_draw(&b, 300);
	assert_in_range(b.got[2], 95, 135);
}

static void draw__nothing_fits__an_id_all_the_same(void **state)
{
	struct pluri_id id[2] = {{{0}}};
	struct bed b;

	(void)state;
	bed_new(&b, 2);
	bed_store(&b, "a", 1);
	for (unsigned i = 0; i < 2; i++)
		spread_draw(&b.spread, clock_system(), &b.table, &id[i]);
	assert_memory_not_equal(&id[0], &id[1], sizeof(id[0]));
	assert_int_equal(b.spread.given[40], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(draw__equal_stores__in_turn),
		cmocka_unit_test(draw__weights__shares_as_before_but_even),
		cmocka_unit_test(draw__two_copies_of_four__each_half),
		cmocka_unit_test(draw__a_new_store__is_not_flooded),
		cmocka_unit_test(draw__nothing_fits__an_id_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
