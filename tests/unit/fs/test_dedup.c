/* Content that is stored already: taken, judged, or none of anybody's
 * business. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "fs/commit.h"
#include "fs/dedup.h"
#include "fs/fsck.h"
#include "fs/write.h"
#include "meta/extent.h"
#include "tests/unit/fs/house.h"

#define LEN (700u << 10) /* one or two chunks */
#define ON_B "layout = mirror:1\nstores = b\npack = 16M\npack_age = 60s\n"

static void put(struct house *h, const char *name, uint64_t seed)
{
	struct node *n = house_file(h, name);
	uint8_t *data = malloc(LEN);
	struct pluri_err err = {0};

	house_noise(seed, data, LEN);
	house_write(h, n, 0, data, LEN);
	if (write_sync(h->v, n, NULL, NULL, &err) < 0)
		fail_msg("%s", err.text);
	node_unpin(h->v->nodes, n);
	free(data);
}

static bool holds(struct house *h, const char *name, uint64_t seed)
{
	struct node *n = house_file(h, name);
	const bool all = house_size(h, n) == LEN;
	uint8_t *data = malloc(LEN);
	uint8_t *got = malloc(LEN);
	bool yes = false;

	if (all) {
		house_noise(seed, data, LEN);
		house_read(h, n, 0, got, LEN);
		yes = memcmp(data, got, LEN) == 0;
	}
	node_unpin(h->v->nodes, n);
	free(data);
	free(got);
	return yes;
}

static uint64_t chunk_of(struct house *h, const char *name)
{
	struct node *n = house_file(h, name);
	struct extent_row row;
	struct meta_tx *tx = NULL;
	unsigned got = 0;
	int r;

	assert_int_equal(meta_begin(h->v->meta, &tx, NULL), 0);
	r = extent_read(
		tx, n->ino, (struct extent_span){0, 1}, &row, 1, &got, NULL);
	assert_int_equal(meta_end(tx, r, NULL), 0);
	assert_int_equal(got, 1);
	node_unpin(h->v->nodes, n);
	return row.chunk.num;
}

static const char *check_state(struct house *h, json_t **ret)
{
	struct pluri_err err = {0};

	json_decref(*ret);
	*ret = NULL;
	if (fsck_run_ask(h->v->fsck, 0, ret, &err) < 0)
		fail_msg("%s", err.text);
	return json_string_value(json_object_get(*ret, "state"));
}

/* References and all else are as they are counted. */
static void exact(struct house *h)
{
	const struct timespec tick = {.tv_nsec = 2000000};
	json_t *j = NULL;

	assert_int_equal(fsck_run_start(h->v->fsck, false, &j, NULL), 0);
	while (strcmp(check_state(h, &j), "running") == 0)
		(void)nanosleep(&tick, NULL);
	assert_string_equal(
		json_string_value(json_object_get(j, "state")), "done");
	if (json_array_size(json_object_get(j, "findings")) > 0)
		fail_msg("%s", json_dumps(j, 0));
	json_decref(j);
}

/* --- one after the other -------------------------------------------------- */

static void same_twice__by_policy__one_chunk_or_two(void **state)
{
	static const struct {
		const char *policy;
		bool one;
	} each[] = {{ON_B, true}, {ON_B "dedup = on", true},
		{ON_B "dedup = verify", true}, {ON_B "dedup = off", false}};

	(void)state;
	for (unsigned i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
		struct house h;

		house_new(&h, "", each[i].policy);
		put(&h, "x", 1);
		put(&h, "y", 1);
		assert_int_equal(
			chunk_of(&h, "x") == chunk_of(&h, "y"), each[i].one);
		house_clouds(&h);
		put(&h, "z", 1); /* verify asks the store */
		assert_int_equal(
			chunk_of(&h, "x") == chunk_of(&h, "z"), each[i].one);
		house_clouds(&h);
		assert_true(holds(&h, "x", 1) && holds(&h, "y", 1) &&
			    holds(&h, "z", 1));
		exact(&h);
		house_close(&h);
		house_open(&h); /* the policy is read from the database */
		put(&h, "w", 1);
		assert_int_equal(
			chunk_of(&h, "x") == chunk_of(&h, "w"), each[i].one);
		exact(&h);
		house_free(&h);
	}
}

