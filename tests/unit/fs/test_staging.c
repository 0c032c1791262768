/* Local packs and their commits: order, rotation, full disks, crashes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "fs/commit.h"
#include "fs/names.h"
#include "fs/staging_int.h"
#include "fs/write.h"
#include "tests/unit/fs/house.h"

#define MIB (1u << 20)
#define PACKS 64u

struct packs {
	struct pack_row row[PACKS];
	unsigned n;
};

static int packs_note(void *arg, const struct pack_row *p)
{
	struct packs *all = arg;

	all->row[all->n++] = *p;
	return all->n == PACKS;
}

static void packs(struct house *h, struct packs *ret)
{
	struct meta_tx *tx = NULL;

	ret->n = 0;
	assert_int_equal(meta_begin(h->v->meta, &tx, NULL), 0);
	assert_int_equal(
		meta_end(tx, packs_list(tx, 0, packs_note, ret, NULL), NULL),
		0);
}

static struct staging_pack *open_pack(struct house *h)
{
	return h->v->staging->slot[0].pack;
}

static void fill(struct house *h, const char *name, uint64_t seed, size_t len)
{
	struct node *n = house_file(h, name);
	uint8_t *data = malloc(len);

	house_noise(seed, data, len);
	house_write(h, n, 0, data, len);
	assert_int_equal(write_flush(h->v, n, NULL), 0);
	node_unpin(h->v->nodes, n);
	free(data);
}

static void check(struct house *h, const char *name, uint64_t seed, size_t len)
{
	struct node *n = house_file(h, name);
	uint8_t *data = malloc(len);
	uint8_t *got = malloc(len);

	house_noise(seed, data, len);
	house_read(h, n, 0, got, len);
	assert_memory_equal(got, data, len);
	node_unpin(h->v->nodes, n);
	free(data);
	free(got);
}

static bool local(struct house *h, const struct pack_row *p, uint64_t *ret)
{
	char hex[2 * PLURI_ID_BYTES + 1];
	char path[256];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/state/packs/%s.pack", h->dir,
		text_hex(p->id.b, sizeof(p->id.b), hex));
	if (stat(path, &st) < 0)
		return false;
	*ret = (uint64_t)st.st_size;
	return true;
}

/* --- order ---------------------------------------------------------------- */

static void commit__recorded_chunks__file_is_synced_first(void **state)
{
	struct house h;

	(void)state;
	house_new(&h, "", "layout = mirror:1\npack = 16M\npack_age = 60s");
	fill(&h, "f", 1, MIB);
	assert_int_equal(commit_now(h.v->commit, false, NULL), 0);
	assert_false(open_pack(&h)->unsynced);
	fill(&h, "g", 2, MIB);
	assert_true(open_pack(&h)->unsynced ||
		    meta_pending(h.v->meta) == 0); /* the timer's commit */
	house_free(&h);
}

/* A sync that fails is final: no name is committed, no write is taken. */
static void commit__file_cannot_be_synced__no_more(void **state)
{
	struct tree_attr a = {.mode = S_IFREG | 0600};
	struct pluri_err err = {0};
	struct packs all;
	struct house h;
	struct node *n;
	int full;

	(void)state;
	house_new(&h, "", "layout = mirror:1\npack = 16M\npack_age = 60s");
	n = house_file(&h, "old");
	fill(&h, "old", 1, 1000);
	assert_int_equal(commit_now(h.v->commit, true, NULL), 0);
	fill(&h, "new", 2, 2 * STAGING_TAIL);
	full = open("/dev/full", O_RDWR | O_CLOEXEC);
	atomic_store(&open_pack(&h)->due, UINT64_MAX);
	atomic_store(&open_pack(&h)->unsynced, true);
	assert_true(dup2(full, open_pack(&h)->fd) >= 0);
	(void)close(full);
	log_limit((enum log_level) - 1);
	assert_true(commit_now(h.v->commit, true, &err) < 0);
	assert_true(commit_now(h.v->commit, false, NULL) < 0);
	assert_true(commit_broken(h.v->commit, NULL) < 0);
	assert_true(write_bytes(h.v, n, &(struct write_ask){.data = {"x", 1}},
			    NULL) < 0);
	assert_true(write_sync(h.v, n, NULL, NULL, NULL) < 0);
	assert_true(names_make(h.v, TREE_ROOT,
			    &(struct names_new){.name = "more"}, &a, NULL) < 0);
	node_unpin(h.v->nodes, n);
	house_crash(&h);
	house_open(&h);
	check(&h, "old", 1, 1000);
	assert_true(names_lookup(h.v, TREE_ROOT, "new", &a, NULL) == -ENOENT);
	packs(&h, &all);
	assert_int_equal(all.n, 1);
	house_free(&h);
}

