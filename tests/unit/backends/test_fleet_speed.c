/* How quick a store is, how much it is trusted with, what may be asked more:
 * the pure parts of the fleet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "backends/fleet_budget.h"
#include "backends/fleet_pace.h"
#include "backends/fleet_speed.h"
#include "backends/fleet_window.h"

#define NOW 5000000u
#define KIB 1024u
#define MIB (1024u * KIB)
#define FIXED_MS 500u

/* --- quantiles ------------------------------------------------------------ */

static void quantile__few__unknown(void **state)
{
	struct fleet_quantile q = {0};

	(void)state;
	assert_int_equal(fleet_quantile_us(&q, 500, NOW), 0);
	for (unsigned i = 1; i < FLEET_QUANTILE_LEAST; i++)
		fleet_quantile_add(&q, 1000, NOW);
	assert_int_equal(fleet_quantile_us(&q, 500, NOW), 0);
	fleet_quantile_add(&q, 1000, NOW);
	assert_in_range(fleet_quantile_us(&q, 500, NOW), 1000, 1125);
}

static void quantile__any_value__at_most_an_eighth_too_high(void **state)
{
	(void)state;
	for (uint64_t us = 1; us < 200000000; us += 1 + us / 7) {
		struct fleet_quantile q = {0};

		for (unsigned i = 0; i < FLEET_QUANTILE_LEAST; i++)
			fleet_quantile_add(&q, us, NOW);
		assert_in_range(
			fleet_quantile_us(&q, 990, NOW), us, us + us / 8 + 1);
	}
}

static void quantile__extremes__counted(void **state)
{
	struct fleet_quantile q = {0};

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		fleet_quantile_add(&q, i < 4 ? 0 : UINT64_MAX, NOW);
	assert_int_equal(fleet_quantile_us(&q, 500, NOW), 1);
	assert_in_range(fleet_quantile_us(&q, 990, NOW), 500000000, 540000000);
}

static void quantile__one_in_ten_slow__p50_apart_from_p95(void **state)
{
	struct fleet_quantile q = {0};

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		fleet_quantile_add(&q, i % 10 ? 20000 : 1000000, NOW);
	assert_in_range(fleet_quantile_us(&q, 500, NOW), 20000, 22500);
	assert_in_range(fleet_quantile_us(&q, 900, NOW), 20000, 22500);
	assert_in_range(fleet_quantile_us(&q, 950, NOW), 1000000, 1125000);
}

/* Both halves are told; what is older than a minute is not. */
static void quantile__time_goes_by__old_ones_forgotten(void **state)
{
	struct fleet_quantile q = {0};

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		fleet_quantile_add(&q, 1000, NOW);
	for (unsigned i = 0; i < 100; i++)
		fleet_quantile_add(&q, 9000, NOW + 30000);
	assert_in_range(fleet_quantile_us(&q, 500, NOW + 30000), 1000, 1125);
	assert_in_range(fleet_quantile_us(&q, 950, NOW + 30000), 9000, 10125);
	assert_in_range(fleet_quantile_us(&q, 500, NOW + 60000), 9000, 10125);
	assert_int_equal(fleet_quantile_us(&q, 500, NOW + 90000), 0);
	for (unsigned i = 0; i < 8; i++)
		fleet_quantile_add(&q, 50, NOW + 3600000);
	assert_in_range(fleet_quantile_us(&q, 999, NOW + 3600000), 50, 57);
}

/* --- speed ---------------------------------------------------------------- */

static void got(struct fleet_speed *s, uint64_t bytes, uint64_t us,
	unsigned times, uint64_t now)
{
	const struct fleet_get g = {bytes, 1};

	for (unsigned i = 0; i < times; i++)
		fleet_speed_got(s, &g, us, false, now);
}

static void gave_up(struct fleet_speed *s, uint64_t us)
{
	fleet_speed_got(s, &(struct fleet_get){KIB, 1}, us, true, NOW);
}

static uint64_t expect(const struct fleet_speed *s, uint64_t bytes,
	unsigned calls, uint64_t now)
{
	return fleet_speed_expect(s, &(struct fleet_get){bytes, calls}, now);
}

static void speed__large_gets__small_ones_not_poisoned(void **state)
{
	struct fleet_speed s = {0};
	struct fleet_patience p;

	(void)state;
	got(&s, 128 * KIB, 20000, 100, NOW);
	got(&s, 16 * MIB, 1620000, 100, NOW);
	p = fleet_speed_patience(&s, 128 * KIB, FIXED_MS, NOW);
	assert_in_range(p.ms, 20, 24);
	p = fleet_speed_patience(&s, 16 * MIB, 8500, NOW);
	assert_in_range(p.ms, 1620, 1824);
	assert_in_range(expect(&s, 128 * KIB, 1, NOW), 19000, 21000);
	/* 100 ms a MiB beyond the small one's */
	assert_in_range(expect(&s, 4 * MIB, 1, NOW), 410000, 430000);
}