static void verify__store_is_rotten__stored_anew_and_whole(void **state)
{
	struct house h;

	(void)state;
	house_new(&h, "timeout = 2s", ON_B "dedup = verify");
	log_limit((enum log_level) - 1);
	put(&h, "x", 1);
	house_clouds(&h);
	house_fault(&h, "flip op=get key=packs/ seed=5\n");
	put(&h, "y", 1);
	assert_int_not_equal(chunk_of(&h, "x"), chunk_of(&h, "y"));
	assert_true(holds(&h, "y", 1)); /* it has its own */
	house_fault(&h, "");
	house_clouds(&h);
	assert_true(holds(&h, "x", 1) && holds(&h, "y", 1));
	exact(&h);
	put(&h, "z", 1); /* what is well again is taken again */
	assert_int_equal(chunk_of(&h, "x"), chunk_of(&h, "z"));
	exact(&h);
	house_free(&h);
}

/* Of the first flush, and of each chunk of it. */
#define SILENT_FILES 8u
#define SILENT_MS 2000u /* for each it would be 16 s */
#define SILENT_MOST_MS 10000u /* for one and all the work, on a busy machine */

static const char *silent_name(char kind, unsigned i, char to[16])
{
	(void)snprintf(to, 16, "%c%u", kind, i);
	return to;
}

static void verify__store_is_silent__sync_is_not_held_up(void **state)
{
	const char *const faults[] = {
		"hang op=get key=packs/\n", "error EAGAIN op=get key=packs/\n"};
	uint64_t began;
	char volume[32];
	char name[16];
	struct house h;

	(void)state;
	(void)snprintf(volume, sizeof(volume), "timeout = %ums", SILENT_MS);
	for (unsigned i = 0; i < 2; i++) {
		house_new(&h, volume, ON_B "dedup = verify");
		log_limit((enum log_level) - 1);
		for (unsigned j = 0; j < SILENT_FILES; j++)
			put(&h, silent_name('x', j, name), j);
		house_clouds(&h);
		house_fault(&h, faults[i]);
		began = clock_mono_ms(clock_system());
		for (unsigned j = 0; j < SILENT_FILES; j++)
			put(&h, silent_name('y', j, name), j);
		assert_in_range(clock_mono_ms(clock_system()) - began, 0,
			SILENT_MOST_MS);
		assert_int_not_equal(chunk_of(&h, "x1"), chunk_of(&h, "y1"));
		house_fault(&h, "");
		house_clouds(&h);
		assert_true(holds(&h, "x1", 1) && holds(&h, "y1", 1));
		exact(&h);
		house_free(&h);
	}
}

/* --- what cannot be brought about from outside ---------------------------- */

static void name(struct dedup *d, struct dedup_item *it, uint8_t *data)
{
	it->data = (struct pluri_span){data, LEN / 4};
	assert_int_equal(dedup_name(d, it->data, &it->id), 0);
}

