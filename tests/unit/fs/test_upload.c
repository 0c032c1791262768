/* Debts to the clouds: order, conflicts, quorum, stores that are away. */
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

#include "base/text.h"
#include "chunker/stripe.h"
#include "fs/roster.h"
#include "fs/staging.h"
#include "fs/upload.h"
#include "fs/write.h"
#include "tests/unit/fs/house.h"

#define MIB (1u << 20)

/* Every pack on b and one more, or on b alone. */
#define ON_B "layout = mirror:1\nstores = b\npack = 1M"
#define ON_AB "layout = mirror:2\nstores = a b\npack = 1M"

static uint64_t in(uint64_t ms)
{
	return clock_mono_ms(clock_system()) + ms;
}

/* n packs of about a MiB are closed and owed. */
static void fill(struct house *h, unsigned n)
{
	struct node *node = house_file(h, "f");
	uint8_t *data = malloc((size_t)n * MIB);
	struct pluri_err err;

	house_noise(5, data, (size_t)n * MIB);
	house_write(h, node, 0, data, (size_t)n * MIB);
	assert_int_equal(write_flush(h->v, node, &err), 0);
	assert_int_equal(staging_close(h->v->staging, &err), 0);
	node_unpin(h->v->nodes, node);
	free(data);
}

static void check(struct house *h, unsigned n)
{
	struct node *node = house_file(h, "f");
	uint8_t *data = malloc((size_t)n * MIB);
	uint8_t *got = malloc((size_t)n * MIB);

	house_noise(5, data, (size_t)n * MIB);
	house_read(h, node, 0, got, (size_t)n * MIB);
	assert_memory_equal(got, data, (size_t)n * MIB);
	node_unpin(h->v->nodes, node);
	free(data);
	free(got);
}

