/* Few bytes beside a stream of many: they do not wait for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "fs/commit.h"
#include "fs/staging_int.h"
#include "fs/write.h"
#include "tests/unit/fs/house.h"

#define MIB (1u << 20)
#define POLICY "layout = mirror:1\npack = 16M\npack_age = 60s"

static int at_once(void *arg)
{
	(void)arg;
	return 1;
}

static int second_time(void *arg)
{
	unsigned *asked = arg;

	return ++*asked == 2;
}

/* A stream has taken what it may: there is room for a lock file. */
static void write__few_bytes_beside_a_stream__have_room(void **state)
{
	uint8_t *data = malloc(MIB);
	unsigned asked = 0;
	const struct write_ask many = {
		.data = {data, MIB}, .stop = second_time, .arg = &asked};
	const struct write_ask few = {
		.data = {data, 64 << 10}, .stop = at_once};
	struct node *stream;
	struct node *other;
	struct node *lock;
	struct house h;
	int r;

	(void)state;
	house_noise(1, data, MIB);
	house_new(&h, "dirty = 4M", "");
	stream = house_file(&h, "stream");
	other = house_file(&h, "other");
	lock = house_file(&h, "lock");
	for (unsigned i = 0; i < 3; i++)
		house_write(&h, stream, i * (uint64_t)MIB, data, MIB);
	(void)pthread_mutex_lock(&stream->lock); /* no flush gets anywhere */
	r = write_bytes(h.v, other, &many, NULL);
	(void)pthread_mutex_lock(&other->lock);
	assert_int_equal(write_bytes(h.v, lock, &few, NULL), 0);
	(void)pthread_mutex_unlock(&other->lock);
	(void)pthread_mutex_unlock(&stream->lock);
	assert_int_equal(r, -ECANCELED);
	node_unpin(h.v->nodes, stream);
	node_unpin(h.v->nodes, other);
	node_unpin(h.v->nodes, lock);
	house_free(&h);
	free(data);
}

struct long_write {
	struct house *h;
	struct node *n;
	uint8_t *data;
	int r;
};

static void *long_write_main(void *arg)
{
	struct long_write *l = arg;
	const struct write_ask many = {.data = {l->data, MIB}};

	l->r = write_bytes(l->h->v, l->n, &many, NULL);
	return NULL;
}

/* Short ones pass a long one that waits, but not for ever. */
static void write__many_wait_long__few_leave_them_room(void **state)
{
	const uint64_t end = clock_mono_ms(clock_system()) + 30000;
	struct long_write l = {.data = malloc(MIB)};
	const struct write_ask few = {.data = {l.data, 1}, .stop = at_once};
	struct node *stream;
	struct node *lock;
	pthread_t thread;
	struct house h;
	int r = 0;

	(void)state;
	house_noise(1, l.data, MIB);
	house_new(&h, "dirty = 4M", "");
	stream = house_file(&h, "stream");
	lock = house_file(&h, "lock");
	l.h = &h;
	l.n = house_file(&h, "other");
	(void)pthread_mutex_lock(&stream->lock);
	stream->flushing = true; /* until it is told otherwise */
	(void)pthread_mutex_unlock(&stream->lock);
	for (unsigned i = 0; i < 3; i++)
		house_write(&h, stream, i * (uint64_t)MIB, l.data, MIB);
	assert_int_equal(pthread_create(&thread, NULL, long_write_main, &l), 0);
	while (r == 0 && clock_mono_ms(clock_system()) < end)
		r = write_bytes(h.v, lock, &few, NULL);
	(void)pthread_mutex_lock(&stream->lock);
	stream->flushing = false;
	(void)pthread_cond_broadcast(&stream->idle);
	(void)pthread_mutex_unlock(&stream->lock);
	assert_int_equal(r, -ECANCELED);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(l.r, 0);
	assert_int_equal(write_bytes(h.v, lock, &few, NULL), 0);
	node_unpin(h.v->nodes, stream);
	node_unpin(h.v->nodes, lock);
	node_unpin(h.v->nodes, l.n);
	house_free(&h);
	free(l.data);
}

/* --- packs ---------------------------------------------------------------- */

/* The open pack of many, or of few. */
static struct staging_pack *pack(struct house *h, bool few)
{
	return h->v->staging->slot[few ? PLURI_POLICIES_MAX : 0].pack;
}

static void put(
	struct house *h, const char *name, uint64_t seed, size_t len, bool sync)
{
	struct node *n = house_file(h, name);
	uint8_t *data = malloc(len);