/* --- rotation ------------------------------------------------------------ */

static void pack__more_than_its_size__next_one(void **state)
{
	struct packs all;
	struct house h;

	(void)state;
	house_new(&h, "", "layout = mirror:1\npack = 1M\nchunking = fixed");
	fill(&h, "f", 3, 5 * MIB);
	packs(&h, &all);
	assert_int_equal(all.n, 5);
	assert_int_equal(staging_last(h.v->staging), all.row[4].num);
	assert_int_equal(staging_close(h.v->staging, NULL), 0);
	packs(&h, &all);
	for (unsigned i = 0; i < all.n; i++) {
		uint64_t size = 0;

		assert_int_equal(all.row[i].state, PACK_CLOSED);
		assert_true(local(&h, &all.row[i], &size));
		assert_int_equal(size, all.row[i].bytes);
	}
	check(&h, "f", 3, 5 * MIB);
	house_free(&h);
}

static void pack__older_than_its_age__closed_by_itself(void **state)
{
	const struct timespec tick = {.tv_nsec = 10000000};
	const uint64_t until = clock_mono_ms(clock_system()) + 20000;
	struct packs all;
	struct house h;

	(void)state;
	house_new(&h, "", "layout = mirror:1\npack_age = 1s");
	fill(&h, "f", 3, 5000);
	do {
		(void)nanosleep(&tick, NULL);
		packs(&h, &all);
		assert_int_equal(all.n, 1);
	} while (all.row[0].state != PACK_CLOSED &&
		 clock_mono_ms(clock_system()) < until);
	assert_int_equal(all.row[0].state, PACK_CLOSED);
	house_free(&h);
}

static void close__disk_is_full__again_when_there_is_room(void **state)
{
	struct rlimit old;
	struct rlimit r;
	struct packs all;
	struct house h;

	(void)state;
	house_new(&h, "", "layout = mirror:1\npack = 16M\npack_age = 60s");
	fill(&h, "f", 3, 2 * MIB);
	assert_int_equal(commit_now(h.v->commit, true, NULL), 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	r = old;
	r.rlim_cur = pack_bytes(open_pack(&h)->writer) + 10;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
	assert_true(staging_close(h.v->staging, NULL) < 0);
	assert_true(staging_close(h.v->staging, NULL) < 0);
	packs(&h, &all);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(all.n, 1);
	assert_int_equal(all.row[0].state, PACK_OPEN);
	check(&h, "f", 3, 2 * MIB);
	assert_int_equal(staging_close(h.v->staging, NULL), 0);
	packs(&h, &all);
	assert_int_equal(all.row[0].state, PACK_CLOSED);
	assert_true(house_paid(&h, 10000));
	house_forget(&h);
	check(&h, "f", 3, 2 * MIB);
	house_free(&h);
}

/* --- crashes ------------------------------------------------------------- */

static void crash__open_pack__closed_once_and_the_same_for_ever(void **state)
{
	struct packs first;
	struct packs again;
	uint64_t size = 0;
	struct house h;

	(void)state;
	house_new(&h, "", "layout = mirror:1\npack = 16M\npack_age = 60s");
	fill(&h, "f", 3, 3 * MIB);
	assert_int_equal(commit_now(h.v->commit, true, NULL), 0);
	fill(&h, "f", 4, 3 * MIB); /* recorded, perhaps not committed */
	house_crash(&h);
	house_open(&h);
	packs(&h, &first);
	assert_int_equal(first.n, 1);
	assert_int_equal(first.row[0].state, PACK_CLOSED);
	assert_true(local(&h, &first.row[0], &size));
	assert_int_equal(size, first.row[0].bytes);
	for (unsigned i = 0; i < 3; i++) {
		house_crash(&h);
		house_open(&h);
		packs(&h, &again);
		assert_int_equal(again.n, 1);
		assert_int_equal(again.row[0].bytes, first.row[0].bytes);
		assert_true(again.row[0].sum == first.row[0].sum);
	}
	assert_true(house_paid(&h, 10000));
	house_forget(&h);
	assert_false(local(&h, &first.row[0], &size));
	{
		struct node *n = house_file(&h, "f");

		assert_int_equal(house_size(&h, n), 3 * MIB);
		node_unpin(h.v->nodes, n);
	}
	house_free(&h);
}

static void crash__pack_without_committed_chunk__nothing_left(void **state)
{
	struct packs all;
	struct house h;
	uint64_t size;
	char path[128];
	FILE *f;

	(void)state;
	house_new(&h, "", "layout = mirror:1\npack = 16M\npack_age = 60s");
	assert_int_equal(house_size(&h, house_file(&h, "f")), 0);
	fill(&h, "f", 3, 1000);
	packs(&h, &all);
	assert_int_equal(all.n, 1);
	/* and files of nobody: one of a pack, one of somebody else's */
	(void)snprintf(path, sizeof(path), "%s/state/packs/notes.txt", h.dir);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fclose(f), 0);
	house_crash(&h);
	house_open(&h);
	if (local(&h, &all.row[0], &size)) { /* the timer had committed it */
		packs(&h, &all);
		assert_int_equal(all.row[0].state, PACK_CLOSED);
	}
	assert_int_equal(access(path, F_OK), 0);
	house_free(&h);
}

