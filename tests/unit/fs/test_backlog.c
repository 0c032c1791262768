/* What is told of clouds that are behind, and what writers make of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chunker/stripe.h"
#include "fs/staging.h"
#include "fs/upload_int.h"
#include "fs/write.h"
#include "tests/unit/fs/house.h"

#define MIB (1u << 20)
#define ON_B "layout = mirror:1\nstores = b\npack = 1M"

static uint64_t in(uint64_t ms)
{
	return clock_mono_ms(clock_system()) + ms;
}

/* n packs of about a MiB are closed and owed. */
static void fill(struct house *h, const char *name, unsigned n)
{
	struct node *node = house_file(h, name);
	uint8_t *data = malloc((size_t)n * MIB);
	struct pluri_err err;

	house_noise((uint64_t)*name, data, (size_t)n * MIB);
	house_write(h, node, 0, data, (size_t)n * MIB);
	assert_int_equal(write_flush(h->v, node, &err), 0);
	assert_int_equal(staging_close(h->v->staging, &err), 0);
	node_unpin(h->v->nodes, node);
	free(data);
}

static int wait_all(struct house *h, uint64_t ms)
{
	return upload_wait(
		h->v->upload, UINT64_MAX, true, in(ms), NULL, NULL, NULL);
}

static uint64_t debts(struct house *h)
{
	struct packs_totals t = {0};
	struct meta_tx *tx = NULL;

	assert_int_equal(meta_begin(h->v->meta, &tx, NULL), 0);
	assert_int_equal(meta_end(tx, packs_totals(tx, &t, NULL), NULL), 0);
	return t.debt_shards;
}

/* Poll until so many shards are owed. */
static bool owes(struct house *h, uint64_t n, uint64_t ms)
{
	const struct timespec tick = {.tv_nsec = 5000000};
	const uint64_t until = in(ms);

	while (debts(h) != n && in(0) < until)
		(void)nanosleep(&tick, NULL);
	return debts(h) == n;
}

static int first_pack(void *arg, const struct pack_row *p)
{
	*(struct pack_row *)arg = *p;
	return 1;
}

