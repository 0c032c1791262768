/* Collecting, and killed between any two steps of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "fs/commit.h"
#include "fs/staging_int.h"
#include "tests/unit/fs/yard.h"

/* --- killed between any two steps ----------------------------------------- */

static void step_copy(struct yard *y)
{
	yard_turn(y);
	assert_int_equal(y->h.v->repack->copies, 3);
}

static void step_paid(struct yard *y)
{
	step_copy(y);
	assert_true(house_paid(&y->h, 20000));
}

static void step_switch(struct yard *y)
{
	step_paid(y);
	assert_int_equal(repack_copy_switch(y->h.v->repack, NULL), 0);
	assert_int_equal(y->h.v->repack->copies, 0);
}

static void step_switch_durable(struct yard *y)
{
	step_switch(y);
	assert_int_equal(commit_now(y->h.v->commit, true, NULL), 0);
}

static void step_bury(struct yard *y)
{
	struct repack *r = y->h.v->repack;

	step_switch(y);
	assert_int_equal(r->cools, 1);
	r->cool[0].due_ms = 0;
	assert_int_equal(repack_bury_due(r, NULL), 0);
	assert_int_equal(yard_graves(y), 2);
}

static void step_delete(struct yard *y)
{
	step_bury(y);
	/* done, and what was done is not committed */
	assert_int_equal(repack_bury_delete(y->h.v->repack, NULL), 0);
}

static void killed__between_two_steps__goes_on(void **state)
{
	static void (*const step[])(struct yard *) = {step_copy, step_paid,
		step_switch, step_switch_durable, step_bury, step_delete};
	struct yard y;

	(void)state;
	for (unsigned i = 0; i < sizeof(step) / sizeof(step[0]); i++) {
		yard_begin(&y, VOLUME);
		yard_poor(&y);
		assert_int_equal(commit_now(y.h.v->commit, true, NULL), 0);
		step[i](&y);
		yard_again(&y);
		yard_check(&y);
		assert_true(house_paid(&y.h, 20000));
		yard_check_all(&y);
		yard_collect(&y);
		yard_check_all(&y);
		assert_true(yard_packs(&y) <= 1);
		house_free(&y.h);
	}
}

/* Buried, durably, and its file still there: no copy of an older database. */
static void killed__before_the_local_file_went__removed_at_open(void **state)
{
	char name[STAGING_NAME];
	struct garbage_grave g[2];
	struct meta_tx *tx = NULL;
	unsigned n = 0;
	struct yard y;
	int fd;

	(void)state;
	yard_begin(&y, AT_ONCE "keep_deleted = 1h");
	yard_poor(&y);
	step_bury(&y);
	house_forget(&y.h);
	assert_int_equal(yard_locals(&y), 0);
	assert_int_equal(meta_begin(y.h.v->meta, &tx, NULL), 0);
	assert_int_equal(
		garbage_graves(tx, NULL, INT64_MAX, g, 2, &n, NULL), 0);
	assert_int_equal(meta_end(tx, 0, NULL), 0);
	assert_int_equal(n, 2);
	fd = openat(y.h.v->packs_fd, staging_name(&g[0].id, name),
		O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	yard_again(&y);
	assert_int_equal(yard_locals(&y), 0);
	yard_check_all(&y);
	house_free(&y.h);
}

/* That a pack has ended is not sure to survive: not a byte of it goes. */
static void ended__commit_fails__nothing_is_deleted(void **state)
{
	struct repack *r;
	struct yard y;
	int full;

	(void)state;
	yard_begin(&y, VOLUME);
	yard_poor(&y);
	step_switch(&y);
	r = y.h.v->repack;
	yard_put(&y, 1, 99); /* an open pack */
	full = open("/dev/full", O_RDWR | O_CLOEXEC);
	assert_true(full >= 0);
	atomic_store(&y.h.v->staging->slot[0].pack->due, UINT64_MAX);
	atomic_store(&y.h.v->staging->slot[0].pack->unsynced, true);
	assert_true(dup2(full, y.h.v->staging->slot[0].pack->fd) >= 0);
	(void)close(full);
	r->cool[0].due_ms = 0;
	log_limit((enum log_level) - 1);
	assert_true(repack_bury_due(r, NULL) < 0);
	assert_true(repack_round(r, &(bool){false}, NULL) < 0);
	assert_int_equal(yard_objects(&y, 'a'), 2);
	assert_int_equal(yard_objects(&y, 'b'), 2);
	yard_again(&y);
	assert_int_equal(yard_packs(&y), 2);
	y.seed[1] = 0;
	yard_check_all(&y);
	yard_collect(&y);
	yard_check_all(&y);
	house_free(&y.h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed__between_two_steps__goes_on),
		cmocka_unit_test(ended__commit_fails__nothing_is_deleted),
		cmocka_unit_test(
			killed__before_the_local_file_went__removed_at_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
