/* What is told of clouds that are behind, and what writers make of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chunker/stripe.h"
#include "fs/staging.h"
#include "fs/upload.h"
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
	assert_true(owes(&h, 1, 10000));
	for (uint64_t end = in(5000); b.moves && in(0) < end;)
		upload_backlog(h.v->upload, &b);
	assert_false(b.moves);
	assert_true(b.pending > 0);
	house_fault(&h, "hang op=put\n");
	fill(&h, "g", 1);
	upload_backlog(h.v->upload, &b);
	assert_true(b.moves);
	house_fault(&h, "");
	assert_true(owes(&h, 1, 10000));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(upload_rescan(h.v->upload, NULL), 0);
	assert_int_equal(wait_all(&h, 10000), 0);
	upload_backlog(h.v->upload, &b);
	assert_false(b.moves);
	house_free(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			backlog__all_that_is_owed_is_held__does_not_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