/* Put other bytes where the first pack's shard should go. */
static void occupy(struct house *h, char *path, size_t cap)
{
	char key[PLURI_OBJECT_KEY_MAX + 1];
	struct meta_tx *tx = NULL;
	struct pack_row p = {0};
	char cmd[700];
	FILE *f;

	assert_int_equal(meta_begin(h->v->meta, &tx, NULL), 0);
	assert_int_equal(
		meta_end(tx, packs_list(tx, 0, first_pack, &p, NULL), NULL), 0);
	shard_name(&p.id, 0, key);
	(void)snprintf(path, cap, "%s/b/%s", h->dir, key);
	(void)snprintf(cmd, sizeof(cmd), "mkdir -p \"$(dirname %s)\"", path);
	assert_int_equal(system(cmd), 0);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs("somebody else's", f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* What cannot be paid, since other bytes are there, does not move, and is tried
 * again all the same; a pack beside it does. */
static void backlog__all_that_is_owed_is_held__does_not_move(void **state)
{
	struct upload_backlog b = {.moves = true};
	char path[600];
	struct house h;

	(void)state;
	house_new(&h, "timeout = 1s", ON_B);
	house_fault(&h, "error EAGAIN op=put\n");
	fill(&h, "f", 2);
	occupy(&h, path, sizeof(path));
	house_fault(&h, "");
	upload_kick(h.v->upload, 1);
	assert_true(owes(&h, 1, 30000));
	for (uint64_t end = in(30000); b.moves && in(0) < end;)
		upload_backlog(h.v->upload, &b);
	assert_false(b.moves);
	assert_true(b.pending > 0);
	house_fault(&h, "hang op=put\n");
	fill(&h, "g", 1);
	upload_backlog(h.v->upload, &b);
	assert_true(b.moves);
	house_fault(&h, "");
	assert_true(owes(&h, 1, 30000));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(upload_rescan(h.v->upload, NULL), 0);
	assert_int_equal(wait_all(&h, 30000), 0);
	upload_backlog(h.v->upload, &b);
	assert_false(b.moves);
	house_free(&h);
}

/* --- writers, and a mount that ends --------------------------------------- */

/* One program that writes a MiB to clouds that take nothing and are not told
 * to be away: it waits. */
struct late {
	struct house h;
	struct node *n;
	uint8_t *data;
	_Atomic bool leaves, stop;
	_Atomic unsigned asked; /* whether the mount ends */
	pthread_t thread;
	int code;
	uint64_t began, ended;
};

static int late_leaves(void *arg)
{
	struct late *l = arg;

	(void)atomic_fetch_add(&l->asked, 1);
	return atomic_load(&l->leaves);
}

static int late_stop(void *arg)
{
	return atomic_load(&((struct late *)arg)->stop);
}

static void *late_main(void *arg)
{
	struct late *l = arg;
	const struct write_ask ask = {.data = {l->data, MIB},
		.stop = late_stop,
		.leaves = late_leaves,
		.arg = l};

	l->began = in(0);
	l->code = write_bytes(l->h.v, l->n, &ask, NULL);
	l->ended = in(0);
	return NULL;
}

static void late_begin(struct late *l, uint64_t pending)
{
	memset(l, 0, sizeof(*l));
	house_new(&l->h, "timeout = 1s\ncache = 0", ON_B);
	house_fault(&l->h, "hang op=put\n");
	fill(&l->h, "f", 1);
	l->n = house_file(&l->h, "late");
	l->data = malloc(MIB);
	house_noise(9, l->data, MIB);
	/* as if so many packs waited */
	atomic_store(&l->h.v->upload->pending, pending);
}

static void late_end(struct late *l)
{
	uint8_t *got = malloc(MIB);

	assert_int_equal(pthread_join(l->thread, NULL), 0);
	assert_int_equal(l->code, 0);
	house_read(&l->h, l->n, 0, got, MIB);
	assert_memory_equal(got, l->data, MIB);
	house_fault(&l->h, "");
	node_unpin(l->h.v->nodes, l->n);
	house_free(&l->h);
	free(l->data);
	free(got);
}

/* Above the bound it would wait for ever, and near it for seconds. */
static void write__mount_ends_while_it_waits__comes_in_at_once(void **state)
{
	static const uint64_t pending[] = {
		WRITE_STAGING + MIB, WRITE_STAGING - MIB};
	const struct timespec tick = {.tv_nsec = 1000000};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct late l;
		uint64_t left;

		late_begin(&l, pending[i]);
		assert_int_equal(
			pthread_create(&l.thread, NULL, late_main, &l), 0);
		left = in(10000);
		while (atomic_load(&l.asked) < 5 && in(0) < left)
			(void)nanosleep(&tick, NULL);
		left = in(0);
		atomic_store(&l.leaves, true);
		late_end(&l);
		/* near the bound it would be 8 s */
		assert_true(l.ended < left + 5000);
	}
}

static void write__mount_has_ended__waits_for_nothing(void **state)
{
	struct late l;

	(void)state;
	late_begin(&l, 2 * WRITE_STAGING);
	atomic_store(&l.leaves, true);
	assert_int_equal(pthread_create(&l.thread, NULL, late_main, &l), 0);
	late_end(&l);
	/* a wait would be one for the clouds' patience, 10 s, at least */
	assert_in_range(l.ended - l.began, 0, 5000);
}

/* Or the two before would tell nothing. */
static void write__mount_goes_on__waits_until_killed(void **state)
{
	const struct timespec tick = {.tv_nsec = 1000000};
	const uint64_t end = in(10000);
	struct late l;

	(void)state;
	late_begin(&l, WRITE_STAGING + MIB);
	assert_int_equal(pthread_create(&l.thread, NULL, late_main, &l), 0);
	while (atomic_load(&l.asked) < 8 && in(0) < end)
		(void)nanosleep(&tick, NULL);
	atomic_store(&l.stop, true);
	assert_int_equal(pthread_join(l.thread, NULL), 0);
	assert_int_equal(l.code, -ECANCELED);
	assert_true(l.ended - l.began >= 300);
	house_fault(&l.h, "");
	node_unpin(l.h.v->nodes, l.n);
	house_free(&l.h);
	free(l.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			backlog__all_that_is_owed_is_held__does_not_move),
		cmocka_unit_test(
			write__mount_ends_while_it_waits__comes_in_at_once),
		cmocka_unit_test(write__mount_has_ended__waits_for_nothing),
		cmocka_unit_test(write__mount_goes_on__waits_until_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
