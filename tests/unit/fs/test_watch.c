/* What stores are asked while nobody asks them for data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/staging.h"
#include "fs/watch.h"
#include "tests/unit/fs/house.h"

#define PATIENCE_MS 20000u
#define PUT "put pluri-volume"
#define GREETED "get pluri-volume 0"

/* A house whose bytes all go to one more store, d, of which it is not known
 * whether it overwrites; nor of e, which has `bandwidth`. */
struct watched {
	struct house h;
	char log[3][128]; /* of the calls of b, d, e */
	unsigned puts[3]; /* of their descriptors, until the house stood */
};

enum { B, D, E };

/* Lines of a store's log that begin so. */
static unsigned said(const struct watched *w, unsigned store, const char *line)
{
	char got[256];
	unsigned n = 0;
	FILE *f = fopen(w->log[store], "r");

	assert_non_null(f);
	while (fgets(got, sizeof(got), f))
		n += strncmp(got, line, strlen(line)) == 0;
	(void)fclose(f);
	return n;
}

static void watched_log(char to[128])
{
	int fd;

	(void)snprintf(to, 128, "/tmp/pluri-watch-XXXXXX");
	fd = mkstemp(to);
	assert_true(fd >= 0);
	(void)close(fd);
}

static void watched_new(struct watched *w)
{
	char policy[1024];

	watched_log(w->log[D]);
	watched_log(w->log[E]);
	(void)snprintf(policy, sizeof(policy),
		"layout = mirror:1\nstores = d\n"
		"[store \"d\"]\nbackend = fault\nurl = fault:mem:mem:%s\n"
		"fault_file = /dev/null\nfault_log = %s\nfault_without = new\n"
		"[store \"e\"]\nbackend = fault\nurl = fault:mem:mem:%s\n"
		"fault_file = /dev/null\nfault_log = %s\nfault_without = new\n"
		"bandwidth = 100M",
		w->log[D] + 5, w->log[D], w->log[E] + 5, w->log[E]);
	house_new(&w->h, "", policy);
	(void)snprintf(w->log[B], sizeof(w->log[B]), "%s/b.log", w->h.dir);
	for (unsigned i = B; i <= E; i++)
		w->puts[i] = said(w, i, PUT);
}

static void watched_free(struct watched *w)
{
	house_free(&w->h);
	assert_int_equal(unlink(w->log[D]), 0);
	assert_int_equal(unlink(w->log[E]), 0);
}

static void await_said(
	const struct watched *w, unsigned store, const char *line, unsigned n)
{
	const uint64_t end = clock_mono_ms(clock_system()) + PATIENCE_MS;

	while (said(w, store, line) < n && clock_mono_ms(clock_system()) < end)
		(void)sched_yield();
	assert_true(said(w, store, line) >= n);
}

static void put(struct house *h, const char *name)
{
	struct node *n = house_file(h, name);

	house_write(h, n, 0, name, strlen(name));
	node_unpin(h->v->nodes, n);
	house_clouds(h);
}

/* Whoever is asked is asked in the same round, and a visit that has begun ends
 * before the volume is closed. */
static void puts__begin__doubtful_store_asked_once_and_no_other(void **state)
{
	struct watched w;
	unsigned got[3];

	(void)state;
	watched_new(&w);
	house_close(&w.h);
	for (unsigned i = B; i <= E; i++) {
		assert_int_equal(said(&w, i, PUT), w.puts[i]);
		got[i] = said(&w, i, GREETED);
	}
	house_open(&w.h);
	for (unsigned i = B; i <= E; i++)
		await_said(&w, i, GREETED, got[i] + 1);
	put(&w.h, "one");
	await_said(&w, D, PUT " EEXIST", 1);
	put(&w.h, "two");
	house_close(&w.h);
	assert_int_equal(said(&w, D, PUT), w.puts[D] + 1);
	assert_int_equal(said(&w, B, PUT), w.puts[B]);
	assert_int_equal(said(&w, E, PUT), w.puts[E]);
	watched_free(&w);
}

/* No pack can begin before the flush: who asks only then asks too late. */
static void puts__bytes_come_in__asked_before_a_pack_begins(void **state)
{
	struct watched w;
	struct node *n;
	uint64_t packs;

	(void)state;
	watched_new(&w);
	house_close(&w.h);
	house_open(&w.h);
	packs = staging_last(w.h.v->staging);
	n = house_file(&w.h, "one");
	(void)pthread_mutex_lock(&n->lock);
	n->flushing = true;
	(void)pthread_mutex_unlock(&n->lock);
	house_write(&w.h, n, 0, "one", 3);
	await_said(&w, D, PUT " EEXIST", 1);
	assert_int_equal(staging_last(w.h.v->staging), packs);
	(void)pthread_mutex_lock(&n->lock);
	n->flushing = false;
	(void)pthread_cond_broadcast(&n->idle);
	(void)pthread_mutex_unlock(&n->lock);
	node_unpin(w.h.v->nodes, n);
	watched_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			puts__begin__doubtful_store_asked_once_and_no_other),
		cmocka_unit_test(
			puts__bytes_come_in__asked_before_a_pack_begins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