static void speed__unknown__patient_as_the_fixed_rule(void **state)
{
	struct fleet_speed s = {0};
	struct fleet_patience p;

	(void)state;
	assert_int_equal(expect(&s, KIB, 1, NOW), 0);
	assert_true(fleet_speed_stale(&s, NOW));
	p = fleet_speed_patience(&s, KIB, FIXED_MS, NOW);
	assert_int_equal(p.ms, FIXED_MS);
	assert_int_equal(p.must_ms, FIXED_MS);
	got(&s, KIB, 3000000, 8, NOW);
	p = fleet_speed_patience(&s, KIB, FIXED_MS, NOW);
	assert_int_equal(p.ms, FIXED_MS);
	assert_int_equal(p.must_ms, FIXED_MS);
}

static void speed__very_quick__a_few_ms_at_least(void **state)
{
	struct fleet_speed s = {0};
	struct fleet_patience p;

	(void)state;
	got(&s, KIB, 100, 100, NOW);
	p = fleet_speed_patience(&s, KIB, 2000, NOW);
	assert_int_equal(p.ms, 5);
	assert_int_equal(p.must_ms, 500);
}

/* Its own p95 would be a second; it must not teach us to wait for that. */
static void speed__slowest_tenth_far_off__four_medians(void **state)
{
	struct fleet_speed s = {0};

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		got(&s, KIB, i % 10 ? 20000 : 1000000, 1, NOW);
	assert_in_range(fleet_speed_patience(&s, KIB, 2000, NOW).ms, 80, 92);
	assert_in_range(
		fleet_speed_patience(&s, KIB, 2000, NOW).must_ms, 800, 920);
	got(&s, MIB, 300000, 100, NOW);
	assert_int_equal(
		fleet_speed_patience(&s, MIB, 3000, NOW).must_ms, 1500);
}

/* What was given up late is slow; what was given up early says nothing. */
static void speed__given_up__never_looks_quick(void **state)
{
	struct fleet_speed s = {0};
	uint64_t before;

	(void)state;
	got(&s, KIB, 20000, 100, NOW);
	before = expect(&s, KIB, 1, NOW);
	for (unsigned i = 0; i < 100; i++)
		gave_up(&s, 10);
	assert_int_equal(expect(&s, KIB, 1, NOW), before);
	assert_in_range(fleet_quantile_us(&s.get[0], 50, NOW), 20000, 22500);
	for (unsigned i = 0; i < 10; i++)
		gave_up(&s, 100000);
	assert_true(expect(&s, KIB, 1, NOW) > 60000);
	assert_true(fleet_quantile_us(&s.get[0], 950, NOW) >= 100000);
}

/* The first answer carries the making of a connection. */
static void speed__first_answer_late__soon_forgotten(void **state)
{
	struct fleet_speed s = {0};

	(void)state;
	got(&s, KIB, 80000, 1, NOW);
	assert_int_equal(expect(&s, KIB, 1, NOW), 80000);
	assert_true(fleet_speed_stale(&s, NOW));
	got(&s, KIB, 20000, 2, NOW);
	assert_in_range(expect(&s, KIB, 1, NOW), 20000, 20001);
	assert_false(fleet_speed_stale(&s, NOW));
}

/* 10 ms away, and 4 ms of work for each: eight at once take 42 ms. */
static void speed__full_store__slower_by_what_it_has(void **state)
{
	struct fleet_speed s = {0};
	const struct fleet_get one = {KIB, 1};
	const struct fleet_get eight = {KIB, 8};

	(void)state;
	fleet_speed_got(&s, &one, 10000, false, NOW);
	for (unsigned i = 0; i < 100; i++)
		fleet_speed_got(&s, &eight, 42000, false, NOW);
	assert_in_range(expect(&s, KIB, 1, NOW), 13900, 14100);
	assert_in_range(expect(&s, KIB, 8, NOW), 41000, 43000);
	/* Far, but with room: as slow with eight as with one */
	s = (struct fleet_speed){0};
	for (unsigned i = 0; i < 100; i++)
		fleet_speed_got(&s, &eight, 42000, false, NOW);
	assert_in_range(expect(&s, KIB, 1, NOW), 41000, 43000);
	assert_in_range(expect(&s, KIB, 8, NOW), 41000, 43000);
}