static int wait_quorum(struct house *h, uint64_t ms)
{
	return upload_wait(
		h->v->upload, UINT64_MAX, false, in(ms), NULL, NULL, NULL);
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

static void wait__one_of_two_is_away__quorum_but_not_all(void **state)
{
	struct house h;

	(void)state;
	house_new(&h, "timeout = 1s", ON_AB);
	house_fault(&h, "error EAGAIN op=put\n");
	fill(&h, 3);
	assert_int_equal(wait_quorum(&h, 30000), 0);
	assert_int_equal(wait_all(&h, 200), -ETIMEDOUT);
	house_fault(&h, "");
	upload_kick(h.v->upload, 1);
	assert_int_equal(wait_all(&h, 30000), 0);
	house_forget(&h);
	check(&h, 3);
	house_free(&h);
}

static int always(void *arg)
{
	(void)arg;
	return 1;
}

static void wait__only_store_away__not_safe_until_it_is_back(void **state)
{
	struct house h;

	(void)state;
	house_new(&h, "timeout = 1s", ON_B);
	house_fault(&h, "error EAGAIN\n");
	fill(&h, 2);
	assert_int_equal(wait_quorum(&h, 200), -ETIMEDOUT);
	assert_int_equal(upload_wait(h.v->upload, UINT64_MAX, false, in(5000),
				 always, NULL, NULL),
		-ECANCELED);
	/* what is owed is known to the next life, too */
	house_crash(&h);
	house_open(&h);
	assert_int_equal(wait_quorum(&h, 200), -ETIMEDOUT);
	house_fault(&h, "");
	assert_int_equal(wait_all(&h, 30000), 0);
	house_forget(&h);
	check(&h, 2);
	house_free(&h);
}

/* A pack in a minute: what has to wait is owed to the next life. */
static void close__held_back_by_bandwidth__owed_and_soon(void **state)
{
	struct house h;
	uint64_t end;

	(void)state;
	house_new(&h, "",
		"layout = mirror:1\nstores = d\npack = 4M\n[store \"d\"]\n"
		"backend = mem\nurl = mem:held\nbandwidth = 64K");
	fill(&h, 10); /* three packs */
	assert_true(owes(&h, 2, 30000));
	end = in(30000);
	house_close(&h);
	assert_true(in(0) < end);
	house_open(&h);
	assert_true(owes(&h, 1, 30000));
	check(&h, 10);
	house_free(&h);
}

/* Bytes below quorum are what counts, in the next life as well; and what can
 * be paid at all. */
static void backlog__away_crashed_healed__tells_what_lacks_quorum(void **state)
{
	struct upload_backlog b = {.moves = true};
	struct house h;

	(void)state;
	house_new(&h, "timeout = 1s", ON_B);
	house_fault(&h, "error EAGAIN op=put\n"); /* up, and takes nothing */
	fill(&h, 2);
	assert_true(upload_pending(h.v->upload) >= 2 * MIB);
	for (uint64_t end = in(30000); b.moves && in(0) < end;)
		upload_backlog(h.v->upload, &b);
	assert_false(b.moves);
	house_crash(&h);
	house_open(&h);
	upload_backlog(h.v->upload, &b);
	assert_true(b.pending >= 2 * MIB);
	assert_int_equal(b.paid, 0);
	house_fault(&h, "");
	assert_int_equal(wait_all(&h, 30000), 0);
	upload_backlog(h.v->upload, &b);
	assert_int_equal(b.pending, 0);
	assert_true(b.paid >= 2 * MIB);
	assert_false(b.moves); /* nothing is owed */
	house_free(&h);
}

static void backlog__one_of_two_is_away__nothing_is_pending(void **state)
{
	struct house h;

	(void)state;
	house_new(&h, "timeout = 1s", ON_AB);
	house_fault(&h, "error EAGAIN\n");
	fill(&h, 2);
	assert_int_equal(wait_quorum(&h, 30000), 0);
	assert_int_equal(upload_pending(h.v->upload), 0);
	assert_int_equal(upload_rescan(h.v->upload, NULL), 0);
	assert_int_equal(upload_pending(h.v->upload), 0);
	house_free(&h);
}

static int repoint(void *arg, const struct pack_row *p)
{
	struct shard_row s = {.pack = p->num, .store = 0};

	return packs_set_shard(arg, &s, NULL);
}

/* The shard is to go elsewhere by now, and nobody has said so yet: what was not
 * stored must not count as stored. */
static void pay__moved_meanwhile__owed_to_the_other(void **state)
{
	struct meta_tx *tx = NULL;
	struct house h;

	(void)state;
	house_new(&h, "timeout = 1s", ON_B);
	house_fault(&h, "error EAGAIN op=put\n");
	fill(&h, 2);
	assert_int_equal(meta_begin(h.v->meta, &tx, NULL), 0);
	assert_int_equal(
		meta_end(tx, packs_list(tx, 0, repoint, tx, NULL), NULL), 0);
	assert_int_equal(wait_quorum(&h, 30000), 0);
	assert_int_equal(debts(&h), 0);
	check(&h, 2);
	house_free(&h);
}

/* A debt that is read again while it is being paid is paid twice, and must
 * not count twice: the other store has nothing yet. */
static void rescan__while_paying__nothing_is_safe_too_early(void **state)
{
	struct house h;
	char from[80];
	char to[80];

	(void)state;
	house_new(&h, "timeout = 1s", ON_AB);
	(void)snprintf(from, sizeof(from), "%s/a", h.dir);
	(void)snprintf(to, sizeof(to), "%s/away", h.dir);
	assert_int_equal(rename(from, to), 0);
	house_fault(&h, "delay op=put delay_ms=200\n");
	fill(&h, 1);
	assert_int_equal(upload_rescan(h.v->upload, NULL), 0);
	assert_int_equal(wait_quorum(&h, 30000), 0);
	assert_int_equal(wait_all(&h, 600), -ETIMEDOUT);
	assert_int_equal(rename(to, from), 0);
	upload_kick(h.v->upload, 0);
	assert_int_equal(wait_all(&h, 30000), 0);
	house_free(&h);
}

static void put__answer_was_lost__own_bytes_count(void **state)
{
	struct house h;

	(void)state;
	house_new(&h, "timeout = 1s", ON_B);
	house_fault(&h, "lost-answer op=put nth=1\n");
	fill(&h, 2);
	assert_int_equal(wait_all(&h, 30000), 0);
	house_forget(&h);
	check(&h, 2);
	house_free(&h);
}

/* --- conflicts ------------------------------------------------------------ */

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

static void put__other_bytes_are_there__kept_and_others_go_on(void **state)
{
	char path[600];
	char text[32] = {0};
	struct house h;
	FILE *f;

	(void)state;
	house_new(&h, "timeout = 1s", ON_B);
	house_fault(&h, "error EAGAIN op=put\n");
	fill(&h, 4);
	occupy(&h, path, sizeof(path));
	house_fault(&h, "");
	upload_kick(h.v->upload, 1);
	/* all but the first, well before a conflict is looked at again */
	assert_true(owes(&h, 1, 30000));
	assert_int_equal(wait_all(&h, 0), -ETIMEDOUT);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	assert_int_equal(fclose(f), 0);
	assert_string_equal(text, "somebody else's");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(upload_rescan(h.v->upload, NULL), 0);
	assert_int_equal(wait_all(&h, 30000), 0);
	house_free(&h);
}

/* --- one store hangs ----------------------------------------------------- */

static void pay__one_store_hangs__the_other_is_paid_at_once(void **state)
{
	struct house h;

	(void)state;
	house_new(&h, "timeout = 60s", ON_AB);
	house_fault(&h, "hang op=put\n");
	fill(&h, 8);
	assert_int_equal(wait_quorum(&h, 30000), 0);
	assert_int_equal(wait_all(&h, 0), -ETIMEDOUT);
	house_fault(&h, "");
	house_free(&h);
}

static void close__everything_is_away__prompt_and_nothing_lost(void **state)
{
	struct house h;
	uint64_t start;

	(void)state;
	house_new(&h, "timeout = 1s", ON_AB);
	house_fault(&h, "error EAGAIN\n");
	fill(&h, 4);
	start = in(0);
	house_close(&h);
	assert_true(in(0) - start < 10000);
	house_fault(&h, "");
	house_open(&h);
	assert_int_equal(wait_all(&h, 30000), 0);
	house_forget(&h);
	check(&h, 4);
	house_free(&h);
}

/* --- order --------------------------------------------------------------- */

struct order {
	char key[64][PLURI_OBJECT_KEY_MAX + 1]; /* of packs, oldest first */
	unsigned n;
};

static int order_note(void *arg, const struct pack_row *p)
{
	struct order *o = arg;

	shard_name(&p->id, 0, o->key[o->n++]);
	return o->n == 64;
}

/* Which of the packs a line of the fault plugin's log is a good put of. */
static unsigned order_of(const struct order *o, const char *line)
{
	char op[16];
	char key[500];
	int code = -1;

	if (sscanf(line, "%15s %499s %d", op, key, &code) != 3 || code != 0 ||
		strcmp(op, "put") != 0)
		return o->n;
	for (unsigned i = 0; i < o->n; i++)
		if (strcmp(key, o->key[i]) == 0)
			return i;
	return o->n;
}

/* Oldest first, as far as several go at once. */
static void pay__debts_of_two_lives__oldest_first(void **state)
{
	struct order o = {.n = 0};
	struct meta_tx *tx = NULL;
	struct house h;
	char path[128];
	char line[600];
	unsigned seen = 0;
	FILE *f;

	(void)state;
	house_new(&h, "timeout = 1s", ON_B);
	house_fault(&h, "error EAGAIN op=put\n");
	fill(&h, 24);
	house_crash(&h);
	house_open(&h);
	assert_int_equal(meta_begin(h.v->meta, &tx, NULL), 0);
	assert_int_equal(
		meta_end(tx, packs_list(tx, 0, order_note, &o, NULL), NULL), 0);
	house_fault(&h, "");
	assert_int_equal(wait_all(&h, 30000), 0);
	(void)snprintf(path, sizeof(path), "%s/b.log", h.dir);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		const unsigned i = order_of(&o, line);

		if (i == o.n)
			continue;
		assert_true(i < seen + 8);
		seen++;
	}
	assert_int_equal(fclose(f), 0);
	assert_int_equal(seen, o.n);
	assert_true(o.n > 16);
	house_free(&h);
}

