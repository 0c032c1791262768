/* The way up when stores are in trouble, or when the reader gives up. */
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

#include "chunker/digest.h"
#include "chunker/stripe.h"
#include "fs/cache.h"
#include "fs/fetch.h"
#include "fs/read.h"
#include "fs/roster.h"
#include "tests/unit/fs/house.h"

#define LEN 100000u
#define PATIENCE_MS 20000u
#define PROMPT_MS 10000u /* far below any timeout here, even when all is slow */

/* A file whose only copy is on store b, and not in memory. */
struct rig {
	struct house h;
	struct node *n;
	unsigned b; /* its number */
	uint64_t gets; /* of b, before the test */
	uint8_t data[LEN];
};

struct reader_thread {
	struct rig *g;
	pthread_t thread;
	atomic_bool stop;
	atomic_bool over;
	int r;
	struct pluri_err err;
	uint8_t got[LEN];
};

static uint64_t now(void)
{
	return clock_mono_ms(clock_system());
}

static struct fleet_health health(struct rig *g)
{
	struct fleet_health h = {0};

	assert_int_equal(fleet_health(g->h.v->fleet, g->b, &h), 0);
	return h;
}

static struct rig *rig_new(const char *volume, const char *policy)
{
	struct rig *g = calloc(1, sizeof(*g));
	struct store_row row = {0};

	assert_non_null(g);
	house_new(&g->h, volume, policy);
	assert_int_equal(roster_find_store(g->h.v->roster, "b", &row), 0);
	g->b = row.num;
	g->n = house_file(&g->h, "f");
	house_noise(11, g->data, LEN);
	house_write(&g->h, g->n, 0, g->data, LEN);
	house_clouds(&g->h);
	g->gets = health(g).gets;
	return g;
}

static struct rig *rig_on_b(const char *volume)
{
	return rig_new(volume, "layout = mirror:1\nstores = b\npack = 1M");
}

static void rig_free(struct rig *g)
{
	house_fault(&g->h, ""); /* or a greeting tries on, and is waited for */
	node_unpin(g->h.v->nodes, g->n);
	house_free(&g->h);
	free(g);
}

static int stop_flag(void *arg)
{
	return atomic_load((atomic_bool *)arg);
}

static int read_with(
	struct rig *g, atomic_bool *stop, uint8_t *to, struct pluri_err *err)
{
	const struct read_ask ask = {
		.stop = stop ? stop_flag : NULL, .arg = stop};
	struct pluri_room room = {.data = to, .cap = LEN};

	return read_bytes(g->h.v, g->n, &ask, 0, &room, err);
}

static void *reader_main(void *arg)
{
	struct reader_thread *t = arg;

	t->r = read_with(t->g, &t->stop, t->got, &t->err);
	atomic_store(&t->over, true);
	return NULL;
}

static struct reader_thread *reader_start(struct rig *g)
{
	struct reader_thread *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->g = g;
	assert_int_equal(pthread_create(&t->thread, NULL, reader_main, t), 0);
	return t;
}

static void reader_end(struct reader_thread *t, int wanted)
{
	assert_int_equal(pthread_join(t->thread, NULL), 0);
	if (t->r != wanted)
		fail_msg("%d, not %d: %s", t->r, wanted, t->err.text);
	if (wanted == 0)
		assert_memory_equal(t->got, t->g->data, LEN);
	free(t);
}

/* Until so many gets have reached store b. */
static void await_gets(struct rig *g, unsigned n)
{
	const uint64_t end = now() + PATIENCE_MS;

	while (health(g).gets < g->gets + n && now() < end)
		(void)sched_yield();
	assert_true(health(g).gets >= g->gets + n);
}

static void await_hits(struct rig *g, uint64_t n)
{
	const uint64_t end = now() + PATIENCE_MS;
	struct cache_stats s;

	do {
		cache_stats(g->h.v->cache, &s);
		(void)sched_yield();
	} while (s.hits < n && now() < end);
	assert_true(s.hits >= n);
}

static uint64_t hits(struct rig *g)
{
	struct cache_stats s;

	cache_stats(g->h.v->cache, &s);
	return s.hits;
}

