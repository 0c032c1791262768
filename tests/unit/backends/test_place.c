#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "backends/place.h"

#define PACKS 10000u

static uint64_t draw(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static struct pluri_id id_of(uint64_t seed)
{
	struct pluri_id id;

	for (unsigned i = 0; i < PLURI_ID_BYTES; i++)
		id.b[i] = (uint8_t)(draw(&seed) >> 24);
	return id;
}

static struct place_store store_of(
	unsigned n, const char *name, const char *provider, uint32_t weight)
{
	return (struct place_store){.id = id_of(1000000 + n),
		.name = name,
		.provider = provider,
		.weight = weight,
		.eligible = true};
}

/* Which store every pack goes to, one copy. */
static void table_of(const struct place_store *s, unsigned n, unsigned *ret)
{
	const struct place_rule one = {.copies = 1, .min_providers = 1};
	struct place_choice c;

	for (unsigned i = 0; i < PACKS; i++) {
		const struct pluri_id pack = id_of(i);

		assert_int_equal(place_choose(&pack, &one, s, n, &c, NULL), 0);
		assert_int_equal(c.n, 1);
		ret[i] = c.store[0];
	}
}

static unsigned share_of(const unsigned *table, unsigned store)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PACKS; i++)
		n += table[i] == store;
	return n;
}

static void choose__weights_50_30_20__shares_within_2_points(void **state)
{
	const struct place_store s[] = {store_of(1, "a", "a", 50),
		store_of(2, "b", "b", 30), store_of(3, "c", "c", 20)};
	static unsigned t[PACKS];

	(void)state;
	table_of(s, 3, t);
	assert_in_range(share_of(t, 0), 4800, 5200);
	assert_in_range(share_of(t, 1), 2800, 3200);
	assert_in_range(share_of(t, 2), 1800, 2200);
}

static void choose__store_added__moves_only_to_it_and_its_share(void **state)
{
	const struct place_store s[] = {store_of(1, "a", "a", 2),
		store_of(2, "b", "b", 1), store_of(3, "c", "c", 1),
		store_of(4, "d", "d", 1)};
	static unsigned before[PACKS];
	static unsigned after[PACKS];
	unsigned moved = 0;

	(void)state;
	table_of(s, 3, before);
	table_of(s, 4, after);
	for (unsigned i = 0; i < PACKS; i++) {
		moved += before[i] != after[i];
		assert_true(after[i] == before[i] || after[i] == 3);
	}
	/* ideal 1/5 of the packs; 5 standard deviations are 200 */
	assert_in_range(moved, 1800, 2200);
}

static void choose__store_removed__only_its_own_move(void **state)
{
	struct place_store s[] = {store_of(1, "a", "a", 2),
		store_of(2, "b", "b", 1), store_of(3, "c", "c", 1),
		store_of(4, "d", "d", 3)};
	static unsigned before[PACKS];
	static unsigned after[PACKS];

	(void)state;
	table_of(s, 4, before);
	s[1].eligible = false;
	table_of(s, 4, after);
	for (unsigned i = 0; i < PACKS; i++)
		assert_true(
			before[i] == 1 ? after[i] != 1 : after[i] == before[i]);
}

static void choose__weight_raised__moves_only_to_it(void **state)
{
	struct place_store s[] = {store_of(1, "a", "a", 2),
		store_of(2, "b", "b", 2), store_of(3, "c", "c", 2)};
	static unsigned before[PACKS];
	static unsigned after[PACKS];

	(void)state;
	table_of(s, 3, before);
	s[2].weight = 3;
	table_of(s, 3, after);
	for (unsigned i = 0; i < PACKS; i++)
		assert_true(after[i] == before[i] || after[i] == 2);
}

static unsigned providers_in(const struct place_store *s, unsigned set)
{
	unsigned n = 0;

	for (unsigned p = 0; p < 5; p++)
		for (unsigned i = 0; i < 8; i++)
			if (set >> i & 1 &&
				s[i].provider[0] == (char)('p' + p)) {
				n++;
				break;
			}
	return n;
}

/* By trying every set of stores. */
static bool possible(
	const struct place_store *s, unsigned n, const struct place_rule *rule)
{
	for (unsigned set = 0; set < 1u << n; set++) {
		bool lawful = (unsigned)__builtin_popcount(set) == rule->copies;

		for (unsigned i = 0; i < n; i++)
			lawful = lawful && (!(set >> i & 1) || s[i].eligible);
		if (lawful && providers_in(s, set) >= rule->min_providers)
			return true;
	}
	return false;
}

