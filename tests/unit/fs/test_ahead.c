/* What is read ahead, when others read, or come to wait for it. */
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

#include "fs/cache.h"
#include "fs/load.h"
#include "fs/read.h"
#include "fs/roster.h"
#include "meta/extent.h"
#include "tests/unit/fs/house.h"

#define FILES 3u
#define LEN 100000u /* one frame */
#define PATIENCE_MS 30000u
#define RATE 1000u /* bytes a second: the next get begins 100 s later */

/* Files whose only copies are on store b, and not in memory. */
struct rig {
	struct house h;
	struct node *n[FILES];
	unsigned b; /* its number */
};

struct ahead {
	struct rig *g;
	pthread_t thread;
	unsigned file;
	atomic_bool stop;
	int r;
};

static int stop_flag(void *arg)
{
	return atomic_load((atomic_bool *)arg);
}

static int stop_late(void *arg)
{
	return clock_mono_ms(clock_system()) > *(uint64_t *)arg;
}

static void limit(struct rig *g, uint64_t bandwidth)
{
	fleet_limit(g->h.v->fleet, g->b,
		&(struct fleet_limits){.bandwidth = bandwidth});
}

static struct rig *rig_new(void)
{
	struct rig *g = calloc(1, sizeof(*g));
	static uint8_t data[LEN];
	struct store_row row = {0};

	assert_non_null(g);
	house_new(&g->h, "timeout = 20s",
		"layout = mirror:1\nstores = b\npack = 1M");
	assert_int_equal(roster_find_store(g->h.v->roster, "b", &row), 0);
	g->b = row.num;
	for (unsigned i = 0; i < FILES; i++) {
		char name[2] = {(char)('f' + (int)i), '\0'};

		g->n[i] = house_file(&g->h, name);
		house_noise(i + 1, data, LEN);
		house_write(&g->h, g->n[i], 0, data, LEN);
	}
	house_clouds(&g->h);
	return g;
}

static void rig_free(struct rig *g)
{
	for (unsigned i = 0; i < FILES; i++)
		node_unpin(g->h.v->nodes, g->n[i]);
	house_free(&g->h);
	free(g);
}

static uint64_t brought(struct rig *g)
{
	struct cache_stats s;

	cache_stats(g->h.v->cache, &s);
	return s.ahead;
}

/* As a prefetch does. */
static void *ahead_main(void *arg)
{
	struct ahead *a = arg;
	struct volume *v = a->g->h.v;
	struct load l = {.v = v,
		.ahead = true,
		.patience = {.stop = stop_flag, .arg = &a->stop}};
	struct extent_row row;
	struct meta_tx *tx = NULL;
	unsigned n = 0;

	a->r = meta_begin(v->meta, &tx, NULL);
	if (a->r < 0)
		return NULL;
	a->r = extent_read(tx, a->g->n[a->file]->ino,
		(struct extent_span){0, LEN}, &row, 1, &n, NULL);
	a->r = meta_end(tx, a->r, NULL);
	if (a->r >= 0 && n == 1)
		a->r = load_add(
			&l, &row.chunk, row.e.skip, row.e.len, NULL, NULL);
	if (a->r >= 0)
		a->r = load_end(&l, NULL);
	return NULL;
}

/* When this returns its frame is under way. */
static void ahead_start(struct ahead *a, struct rig *g, unsigned file)
{
	const uint64_t until = clock_mono_ms(clock_system()) + PATIENCE_MS;
	const uint64_t before = brought(g);

	*a = (struct ahead){.g = g, .file = file};
	assert_int_equal(pthread_create(&a->thread, NULL, ahead_main, a), 0);
	while (brought(g) == before) {
		assert_true(clock_mono_ms(clock_system()) < until);
		(void)sched_yield();
	}
}

static void ahead_end(struct ahead *a)
{
	assert_int_equal(pthread_join(a->thread, NULL), 0);
	assert_int_equal(a->r, 0);
}

static void read_it(struct rig *g, unsigned file)
{
	uint64_t until = clock_mono_ms(clock_system()) + PATIENCE_MS;
	const struct read_ask ask = {.stop = stop_late, .arg = &until};
	static uint8_t wanted[LEN];
	static uint8_t got[LEN];
	struct pluri_room room = {.data = got, .cap = LEN};

	house_noise(file + 1, wanted, LEN);
	assert_int_equal(
		read_bytes(g->h.v, g->n[file], &ask, 0, &room, NULL), 0);
	assert_int_equal(room.len, LEN);
	assert_memory_equal(got, wanted, LEN);
}

/* The first takes what may be read ahead; the second waits for it. */
static struct rig *rig_held(struct ahead *held)
{
	struct rig *g = rig_new();
	struct ahead first;

	limit(g, RATE);
	ahead_start(&first, g, 0);
	ahead_end(&first);
	ahead_start(held, g, 1);
	return g;
}

static void ahead__held_back__others_read_on(void **state)
{
	struct ahead held;
	struct rig *g = rig_held(&held);

	(void)state;
	read_it(g, 2);
	limit(g, 0);
	ahead_end(&held);
	rig_free(g);
}

static void ahead__held_back_and_wanted__comes_at_once(void **state)
{
	struct ahead held;
	struct rig *g = rig_held(&held);

	(void)state;
	read_it(g, 1);
	ahead_end(&held);
	rig_free(g);
}

static void ahead__held_back_and_stopped__ends(void **state)
{
	struct ahead held;
	struct rig *g = rig_held(&held);

	(void)state;
	atomic_store(&held.stop, true);
	assert_int_equal(pthread_join(held.thread, NULL), 0);
	assert_int_equal(held.r, -ECANCELED);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ahead__held_back__others_read_on),
		cmocka_unit_test(ahead__held_back_and_wanted__comes_at_once),
		cmocka_unit_test(ahead__held_back_and_stopped__ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
