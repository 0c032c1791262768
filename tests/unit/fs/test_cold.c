/* What reads from the clouds ask for: how many requests, how many bytes, and of
 * whom. */
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chunker/stripe.h"
#include "fs/cache.h"
#include "fs/fetch.h"
#include "fs/roster.h"
#include "meta/extent.h"
#include "meta/packs.h"
#include "tests/unit/fs/house.h"

#define MIB (1u << 20)
#define SMALL 4096u
#define ON_B "layout = mirror:1\nstores = b\npack = 16M\npack_age = 60s"

static struct fleet_health health(struct house *h, const char *store)
{
	struct fleet_health ret = {0};
	struct store_row row = {0};

	assert_int_equal(roster_find_store(h->v->roster, store, &row), 0);
	assert_int_equal(fleet_health(h->v->fleet, row.num, &ret), 0);
	return ret;
}

/* Gets of packs that store b has answered; greetings do not count. */
static unsigned gets(struct house *h)
{
	char path[128];
	char line[256];
	unsigned n = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/b.log", h->dir);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strncmp(line, "get packs/", 10) == 0;
	(void)fclose(f);
	return n;
}

/* --- small files ---------------------------------------------------------- */

static void small_name(unsigned i, char *to, size_t cap)
{
	(void)snprintf(to, cap, "small-%05u", i);
}

static void small_make(struct house *h, unsigned n)
{
	uint8_t data[SMALL];
	char name[32];

	for (unsigned i = 0; i < n; i++) {
		struct node *node;

		small_name(i, name, sizeof(name));
		node = house_file(h, name);
		house_noise(i, data, sizeof(data));
		house_write(h, node, 0, data, sizeof(data));
		node_unpin(h->v->nodes, node);
	}
	house_clouds(h);
}

static void small_look(struct house *h, unsigned i)
{
	uint8_t wanted[SMALL];
	uint8_t got[SMALL];
	char name[32];
	struct node *node;

	small_name(i, name, sizeof(name));
	node = house_file(h, name);
	house_noise(i, wanted, sizeof(wanted));
	house_read(h, node, 0, got, sizeof(got));
	assert_memory_equal(got, wanted, sizeof(got));
	node_unpin(h->v->nodes, node);
}

static void small_files__read_in_order_either_way__few_gets(void **state)
{
	const unsigned n = 5000;
	struct house h;
	unsigned before;

	(void)state;
	house_new(&h, "timeout = 20s", ON_B);
	small_make(&h, n);
	before = gets(&h);
	for (unsigned i = 0; i < n; i++)
		small_look(&h, i);
	print_message("# forward: %u gets\n", gets(&h) - before);
	assert_in_range(gets(&h) - before, 2, 60);
	house_forget(&h);
	before = gets(&h);
	for (unsigned i = n; i-- > 0;)
		small_look(&h, i);
	print_message("# backward: %u gets\n", gets(&h) - before);
	assert_in_range(gets(&h) - before, 2, 60);
	house_free(&h);
}

/* Each tenth of them, in no order: the others are brought in vain, but not for
 * long. */
static void small_files__few_of_many_in_no_order__little_in_vain(void **state)
{
	const unsigned n = 6000;
	struct house h;
	uint64_t in;

	(void)state;
	house_new(&h, "timeout = 20s\nmemory_cache = 4M", ON_B);
	small_make(&h, n);
	in = health(&h, "b").bytes_in;
	for (unsigned i = 0; i < n / 10; i++)
		small_look(&h, i * 2749 % n);
	in = health(&h, "b").bytes_in - in;
	print_message("# %u KiB\n", (unsigned)(in >> 10));
	assert_true(in < 24 * MIB);
	house_free(&h);
}

/* --- a large file --------------------------------------------------------- */

struct large {
	struct house h;
	struct node *n;
	uint8_t *data;
	size_t len;
};

static void large_new(struct large *l, size_t len, const char *policy)
{
	house_new(&l->h, "timeout = 20s", policy);
	l->n = house_file(&l->h, "large");
	l->len = len;
	l->data = malloc(len);
	assert_non_null(l->data);
	house_noise(3, l->data, len);
	for (size_t at = 0; at < len; at += MIB)
		house_write(&l->h, l->n, at, l->data + at, MIB);
	house_clouds(&l->h);
}

static void large_free(struct large *l)
{
	node_unpin(l->h.v->nodes, l->n);
	house_free(&l->h);
	free(l->data);
}

static void large_look(struct large *l, uint64_t off, size_t len)
{
	uint8_t *got = malloc(len);

	assert_non_null(got);
	house_read(&l->h, l->n, off, got, len);
	assert_memory_equal(got, l->data + off, len);
	free(got);
}

static void large__one_read_over_many_chunks__one_get(void **state)
{
	struct large l;
	unsigned before;

	(void)state;
	large_new(&l, 4 * MIB, ON_B);
	before = gets(&l.h);
	large_look(&l, 0, 4 * MIB);
	assert_int_equal(gets(&l.h) - before, 1);
	large_free(&l);
}

