/* Collecting beside readers and writers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chunker/stripe.h"
#include "fs/cache.h"
#include "fs/fetch.h"
#include "fs/staging_int.h"
#include "fs/upload.h"
#include "fs/write.h"
#include "tests/unit/fs/yard.h"

#define PATIENCE_MS 20000u /* for what takes far less, even when all is slow */

/* --- together with readers and writers ------------------------------------ */

/* Places of chunks go stale in a reader's hand: an error, never other bytes. */
static void reader__plan_is_outdated__told_and_planned_anew(void **state)
{
	struct extent_row row;
	struct meta_tx *tx = NULL;
	struct fetch_place place;
	struct node *n;
	unsigned got = 0;
	struct yard y;

	(void)state;
	yard_begin(&y, VOLUME);
	n = house_file(&y.h, "f0");
	assert_int_equal(meta_begin(y.h.v->meta, &tx, NULL), 0);
	assert_int_equal(extent_read(tx, n->ino, (struct extent_span){0, LEN},
				 &row, 1, &got, NULL),
		0);
	assert_int_equal(meta_end(tx, 0, NULL), 0);
	node_unpin(y.h.v->nodes, n);
	assert_int_equal(got, 1);
	assert_false(repack_moved(y.h.v, &row, 1));
	yard_poor(&y);
	yard_collect(&y);
	assert_true(repack_moved(y.h.v, &row, 1));
	assert_int_equal(meta_begin(y.h.v->meta, &tx, NULL), 0);
	assert_int_equal(
		fetch_place(tx, row.chunk.pack, &place, NULL), -ESTALE);
	assert_int_equal(meta_end(tx, 0, NULL), 0);
	yard_check_all(&y);
	yard_put(&y, 0, 0);
	yard_collect(&y);
	assert_true(repack_moved(y.h.v, &row, 1));
	house_free(&y.h);
}

struct late {
	struct yard *y;
	uint8_t *got;
};

static void *late_read(void *arg)
{
	struct late *l = arg;
	struct node *n = house_file(&l->y->h, "f0");

	house_read(&l->y->h, n, 0, l->got, LEN);
	node_unpin(l->y->h.v->nodes, n);
	return NULL;
}

static int first_pack(void *arg, const struct pack_row *p)
{
	*(struct pack_row *)arg = *p;
	return 1;
}

/* Who asks for the oldest pack's object waits until there are no faults. */
static void hang_first(struct yard *y)
{
	char key[PLURI_OBJECT_KEY_MAX + 1];
	char rule[PLURI_OBJECT_KEY_MAX + 32];
	struct meta_tx *tx = NULL;
	struct pack_row p = {0};

	assert_int_equal(meta_begin(y->h.v->meta, &tx, NULL), 0);
	assert_int_equal(
		meta_end(tx, packs_list(tx, 0, first_pack, &p, NULL), NULL), 0);
	shard_name(&p.id, 0, key);
	(void)snprintf(rule, sizeof(rule), "hang op=get key=%s\n", key);
	house_fault(&y->h, rule);
}

/* Until a call of store b is under way. */
static void await_call(struct yard *y)
{
	struct fleet_health health = {0};

	while (health.in_flight == 0) {
		(void)sched_yield();
		assert_int_equal(fleet_health(y->h.v->fleet, 1, &health), 0);
	}
}

/* The object goes while it is being asked for. */
static void reader__pack_goes_under_it__reads_the_copy(void **state)
{
	uint8_t *data = malloc(LEN);
	struct fleet_health health = {0};
	struct late l = {.got = malloc(LEN)};
	pthread_t reader;
	struct yard y;

	(void)state;
	yard_begin_as(&y, "timeout = 60s\nrepack_age = 0ms\nkeep_deleted = 0ms",
		"layout = mirror:1\nstores = b\npack = 1M");
	l.y = &y;
	yard_poor(&y);
	yard_turn(&y);
	assert_true(house_paid(&y.h, 20000));
	house_forget(&y.h);
	hang_first(&y);
	assert_int_equal(pthread_create(&reader, NULL, late_read, &l), 0);
	await_call(&y);
	assert_int_equal(repack_copy_switch(y.h.v->repack, NULL), 0);
	assert_int_equal(y.h.v->repack->cools, 1);
	y.h.v->repack->cool[0].due_ms = 0;
	assert_int_equal(repack_bury_due(y.h.v->repack, NULL), 0);
	assert_int_equal(repack_bury_delete(y.h.v->repack, NULL), 0);
	assert_int_equal(yard_objects(&y, 'b'), 1);
	assert_int_equal(fleet_health(y.h.v->fleet, 1, &health), 0);
	assert_int_equal(health.in_flight, 1);
	house_fault(&y.h, "");
	assert_int_equal(pthread_join(reader, NULL), 0);
	house_noise(y.seed[0], data, LEN);
	assert_memory_equal(l.got, data, LEN);
	free(data);
	free(l.got);
	house_free(&y.h);
}