static void stop__loader_of_a_frame__others_load_it(void **state)
{
	struct rig *g = rig_on_b("timeout = 20s");
	struct reader_thread *owner, *other;
	uint64_t before = hits(g);
	uint64_t start;

	(void)state;
	house_fault(&g->h, "hang op=get");
	owner = reader_start(g);
	await_gets(g, 1);
	other = reader_start(g);
	await_hits(g, before + 1);
	start = now();
	atomic_store(&owner->stop, true);
	reader_end(owner, -ECANCELED);
	assert_true(now() - start < PROMPT_MS);
	await_gets(g, 2);
	assert_false(atomic_load(&other->over));
	house_fault(&g->h, "");
	reader_end(other, 0);
	rig_free(g);
}

static void stop__waits_for_anothers_load__leaves_alone(void **state)
{
	struct rig *g = rig_on_b("timeout = 20s");
	struct reader_thread *owner, *other;
	uint64_t before = hits(g);
	uint64_t start;

	(void)state;
	house_fault(&g->h, "hang op=get");
	owner = reader_start(g);
	await_gets(g, 1);
	other = reader_start(g);
	await_hits(g, before + 1);
	start = now();
	atomic_store(&other->stop, true);
	reader_end(other, -ECANCELED);
	assert_true(now() - start < PROMPT_MS);
	assert_false(atomic_load(&owner->over));
	house_fault(&g->h, "");
	reader_end(owner, 0);
	await_gets(g, 1);
	assert_int_equal(health(g).gets, g->gets + 1);
	rig_free(g);
}

/* Nobody notices each other's end, and all who stay have their bytes. */
static void stop__many_readers_half_give_up__rest_is_right(void **state)
{
	struct rig *g = rig_on_b("timeout = 20s");
	struct reader_thread *t[12];

	(void)state;
	house_fault(&g->h, "hang op=get");
	for (unsigned i = 0; i < 12; i++)
		t[i] = reader_start(g);
	await_gets(g, 1);
	for (unsigned i = 0; i < 12; i += 2)
		atomic_store(&t[i]->stop, true);
	for (unsigned i = 0; i < 12; i += 2)
		reader_end(t[i], -ECANCELED);
	house_fault(&g->h, "");
	for (unsigned i = 1; i < 12; i += 2)
		reader_end(t[i], 0);
	rig_free(g);
}

static void trouble__for_a_moment__the_read_succeeds(void **state)
{
	struct rig *g = rig_on_b("timeout = 20s");
	struct reader_thread *t;

	(void)state;
	house_fault(&g->h, "error EAGAIN op=get");
	t = reader_start(g);
	await_gets(g, 3);
	house_fault(&g->h, "");
	reader_end(t, 0);
	rig_free(g);
}

/* One copy is lost for good, the other only for a moment. */
static void trouble__other_store_gone__the_read_succeeds(void **state)
{
	struct rig *g = rig_new(
		"timeout = 20s", "layout = mirror:2\nstores = a b\npack = 1M");
	struct reader_thread *t;
	char from[80];
	char to[80];

	(void)state;
	(void)snprintf(from, sizeof(from), "%s/a", g->h.dir);
	(void)snprintf(to, sizeof(to), "%s/gone", g->h.dir);
	assert_int_equal(rename(from, to), 0);
	house_fault(&g->h, "error ETIMEDOUT op=get");
	t = reader_start(g);
	await_gets(g, 3);
	house_fault(&g->h, "");
	reader_end(t, 0);
	assert_int_equal(rename(to, from), 0);
	rig_free(g);
}

static void trouble__joined_by_others__all_succeed(void **state)
{
	struct rig *g = rig_on_b("timeout = 20s");
	struct reader_thread *t[8];

	(void)state;
	house_fault(&g->h, "error EAGAIN op=get");
	for (unsigned i = 0; i < 8; i++)
		t[i] = reader_start(g);
	await_gets(g, 2);
	atomic_store(&t[0]->stop, true);
	reader_end(t[0], -ECANCELED);
	house_fault(&g->h, "");
	for (unsigned i = 1; i < 8; i++)
		reader_end(t[i], 0);
	rig_free(g);
}

static void trouble__stopped_in_a_pause__ecanceled(void **state)
{
	struct rig *g = rig_on_b("timeout = 60s");
	struct reader_thread *t;
	uint64_t start;

	(void)state;
	house_fault(&g->h, "error EAGAIN op=get");
	t = reader_start(g);
	await_gets(g, 4); /* the next pause is 400 ms at least */
	start = now();
	atomic_store(&t->stop, true);
	reader_end(t, -ECANCELED);
	assert_true(now() - start < PROMPT_MS);
	rig_free(g);
}