/* Some twenty; but a reader that needs no time between two reads may always be
 * before its prefetch, and then asks for each MiB, and chunk, by itself. */
static void large__read_to_its_end__few_gets(void **state)
{
	struct large l;
	unsigned before;

	(void)state;
	large_new(&l, 48 * MIB, ON_B);
	before = gets(&l.h);
	for (uint64_t off = 0; off < l.len; off += MIB / 8)
		large_look(&l, off, MIB / 8);
	print_message("# %u gets\n", gets(&l.h) - before);
	assert_in_range(gets(&l.h) - before, 8, 160);
	large_free(&l);
}

/* The first piece of what is prefetched is too short to be a request beside
 * others; what follows it is not, and waits for nothing. */
struct first_read {
	struct large *l;
	pthread_t thread;
};

static void *first_read_main(void *arg)
{
	large_look(((struct first_read *)arg)->l, 0, MIB / 8);
	return NULL;
}

static bool await_gets(struct large *l, uint64_t n)
{
	const uint64_t end = clock_mono_ms(clock_system()) + 10000;

	while (health(&l->h, "b").gets < n &&
		clock_mono_ms(clock_system()) < end)
		(void)sched_yield();
	return health(&l->h, "b").gets >= n;
}

static void large__pieces_lie_apart__asked_for_side_by_side(void **state)
{
	static const struct {
		uint64_t from, upto;
	} piece[] = {{0, 256u << 10}, {600u << 10, 2 * MIB},
		{256u << 10, 600u << 10}};
	struct large l = {.len = 2 * MIB};
	struct first_read first = {.l = &l};
	uint64_t before;

	(void)state;
	house_new(&l.h, "timeout = 20s", ON_B);
	l.n = house_file(&l.h, "large");
	l.data = malloc(l.len);
	assert_non_null(l.data);
	house_noise(5, l.data, l.len);
	for (unsigned i = 0; i < sizeof(piece) / sizeof(*piece); i++) {
		house_write(&l.h, l.n, piece[i].from, l.data + piece[i].from,
			piece[i].upto - piece[i].from);
		house_clouds(&l.h);
	}
	before = health(&l.h, "b").gets;
	house_fault(&l.h, "hang op=get");
	assert_int_equal(
		pthread_create(&first.thread, NULL, first_read_main, &first),
		0);
	assert_true(await_gets(&l, before + 3));
	house_fault(&l.h, "");
	assert_int_equal(pthread_join(first.thread, NULL), 0);
	large_look(&l, 0, l.len);
	large_free(&l);
}

static void large__read_at_random__few_bytes(void **state)
{
	struct large l;
	uint64_t in;

	(void)state;
	large_new(&l, 32 * MIB, ON_B);
	in = health(&l.h, "b").bytes_in;
	for (unsigned i = 0; i < 100; i++)
		large_look(&l, i * UINT64_C(2654435761) % (l.len - 4096), 4096);
	in = health(&l.h, "b").bytes_in - in;
	print_message("# %u KiB a read\n", (unsigned)(in / 100 >> 10));
	assert_true(in < 100 * (256u << 10));
	large_free(&l);
}

/* --- wrong bytes ---------------------------------------------------------- */

static int first_pack(void *arg, const struct pack_row *p)
{
	*(struct pack_row *)arg = *p;
	return 1;
}

static void object_path(struct large *l, const char *store, unsigned index,
	char *to, size_t cap)
{
	char key[PLURI_OBJECT_KEY_MAX + 1];
	struct pack_row p = {0};
	struct meta_tx *tx = NULL;

	assert_int_equal(meta_begin(l->h.v->meta, &tx, NULL), 0);
	assert_int_equal(
		meta_end(tx, packs_list(tx, 0, first_pack, &p, NULL), NULL), 0);
	shard_name(&p.id, index, key);
	(void)snprintf(to, cap, "%s/%s/%s", l->h.dir, store, key);
}

/* Turn a bit of the copy on a store, whichever shard that is. */
static void spoil(struct large *l, const char *store, uint64_t off)
{
	char path[512];
	uint8_t byte;
	int fd = -1;

	for (unsigned i = 0; i < 2 && fd < 0; i++) {
		object_path(l, store, i, path, sizeof(path));
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)(SHARD_HEAD + off)), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)(SHARD_HEAD + off)), 1);
	(void)close(fd);
}

/* One request's bytes are wrong in its middle on the store that is asked: the
 * wrong frame alone comes from the other, which nobody accuses. */
static void wrong_in_the_middle__other_store_gives_that_alone(void **state)
{
	struct fleet_health a, b, a_was, b_was;
	bool alone = false;
	struct large l;

	(void)state;
	large_new(&l, 4 * MIB,
		"layout = mirror:2\nstores = a b\npack = 16M\npack_age = 60s");
	house_fault(&l.h, "delay op=get delay_ms=40"); /* a is the quicker */
	spoil(&l, "a", 2 * MIB);
	/* b may be asked instead, or besides to learn how quick it is */
	for (unsigned i = 0; i < 50 && !alone; i++) {
		house_forget(&l.h);
		a_was = health(&l.h, "a");
		b_was = health(&l.h, "b");
		large_look(&l, 0, 4 * MIB);
		a = health(&l.h, "a");
		b = health(&l.h, "b");
		assert_int_equal(b.errors, b_was.errors);
		alone = a.errors == a_was.errors + 1 &&
			b.bytes_in > b_was.bytes_in &&
			b.bytes_in - b_was.bytes_in < 256 << 10;
	}
	assert_true(alone);
	large_free(&l);
}

