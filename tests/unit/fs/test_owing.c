/* What an fsync waits for when it promises the clouds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "fs/clone.h"
#include "fs/owing.h"
#include "fs/staging.h"
#include "fs/upload.h"
#include "fs/write.h"
#include "tests/unit/fs/house.h"

#define MIB (1u << 20)
#define CLOUD "layout = mirror:1\nstores = b\npack = 1M\ndurability = cloud"

/* --- the account --------------------------------------------------------- */

static void owing__a_few_packs__each_by_itself(void **state)
{
	struct owing o = {0};
	struct owing seen;

	(void)state;
	owing_add(&o, 7);
	owing_add(&o, 9);
	owing_add(&o, 7);
	assert_int_equal(o.n, 2);
	assert_int_equal(o.upto, 0);
	seen = o;
	owing_add(&o, 12);
	owing_settle(&o, &seen);
	assert_int_equal(o.n, 1);
	assert_int_equal(o.pack[0], 12);
}

static void owing__many_packs__all_up_to_the_last(void **state)
{
	struct owing o = {0};

	(void)state;
	for (uint64_t i = OWING_MAX + 1; i > 0; i--)
		owing_add(&o, 10 * i);
	assert_int_equal(o.n, 0);
	assert_int_equal(o.upto, 10 * (OWING_MAX + 1));
	owing_add(&o, 5); /* is among them */
	assert_int_equal(o.n, 0);
}

/* What came while the first were waited for is owed still. */
static void owing__more_while_waited_for__stays(void **state)
{
	struct owing o = {0};
	struct owing seen;

	(void)state;
	owing_upto(&o, 20);
	owing_add(&o, 25);
	seen = o;
	owing_upto(&o, 30);
	owing_settle(&o, &seen);
	assert_int_equal(o.upto, 30);
	assert_int_equal(o.n, 0);
	seen = o;
	owing_settle(&o, &seen);
	assert_int_equal(o.upto, 0);
}

/* --- the wait ------------------------------------------------------------ */

/* n packs of about a MiB are closed and owed. */
static void fill(struct house *h, unsigned n)
{
	struct node *node = house_file(h, "f");
	uint8_t *data = malloc((size_t)n * MIB);

	house_noise(5, data, (size_t)n * MIB);
	house_write(h, node, 0, data, (size_t)n * MIB);
	assert_int_equal(write_flush(h->v, node, NULL), 0);
	assert_int_equal(staging_close(h->v->staging, NULL), 0);
	node_unpin(h->v->nodes, node);
	free(data);
}

static int stop_soon(void *arg)
{
	unsigned *asked = arg;

	return ++*asked >= 4;
}

/* 0, or -ECANCELED when it still waits after a while. */
static int sync_some(struct house *h, struct node *n)
{
	unsigned asked = 0;

	return write_sync(h->v, n, stop_soon, &asked, NULL);
}

/* An fsync waits for what it is about, which goes first. */
static void fsync__behind_a_stream__overtakes(void **state)
{
	struct node *lock;
	struct house h;

	(void)state;
	house_new(&h, "timeout = 20s", CLOUD);
	house_fault(&h, "error EAGAIN op=put\n"); /* until all of it is owed */
	fill(&h, 32);
	house_fault(&h, "delay op=put delay_ms=500\n");
	lock = house_file(&h, "lock");
	house_write(&h, lock, 0, "mine", 4);
	for (uint32_t i = 0; i < 3; i++)
		upload_kick(h.v->upload, i);
	assert_int_equal(write_sync(h.v, lock, NULL, NULL, NULL), 0);
	assert_true(upload_pending(h.v->upload) >= 16 * MIB);
	/* nothing new: nothing to wait for, whoever is away */
	house_fault(&h, "error EAGAIN op=put\n");
	assert_int_equal(sync_some(&h, lock), 0);
	house_fault(&h, "");
	assert_true(house_paid(&h, 20000));
	node_unpin(h.v->nodes, lock);
	house_free(&h);
}

/* Bytes that came by other ways than a pack of their own. */
static void fsync__content_of_others__waits_for_it(void **state)
{
	uint8_t *data = malloc(2 * MIB);
	struct clone_ask ask = {.len = 2 * MIB};
	struct node *twin;
	struct house h;
	uint64_t done = 0;

	(void)state;
	house_new(&h, "timeout = 1s", CLOUD);
	house_fault(&h, "error EAGAIN op=put\n");
	fill(&h, 2);
	ask.from = house_file(&h, "f");
	assert_int_equal(sync_some(&h, ask.from), -ECANCELED);
	twin = house_file(&h, "twin");
	house_noise(5, data, 2 * MIB);
	house_write(&h, twin, 0, data, 2 * MIB);
	assert_int_equal(sync_some(&h, twin), -ECANCELED);
	ask.to = house_file(&h, "copy");
	assert_int_equal(clone_range(h.v, &ask, &done, NULL), 0);
	assert_int_equal(done, 2 * MIB);
	assert_int_equal(sync_some(&h, ask.to), -ECANCELED);
	node_unpin(h.v->nodes, ask.to);
	node_unpin(h.v->nodes, twin);
	node_unpin(h.v->nodes, ask.from);
	/* what an earlier life wrote */
	house_crash(&h);
	house_open(&h);
	twin = house_file(&h, "f"); /* opened, and nothing else */
	assert_int_equal(sync_some(&h, twin), -ECANCELED);
	house_write(&h, twin, 0, "x", 1);
	assert_int_equal(sync_some(&h, twin), -ECANCELED);
	house_fault(&h, "");
	assert_int_equal(write_sync(h.v, twin, NULL, NULL, NULL), 0);
	assert_int_equal(upload_pending(h.v->upload), 0);
	node_unpin(h.v->nodes, twin);
	house_free(&h);
	free(data);
}

/* More packs than are remembered one by one. */
static void fsync__many_packs__waits_for_all_of_them(void **state)
{
	struct house h;
	struct node *f;

	(void)state;
	house_new(&h, "timeout = 5s", CLOUD);
	house_fault(&h, "delay op=put delay_ms=50\n");
	fill(&h, 20);
	f = house_file(&h, "f");
	assert_int_equal(write_sync(h.v, f, NULL, NULL, NULL), 0);
	assert_int_equal(upload_pending(h.v->upload), 0);
	node_unpin(h.v->nodes, f);
	house_free(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(owing__a_few_packs__each_by_itself),
		cmocka_unit_test(owing__many_packs__all_up_to_the_last),
		cmocka_unit_test(owing__more_while_waited_for__stays),
		cmocka_unit_test(fsync__behind_a_stream__overtakes),
		cmocka_unit_test(fsync__content_of_others__waits_for_it),
		cmocka_unit_test(fsync__many_packs__waits_for_all_of_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
