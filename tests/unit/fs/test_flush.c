/* The way down when something on it fails: full disks, no room, the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fs/read.h"
#include "fs/sync.h"
#include "fs/write.h"
#include "meta/extent.h"
#include "tests/unit/fs/house.h"

#define MIB (1u << 20)

struct rig {
	struct house h;
	struct node *n;
	uint8_t *data, *got; /* 8 MiB */
	int packs; /* the true directory, while it is away */
	rlim_t limit;
};

static void rig_new(struct rig *g, const char *volume, const char *policy)
{
	memset(g, 0, sizeof(*g));
	house_new(&g->h, volume, policy);
	g->n = house_file(&g->h, "f");
	g->data = malloc(8 * MIB);
	g->got = malloc(8 * MIB);
	house_noise(7, g->data, 8 * MIB);
}

static void rig_free(struct rig *g)
{
	if (g->h.v)
		node_unpin(g->h.v->nodes, g->n);
	house_free(&g->h);
	free(g->data);
	free(g->got);
}

/* No new pack can be made, as with a directory that has gone. */
static void packs_away(struct rig *g)
{
	const int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	g->packs = fcntl(g->h.v->packs_fd, F_DUPFD_CLOEXEC, 0);
	assert_true(proc >= 0 && g->packs >= 0);
	assert_true(dup2(proc, g->h.v->packs_fd) >= 0);
	(void)close(proc);
}

static void packs_back(struct rig *g)
{
	assert_true(dup2(g->packs, g->h.v->packs_fd) >= 0);
	(void)close(g->packs);
}

