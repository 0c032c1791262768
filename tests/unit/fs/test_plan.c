#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fs/balance_int.h"

#define PACKS 2000u

static const char *const names[] = {
	"s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"};

/* n active stores, each of a provider of its own, all in the policy. */
static struct balance_table table_of(unsigned n, unsigned copies)
{
	struct balance_table t = {.n = n};

	t.rule = (struct place_rule){
		.copies = copies, .min_providers = copies < 2 ? copies : 2};
	for (unsigned i = 0; i < n; i++) {
		t.num[i] = 10 + i;
		t.store[i] = (struct place_store){
			.name = names[i],
			.provider = names[i],
			.weight = 1,
			.eligible = true,
		};
		t.store[i].id.b[0] = (uint8_t)(i + 1);
	}
	return t;
}

static void bar(struct balance_table *t, unsigned at, bool keeps)
{
	t->store[at].eligible = false;
	t->store[at].why_not = keeps ? "cordoned" : "draining";
	t->keeps[at] = keeps;
}

static struct pluri_id pack_id(unsigned n)
{
	struct pluri_id id = {0};

	id.b[0] = (uint8_t)n;
	id.b[1] = (uint8_t)(n >> 8);
	id.b[15] = 0x5a;
	return id;
}

/* Where placement puts a new pack. */
static void shards_new(const struct balance_table *t, const struct pluri_id *id,
	struct shard_row *ret)
{
	struct place_choice c;

	assert_int_equal(
		place_choose(id, &t->rule, t->store, t->n, &c, NULL), 0);
	for (unsigned i = 0; i < c.n; i++)
		ret[i] = (struct shard_row){
			.index = i,
			.store = t->num[c.store[i]],
			.state = SHARD_STORED,
		};
}

static unsigned steps_of(const struct balance_table *t,
	const struct pluri_id *id, const struct shard_row *s, unsigned n,
	struct balance_step *ret)
{
	unsigned steps = 77;

	assert_int_equal(balance_steps(t, id, s, n, ret, &steps, NULL), 0);
	assert_true(steps <= n);
	return steps;
}

static void run_steps(
	struct shard_row *s, const struct balance_step *step, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(s[step[i].index].store, step[i].from);
		s[step[i].index].store = step[i].to;
	}
}

static bool has(const struct shard_row *s, unsigned n, uint32_t store)
{
	for (unsigned i = 0; i < n; i++)
		if (s[i].store == store)
			return true;
	return false;
}

static void assert_distinct(const struct shard_row *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_false(has(s, i, s[i].store));
}

static void plan__where_placement_put_it__no_step(void **state)
{
	const struct balance_table t = table_of(5, 3);

	(void)state;
	for (unsigned p = 0; p < PACKS; p++) {
		const struct pluri_id id = pack_id(p);
		struct balance_step step[PLURI_SHARDS_MAX];
		struct shard_row s[3];

		shards_new(&t, &id, s);
		assert_int_equal(steps_of(&t, &id, s, 3, step), 0);
	}
}

static void plan__shards_in_another_order__no_step(void **state)
{
	const struct balance_table t = table_of(4, 2);

	(void)state;
	for (unsigned p = 0; p < PACKS; p++) {
		const struct pluri_id id = pack_id(p);
		struct balance_step step[PLURI_SHARDS_MAX];
		struct shard_row s[2];
		uint32_t first;

		shards_new(&t, &id, s);
		first = s[0].store;
		s[0].store = s[1].store;
		s[1].store = first;
		assert_int_equal(steps_of(&t, &id, s, 2, step), 0);
	}
}

static void plan__a_store_is_added__only_onto_it(void **state)
{
	const struct balance_table old = table_of(4, 2);
	const struct balance_table new = table_of(5, 2);
	unsigned moved = 0;

	(void)state;
	for (unsigned p = 0; p < PACKS; p++) {
		const struct pluri_id id = pack_id(p);
		struct balance_step step[PLURI_SHARDS_MAX];
		struct shard_row s[2];
		unsigned n;

		shards_new(&old, &id, s);
		n = steps_of(&new, &id, s, 2, step);
		for (unsigned i = 0; i < n; i++)
			assert_int_equal(step[i].to, new.num[4]);
		run_steps(s, step, n);
		assert_distinct(s, 2);
		assert_int_equal(steps_of(&new, &id, s, 2, step), 0);
		moved += n;
	}
	/* a fifth of the shards, no more than chance allows */
	assert_in_range(moved, 2 * PACKS / 5 - 120, 2 * PACKS / 5 + 120);
}

