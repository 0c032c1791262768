/* Counters of requests: steps of time, quantiles, many threads at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <string.h>

#include "fs/fuse_tally.h"
#include "fs/stats.h"

#define THREADS 8u
#define TIMES 20000u

static void step__any_time__below_its_end_by_a_quarter(void **state)
{
	(void)state;
	for (uint64_t us = 0; us < UINT64_C(1) << 25; us += 1 + us / 97) {
		const unsigned step = stats_step(us);
		const uint64_t end = stats_step_end(step);

		assert_true(step < STATS_STEPS);
		assert_true(us < end);
		assert_true(us < 4 ? end == us + 1 : end - us <= us / 4 + 1);
		assert_true(step == 0 || stats_step_end(step - 1) <= us);
	}
	assert_int_equal(stats_step(UINT64_MAX), STATS_STEPS - 1);
	assert_true(stats_step_end(STATS_STEPS - 1) > 60000000);
}

static void quantile__known_times__their_steps(void **state)
{
	uint64_t step[STATS_STEPS] = {0};

	(void)state;
	assert_int_equal(stats_quantile(step, 500), 0);
	step[stats_step(2)] = 1;
	assert_int_equal(stats_quantile(step, 0), 1);
	assert_int_equal(stats_quantile(step, 500), 3);
	assert_int_equal(stats_quantile(step, 1000), 3);
	step[stats_step(2)] = 99;
	step[stats_step(1000)] = 1;
	assert_int_equal(stats_quantile(step, 500), 3);
	assert_int_equal(stats_quantile(step, 990), 3);
	assert_int_equal(stats_quantile(step, 991), 1024);
	step[stats_step(2)] = UINT64_MAX / 2; /* no overflow */
	assert_int_equal(stats_quantile(step, 999), 3);
}

static void ended__three_requests__added_up(void **state)
{
	pluri_auto(stats) s = NULL;
	struct stats_view w;

	(void)state;
	assert_int_equal(stats_new(&s, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		stats_began(s);
	assert_int_equal(stats_in_flight(s), 4);
	stats_ended(s, &(struct stats_request){STATS_READ, false, 5999, 10});
	stats_ended(s, &(struct stats_request){STATS_READ, true, 2000, 0});
	stats_ended(s, &(struct stats_request){STATS_READ, false, 1000, 7});
	stats_ended(s, NULL);
	assert_int_equal(stats_in_flight(s), 0);
	stats_look(s, STATS_READ, &w);
	assert_int_equal(w.requests, 3);
	assert_int_equal(w.errors, 1);
	assert_int_equal(w.bytes, 17);
	assert_int_equal(w.busy_us, 8);
	assert_int_equal(w.max_us, 5);
	assert_int_equal(w.step[1] + w.step[2] + w.step[5], 3);
	stats_look(s, STATS_WRITE, &w);
	assert_int_equal(w.requests, 0);
	stats_add(s, STATS_SLOWED_US, 7);
	stats_add(s, STATS_SLOWED_US, 5);
	assert_int_equal(stats_value(s, STATS_SLOWED_US), 12);
}

static void *count_many(void *arg)
{
	struct stats *s = arg;

	for (unsigned i = 0; i < TIMES; i++) {
		stats_began(s);
		stats_ended(s, &(struct stats_request){
				       STATS_WRITE, false, i * 1000, 1});
	}
	return NULL;
}

static void ended__by_many_threads__none_lost(void **state)
{
	pluri_auto(stats) s = NULL;
	pthread_t t[THREADS];
	struct stats_view w;

	(void)state;
	assert_int_equal(stats_new(&s, NULL), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, count_many, s), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	stats_look(s, STATS_WRITE, &w);
	assert_int_equal(w.requests, THREADS * TIMES);
	assert_int_equal(w.bytes, THREADS * TIMES);
	assert_int_equal(w.max_us, TIMES - 1);
	assert_int_equal(stats_in_flight(s), 0);
}

/* --- at the kernel's door ------------------------------------------------- */

static void answer(
	struct stats *s, uint64_t unique, int error, void *body, uint32_t len)
{
	struct fuse_out_header head = {
		(uint32_t)sizeof(head) + len, error, unique};
	const struct iovec iov[2] = {{&head, sizeof(head)}, {body, len}};

	fuse_tally_answered(s, iov, len ? 2 : 1);
}

static void tally__read_and_write__bytes_of_both(void **state)
{
	pluri_auto(stats) s = NULL;
	struct fuse_write_out out = {.size = 4096};
	struct stats_view w;
	char data[300] = {0};

	(void)state;
	assert_int_equal(stats_new(&s, NULL), 0);
	fuse_tally_asked(s, FUSE_READ);
	assert_int_equal(stats_in_flight(s), 1);
	answer(s, 0, 1, data, 100); /* a notice of ours meanwhile */
	answer(s, 1, 0, data, sizeof(data));
	fuse_tally_asked(s, FUSE_WRITE);
	answer(s, 2, 0, &out, sizeof(out));
	fuse_tally_asked(s, FUSE_WRITE);
	answer(s, 3, -ENOSPC, NULL, 0);
	fuse_tally_asked(s, FUSE_GETATTR);
	answer(s, 4, -ENOENT, NULL, 0); /* lawful: no error of ours */
	stats_look(s, STATS_READ, &w);
	assert_int_equal(w.requests, 1);
	assert_int_equal(w.bytes, sizeof(data));
	stats_look(s, STATS_WRITE, &w);
	assert_int_equal(w.requests, 2);
	assert_int_equal(w.bytes, 4096);
	assert_int_equal(w.errors, 1);
	stats_look(s, STATS_GETATTR, &w);
	assert_int_equal(w.requests, 1);
	assert_int_equal(w.errors, 0);
	assert_int_equal(stats_in_flight(s), 0);
}

static void tally__without_an_answer__not_counted(void **state)
{
	pluri_auto(stats) s = NULL;
	struct stats_view w;
	uint64_t all = 0;

	(void)state;
	assert_int_equal(stats_new(&s, NULL), 0);
	fuse_tally_asked(s, FUSE_FORGET);
	assert_int_equal(stats_in_flight(s), 0);
	answer(s, 0, 1, NULL, 0);
	fuse_tally_asked(s, FUSE_LOOKUP); /* never answered */
	fuse_tally_asked(s, FUSE_BATCH_FORGET);
	for (unsigned k = 0; k < STATS_KINDS; k++) {
		stats_look(s, (enum stats_kind)k, &w);
		all += w.requests;
	}
	assert_int_equal(all, 0);
	assert_int_equal(stats_in_flight(s), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(step__any_time__below_its_end_by_a_quarter),
		cmocka_unit_test(quantile__known_times__their_steps),
		cmocka_unit_test(ended__three_requests__added_up),
		cmocka_unit_test(ended__by_many_threads__none_lost),
		cmocka_unit_test(tally__read_and_write__bytes_of_both),
		cmocka_unit_test(tally__without_an_answer__not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