	house_noise(seed, data, len);
	house_write(h, n, 0, data, len);
	if (sync) {
		assert_int_equal(write_sync(h->v, n, NULL, NULL, NULL), 0);
		if (h->v->staging->hurry_ms) /* for as long as the test takes */
			h->v->staging->hurry_ms = UINT64_MAX;
	} else {
		assert_int_equal(write_flush(h->v, n, NULL), 0);
	}
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

/* What was not flushed of the two files is gone. */
static void power_cut(struct house *h)
{
	uint64_t synced[2] = {0, 0};
	char name[STAGING_NAME];
	struct pluri_id id[2];
	char path[256];

	for (unsigned few = 0; few < 2; few++)
		if (pack(h, few)) {
			id[few] = pack(h, few)->row.id;
			synced[few] = pack(h, few)->synced;
		}
	house_crash(h);
	for (unsigned few = 0; few < 2; few++) {
		if (synced[few] == 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s/state/packs/%s", h->dir,
			staging_name(&id[few], name));
		assert_int_equal(truncate(path, (off_t)synced[few]), 0);
	}
}

static void spoil(int fd)
{
	const int full = open("/dev/full", O_RDWR | O_CLOEXEC);

	assert_true(full >= 0);
	assert_true(dup2(full, fd) >= 0);
	(void)close(full);
}

static void pack__nobody_calls_fsync__one_for_all(void **state)
{
	struct house h;

	(void)state;
	house_new(&h, "", POLICY);
	put(&h, "lock", 1, 1000, false);
	put(&h, "stream", 2, MIB, false);
	assert_null(pack(&h, true));
	assert_true(atomic_load(&pack(&h, false)->due) ==
		    atomic_load(&pack(&h, false)->end));
	house_free(&h);
}

/* A stream calls it, too: that is not whom others should wait for less. */
static void pack__fsync_of_many__one_for_all(void **state)
{
	struct house h;

	(void)state;
	house_new(&h, "", POLICY);
	put(&h, "stream", 1, MIB, true);
	put(&h, "lock", 2, 1000, false);
	assert_null(pack(&h, true));
	house_free(&h);
}

/* Rows of a stream's bytes never come before the bytes. */
static void pack__fsync_of_few__stream_is_flushed_before_rows(void **state)
{
	struct house h;

	(void)state;
	house_new(&h, "", POLICY);
	put(&h, "lock", 1, 1000, true);
	assert_non_null(pack(&h, true));
	assert_null(pack(&h, false));
	put(&h, "stream", 2, 3 * MIB, false);
	assert_true(pack(&h, false)->synced > 3 * MIB);
	assert_true(pack(&h, false)->synced == pack(&h, false)->end);
	put(&h, "lock", 3, 1000, true);
	power_cut(&h);
	house_open(&h);
	check(&h, "lock", 3, 1000);
	check(&h, "stream", 2, 3 * MIB);
	house_clouds(&h);
	check(&h, "stream", 2, 3 * MIB);
	house_free(&h);
}

/* data: so many bytes, which outlive it. */
static struct encoded *chunk(uint64_t seed, uint8_t *data, size_t len)
{
	static const struct encode_options how = {0};
	struct encoded *e = NULL;
	struct pluri_digest id;