static void plan__a_store_drains__its_shards_alone(void **state)
{
	const struct balance_table old = table_of(4, 2);
	struct balance_table new = table_of(4, 2);

	(void)state;
	bar(&new, 1, false);
	for (unsigned p = 0; p < PACKS; p++) {
		const struct pluri_id id = pack_id(p);
		struct balance_step step[PLURI_SHARDS_MAX];
		struct shard_row s[2];
		unsigned n;

		shards_new(&old, &id, s);
		n = steps_of(&new, &id, s, 2, step);
		assert_int_equal(n, has(s, 2, old.num[1]));
		if (n)
			assert_int_equal(step[0].from, old.num[1]);
		run_steps(s, step, n);
		assert_false(has(s, 2, old.num[1]));
		assert_distinct(s, 2);
	}
}

static void plan__a_store_is_cordoned__nothing_leaves_or_enters(void **state)
{
	const struct balance_table old = table_of(4, 2);
	struct balance_table new = table_of(4, 2);

	(void)state;
	bar(&new, 1, true);
	for (unsigned p = 0; p < PACKS; p++) {
		const struct pluri_id id = pack_id(p);
		struct balance_step step[PLURI_SHARDS_MAX];
		struct shard_row s[2];

		shards_new(&old, &id, s);
		assert_int_equal(steps_of(&new, &id, s, 2, step), 0);
	}
}

static void plan__cordoned_and_draining__spread_counts_what_stays(void **state)
{
	struct balance_table t = table_of(4, 2);
	unsigned to_x = 0;

	(void)state;
	/* 0: cordoned, of x; 1: draining; 2: of x, too; 3: of its own */
	t.store[0].provider = "x";
	t.store[2].provider = "x";
	bar(&t, 0, true);
	bar(&t, 1, false);
	for (unsigned p = 0; p < PACKS; p++) {
		const struct pluri_id id = pack_id(p);
		const struct shard_row s[2] = {
			{.index = 0, .store = t.num[0]},
			{.index = 1, .store = t.num[1]},
		};
		struct balance_step step[PLURI_SHARDS_MAX];

		assert_int_equal(steps_of(&t, &id, s, 2, step), 1);
		assert_int_equal(step[0].index, 1);
		to_x += step[0].to != t.num[3];
	}
	assert_int_equal(to_x, 0);
}

static void plan__cordoned_and_draining__settles(void **state)
{
	struct balance_table t = table_of(8, 3);

	(void)state;
	bar(&t, 0, true);
	bar(&t, 1, false);
	for (unsigned p = 0; p < PACKS; p++) {
		const struct pluri_id id = pack_id(p);
		struct shard_row s[3] = {
			{.index = 0, .store = t.num[1]},
			{.index = 1, .store = t.num[0]},
			{.index = 2, .store = t.num[2 + p % 6]},
		};
		struct balance_step step[PLURI_SHARDS_MAX];

		run_steps(s, step, steps_of(&t, &id, s, 3, step));
		assert_int_equal(s[1].store, t.num[0]);
		assert_false(has(s, 3, t.num[1]));
		assert_distinct(s, 3);
		assert_int_equal(steps_of(&t, &id, s, 3, step), 0);
	}
}

static void plan__nowhere_to_go__refused(void **state)
{
	struct balance_table t = table_of(2, 2);
	const struct pluri_id id = pack_id(1);
	struct balance_step step[PLURI_SHARDS_MAX];
	struct pluri_err err = {0};
	struct shard_row s[2];
	unsigned n = 77;

	(void)state;
	shards_new(&t, &id, s);
	bar(&t, 0, false);
	assert_int_equal(balance_steps(&t, &id, s, 2, step, &n, &err), -ENOSPC);
	assert_int_equal(n, 0);
	assert_non_null(strstr(err.text, "s0 (draining)"));
}

static void plan__nowhere_else_but_all_may_stay__no_step(void **state)
{
	struct balance_table t = table_of(2, 2);
	const struct pluri_id id = pack_id(1);
	struct balance_step step[PLURI_SHARDS_MAX];
	struct shard_row s[2];

	(void)state;
	shards_new(&t, &id, s);
	bar(&t, 0, true);
	assert_int_equal(steps_of(&t, &id, s, 2, step), 0);
	/* a spread that cannot be had is no reason to move either */
	t = table_of(2, 2);
	t.store[0].provider = "same";
	t.store[1].provider = "same";
	assert_int_equal(steps_of(&t, &id, s, 2, step), 0);
}