/* No file grows beyond: what a full disk is to an append. */
static void disk_full(struct rig *g, rlim_t bytes)
{
	struct rlimit r;

	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
	g->limit = r.rlim_cur;
	r.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

static void disk_room(struct rig *g)
{
	struct rlimit r;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
	r.rlim_cur = g->limit;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

static void same(struct rig *g, size_t len)
{
	house_read(&g->h, g->n, 0, g->got, len);
	assert_memory_equal(g->got, g->data, len);
}

/* A flush gave its bytes back, and newer ones hide some of them. */
static void flush__given_back_under_newer__none_stays_counted(void **state)
{
	struct rig g;

	(void)state;
	rig_new(&g, "", "");
	house_write(&g.h, g.n, 0, g.data, MIB);
	(void)pthread_mutex_lock(&g.n->lock);
	g.n->flight = g.n->dirty;
	g.n->dirty = (struct dirty){0};
	(void)pthread_mutex_unlock(&g.n->lock);
	house_write(&g.h, g.n, 0, g.data, MIB / 2);
	assert_int_equal(write_dirty_bytes(g.h.v), MIB + MIB / 2);
	assert_int_equal(write_flush(g.h.v, g.n, NULL), 0);
	assert_int_equal(write_dirty_bytes(g.h.v), 0);
	same(&g, MIB);
	rig_free(&g);
}

static void truncate__flight_given_back__nothing_comes_back(void **state)
{
	struct rig g;

	(void)state;
	rig_new(&g, "", "");
	house_write(&g.h, g.n, 0, g.data, 1000);
	(void)pthread_mutex_lock(&g.n->lock);
	g.n->flight = g.n->dirty;
	g.n->dirty = (struct dirty){0};
	(void)pthread_mutex_unlock(&g.n->lock);
	house_truncate(&g.h, g.n, 10);
	house_truncate(&g.h, g.n, 1000);
	memset(g.data + 10, 0, 990);
	same(&g, 1000);
	assert_int_equal(write_flush(g.h.v, g.n, NULL), 0);
	same(&g, 1000);
	assert_int_equal(write_dirty_bytes(g.h.v), 0);
	rig_free(&g);
}

static void flush__no_pack_can_be_made__bytes_stay_and_go_later(void **state)
{
	struct rig g;

	(void)state;
	rig_new(&g, "", "");
	packs_away(&g);
	house_write(&g.h, g.n, 0, g.data, 3 * MIB);
	assert_true(write_flush(g.h.v, g.n, NULL) < 0);
	assert_true(write_sync(g.h.v, g.n, NULL, NULL, NULL) < 0);
	assert_int_equal(write_dirty_bytes(g.h.v), 3 * MIB);
	assert_false(g.n->flushing);
	same(&g, 3 * MIB);
	packs_back(&g);
	assert_int_equal(write_sync(g.h.v, g.n, NULL, NULL, NULL), 0);
	assert_int_equal(write_dirty_bytes(g.h.v), 0);
	same(&g, 3 * MIB);
	rig_free(&g);
}

/* Wakes whoever waits for room, and frees none. */
static void *noisy(void *arg)
{
	struct rig *g = arg;
	struct node *other = house_file(&g->h, "other");

	for (unsigned i = 0; i < 3000; i++)
		(void)write_punch(g->h.v, other, 0, 1, NULL);
	node_unpin(g->h.v->nodes, other);
	return NULL;
}

static void write__disk_was_full_once__the_past_is_past(void **state)
{
	struct pluri_err err = {0};
	struct write_ask ask;
	pthread_t thread;
	struct rig g;
	int r;

	(void)state;
	rig_new(&g, "dirty = 1M", "");
	ask = (struct write_ask){.off = MIB, .data = {g.data, MIB}};
	packs_away(&g);
	house_write(&g.h, g.n, 0, g.data, MIB);
	assert_true(write_bytes(g.h.v, g.n, &ask, &err) < 0);
	packs_back(&g);
	assert_int_equal(pthread_create(&thread, NULL, noisy, &g), 0);
	ask.data.data = g.data + MIB;
	r = write_bytes(g.h.v, g.n, &ask, &err);
	assert_int_equal(pthread_join(thread, NULL), 0);
	if (r < 0)
		fail_msg("%s", err.text);
	same(&g, 2 * MIB);
	rig_free(&g);
}

static int second_time(void *arg)
{
	unsigned *asked = arg;

	return ++*asked == 2;
}

static void write__stopped_for_want_of_room__nothing_written(void **state)
{
	struct pluri_err err = {0};
	unsigned asked = 0;
	struct write_ask ask;
	struct rig g;

	(void)state;
	rig_new(&g, "dirty = 1M", "");
	house_write(&g.h, g.n, 0, g.data, MIB);
	ask = (struct write_ask){.off = MIB,
		.data = {g.data, MIB},
		.stop = second_time,
		.arg = &asked};
	/* no flush gets anywhere */
	(void)pthread_mutex_lock(&g.n->lock);
	assert_int_equal(write_bytes(g.h.v, g.n, &ask, &err), -ECANCELED);
	(void)pthread_mutex_unlock(&g.n->lock);
	assert_int_equal(err.code, ECANCELED);
	assert_int_equal(house_size(&g.h, g.n), MIB);
	asked = 2; /* never stops again */
	assert_int_equal(write_bytes(g.h.v, g.n, &ask, NULL), 0);
	house_write(&g.h, g.n, MIB, g.data + MIB, MIB);
	same(&g, 2 * MIB);
	rig_free(&g);
}

/* The first append of a pack fails: the next flush must not meet it again. */
static void flush__pack_has_no_room__the_next_one_has(void **state)
{
	struct rig g;

	(void)state;
	rig_new(&g, "", "");
	house_write(&g.h, g.n, 0, g.data, MIB);
	disk_full(&g, 200 << 10);
	assert_true(write_flush(g.h.v, g.n, NULL) < 0);
	disk_room(&g);
	assert_int_equal(write_sync(g.h.v, g.n, NULL, NULL, NULL), 0);
	same(&g, MIB);
	house_clouds(&g.h);
	same(&g, MIB);
	rig_free(&g);
}

static void flush__full_half_way__what_fitted_is_done(void **state)
{
	struct rig g;

	(void)state;
	rig_new(&g, "", "layout = mirror:2\npack = 16M");
	house_write(&g.h, g.n, 0, g.data, 7 * MIB);
	disk_full(&g, 5 * MIB);
	assert_true(write_flush(g.h.v, g.n, NULL) < 0);
	assert_true(write_dirty_bytes(g.h.v) < 7 * MIB);
	same(&g, 7 * MIB);
	disk_room(&g);
	assert_int_equal(write_sync(g.h.v, g.n, NULL, NULL, NULL), 0);
	same(&g, 7 * MIB);
	house_clouds(&g.h);
	same(&g, 7 * MIB);
	rig_free(&g);
}

/* What asks for it may know an older size. */
static void grow__to_less_than_was_written__cuts_nothing(void **state)
{
	struct rig g;

	(void)state;
	rig_new(&g, "", "");
	house_write(&g.h, g.n, 0, g.data, 3 * MIB);
	assert_int_equal(write_grow(g.h.v, g.n, MIB, NULL), 0);
	same(&g, 3 * MIB);
	assert_int_equal(write_sync(g.h.v, g.n, NULL, NULL, NULL), 0);
	assert_int_equal(write_grow(g.h.v, g.n, MIB, NULL), 0);
	same(&g, 3 * MIB);
	memset(g.data + 3 * MIB, 0, MIB);
	assert_int_equal(write_grow(g.h.v, g.n, 4 * MIB, NULL), 0);
	same(&g, 4 * MIB);
	assert_int_equal(write_sync(g.h.v, g.n, NULL, NULL, NULL), 0);
	same(&g, 4 * MIB);
	assert_int_equal(
		write_grow(g.h.v, g.n, (uint64_t)PLURI_FILE_MAX + 1, NULL),
		-EFBIG);
	rig_free(&g);
}

/* Their threads reach the volume until they are through. */
static void close__flushes_and_prefetches_queued__in_order(void **state)
{
	const struct read_ask ask = {.ahead = true};
	struct pluri_room room;
	struct rig g;

	(void)state;
	rig_new(&g, "", "");
	room = (struct pluri_room){.data = g.got, .cap = 64 << 10};
	house_write(&g.h, g.n, 0, g.data, 8 * MIB);
	house_clouds(&g.h);
	for (unsigned i = 0; i < 8; i++) {
		struct node *n;
		char name[2] = {(char)('0' + i), 0};

		for (unsigned j = 0; j < 4; j++)
			assert_int_equal(read_bytes(g.h.v, g.n, &ask,
						 j * 64 << 10, &room, NULL),
				0);
		n = house_file(&g.h, name);
		house_write(&g.h, n, 0, g.data, 100000);
		house_write(&g.h, n, 8 * MIB - 100, g.data, 8 * MIB);
		node_unpin(g.h.v->nodes, n);
		node_unpin(g.h.v->nodes, g.n);
		house_close(&g.h);
		house_open(&g.h);
		g.n = house_file(&g.h, "f");
	}
	same(&g, 8 * MIB);
	rig_free(&g);
}

static uint64_t chunk_of(struct rig *g, uint64_t off, struct extent *ret)
{
	struct extent_row row;
	struct meta_tx *tx = NULL;
	unsigned n = 0;

	assert_int_equal(meta_begin(g->h.v->meta, &tx, NULL), 0);
	assert_int_equal(
		extent_read(tx, g->n->ino, (struct extent_span){off, 1}, &row,
			1, &n, NULL),
		0);
	assert_int_equal(meta_end(tx, 0, NULL), 0);
	assert_int_equal(n, 1);
	*ret = row.e;
	return row.chunk.plain;
}

/* As a database writes: pages here and there. */
static void pages(struct rig *g, unsigned n, uint64_t seed)
{
	for (unsigned i = 0; i < n; i++) {
		const size_t off = (size_t)i * 12288 + 4096;

		house_noise(seed + i, g->data + off, 4096);
		house_write(&g->h, g->n, off, g->data + off, 4096);
	}
}

static void flush__small_writes_apart__share_chunks(void **state)
{
	struct extent first, last, next;
	struct rig g;

	(void)state;
	rig_new(&g, "", "");
	house_write(&g.h, g.n, 0, g.data, 8 * MIB);
	assert_int_equal(write_sync(g.h.v, g.n, NULL, NULL, NULL), 0);
	pages(&g, 500, 100);
	assert_int_equal(write_sync(g.h.v, g.n, NULL, NULL, NULL), 0);
	assert_int_equal(chunk_of(&g, 4096, &first), 64 << 10);
	assert_int_equal(chunk_of(&g, 15 * 12288 + 4096, &last), 64 << 10);
	assert_int_equal(chunk_of(&g, 16 * 12288 + 4096, &next), 64 << 10);
	assert_int_equal(first.chunk, last.chunk);
	assert_int_equal(first.skip, 0);
	assert_int_equal(last.skip, 15 * 4096);
	assert_int_not_equal(first.chunk, next.chunk);
	assert_int_equal(write_dirty_bytes(g.h.v), 0);
	same(&g, 8 * MIB);
	pages(&g, 300, 9000); /* of a shared chunk parts go, others stay */
	house_clouds(&g.h);
	same(&g, 8 * MIB);
	house_crash(&g.h);
	house_open(&g.h);
	g.n = house_file(&g.h, "f");
	same(&g, 8 * MIB);
	rig_free(&g);
}

/* One question is enough: its answer waits for what it says. */
static void sync__asked_once__answer_comes_when_it_is_done(void **state)
{
	json_t *j = NULL;
	json_int_t ticket;
	struct rig g;

	(void)state;
	rig_new(&g, "", "");
	house_write(&g.h, g.n, 0, g.data, 8 * MIB);
	assert_int_equal(sync_start(g.h.v->sync, &j, NULL), 0);
	ticket = json_integer_value(json_object_get(j, "ticket"));
	json_decref(j);
	for (unsigned i = 0; i < 10; i++) { /* a slow machine's */
		assert_int_equal(sync_ask(g.h.v->sync, (uint64_t)ticket,
					 SYNC_WAIT_MS, &j, NULL),
			0);
		if (json_is_true(json_object_get(j, "done")))
			break;
		json_decref(j);
		j = NULL;
	}
	assert_non_null(j);
	json_decref(j);
	assert_true(house_paid(&g.h, 0));
	rig_free(&g);
}

/* A file's only bytes are a chunk of theirs, and found by that again. */
static void flush__small_files__nothing_is_shared(void **state)
{
	struct extent e, f;
	struct node *n;
	struct rig g;

	(void)state;
	rig_new(&g, "", "");
	house_write(&g.h, g.n, 0, g.data, 5000);
	assert_int_equal(write_sync(g.h.v, g.n, NULL, NULL, NULL), 0);
	assert_int_equal(chunk_of(&g, 0, &e), 5000);
	n = g.n;
	g.n = house_file(&g.h, "g");
	house_write(&g.h, g.n, 0, g.data, 5000);
	assert_int_equal(write_sync(g.h.v, g.n, NULL, NULL, NULL), 0);
	assert_int_equal(chunk_of(&g, 0, &f), 5000);
	assert_int_equal(e.chunk, f.chunk);
	node_unpin(g.h.v->nodes, n);
	rig_free(&g);
}

/* More files than are looked at in one step. */
static void flush_all__many_small_files__all_of_them(void **state)
{
	struct rig g;
	char name[16];

	(void)state;
	rig_new(&g, "", "");
	for (unsigned i = 0; i < 1000; i++) {
		struct node *n;

		(void)snprintf(name, sizeof(name), "%u", i);
		n = house_file(&g.h, name);
		house_write(&g.h, n, 0, name, sizeof(name));
		node_unpin(g.h.v->nodes, n);
	}
	assert_int_equal(write_flush_all(g.h.v, NULL), 0);
	assert_int_equal(nodes_oldest_ms(g.h.v->nodes), 0);
	/* a flush of the background's own counts its bytes when it has ended */
	while (write_dirty_bytes(g.h.v) > 0)
		(void)sched_yield();
	rig_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			flush__given_back_under_newer__none_stays_counted),
		cmocka_unit_test(
			truncate__flight_given_back__nothing_comes_back),
		cmocka_unit_test(
			flush__no_pack_can_be_made__bytes_stay_and_go_later),
		cmocka_unit_test(write__disk_was_full_once__the_past_is_past),
		cmocka_unit_test(
			write__stopped_for_want_of_room__nothing_written),
		cmocka_unit_test(flush__pack_has_no_room__the_next_one_has),
		cmocka_unit_test(flush__full_half_way__what_fitted_is_done),
		cmocka_unit_test(grow__to_less_than_was_written__cuts_nothing),
		cmocka_unit_test(
			close__flushes_and_prefetches_queued__in_order),
		cmocka_unit_test(flush__small_writes_apart__share_chunks),
		cmocka_unit_test(flush__small_files__nothing_is_shared),
		cmocka_unit_test(
			sync__asked_once__answer_comes_when_it_is_done),
		cmocka_unit_test(flush_all__many_small_files__all_of_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