/* Only what every store has may leave the local disk. */
static void evict__not_yet_in_the_clouds__kept(void **state)
{
	struct staging_dropped dropped;
	struct house h;

	(void)state;
	house_new(&h, "timeout = 1s",
		"layout = mirror:2\nstores = a b\npack = 1M");
	house_fault(&h, "error EAGAIN op=put\n");
	fill(&h, "f", 3, 3 * MIB);
	assert_false(house_paid(&h, 200));
	assert_int_equal(staging_evict(h.v->staging, 0, &dropped, NULL), 0);
	assert_int_equal(dropped.dropped, 0);
	assert_true(dropped.kept_bytes >= 3 * MIB);
	check(&h, "f", 3, 3 * MIB);
	house_free(&h);
}

/* --- few bytes ------------------------------------------------------------ */

/* The file is left with what was flushed of it; behind that, nothing, or
 * zeros, as the disk pleases. */
static void power_cut(struct house *h, bool zeros)
{
	const struct staging_pack p = *open_pack(h);
	char hex[2 * PLURI_ID_BYTES + 1];
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/state/packs/%s.pack", h->dir,
		text_hex(p.row.id.b, sizeof(p.row.id.b), hex));
	house_crash(h);
	assert_int_equal(truncate(path, (off_t)p.synced), 0);
	if (zeros)
		assert_int_equal(truncate(path, (off_t)p.end + 99), 0);
}

static void few(bool zeros)
{
	char name[] = "f00";
	struct house h;

	house_new(&h, "", "layout = mirror:1\npack = 16M\npack_age = 60s");
	for (unsigned i = 0; i < 20; i++) {
		name[2] = (char)('a' + i);
		fill(&h, name, i, 500 + 100 * i);
		assert_int_equal(commit_now(h.v->commit, true, NULL), 0);
	}
	assert_true(open_pack(&h)->synced < 4000);
	assert_true(house_tail(&h, 1) ==
		    open_pack(&h)->end - open_pack(&h)->synced);
	power_cut(&h, zeros);
	house_open(&h);
	assert_true(house_tail(&h, 1) == 0);
	for (unsigned i = 0; i < 20; i++) {
		name[2] = (char)('a' + i);
		check(&h, name, i, 500 + 100 * i);
	}
	house_free(&h);
}

static void commit__few_bytes__in_the_log_and_put_back(void **state)
{
	(void)state;
	few(false);
	few(true);
}