static void trouble__does_not_end__eio_after_timeout(void **state)
{
	struct rig *g = rig_on_b("timeout = 2s");
	struct pluri_err err = {0};
	uint64_t start;

	(void)state;
	house_fault(&g->h, "error EAGAIN op=get");
	start = now();
	assert_int_equal(read_with(g, NULL, g->data, &err), -EIO);
	assert_in_range(now() - start, 2000, 2000 + PROMPT_MS);
	/* pauses from 50 ms on, doubling; greetings ask, too */
	assert_in_range(health(g).gets - g->gets, 3, 12);
	assert_non_null(strstr(err.text, "b: "));
	rig_free(g);
}

static void bad_bytes__from_all__eio_at_once(void **state)
{
	static const char *const rules[] = {"flip op=get seed=3",
		"truncate op=get", "error EACCES op=get", "notfound"};
	struct rig *g = rig_on_b("timeout = 30s");

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		const uint64_t start = now();
		struct pluri_err err = {0};

		house_fault(&g->h, rules[i]);
		assert_int_equal(read_with(g, NULL, g->data, &err), -EIO);
		assert_true(now() - start < 10000);
	}
	rig_free(g);
}

/* --- a provider that lies ------------------------------------------------- */

static int first_pack(void *arg, const struct pack_row *p)
{
	*(struct pack_row *)arg = *p;
	return 1;
}

static void pack_of(struct rig *g, struct pack_row *ret)
{
	struct meta_tx *tx = NULL;

	assert_int_equal(meta_begin(g->h.v->meta, &tx, NULL), 0);
	assert_int_equal(
		meta_end(tx, packs_list(tx, 0, first_pack, ret, NULL), NULL),
		0);
}

/* Turn one bit of the shard's body; the sum that its pack has from then on. */
static uint64_t forge(struct rig *g, const struct pack_row *p)
{
	char key[PLURI_OBJECT_KEY_MAX + 1];
	char path[PLURI_OBJECT_KEY_MAX + 80];
	uint8_t *body = malloc(p->bytes);
	uint64_t sum;
	int fd;

	shard_name(&p->id, 0, key);
	(void)snprintf(path, sizeof(path), "%s/b/%s", g->h.dir, key);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0 && body);
	assert_int_equal(pread(fd, body, p->bytes, SHARD_HEAD), p->bytes);
	body[p->bytes / 2] ^= 1;
	assert_int_equal(pwrite(fd, body, p->bytes, SHARD_HEAD), p->bytes);
	sum = digest_sum((struct pluri_span){body, p->bytes});
	(void)close(fd);
	free(body);
	return sum;
}

static int copy_of(struct rig *g, const struct pack_row *p)
{
	const struct fetch_pace how = {0};
	FILE *to = tmpfile();
	int r;

	assert_non_null(to);
	r = fetch_pack(g->h.v, p, fileno(to), &how, NULL);
	(void)fclose(to);
	return r;
}

/* As if the provider had found other bytes of the same checksum. */
static void copy__sum_is_matched__not_believed(void **state)
{
	struct rig *g = rig_on_b("timeout = 2s");
	struct pack_row p = {0};

	(void)state;
	pack_of(g, &p);
	assert_int_equal(copy_of(g, &p), 0);
	p.sum = forge(g, &p);
	assert_true(copy_of(g, &p) < 0);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stop__loader_of_a_frame__others_load_it),
		cmocka_unit_test(stop__waits_for_anothers_load__leaves_alone),
		cmocka_unit_test(
			stop__many_readers_half_give_up__rest_is_right),
		cmocka_unit_test(trouble__for_a_moment__the_read_succeeds),
		cmocka_unit_test(trouble__other_store_gone__the_read_succeeds),
		cmocka_unit_test(trouble__joined_by_others__all_succeed),
		cmocka_unit_test(trouble__stopped_in_a_pause__ecanceled),
		cmocka_unit_test(trouble__does_not_end__eio_after_timeout),
		cmocka_unit_test(bad_bytes__from_all__eio_at_once),
		cmocka_unit_test(copy__sum_is_matched__not_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