static void judge_choice(const struct place_store *s,
	const struct place_rule *rule, const struct place_choice *c)
{
	unsigned set = 0;

	assert_int_equal(c->n, rule->copies);
	for (unsigned i = 0; i < c->n; i++) {
		assert_true(s[c->store[i]].eligible);
		set |= 1u << c->store[i];
	}
	assert_int_equal(__builtin_popcount(set), c->n);
	assert_true(providers_in(s, set) >= rule->min_providers);
}

static void judge_reasons(const struct pluri_id *pack,
	const struct place_rule *rule, const struct place_store *s, unsigned n,
	const struct place_choice *c)
{
	struct place_reason why[8];

	assert_int_equal(place_explain(pack, rule, s, n, why, NULL), 0);
	for (unsigned i = 0; i < n; i++) {
		bool chosen = false;

		for (unsigned j = 0; j < c->n; j++)
			chosen = chosen || c->store[j] == i;
		assert_int_equal(why[i].chosen, chosen);
		assert_true(s[i].eligible == (why[i].score > 0));
		assert_true(strlen(why[i].text) > 8);
	}
	for (unsigned j = 1; j < c->n; j++)
		assert_true(
			why[c->store[j - 1]].score >= why[c->store[j]].score);
}

static void choose__random_tables__fails_only_when_impossible(void **state)
{
	static const char *const names[] = {"p", "q", "r", "s", "t"};
	uint64_t seed = 42;
	unsigned placed = 0;
	unsigned refused = 0;

	(void)state;
	for (unsigned round = 0; round < 5000; round++) {
		struct place_store s[8];
		struct place_rule rule;
		struct place_choice c;
		struct pluri_err err = {0};
		const struct pluri_id pack = id_of(draw(&seed));
		const unsigned n = 1 + (unsigned)(draw(&seed) % 8);
		int r;

		for (unsigned i = 0; i < n; i++) {
			s[i] = store_of(round * 8 + i, "x",
				names[draw(&seed) % 5],
				1 + (uint32_t)(draw(&seed) % 100));
			s[i].eligible = draw(&seed) % 4 != 0;
		}
		rule.copies = 1 + (unsigned)(draw(&seed) % 5);
		rule.min_providers = 1 + (unsigned)(draw(&seed) % rule.copies);
		r = place_choose(&pack, &rule, s, n, &c, &err);
		assert_int_equal(r == 0, possible(s, n, &rule));
		assert_int_equal(r, place_check(&rule, s, n, NULL));
		placed += r == 0;
		refused += r == -ENOSPC;
		if (r == 0) {
			judge_choice(s, &rule, &c);
			judge_reasons(&pack, &rule, s, n, &c);
		}
	}
	assert_int_equal(placed + refused, 5000);
	assert_true(placed > 1000 && refused > 1000);
}

static void choose__too_few_stores__story_has_numbers_and_names(void **state)
{
	const struct place_rule rule = {.copies = 2, .min_providers = 2};
	struct place_store s[] = {
		store_of(1, "aws", "aws", 1), store_of(2, "nas", "home", 1)};
	struct place_choice c = {.n = 77};
	const struct pluri_id pack = id_of(1);
	struct pluri_err err = {0};

	(void)state;
	s[1].eligible = false;
	s[1].why_not = "cordoned";
	assert_int_equal(place_choose(&pack, &rule, s, 2, &c, &err), -ENOSPC);
	assert_string_equal(
		err.text, "needs 2 stores, 1 is eligible: nas (cordoned)");
	assert_int_equal(c.n, 77);
}

static void check__too_few_providers__story_has_numbers_and_names(void **state)
{
	const struct place_rule rule = {.copies = 2, .min_providers = 2};
	struct place_store s[] = {store_of(1, "a1", "aws", 1),
		store_of(2, "a2", "aws", 1), store_of(3, "nas", "home", 1)};
	struct pluri_err err = {0};

	(void)state;
	s[2].eligible = false;
	s[2].why_not = "draining";
	assert_int_equal(place_check(&rule, s, 3, &err), -ENOSPC);
	assert_string_equal(err.text,
		"needs 2 providers, the eligible stores are of 1: aws; "
		"not eligible: nas (draining)");
}