static void commit__many_times_few__file_is_flushed_at_last(void **state)
{
	uint64_t most = 0;
	struct house h;
	struct node *n;
	uint8_t *data = malloc(STAGING_TAIL / 2);

	(void)state;
	house_new(&h, "", "layout = mirror:1\npack = 16M\npack_age = 60s");
	n = house_file(&h, "f");
	for (unsigned i = 0; i < 50; i++) {
		house_noise(i, data, STAGING_TAIL / 2);
		house_write(&h, n, i * (uint64_t)(STAGING_TAIL / 2), data,
			STAGING_TAIL / 2);
		assert_int_equal(write_flush(h.v, n, NULL), 0);
		assert_int_equal(commit_now(h.v->commit, true, NULL), 0);
		most = house_tail(&h, 1) > most ? house_tail(&h, 1) : most;
	}
	node_unpin(h.v->nodes, n);
	assert_true(most > STAGING_TAILS / 2 && most <= STAGING_TAILS);
	assert_true(open_pack(&h)->synced > STAGING_TAILS / 2);
	power_cut(&h, false);
	house_open(&h);
	n = house_file(&h, "f");
	for (unsigned i = 0; i < 50; i++) {
		uint8_t got[STAGING_TAIL / 2];

		house_noise(i, data, STAGING_TAIL / 2);
		house_read(&h, n, i * (uint64_t)(STAGING_TAIL / 2), got,
			sizeof(got));
		assert_memory_equal(got, data, sizeof(got));
	}
	node_unpin(h.v->nodes, n);
	house_free(&h);
	free(data);
}

/* Such a row is damage, and what stands in the file is not. */
static void crash__row_over_the_head__file_is_left_alone(void **state)
{
	const struct pluri_span bad = {"damage", 6};
	struct meta_tx *tx = NULL;
	struct house h;

	(void)state;
	house_new(&h, "", "layout = mirror:1\npack = 16M\npack_age = 60s");
	fill(&h, "f", 1, 1000);
	assert_int_equal(commit_now(h.v->commit, true, NULL), 0);
	assert_int_equal(meta_begin(h.v->meta, &tx, NULL), 0);
	assert_int_equal(
		meta_end(tx, packs_tail_add(tx, 1, 0, bad, NULL), NULL), 0);
	assert_int_equal(commit_now(h.v->commit, true, NULL), 0);
	house_crash(&h);
	log_limit((enum log_level) - 1);
	house_open(&h);
	assert_int_equal(staging_missing(h.v->staging), 1);
	assert_int_equal(meta_begin(h.v->meta, &tx, NULL), 0);
	assert_int_equal(meta_end(tx, packs_tail_drop(tx, 1, NULL), NULL), 0);
	assert_int_equal(meta_commit(h.v->meta, NULL), 0);
	house_crash(&h);
	house_open(&h); /* the head is still there, so it closes */
	assert_int_equal(staging_missing(h.v->staging), 0);
	check(&h, "f", 1, 1000);
	house_free(&h);
}

static void close__after_few_bytes__no_rows_left(void **state)
{
	struct house h;

	(void)state;
	house_new(&h, "", "layout = mirror:1\npack = 16M\npack_age = 60s");
	fill(&h, "f", 1, 1000);
	assert_int_equal(commit_now(h.v->commit, true, NULL), 0);
	fill(&h, "g", 2, 1000);
	assert_int_equal(commit_now(h.v->commit, true, NULL), 0);
	assert_true(house_tail(&h, 1) >= 1000);
	assert_int_equal(staging_close(h.v->staging, NULL), 0);
	assert_true(house_tail(&h, 1) == 0);
	house_crash(&h);
	house_open(&h);
	check(&h, "g", 2, 1000);
	house_free(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commit__recorded_chunks__file_is_synced_first),
		cmocka_unit_test(commit__file_cannot_be_synced__no_more),
		cmocka_unit_test(commit__few_bytes__in_the_log_and_put_back),
		cmocka_unit_test(
			commit__many_times_few__file_is_flushed_at_last),
		cmocka_unit_test(close__after_few_bytes__no_rows_left),
		cmocka_unit_test(crash__row_over_the_head__file_is_left_alone),
		cmocka_unit_test(pack__more_than_its_size__next_one),
		cmocka_unit_test(pack__older_than_its_age__closed_by_itself),
		cmocka_unit_test(close__disk_is_full__again_when_there_is_room),
		cmocka_unit_test(
			crash__open_pack__closed_once_and_the_same_for_ever),
		cmocka_unit_test(
			crash__pack_without_committed_chunk__nothing_left),
		cmocka_unit_test(evict__not_yet_in_the_clouds__kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