/* One sample in 5 s: near the truth well before a minute has passed. */
static void speed__seldom_sampled__believed_sooner(void **state)
{
	struct fleet_speed s = {0};
	uint64_t now = NOW;

	(void)state;
	got(&s, KIB, 180000, 1000, now);
	for (unsigned i = 0; i < 4; i++) {
		assert_false(fleet_speed_stale(&s, now + 5000));
		now += 5001;
		assert_true(fleet_speed_stale(&s, now));
		got(&s, KIB, 5000, 1, now);
	}
	assert_true(expect(&s, KIB, 1, now) < 20000);
	assert_int_equal(expect(&s, KIB, 1, now + 60001), 0);
}

static void speed__size_not_seen__guessed_from_the_others(void **state)
{
	struct fleet_speed s = {0};

	(void)state;
	got(&s, KIB, 10000, 20, NOW);
	assert_int_equal(fleet_speed_patience(&s, 128 * KIB, 560, NOW).ms, 500);
	assert_int_equal(
		fleet_speed_patience(&s, 5 * MIB, 3000, NOW).must_ms, 3000);
	got(&s, MIB, 60000, 20, NOW);
	assert_in_range(fleet_speed_patience(&s, 5 * MIB, 3000, NOW).must_ms,
		900, 1100);
}

static void speed__puts__by_size_and_apart_from_gets(void **state)
{
	struct fleet_speed s = {0};

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		fleet_speed_put(&s, KIB, 7000, NOW);
		fleet_speed_put(&s, 16 * MIB, 700000, NOW);
	}
	assert_in_range(fleet_quantile_us(&s.put[0], 990, NOW), 7000, 7875);
	assert_int_equal(expect(&s, KIB, 1, NOW), 0);
}

/* --- window --------------------------------------------------------------- */

static void window__used_fully__doubles_then_stops_at_max(void **state)
{
	struct fleet_window w;

	(void)state;
	fleet_window_init(&w, 16);
	assert_int_equal(fleet_window_calls(&w), 4);
	for (unsigned i = 0; i < 4; i++)
		fleet_window_good(&w, true);
	assert_int_equal(fleet_window_calls(&w), 8);
	for (unsigned i = 0; i < 100; i++)
		fleet_window_good(&w, true);
	assert_int_equal(fleet_window_calls(&w), 16);
	fleet_window_init(&w, 2);
	assert_int_equal(fleet_window_calls(&w), 2);
	fleet_window_init(&w, 0);
	assert_int_equal(fleet_window_calls(&w), 1);
}

static void window__not_used__does_not_grow(void **state)
{
	struct fleet_window w;

	(void)state;
	fleet_window_init(&w, 16);
	for (unsigned i = 0; i < 100; i++)
		fleet_window_good(&w, false);
	assert_int_equal(fleet_window_calls(&w), 4);
}

static void window__throttled__halved_once_for_all_under_way(void **state)
{
	struct fleet_window w;

	(void)state;
	fleet_window_init(&w, 16);
	for (unsigned i = 0; i < 12; i++)
		fleet_window_good(&w, true);
	for (unsigned i = 0; i < 16; i++)
		fleet_window_bad(&w, 1000 + i, 2000 + i);
	assert_int_equal(fleet_window_calls(&w), 8);
	fleet_window_bad(&w, 2001, 3000);
	assert_int_equal(fleet_window_calls(&w), 4);
	for (unsigned i = 0; i < 10; i++)
		fleet_window_bad(&w, 4000 + i * 10, 4005 + i * 10);
	assert_int_equal(fleet_window_calls(&w), 1);
}

/* By one with a window's worth of answers, no quicker. */
static void window__after_a_cut__grows_additively(void **state)
{
	struct fleet_window w;

	(void)state;
	fleet_window_init(&w, 16);
	for (unsigned i = 0; i < 12; i++)
		fleet_window_good(&w, true);
	fleet_window_bad(&w, 1, 2);
	for (unsigned i = 0; i < 7; i++)
		fleet_window_good(&w, true);
	assert_int_equal(fleet_window_calls(&w), 8);
	fleet_window_good(&w, true);
	assert_int_equal(fleet_window_calls(&w), 9);
}

static void window__cut_to_one__finds_its_way_back_unused(void **state)
{
	struct fleet_window w;

	(void)state;
	fleet_window_init(&w, 16);
	for (unsigned i = 1; i < 10; i++)
		fleet_window_bad(&w, 10 * i, 10 * i + 1);
	for (unsigned i = 0; i < 20; i++)
		fleet_window_good(&w, false);
	assert_int_equal(fleet_window_calls(&w), 4);
}

/* --- budget --------------------------------------------------------------- */