/* A pack nobody can read any more does not hold up its store. */
static void pay__one_pack_has_no_bytes__others_go_on(void **state)
{
	char path[600];
	char hex[2 * PLURI_ID_BYTES + 1];
	struct meta_tx *tx = NULL;
	struct pack_row p = {0};
	struct house h;

	(void)state;
	house_new(&h, "timeout = 1s", ON_B);
	house_fault(&h, "error EAGAIN op=put\n");
	fill(&h, 4);
	assert_int_equal(meta_begin(h.v->meta, &tx, NULL), 0);
	assert_int_equal(
		meta_end(tx, packs_list(tx, 0, first_pack, &p, NULL), NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/state/packs/%s.pack", h.dir,
		text_hex(p.id.b, sizeof(p.id.b), hex));
	assert_int_equal(unlink(path), 0);
	house_fault(&h, "");
	upload_kick(h.v->upload, 1);
	assert_true(owes(&h, 1, 30000));
	assert_int_equal(wait_all(&h, 0), -ETIMEDOUT);
	house_free(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wait__one_of_two_is_away__quorum_but_not_all),
		cmocka_unit_test(
			wait__only_store_away__not_safe_until_it_is_back),
		cmocka_unit_test(close__held_back_by_bandwidth__owed_and_soon),
		cmocka_unit_test(pay__moved_meanwhile__owed_to_the_other),
		cmocka_unit_test(
			backlog__away_crashed_healed__tells_what_lacks_quorum),
		cmocka_unit_test(
			backlog__one_of_two_is_away__nothing_is_pending),
		cmocka_unit_test(
			rescan__while_paying__nothing_is_safe_too_early),
		cmocka_unit_test(put__answer_was_lost__own_bytes_count),
		cmocka_unit_test(
			put__other_bytes_are_there__kept_and_others_go_on),
		cmocka_unit_test(
			pay__one_store_hangs__the_other_is_paid_at_once),
		cmocka_unit_test(
			close__everything_is_away__prompt_and_nothing_lost),
		cmocka_unit_test(pay__debts_of_two_lives__oldest_first),
		cmocka_unit_test(pay__one_pack_has_no_bytes__others_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