/* Something happens when the next pack is begun: between a flush's question
 * what is stored already and its record. */
struct meddle {
	struct clock clock;
	struct yard *y;
	void (*run)(struct yard *y);
	uint64_t pack; /* there is this one already */
	bool ran;
};

static uint64_t meddle_mono(void *arg)
{
	(void)arg;
	return clock_mono_ms(clock_system());
}

static int64_t meddle_real(void *arg)
{
	(void)arg;
	return clock_real_ns(clock_system());
}

static void meddle_random(void *arg, void *to, size_t n)
{
	struct meddle *m = arg;

	clock_random(clock_system(), to, n);
	if (m->ran || staging_last(m->y->h.v->staging) < m->pack)
		return;
	m->ran = true;
	m->run(m->y);
}

static void meddle_with(struct meddle *m, struct yard *y, unsigned nth,
	void (*run)(struct yard *y))
{
	*m = (struct meddle){
		.clock = {meddle_mono, meddle_real, meddle_random, m},
		.y = y,
		.run = run,
		.pack = staging_last(y->h.v->staging) + nth};
	y->h.v->clock = &m->clock;
}

static void forget_dead(struct yard *y)
{
	struct meta_tx *tx = NULL;
	unsigned n = 0;

	assert_int_equal(meta_begin(y->h.v->meta, &tx, NULL), 0);
	assert_int_equal(garbage_forget(tx, 1, 1000, &n, NULL), 0);
	assert_int_equal(meta_end(tx, 0, NULL), 0);
	assert_true(n > 0);
}

static void flush__found_chunk_is_forgotten__stored_anew(void **state)
{
	uint8_t *data = malloc(2 * LEN);
	uint8_t *got = malloc(2 * LEN);
	struct meddle m;
	struct node *n;
	struct yard y;

	(void)state;
	yard_begin(&y, VOLUME);
	yard_put(&y, 1, 0);
	meddle_with(&m, &y, 0, forget_dead);
	n = house_file(&y.h, "g");
	house_noise(2, data, LEN); /* as f1 had */
	house_noise(99, data + LEN, LEN);
	house_write(&y.h, n, 0, data, LEN);
	house_write(&y.h, n, 1u << 20, data + LEN, LEN);
	assert_int_equal(write_flush(y.h.v, n, NULL), 0);
	assert_true(m.ran);
	house_clouds(&y.h);
	house_read(&y.h, n, 0, got, LEN);
	house_read(&y.h, n, 1u << 20, got + LEN, LEN);
	assert_memory_equal(got, data, 2 * LEN);
	node_unpin(y.h.v->nodes, n);
	yard_check_all(&y);
	free(data);
	free(got);
	house_free(&y.h);
}

/* The pack before this one: closed, stored, and without a row yet. */
static void bury_before(struct yard *y)
{
	const uint64_t pack = staging_last(y->h.v->staging);
	struct meta_tx *tx = NULL;

	staging_close_pending(y->h.v->staging);
	assert_int_equal(upload_wait(y->h.v->upload, UINT64_MAX, true,
				 clock_mono_ms(clock_system()) + 20000, NULL,
				 NULL, NULL),
		0);
	assert_int_equal(meta_begin(y->h.v->meta, &tx, NULL), 0);
	assert_int_equal(garbage_bury(tx, pack, 0, NULL), 0);
	assert_int_equal(meta_end(tx, 0, NULL), 0);
	yard_turn(y);
}

#define HALF (600 * KIB)

