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

#include "fs/watch.h"
#include "tests/unit/fs/house.h"

#define PATIENCE_MS 20000u
#define PUT "put pluri-volume"

/* A house whose bytes all go to one more store, d. */
struct watched {
	struct house h;
	char log[32]; /* of d's calls */
	unsigned made; /* puts of its descriptor, until the house stood */
};

/* Lines of d's log that begin so. */
static unsigned said(const struct watched *w, const char *line)
{
	char got[256];
	unsigned n = 0;
	FILE *f = fopen(w->log, "r");

	assert_non_null(f);
	while (fgets(got, sizeof(got), f))
		n += strncmp(got, line, strlen(line)) == 0;
	(void)fclose(f);
	return n;
}

static void watched_new(struct watched *w, const char *more)
{
	char policy[512];
	int fd;

	(void)snprintf(w->log, sizeof(w->log), "/tmp/pluri-watch-XXXXXX");
	fd = mkstemp(w->log);
	assert_true(fd >= 0);
	(void)close(fd);
	(void)snprintf(policy, sizeof(policy),
		"layout = mirror:1\nstores = d\n"
		"[store \"d\"]\nbackend = fault\nurl = fault:mem:mem:%s\n"
		"fault_file = /dev/null\nfault_log = %s\n%s",
		w->log + 5, w->log, more);
	house_new(&w->h, "", policy);
	w->made = said(w, PUT);
}

static void watched_free(struct watched *w)
{
	house_free(&w->h);
	assert_int_equal(unlink(w->log), 0);
}

static void await_said(const struct watched *w, const char *line, unsigned n)
{
	const uint64_t end = clock_mono_ms(clock_system()) + PATIENCE_MS;

	while (said(w, line) < n && clock_mono_ms(clock_system()) < end)
		(void)sched_yield();
	assert_int_equal(said(w, line), n);
}

static void put(struct house *h, const char *name)
{
	struct node *n = house_file(h, name);

	house_write(h, n, 0, name, strlen(name));
	node_unpin(h->v->nodes, n);
	house_clouds(h);
}

static void puts__store_may_overwrite__asked_when_they_begin(void **state)
{
	struct watched w;

	(void)state;
	watched_new(&w, "fault_without = new");
	house_close(&w.h); /* ends every visit */
	house_open(&w.h);
	assert_int_equal(said(&w, PUT), w.made);
	put(&w.h, "one");
	await_said(&w, PUT " EEXIST", 1);
	put(&w.h, "two");
	house_close(&w.h);
	assert_int_equal(said(&w, PUT), w.made + 1);
	watched_free(&w);
}

static void puts__store_cannot_overwrite__not_asked(void **state)
{
	struct watched w;

	(void)state;
	watched_new(&w, "");
	put(&w.h, "one");
	house_close(&w.h);
	assert_int_equal(said(&w, PUT), w.made);
	watched_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			puts__store_may_overwrite__asked_when_they_begin),
		cmocka_unit_test(puts__store_cannot_overwrite__not_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
