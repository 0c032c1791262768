/* All work in the background at once, beside writers and readers: it comes to
 * an end, and no byte is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/balance.h"
#include "fs/merge_int.h"
#include "fs/roster.h"
#include "fs/write.h"
#include "tests/unit/fs/yard.h"

#define PAGE (4 * KIB)
#define REGION 256u /* pages */
#define PAGES (4 * REGION)
#define RUN_MS 1000u
#define FOR_GOOD 12000u /* ticks of 5 ms */

struct crowd {
	struct yard y;
	struct node *db;
	_Atomic bool stop;
	_Atomic uint64_t version[PAGES]; /* written; 0: never */
};

/* A page tells which it is, and all of its bytes follow from that. */
static void page_make(unsigned page, uint64_t version, uint8_t *to)
{
	const uint64_t head[2] = {page, version};

	house_noise(page * 100003 + version, to, PAGE);
	memcpy(to, head, sizeof(head));
}

static void page_check(
	unsigned page, uint64_t least, const uint8_t *got, uint8_t *want)
{
	uint64_t head[2];

	memcpy(head, got, sizeof(head));
	assert_int_equal(head[0], page);
	assert_true(head[1] >= least);
	page_make(page, head[1], want);
	assert_memory_equal(got, want, PAGE);
}

static void crowd_wait(uint64_t ms)
{
	const struct timespec t = {
		(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

	(void)nanosleep(&t, NULL);
}

/* Here and there in one region, then in the next. */
static unsigned crowd_page(uint64_t i)
{
	return (unsigned)(i / 500 % 4 * REGION + i * 79 % REGION);
}

static void *crowd_write(void *arg)
{
	struct crowd *c = arg;
	uint8_t *data = malloc(PAGE);

	for (uint64_t i = 1; !atomic_load(&c->stop); i++) {
		const unsigned page = crowd_page(i);

		page_make(page, i, data);
		house_write(&c->y.h, c->db, page * PAGE, data, PAGE);
		atomic_store(&c->version[page], i);
		if (i % 3 == 0)
			assert_int_equal(write_flush(c->y.h.v, c->db, NULL), 0);
		if (i % 50 == 0)
			yard_put(&c->y, (unsigned)(i / 50 % FILES), i);
	}
	free(data);
	return NULL;
}

static void *crowd_read(void *arg)
{
	struct crowd *c = arg;
	uint8_t *got = malloc(PAGE);
	uint8_t *want = malloc(PAGE);

	for (uint64_t i = 1; !atomic_load(&c->stop); i++) {
		const unsigned page = (unsigned)(i * 104729 % PAGES);
		const uint64_t least = atomic_load(&c->version[page]);

		house_read(&c->y.h, c->db, page * PAGE, got, PAGE);
		page_check(page, least, got, want);
		if (i % 16 == 0)
			house_forget(&c->y.h);
	}
	free(got);
	free(want);
	return NULL;
}

static void *crowd_repack(void *arg)
{
	struct crowd *c = arg;

	while (!atomic_load(&c->stop))
		yard_turn(&c->y);
	return NULL;
}

static void crowd_merge_turn(struct crowd *c)
{
	struct merge *m = c->y.h.v->merge;
	struct pluri_err err = {0};
	bool more = false;

	(void)pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; i < MERGE_SETS * MERGE_WAYS; i++)
		m->table.spot[i / MERGE_WAYS][i % MERGE_WAYS].due_ms = 0;
	(void)pthread_mutex_unlock(&m->lock);
	if (merge_round(m, &more, &err) < 0)
		fail_msg("%s", err.text);
}

static void *crowd_merge(void *arg)
{
	struct crowd *c = arg;

	while (!atomic_load(&c->stop))
		crowd_merge_turn(c);
	return NULL;
}

/* Whatever is there to move is moved, one job after the other. */
static void *crowd_balance(void *arg)
{
	struct crowd *c = arg;

	while (!atomic_load(&c->stop)) {
		json_t *j = NULL;

		if (balance_start(c->y.h.v->balance, &j, NULL) == 0)
			json_decref(j);
		crowd_wait(5);
	}
	return NULL;
}

static void crowd_new(struct crowd *c)
{
	uint8_t *data = malloc(PAGE);

	memset(c, 0, sizeof(*c));
	house_new(&c->y.h,
		"timeout = 10s\nrepack_age = 0ms\nkeep_deleted = 0ms\n"
		"repack_rate = 1G\nrepack = 90%\nmerge_rate = 1G",
		"layout = mirror:2\npack = 1M\npack_age = 100ms");
	c->y.h.v->merge->quiet_ms = 0;
	yard_met(&c->y);
	c->db = house_file(&c->y.h, "db");
	for (unsigned i = 0; i < PAGES; i++) {
		page_make(i, 0, data);
		house_write(&c->y.h, c->db, i * PAGE, data, PAGE);
	}
	house_clouds(&c->y.h);
	free(data);
}

static void crowd_check(struct crowd *c)
{
	uint8_t *got = malloc(PAGE);
	uint8_t *want = malloc(PAGE);

	for (unsigned i = 0; i < PAGES; i++) {
		house_read(&c->y.h, c->db, i * PAGE, got, PAGE);
		page_check(i, c->version[i], got, want);
	}
	free(got);
	free(want);
}

/* By ticks: a machine that stands still is not waited for less. */
static void crowd_drained(struct crowd *c, const char *store)
{
	struct store_row row = {0};

	for (unsigned i = 0; i < FOR_GOOD; i++) {
		assert_int_equal(
			roster_find_store(c->y.h.v->roster, store, &row), 0);
		if (row.state == STORE_DRAINED)
			return;
		crowd_wait(5);
	}
	fail_msg("store %s is not drained", store);
}

static void crowd_drain(struct crowd *c, const char *store)
{
	json_t *j = NULL;

	while (balance_drain(c->y.h.v->balance, store, &j, NULL) == -EBUSY)
		crowd_wait(1);
	assert_non_null(j);
	json_decref(j);
}

/* Has each of them done something? */
static bool crowd_worked(struct crowd *c)
{
	struct repack_stats s;
	struct merge_stats m;

	merge_stats(c->y.h.v->merge, &m);
	repack_stats(c->y.h.v->repack, &s);
	return m.ranges > 0 && s.switched > 0 && s.buried > 0;
}

/* Nobody writes any more: all of it comes to an end. */
static void crowd_settle(struct crowd *c)
{
	struct repack_stats s;
	struct merge_stats m;

	for (unsigned i = 0; i < 3; i++) {
		crowd_merge_turn(c);
		assert_true(house_paid(&c->y.h, 60000));
	}
	crowd_merge_turn(c);
	assert_int_equal(c->y.h.v->merge->copies, 0);
	c->y.h.v->repack->look_next_ms = 0; /* a store did not answer */
	yard_collect(&c->y);
	merge_stats(c->y.h.v->merge, &m);
	repack_stats(c->y.h.v->repack, &s);
	print_message("# %u ranges, %u in vain; %u chunks, %u packs\n",
		(unsigned)m.ranges, (unsigned)m.vain, (unsigned)s.switched,
		(unsigned)s.buried);
	assert_true(m.ranges > 0 && s.switched > 0 && s.buried > 0);
}

static void all__at_once__ends_and_is_right(void **state)
{
	static void *(*const work[])(void *arg) = {crowd_write, crowd_read,
		crowd_repack, crowd_merge, crowd_balance};
	struct crowd *c = malloc(sizeof(*c));
	pthread_t thread[5];

	(void)state;
	crowd_new(c);
	house_fault(&c->y.h, "error EAGAIN op=all key=packs/ p=0.05 seed=3\n");
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(
			pthread_create(&thread[i], NULL, work[i], c), 0);
	crowd_wait(RUN_MS);
	for (unsigned i = 0; i < FOR_GOOD && !crowd_worked(c); i++)
		crowd_wait(5);
	crowd_drain(c, "c");
	crowd_drained(c, "c");
	atomic_store(&c->stop, true);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	house_fault(&c->y.h, "");
	crowd_check(c);
	house_clouds(&c->y.h);
	crowd_check(c);
	crowd_settle(c);
	house_forget(&c->y.h);
	crowd_check(c);
	yard_check(&c->y);
	node_unpin(c->y.h.v->nodes, c->db);
	house_free(&c->y.h);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all__at_once__ends_and_is_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