	house_noise(seed, data, len);
	memset(&id, (int)seed, sizeof(id));
	assert_int_equal(encode_chunk(&how, &id, (struct pluri_span){data, len},
				 &e, NULL),
		0);
	return e;
}

/* What has no row is nobody's to wait for. */
static void commit__stream_not_recorded_yet__does_not_flush_it(void **state)
{
	uint8_t *data = malloc(MIB);
	struct staging_to to;
	struct encoded *e;
	struct pack_place at;
	struct house h;
	uint64_t num;
	int fd;

	(void)state;
	house_new(&h, "", POLICY);
	put(&h, "lock", 1, 1000, true);
	to = staging_way(h.v->staging, 0, MIB);
	assert_true(to.later && !to.few);
	e = chunk(5, data, MIB);
	assert_int_equal(staging_add(h.v->staging, to, e, &num, &at, NULL), 0);
	encoded_free(e);
	fd = fcntl(pack(&h, false)->fd, F_DUPFD_CLOEXEC, 0);
	assert_true(fd >= 0);
	spoil(pack(&h, false)->fd); /* whoever flushes it fails */
	put(&h, "lock", 2, 1000, true);
	assert_true(dup2(fd, pack(&h, false)->fd) >= 0);
	(void)close(fd);
	assert_true(pack(&h, false)->synced == 0);
	assert_int_equal(
		staging_stable(h.v->staging, num, at.off + at.bytes, NULL), 0);
	assert_true(pack(&h, false)->synced == at.off + at.bytes);
	/* nothing is left to be done, of a pack that is gone, neither */
	spoil(pack(&h, false)->ahead_fd);
	assert_int_equal(
		staging_stable(h.v->staging, num, at.off + at.bytes, NULL), 0);
	assert_int_equal(staging_stable(h.v->staging, num + 9, MIB, NULL), 0);
	house_free(&h);
	free(data);
}

/* A failure is final, and no row tells of the bytes. */
static void flush__stream_cannot_be_flushed__no_more(void **state)
{
	uint8_t *data = malloc(MIB);
	struct house h;
	struct node *n;

	(void)state;
	house_new(&h, "", POLICY);
	put(&h, "lock", 1, 1000, true);
	put(&h, "stream", 2, MIB, false);
	put(&h, "lock", 3, 1000, true);
	spoil(pack(&h, false)->ahead_fd);
	log_limit((enum log_level) - 1);
	n = house_file(&h, "stream");
	house_noise(9, data, MIB);
	house_write(&h, n, 0, data, MIB);
	assert_true(write_flush(h.v, n, NULL) < 0);
	assert_true(write_dirty_bytes(h.v) >= MIB);
	assert_true(commit_now(h.v->commit, true, NULL) < 0);
	assert_true(write_sync(h.v, n, NULL, NULL, NULL) < 0);
	assert_true(commit_broken(h.v->commit, NULL) < 0);
	node_unpin(h.v->nodes, n);
	power_cut(&h);
	house_open(&h);
	check(&h, "lock", 3, 1000);
	check(&h, "stream", 2, MIB);
	house_free(&h);
	free(data);
}

/* Few bytes came before anybody was in a hurry, into the stream's pack. */
static void commit__file_flushed_by_a_stream__rows_are_dropped(void **state)
{
	struct house h;
	uint64_t num;

	(void)state;
	house_new(&h, "", POLICY);
	put(&h, "a", 1, 1000, false);
	assert_int_equal(commit_now(h.v->commit, true, NULL), 0);
	put(&h, "b", 2, 1000, false);
	assert_int_equal(commit_now(h.v->commit, true, NULL), 0);
	num = pack(&h, false)->row.num;
	assert_true(house_tail(&h, num) >= 1000);
	put(&h, "lock", 3, 1000, true);
	put(&h, "stream", 4, MIB, false);
	assert_true(pack(&h, false)->synced == pack(&h, false)->end);
	h.v->staging->hurry_ms = 0;
	put(&h, "c", 5, MIB, false);
	assert_int_equal(commit_now(h.v->commit, true, NULL), 0);
	assert_true(house_tail(&h, num) == 0);
	power_cut(&h);
	house_open(&h);
	check(&h, "a", 1, 1000);
	check(&h, "b", 2, 1000);
	check(&h, "lock", 3, 1000);
	check(&h, "stream", 4, MIB);
	check(&h, "c", 5, MIB);
	house_free(&h);
}

/*
 * A stream's flush that ends late counts less than a commit has logged since it
 * began; the next commit drops what was logged. What comes then must not lie
 * behind a hole: a pack is walked from its beginning.
 */
static void commit__logged_beyond_the_flushed__no_hole(void **state)
{
	const struct staging_to later = {.later = true};
	struct staging_pack *p;
	struct pack_place at;
	uint8_t data[1000];
	struct encoded *e;
	struct house h;
	uint64_t flushed;
	uint64_t num;

	(void)state;
	house_new(&h, "", POLICY);
	put(&h, "a", 1, 1000, false);
	assert_int_equal(commit_now(h.v->commit, true, NULL), 0);
	put(&h, "b", 2, 1000, false);
	p = pack(&h, false);
	flushed = atomic_load(&p->end); /* a flush begins */
	e = chunk(5, data, sizeof(data));
	assert_int_equal(
		staging_add(h.v->staging, later, e, &num, &at, NULL), 0);
	encoded_free(e);
	assert_int_equal(commit_now(h.v->commit, true, NULL), 0);
	assert_true(p->logged > flushed);
	p->synced = flushed; /* it ends */
	atomic_store(&p->unsynced, true);
	assert_int_equal(commit_now(h.v->commit, true, NULL), 0);
	assert_true(house_tail(&h, num) == 0);
	put(&h, "c", 3, 1000, false);
	assert_int_equal(commit_now(h.v->commit, true, NULL), 0);
	power_cut(&h);
	house_open(&h);
	assert_int_equal(staging_missing(h.v->staging), 0);
	house_clouds(&h);
	check(&h, "a", 1, 1000);
	check(&h, "b", 2, 1000);
	check(&h, "c", 3, 1000);
	house_free(&h);
}

/* They are closed together when somebody waits for the clouds. */
static void close__both_packs__in_the_clouds(void **state)
{
	struct house h;

	(void)state;
	house_new(&h, "", POLICY);
	put(&h, "lock", 1, 1000, true);
	put(&h, "stream", 2, MIB, false);
	assert_true(pack(&h, false) && pack(&h, true));
	house_clouds(&h);
	check(&h, "lock", 1, 1000);
	check(&h, "stream", 2, MIB);
	house_free(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pack__nobody_calls_fsync__one_for_all),
		cmocka_unit_test(pack__fsync_of_many__one_for_all),
		cmocka_unit_test(
			pack__fsync_of_few__stream_is_flushed_before_rows),
		cmocka_unit_test(
			commit__stream_not_recorded_yet__does_not_flush_it),
		cmocka_unit_test(flush__stream_cannot_be_flushed__no_more),
		cmocka_unit_test(
			commit__file_flushed_by_a_stream__rows_are_dropped),
		cmocka_unit_test(commit__logged_beyond_the_flushed__no_hole),
		cmocka_unit_test(close__both_packs__in_the_clouds),
		cmocka_unit_test(write__few_bytes_beside_a_stream__have_room),
		cmocka_unit_test(write__many_wait_long__few_leave_them_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