static void verify__other_bytes_under_the_name__not_taken(void **state)
{
	uint8_t *data = malloc(LEN);
	struct dedup_item it = {0};
	struct pluri_digest was;
	struct dedup d;
	struct house h;

	(void)state;
	house_new(&h, "", ON_B "chunking = fixed\n");
	log_limit((enum log_level) - 1);
	put(&h, "x", 1);
	house_noise(1, data, LEN);
	for (int mode = DEDUP_ON; mode <= DEDUP_VERIFY; mode++) {
		d = (struct dedup){.v = h.v, .mode = (enum config_dedup)mode};
		it.data = (struct pluri_span){data, LEN};
		assert_int_equal(dedup_name(&d, it.data, &it.id), 0);
		was = it.id;
		assert_int_equal(dedup_find(&d, &it, 1, NULL), 0);
		assert_int_equal(it.chunk, chunk_of(&h, "x"));
		data[LEN - 1] ^= 1;
		assert_int_equal(dedup_find(&d, &it, 1, NULL), 0);
		data[LEN - 1] ^= 1;
		if (mode == DEDUP_ON) {
			assert_int_not_equal(it.chunk, 0);
			continue;
		}
		assert_int_equal(it.chunk, 0);
		assert_memory_not_equal(&it.id, &was, sizeof(was));
	}
	/* as long as it should be, too */
	it.id = was;
	it.data.len--;
	assert_int_equal(dedup_find(&d, &it, 1, NULL), 0);
	assert_int_equal(it.chunk, 0);
	free(data);
	house_free(&h);
}

static void verify__one_name_twice_in_a_batch__compared(void **state)
{
	uint8_t *data = malloc(LEN);
	struct dedup_item it[3] = {0};
	struct dedup d;
	struct house h;

	(void)state;
	house_new(&h, "", ON_B "dedup = verify");
	d = (struct dedup){.v = h.v, .mode = DEDUP_VERIFY};
	house_noise(2, data, LEN / 4);
	memcpy(data + LEN / 4, data, LEN / 4);
	memcpy(data + LEN / 2, data, LEN / 4);
	for (unsigned i = 0; i < 3; i++)
		name(&d, &it[i], data + i * (LEN / 4));
	data[LEN / 2] ^= 1;
	assert_int_equal(dedup_find(&d, it, 3, NULL), 0);
	assert_memory_equal(&it[0].id, &it[1].id, sizeof(it->id));
	assert_memory_not_equal(&it[0].id, &it[2].id, sizeof(it->id));
	free(data);
	house_free(&h);
}

/* Two flushes did not find it, and both bring it. */
static void verify__another_was_quicker__compared_first(void **state)
{
	struct chunk_row row;
	struct meta_tx *tx = NULL;
	struct house h;
	int r;

	(void)state;
	house_new(&h, "", ON_B);
	put(&h, "x", 1);
	for (int mode = DEDUP_ON; mode <= DEDUP_VERIFY; mode++) {
		const struct dedup d = {
			.v = h.v, .mode = (enum config_dedup)mode};
		const uint64_t num = chunk_of(&h, "x");

		assert_int_equal(meta_begin(h.v->meta, &tx, NULL), 0);
		assert_int_equal(chunks_get(tx, num, &row, NULL), 0);
		row.off += row.bytes; /* the second copy */
		r = meta_end(tx, dedup_add(&d, tx, &row, NULL), NULL);
		assert_int_equal(r, mode == DEDUP_ON ? 0 : -ESTALE);
	}
	house_free(&h);
}

/* --- all at once ---------------------------------------------------------- */

#define WRITERS 3u
#define ROUNDS 6u
#define FILES 4u /* of each */

struct fair { /* who writes the same at the same time */
	struct house h;
	pthread_barrier_t together;
	uint64_t seed[WRITERS][FILES];
};

struct booth {
	struct fair *f;
	unsigned i;
	pthread_t thread;
	int code; /* the first failure */
};

static void booth_note(struct booth *b, int code)
{
	b->code = b->code < 0 ? b->code : code;
}

/* Half of it is there when its program is killed. */
static void booth_dies(struct booth *b, const uint8_t *data)
{
	struct node *n = house_file(&b->f->h, "dead");

	house_write(&b->f->h, n, 0, data, LEN / 2);
	booth_note(b, write_flush(b->f->h.v, n, NULL));
	node_unpin(b->f->h.v->nodes, n);
}