/* Each store has something wrong, and not the same: together they have all. */
static void wrong_on_both_in_different_places__all_is_right(void **state)
{
	struct large l;

	(void)state;
	large_new(&l, 4 * MIB,
		"layout = mirror:2\nstores = a b\npack = 16M\npack_age = 60s");
	spoil(&l, "a", MIB);
	spoil(&l, "a", 3 * MIB);
	spoil(&l, "b", 2 * MIB);
	large_look(&l, 0, 4 * MIB);
	large_free(&l);
}

/* A neighbour that nobody asked for is wrong: the read does not care, and who
 * asks for it later gets it from the other store. */
static void neighbour_is_wrong__read_is_right_and_so_is_the_next(void **state)
{
	struct large l = {0};

	(void)state;
	house_new(&l.h, "timeout = 20s",
		"layout = mirror:2\nstores = a b\npack = 16M\npack_age = 60s");
	small_make(&l.h, 40);
	spoil(&l, "a", 10 * (SMALL + 112) + 200);
	spoil(&l, "b", 12 * (SMALL + 112) + 200);
	small_look(&l.h, 5);
	for (unsigned i = 0; i < 40; i++)
		small_look(&l.h, i);
	house_free(&l.h);
}

/* --- whole packs ---------------------------------------------------------- */

/* Is the pack's first shard at b, the second store? */
static bool on_b(struct house *h, struct pack_row *ret)
{
	struct shard_row shard[PLURI_SHARDS_MAX];
	struct meta_tx *tx = NULL;
	unsigned n = 0;

	assert_int_equal(meta_begin(h->v->meta, &tx, NULL), 0);
	assert_int_equal(packs_list(tx, 0, first_pack, ret, NULL), 0);
	assert_int_equal(
		packs_shards(tx, ret->num, shard, PLURI_SHARDS_MAX, &n, NULL),
		0);
	assert_int_equal(meta_end(tx, 0, NULL), 0);
	assert_int_equal(n, 2);
	return shard[0].store == 1;
}

static void house_on_b(struct house *h, struct pack_row *ret)
{
	uint8_t data[SMALL];
	struct node *n;

	for (unsigned i = 0; i < 64; i++) {
		house_new(h, "timeout = 2s",
			"layout = mirror:2\nstores = a b\npack = 1M");
		n = house_file(h, "f");
		house_noise(7, data, SMALL);
		house_write(h, n, 0, data, SMALL);
		node_unpin(h->v->nodes, n);
		house_clouds(h);
		if (on_b(h, ret))
			return;
		house_free(h);
	}
	fail_msg("no pack begins at b");
}

static void ask_b(struct house *h)
{
	uint8_t got[16];
	struct pluri_room room = {.data = got, .cap = sizeof(got)};

	assert_true(fleet_get(h->v->fleet,
			    &(struct fleet_at){.store = 1, .key = "packs/none"},
			    0, &room, NULL, NULL) < 0);
}

/* A store that is known to be in trouble is asked last. */
static void pack__store_is_in_trouble__others_are_asked_first(void **state)
{
	static const char *const rules[] = {
		"error EAGAIN op=get\n", "error EBUSY op=get\n"};
	const struct fetch_pace how = {0};
	struct pack_row p = {0};
	unsigned before;
	struct house h;
	FILE *to;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		house_on_b(&h, &p);
		house_fault(&h, rules[i]);
		for (unsigned k = 0; k < 3; k++)
			ask_b(&h);
		assert_true(!health(&h, "b").up || i > 0);
		before = gets(&h);
		to = tmpfile();
		assert_non_null(to);
		assert_int_equal(
			fetch_pack(h.v, &p, fileno(to), &how, NULL), 0);
		(void)fclose(to);
		assert_int_equal(gets(&h), before);
		house_free(&h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			small_files__read_in_order_either_way__few_gets),
		cmocka_unit_test(
			small_files__few_of_many_in_no_order__little_in_vain),
		cmocka_unit_test(large__one_read_over_many_chunks__one_get),
		cmocka_unit_test(large__read_to_its_end__few_gets),
		cmocka_unit_test(
			large__pieces_lie_apart__asked_for_side_by_side),
		cmocka_unit_test(large__read_at_random__few_bytes),
		cmocka_unit_test(
			wrong_in_the_middle__other_store_gives_that_alone),
		cmocka_unit_test(
			wrong_on_both_in_different_places__all_is_right),
		cmocka_unit_test(
			neighbour_is_wrong__read_is_right_and_so_is_the_next),
		cmocka_unit_test(
			pack__store_is_in_trouble__others_are_asked_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