static void check__unlawful_rule__is_refused(void **state)
{
	const struct place_rule bad[] = {
		{0, 1}, {1, 0}, {2, 3}, {PLURI_SHARDS_MAX + 1, 1}};
	const struct place_rule one = {1, 1};
	struct place_store s = store_of(1, "a", "a", 1);

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(place_check(&bad[i], &s, 1, NULL), -EINVAL);
	s.weight = 0;
	assert_int_equal(place_check(&one, &s, 1, NULL), -EINVAL);
	s.weight = 65536;
	assert_int_equal(place_check(&one, &s, 1, NULL), -EINVAL);
	s.weight = 65535;
	assert_int_equal(place_check(&one, &s, 1, NULL), 0);
}

static void choose__equal_ids__order_of_table_does_not_matter(void **state)
{
	const struct place_rule rule = {.copies = 2, .min_providers = 1};
	const struct place_store s[] = {store_of(1, "a", "a", 3),
		store_of(2, "b", "b", 2), store_of(3, "c", "c", 2)};
	const struct place_store t[] = {s[2], s[0], s[1]};

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		const struct pluri_id pack = id_of(i);
		struct place_choice x;
		struct place_choice y;

		assert_int_equal(place_choose(&pack, &rule, s, 3, &x, NULL), 0);
		assert_int_equal(place_choose(&pack, &rule, t, 3, &y, NULL), 0);
		for (unsigned j = 0; j < 2; j++)
			assert_string_equal(
				s[x.store[j]].name, t[y.store[j]].name);
	}
}

/* Where data already is: never to be regenerated. */
static const char golden[20][4] = {
	"104",
	"412",
	"143",
	"431",
	"342",
	"413",
	"043",
	"043",
	"430",
	"134",
	"403",
	"213",
	"240",
	"342",
	"134",
	"324",
	"341",
	"413",
	"234",
	"243",
};

static void choose__golden_ids__never_change(void **state)
{
	const struct place_rule rule = {.copies = 3, .min_providers = 2};
	struct place_store s[5];

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		s[i] = store_of(0, "x", i < 3 ? "p" : "q", i + 1);
		memset(s[i].id.b, (int)(i * 17 + 3), PLURI_ID_BYTES);
	}
	for (unsigned i = 0; i < 20; i++) {
		struct place_choice c;
		struct pluri_id pack;
		char text[4] = "";

		memset(pack.b, (int)(i * 7 + 1), PLURI_ID_BYTES);
		assert_int_equal(place_choose(&pack, &rule, s, 5, &c, NULL), 0);
		for (unsigned j = 0; j < 3; j++)
			text[j] = (char)('0' + c.store[j]);
		assert_string_equal(text, golden[i]);
	}
}

static void explain__passed_over__says_so(void **state)
{
	const struct place_rule rule = {.copies = 2, .min_providers = 2};
	struct place_store s[] = {store_of(1, "a1", "aws", 60000),
		store_of(2, "a2", "aws", 60000), store_of(3, "nas", "home", 1),
		store_of(4, "off", "off", 1)};
	struct place_reason why[4];
	const struct pluri_id pack = id_of(5);

	(void)state;
	s[3].eligible = false;
	s[3].why_not = "read-only";
	assert_int_equal(place_explain(&pack, &rule, s, 4, why, NULL), 0);
	assert_true(why[2].chosen);
	assert_string_equal(why[2].text, "rank 3 of 3, weight 1");
	assert_string_equal(why[why[0].chosen ? 1 : 0].text,
		"rank 2 of 3, weight 60000: passed over, aws has one and the "
		"rule wants 2 providers");
	assert_string_equal(why[3].text, "not eligible: read-only");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			choose__weights_50_30_20__shares_within_2_points),
		cmocka_unit_test(
			choose__store_added__moves_only_to_it_and_its_share),
		cmocka_unit_test(choose__store_removed__only_its_own_move),
		cmocka_unit_test(choose__weight_raised__moves_only_to_it),
		cmocka_unit_test(
			choose__random_tables__fails_only_when_impossible),
		cmocka_unit_test(
			choose__too_few_stores__story_has_numbers_and_names),
		cmocka_unit_test(
			check__too_few_providers__story_has_numbers_and_names),
		cmocka_unit_test(check__unlawful_rule__is_refused),
		cmocka_unit_test(
			choose__equal_ids__order_of_table_does_not_matter),
		cmocka_unit_test(choose__golden_ids__never_change),
		cmocka_unit_test(explain__passed_over__says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