static void booth_write(struct booth *b, unsigned r, const uint8_t *data)
{
	struct fair *f = b->f;
	char file[16];
	struct node *n;

	(void)snprintf(file, sizeof(file), "%u-%u", b->i, r % FILES);
	n = house_file(&f->h, file);
	house_write(&f->h, n, 0, data, LEN);
	f->seed[b->i][r % FILES] = 100 + r;
	booth_note(b, write_flush(f->h.v, n, NULL));
	/* what is committed, and what is not, is of any round */
	if (r % WRITERS == b->i)
		booth_note(b, commit_now(f->h.v->commit, true, NULL));
	node_unpin(f->h.v->nodes, n);
}

static void *booth_main(void *arg)
{
	struct booth *b = arg;
	uint8_t *data = malloc(LEN);

	for (unsigned r = 0; r < ROUNDS; r++) {
		house_noise(100 + r, data, LEN);
		(void)pthread_barrier_wait(&b->f->together);
		if (b->i == 0 && r == ROUNDS - 1)
			booth_dies(b, data);
		else
			booth_write(b, r, data);
	}
	free(data);
	return NULL;
}

/* After the crash a file is as one of the rounds had it, or empty. */
static void fair_look(struct fair *f)
{
	for (unsigned i = 0; i < WRITERS; i++)
		for (unsigned k = 0; k < FILES; k++) {
			const uint64_t last = f->seed[i][k];
			char file[16];
			struct node *n;
			uint64_t size;

			(void)snprintf(file, sizeof(file), "%u-%u", i, k);
			n = house_file(&f->h, file);
			size = house_size(&f->h, n);
			node_unpin(f->h.v->nodes, n);
			if (size == LEN && !holds(&f->h, file, last))
				assert_true(last >= 100 + FILES &&
					    holds(&f->h, file, last - FILES));
		}
}

static void fair_hold(const char *policy)
{
	struct fair f = {0};
	struct booth b[WRITERS];

	house_new(&f.h, "timeout = 2s", policy);
	(void)pthread_barrier_init(&f.together, NULL, WRITERS);
	for (unsigned i = 0; i < WRITERS; i++) {
		b[i] = (struct booth){.f = &f, .i = i};
		assert_int_equal(
			pthread_create(&b[i].thread, NULL, booth_main, &b[i]),
			0);
	}
	for (unsigned i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_join(b[i].thread, NULL), 0);
	for (unsigned i = 0; i < WRITERS; i++)
		assert_true(b[i].code >= 0);
	exact(&f.h);
	house_crash(&f.h);
	house_open(&f.h);
	exact(&f.h);
	fair_look(&f);
	/* Nobody refers to it any more, and then somebody does. */
	for (unsigned i = 0; i < WRITERS; i++) {
		char file[16];
		struct node *n;

		(void)snprintf(file, sizeof(file), "%u-1", i);
		n = house_file(&f.h, file);
		house_truncate(&f.h, n, 0);
		node_unpin(f.h.v->nodes, n);
		put(&f.h, file, 101 + i);
	}
	exact(&f.h);
	house_clouds(&f.h);
	for (unsigned i = 0; i < WRITERS; i++) {
		char file[16];

		(void)snprintf(file, sizeof(file), "%u-1", i);
		assert_true(holds(&f.h, file, 101 + i));
	}
	(void)pthread_barrier_destroy(&f.together);
	house_free(&f.h);
}

static void writers_of_the_same__one_killed_then_crash__refs_exact(void **state)
{
	(void)state;
	fair_hold(ON_B "dedup = on");
	fair_hold(ON_B "dedup = verify");
	fair_hold(ON_B "dedup = off");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_twice__by_policy__one_chunk_or_two),
		cmocka_unit_test(
			verify__store_is_rotten__stored_anew_and_whole),
		cmocka_unit_test(verify__store_is_silent__sync_is_not_held_up),
		cmocka_unit_test(verify__other_bytes_under_the_name__not_taken),
		cmocka_unit_test(verify__one_name_twice_in_a_batch__compared),
		cmocka_unit_test(verify__another_was_quicker__compared_first),
		cmocka_unit_test(
			writers_of_the_same__one_killed_then_crash__refs_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