static void plan__two_shards_in_one_place__one_leaves(void **state)
{
	const struct balance_table t = table_of(3, 2);
	const struct pluri_id id = pack_id(4);
	struct balance_step step[PLURI_SHARDS_MAX];
	struct shard_row s[2];

	(void)state;
	shards_new(&t, &id, s);
	s[1].store = s[0].store;
	assert_int_equal(steps_of(&t, &id, s, 2, step), 1);
	assert_int_equal(step[0].index, 1);
	run_steps(s, step, 1);
	assert_distinct(s, 2);
	assert_int_equal(steps_of(&t, &id, s, 2, step), 0);
}

static void plan__a_store_nobody_knows__its_shard_leaves(void **state)
{
	const struct balance_table t = table_of(3, 2);
	const struct pluri_id id = pack_id(5);
	struct balance_step step[PLURI_SHARDS_MAX];
	struct shard_row s[2];

	(void)state;
	shards_new(&t, &id, s);
	s[0].store = 63;
	assert_int_equal(steps_of(&t, &id, s, 2, step), 1);
	assert_int_equal(step[0].from, 63);
}

static void plan__the_policy_has_another_layout__the_packs_own(void **state)
{
	const struct balance_table old = table_of(4, 2);
	const struct balance_table two = table_of(5, 2);
	const struct balance_table three = table_of(5, 3);

	(void)state;
	for (unsigned p = 0; p < PACKS; p++) {
		const struct pluri_id id = pack_id(p);
		struct balance_step same[PLURI_SHARDS_MAX] = {0};
		struct balance_step step[PLURI_SHARDS_MAX] = {0};
		struct shard_row s[2];
		unsigned n;

		shards_new(&old, &id, s);
		n = steps_of(&two, &id, s, 2, same);
		assert_int_equal(steps_of(&three, &id, s, 2, step), n);
		assert_memory_equal(step, same, sizeof(step));
	}
}

static void plan__no_shards__no_step(void **state)
{
	const struct balance_table t = table_of(1, 2);
	const struct pluri_id id = pack_id(7);
	struct balance_step step[PLURI_SHARDS_MAX];

	(void)state;
	assert_int_equal(steps_of(&t, &id, NULL, 0, step), 0);
}

static void store_id__same_names__same_id(void **state)
{
	struct pluri_id volume = {{1, 2, 3}};
	struct pluri_id other = {{1, 2, 4}};
	struct pluri_id a, b, c, d;

	(void)state;
	roster_store_id(&volume, "aws", &a);
	roster_store_id(&volume, "aws", &b);
	roster_store_id(&volume, "nas", &c);
	roster_store_id(&other, "aws", &d);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_memory_not_equal(&a, &c, sizeof(a));
	assert_memory_not_equal(&a, &d, sizeof(a));
}

static void store_id__is_format__golden(void **state)
{
	static const uint8_t golden[PLURI_ID_BYTES] = {0xbe, 0x4c, 0x6e, 0xa1,
		0x7a, 0xd5, 0xb2, 0x29, 0xc4, 0x1a, 0x82, 0x71, 0x76, 0x39,
		0x78, 0x64};
	const struct pluri_id volume = {
		{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
	struct pluri_id id;

	(void)state;
	roster_store_id(&volume, "aws", &id);
	assert_memory_equal(id.b, golden, sizeof(golden));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plan__where_placement_put_it__no_step),
		cmocka_unit_test(plan__shards_in_another_order__no_step),
		cmocka_unit_test(plan__a_store_is_added__only_onto_it),
		cmocka_unit_test(plan__a_store_drains__its_shards_alone),
		cmocka_unit_test(
			plan__a_store_is_cordoned__nothing_leaves_or_enters),
		cmocka_unit_test(
			plan__cordoned_and_draining__spread_counts_what_stays),
		cmocka_unit_test(plan__cordoned_and_draining__settles),
		cmocka_unit_test(plan__nowhere_to_go__refused),
		cmocka_unit_test(plan__nowhere_else_but_all_may_stay__no_step),
		cmocka_unit_test(plan__two_shards_in_one_place__one_leaves),
		cmocka_unit_test(plan__a_store_nobody_knows__its_shard_leaves),
		cmocka_unit_test(
			plan__the_policy_has_another_layout__the_packs_own),
		cmocka_unit_test(plan__no_shards__no_step),
		cmocka_unit_test(store_id__same_names__same_id),
		cmocka_unit_test(store_id__is_format__golden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