static void flush__pack_it_wrote_to_is_buried__stored_anew(void **state)
{
	uint8_t *data = malloc(2 * HALF);
	uint8_t *got = malloc(2 * HALF);
	struct meddle m;
	struct node *n;
	struct yard y;

	(void)state;
	yard_begin_as(&y, VOLUME, POLICY "\nchunking = fixed");
	meddle_with(&m, &y, 1, bury_before);
	n = house_file(&y.h, "g");
	house_noise(99, data, 2 * HALF);
	house_write(&y.h, n, 0, data, HALF);
	house_write(&y.h, n, 4u << 20, data + HALF, HALF);
	house_write(&y.h, n, 8u << 20, data, HALF); /* a twin */
	assert_int_equal(write_flush(y.h.v, n, NULL), 0);
	assert_true(m.ran);
	house_clouds(&y.h);
	house_read(&y.h, n, 0, got, HALF);
	house_read(&y.h, n, 4u << 20, got + HALF, HALF);
	assert_memory_equal(got, data, 2 * HALF);
	house_read(&y.h, n, 8u << 20, got, HALF);
	assert_memory_equal(got, data, HALF);
	node_unpin(y.h.v->nodes, n);
	yard_check_all(&y);
	free(data);
	free(got);
	house_free(&y.h);
}

struct crowd {
	struct yard y;
	_Atomic bool stop;
	_Atomic unsigned rounds;
};

/* Every file always has some content of its own, told by its first bytes. */
static void *crowd_read(void *arg)
{
	struct crowd *c = arg;
	uint8_t *data = malloc(LEN);
	uint8_t *got = malloc(LEN);

	for (unsigned i = 0; !atomic_load(&c->stop); i++) {
		char name[8];
		struct node *n;
		uint64_t seed;

		(void)snprintf(name, sizeof(name), "f%u", i % FILES);
		n = house_file(&c->y.h, name);
		cache_drop_all(c->y.h.v->cache);
		house_read(&c->y.h, n, 0, got, LEN);
		node_unpin(c->y.h.v->nodes, n);
		memcpy(&seed, got, sizeof(seed));
		house_noise(seed, data, LEN);
		memcpy(data, &seed, sizeof(seed));
		assert_memory_equal(got, data, LEN);
	}
	free(data);
	free(got);
	return NULL;
}

/* Contents come again, so that names are found of chunks about to go. */
static void *crowd_write(void *arg)
{
	struct crowd *c = arg;
	uint8_t *data = malloc(LEN);

	for (uint64_t i = 0; !atomic_load(&c->stop); i++) {
		char name[8];
		struct node *n;
		const uint64_t seed = 100 + i * 7 % 13;

		(void)snprintf(name, sizeof(name), "f%u", (unsigned)i % FILES);
		n = house_file(&c->y.h, name);
		house_noise(seed, data, LEN);
		memcpy(data, &seed, sizeof(seed));
		house_write(&c->y.h, n, 0, data, LEN);
		assert_int_equal(write_flush(c->y.h.v, n, NULL), 0);
		node_unpin(c->y.h.v->nodes, n);
		if (i % 5 == 4)
			assert_true(house_paid(&c->y.h, 20000));
	}
	free(data);
	return NULL;
}

static void crowd__reads_and_writes_while_collecting__all_right(void **state)
{
	pthread_t reader, writer;
	struct repack_stats s;
	uint64_t until, now;
	struct crowd c;

	(void)state;
	memset(&c, 0, sizeof(c));
	house_new(&c.y.h, VOLUME "\nrepack = 90%", POLICY);
	yard_met(&c.y);
	for (unsigned i = 0; i < FILES; i++) {
		uint8_t *data = malloc(LEN);
		char name[8];
		struct node *n;
		const uint64_t seed = 200 + i;

		(void)snprintf(name, sizeof(name), "f%u", i);
		n = house_file(&c.y.h, name);
		house_noise(seed, data, LEN);
		memcpy(data, &seed, sizeof(seed));
		house_write(&c.y.h, n, 0, data, LEN);
		node_unpin(c.y.h.v->nodes, n);
		free(data);
	}
	house_clouds(&c.y.h);
	assert_int_equal(pthread_create(&reader, NULL, crowd_read, &c), 0);
	assert_int_equal(pthread_create(&writer, NULL, crowd_write, &c), 0);
	until = clock_mono_ms(clock_system()) + 1000;
	do {
		yard_turn(&c.y);
		house_forget(&c.y.h);
		repack_stats(c.y.h.v->repack, &s);
		now = clock_mono_ms(clock_system());
	} while (now < until || ((s.buried == 0 || s.forgotten == 0) &&
					now < until + PATIENCE_MS));
	atomic_store(&c.stop, true);
	assert_int_equal(pthread_join(reader, NULL), 0);
	assert_int_equal(pthread_join(writer, NULL), 0);
	repack_stats(c.y.h.v->repack, &s);
	assert_true(s.buried > 0);
	assert_true(s.forgotten > 0);
	assert_true(house_paid(&c.y.h, 20000));
	yard_collect(&c.y);
	house_free(&c.y.h);
}