static unsigned spend_all(struct fleet_budget *b)
{
	unsigned n = 0;

	while (fleet_budget_spend(b, false))
		n++;
	return n;
}

static void budget__many_reads__one_more_in_twenty(void **state)
{
	struct fleet_budget b;
	unsigned n = 0;

	(void)state;
	fleet_budget_init(&b);
	assert_int_equal(spend_all(&b), 10);
	for (unsigned i = 0; i < 1000; i++) {
		fleet_budget_earn(&b, 1);
		n += fleet_budget_spend(&b, false);
	}
	assert_int_equal(n, 50);
	fleet_budget_earn(&b, 1000000);
	assert_int_equal(spend_all(&b), 10);
}

static void budget__must__paid_for_later(void **state)
{
	struct fleet_budget b;

	(void)state;
	fleet_budget_init(&b);
	assert_int_equal(spend_all(&b), 10);
	for (unsigned i = 0; i < 5; i++)
		assert_true(fleet_budget_spend(&b, true));
	fleet_budget_earn(&b, 100);
	assert_false(fleet_budget_spend(&b, false));
	fleet_budget_earn(&b, 20);
	assert_true(fleet_budget_spend(&b, false));
	for (unsigned i = 0; i < 1000; i++)
		assert_true(fleet_budget_spend(&b, true));
	fleet_budget_earn(&b, 199);
	fleet_budget_earn(&b, 21);
	assert_true(fleet_budget_spend(&b, false));
}

static void budget__spare__leaves_a_quarter(void **state)
{
	struct fleet_budget b;
	unsigned n = 0;

	(void)state;
	fleet_budget_init(&b);
	while (fleet_budget_spare(&b))
		n++;
	assert_int_equal(n, 8);
	assert_int_equal(spend_all(&b), 2);
}

/* --- pace ----------------------------------------------------------------- */

static void pace__calls_of_any_size__mean_keeps_to_the_rate(void **state)
{
	struct fleet_pace p = {0};
	uint64_t now = 1000000;
	uint64_t bytes = 0;

	(void)state;
	fleet_pace_begin(&p, 1ull << 40, now);
	assert_int_equal(fleet_pace_wait_us(&p, now), 0);
	fleet_pace_rate(&p, MIB, now);
	for (uint64_t n = 1; now < 101000000; n = (n * 7 + 3) % (3 * MIB)) {
		now += fleet_pace_wait_us(&p, now);
		fleet_pace_begin(&p, n, now);
		bytes += n;
	}
	assert_in_range(bytes, 100ull * MIB, 104ull * MIB);
	/* A long rest is not saved up */
	now += 1000000000;
	fleet_pace_begin(&p, MIB, now);
	assert_in_range(fleet_pace_wait_us(&p, now), 900000, 1000000);
	fleet_pace_rate(&p, 0, now);
	assert_int_equal(fleet_pace_wait_us(&p, now), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantile__few__unknown),
		cmocka_unit_test(
			quantile__any_value__at_most_an_eighth_too_high),
		cmocka_unit_test(quantile__extremes__counted),
		cmocka_unit_test(quantile__one_in_ten_slow__p50_apart_from_p95),
		cmocka_unit_test(quantile__time_goes_by__old_ones_forgotten),
		cmocka_unit_test(speed__large_gets__small_ones_not_poisoned),
		cmocka_unit_test(speed__unknown__patient_as_the_fixed_rule),
		cmocka_unit_test(speed__very_quick__a_few_ms_at_least),
		cmocka_unit_test(speed__slowest_tenth_far_off__four_medians),
		cmocka_unit_test(speed__given_up__never_looks_quick),
		cmocka_unit_test(speed__first_answer_late__soon_forgotten),
		cmocka_unit_test(speed__full_store__slower_by_what_it_has),
		cmocka_unit_test(speed__seldom_sampled__believed_sooner),
		cmocka_unit_test(speed__puts__by_size_and_apart_from_gets),
		cmocka_unit_test(window__used_fully__doubles_then_stops_at_max),
		cmocka_unit_test(window__not_used__does_not_grow),
		cmocka_unit_test(
			window__throttled__halved_once_for_all_under_way),
		cmocka_unit_test(window__after_a_cut__grows_additively),
		cmocka_unit_test(window__cut_to_one__finds_its_way_back_unused),
		cmocka_unit_test(
			pace__calls_of_any_size__mean_keeps_to_the_rate),
		cmocka_unit_test(speed__size_not_seen__guessed_from_the_others),
		cmocka_unit_test(budget__many_reads__one_more_in_twenty),
		cmocka_unit_test(budget__must__paid_for_later),
		cmocka_unit_test(budget__spare__leaves_a_quarter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