/* On its thread: it ends when told to, in the middle of its pace. */
static void thread__told_to_stop__stops(void **state)
{
	struct yard y;
	uint64_t began;

	(void)state;
	yard_begin(&y, "repack_age = 0ms");
	yard_poor(&y);
	y.h.v->config->repack_rate = 1; /* a byte a second */
	assert_int_equal(repack_start(y.h.v->repack, NULL), 0);
	while (1) {
		struct repack_stats s;

		repack_stats(y.h.v->repack, &s);
		if (s.copied > 0)
			break;
		(void)usleep(20000);
	}
	began = clock_mono_ms(clock_system());
	repack_stop(y.h.v->repack);
	assert_true(clock_mono_ms(clock_system()) < began + PATIENCE_MS);
	yard_check_all(&y);
	house_close(&y.h);
	house_free(&y.h);
}

/* A pack of which six files of ten live, at one store alone. */
static void yard_far(struct yard *y, const char *volume)
{
	yard_begin_as(y, volume, "layout = mirror:1\nstores = b\npack = 1M");
	for (unsigned i = 6; i < FILES; i++)
		yard_put(y, i, 0);
	house_forget(&y->h);
	assert_int_equal(yard_locals(y), 0);
}

/* While it fetches a pack from a store that has fallen silent, too. */
static void thread__told_to_stop_while_it_fetches__stops(void **state)
{
	struct yard y;
	uint64_t began;

	(void)state;
	yard_far(&y, "timeout = 60s\nrepack_age = 0ms\nrepack = 90%");
	house_fault(&y.h, "hang op=get\n");
	assert_int_equal(repack_start(y.h.v->repack, NULL), 0);
	await_call(&y);
	began = clock_mono_ms(clock_system());
	repack_stop(y.h.v->repack);
	assert_true(clock_mono_ms(clock_system()) < began + PATIENCE_MS);
	house_fault(&y.h, "");
	yard_check_all(&y);
	house_free(&y.h);
}

/* 0.9 MiB fetched and 0.5 MiB copied, at 1 MiB a second: 0.9 s before the first
 * copy, and the time of all but the last. */
static void rate__pack_is_fetched__counts(void **state)
{
	struct repack_stats s;
	struct yard y;
	uint64_t began;

	(void)state;
	yard_far(&y, "repack_age = 0ms\nrepack = 90%\nrepack_rate = 1M");
	began = clock_mono_ms(clock_system());
	yard_turn(&y);
	repack_stats(y.h.v->repack, &s);
	assert_int_equal(s.copied, 6);
	assert_true(clock_mono_ms(clock_system()) > began + 1100);
	assert_true(house_paid(&y.h, 20000));
	yard_check_all(&y);
	house_free(&y.h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			reader__plan_is_outdated__told_and_planned_anew),
		cmocka_unit_test(reader__pack_goes_under_it__reads_the_copy),
		cmocka_unit_test(flush__found_chunk_is_forgotten__stored_anew),
		cmocka_unit_test(
			flush__pack_it_wrote_to_is_buried__stored_anew),
		cmocka_unit_test(
			crowd__reads_and_writes_while_collecting__all_right),
		cmocka_unit_test(thread__told_to_stop__stops),
		cmocka_unit_test(thread__told_to_stop_while_it_fetches__stops),
		cmocka_unit_test(rate__pack_is_fetched__counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
