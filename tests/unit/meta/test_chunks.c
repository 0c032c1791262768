#include "tests/unit/meta/storage.h"

#include "meta/chunks_int.h"

/* Packs 1 to 9 are there. */
static int chunk_open(void **state)
{
	const int r = storage_open(state);

	for (unsigned i = 1; i <= 9 && r == 0; i++)
		(void)storage_pack(*state, i, 1, 0);
	return r;
}

#define chunk_test(f) \
	cmocka_unit_test_setup_teardown(f, chunk_open, storage_close)

static struct chunk_row chunk_make(
	unsigned seed, uint64_t pack, uint64_t off, unsigned frames)
{
	struct chunk_row c = {.pack = pack, .off = off, .frames = frames};

	memcpy(c.id.b, &seed, sizeof(seed));
	for (unsigned i = 0; i < frames; i++) {
		c.frame[i] = 100 + i;
		c.bytes += c.frame[i];
	}
	c.plain = 2 * c.bytes;
	return c;
}

static void chunk_same(const struct chunk_row *a, const struct chunk_row *b)
{
	assert_int_equal(a->num, b->num);
	assert_memory_equal(&a->id, &b->id, sizeof(a->id));
	assert_int_equal(a->pack, b->pack);
	assert_int_equal(a->off, b->off);
	assert_int_equal(a->bytes, b->bytes);
	assert_int_equal(a->plain, b->plain);
	assert_int_equal(a->frames, b->frames);
	assert_memory_equal(a->frame, b->frame, 4 * (size_t)a->frames);
}

static void add__any_number_of_frames__reads_back(void **state)
{
	struct storage *s = *state;

	for (unsigned n = 1; n <= CHUNK_FRAMES_MAX; n++) {
		struct chunk_row c = chunk_make(n, 7, 100000 * n, n);
		struct chunk_row got;

		assert_int_equal(chunks_add(s->tx, &c, NULL), 0);
		assert_true(c.num > 0);
		assert_int_equal(chunks_get(s->tx, c.num, &got, NULL), 0);
		chunk_same(&c, &got);
	}
}

static void add__id_is_there__first_one_wins(void **state)
{
	struct storage *s = *state;
	struct chunk_row first = chunk_make(1, 7, 0, 3);
	struct chunk_row late = chunk_make(1, 8, 5000, 2);
	struct chunk_row next = chunk_make(2, 8, 9000, 2);

	assert_int_equal(chunks_add(s->tx, &first, NULL), 0);
	assert_int_equal(chunks_ref(s->tx, first.num, 5, NULL), 0);
	assert_int_equal(chunks_add(s->tx, &late, NULL), 0);
	chunk_same(&first, &late);
	assert_int_equal(chunks_ref(s->tx, first.num, -5, NULL), 0);
	assert_int_equal(chunks_ref(s->tx, first.num, -1, NULL), -EBADMSG);
	assert_int_equal(chunks_add(s->tx, &next, NULL), 0);
	assert_true(next.num > first.num);
}

static void add__unlawful__refused_and_untouched(void **state)
{
	struct storage *s = *state;
	struct chunk_row bad[10];
	struct chunk_row was;

	for (unsigned i = 0; i < 10; i++)
		bad[i] = chunk_make(i, 7, 0, 2);
	bad[0].frames = 0;
	bad[1].frames = CHUNK_FRAMES_MAX + 1;
	bad[2].frame[1] = 0;
	bad[3].bytes++;
	bad[4].plain = 0;
	bad[5].plain = PLURI_CHUNK_MAX + 1;
	bad[6].off = PLURI_PACK_MAX - bad[6].bytes + 1;
	bad[7].pack = 0;
	bad[8].off = UINT64_MAX;
	bad[9].bytes = 0;
	for (unsigned i = 0; i < 10; i++) {
		struct pluri_err err = {0};

		was = bad[i];
		assert_int_equal(chunks_add(s->tx, &bad[i], &err), -EINVAL);
		assert_true(err.text[0] != 0);
		assert_memory_equal(&was, &bad[i], sizeof(was));
	}
}

static void find__some_known__their_numbers(void **state)
{
	struct storage *s = *state;
	struct pluri_digest ids[20];
	uint64_t nums[20] = {0};
	uint64_t got[20];

	for (unsigned i = 0; i < 20; i++) {
		struct chunk_row c = chunk_make(i, 7, 1000 * i, 1);

		ids[i] = c.id;
		if (i % 3)
			continue;
		assert_int_equal(chunks_add(s->tx, &c, NULL), 0);
		nums[i] = c.num;
	}
	memset(got, 0xff, sizeof(got));
	assert_int_equal(chunks_find(s->tx, ids, 20, got, NULL), 0);
	assert_memory_equal(got, nums, sizeof(got));
}

static void get__unknown__no_entry_and_untouched(void **state)
{
	struct storage *s = *state;
	struct chunk_row got = chunk_make(3, 3, 3, 3);
	const struct chunk_row was = got;

	assert_int_equal(chunks_get(s->tx, 99, &got, NULL), -ENOENT);
	assert_int_equal(chunks_get(s->tx, UINT64_MAX, &got, NULL), -ENOENT);
	assert_memory_equal(&got, &was, sizeof(was));
}

static void ref__counted__never_below_zero(void **state)
{
	struct storage *s = *state;
	struct chunk_row c = chunk_make(1, 7, 0, 1);

	assert_int_equal(chunks_add(s->tx, &c, NULL), 0);
	assert_int_equal(chunks_ref(s->tx, c.num, -1, NULL), -EBADMSG);
	assert_int_equal(chunks_ref(s->tx, c.num, 2, NULL), 0);
	assert_int_equal(chunks_ref(s->tx, c.num, -3, NULL), -EBADMSG);
	assert_int_equal(chunks_ref(s->tx, c.num, -2, NULL), 0);
	assert_int_equal(chunks_ref(s->tx, 99, 1, NULL), -ENOENT);
	assert_int_equal(chunks_ref(s->tx, 99, -1, NULL), -ENOENT);
}

static void drop__referred_to__busy_until_free(void **state)
{
	struct storage *s = *state;
	struct chunk_row c = chunk_make(1, 7, 0, 1);
	struct chunk_row again = chunk_make(1, 9, 0, 1);

	assert_int_equal(chunks_add(s->tx, &c, NULL), 0);
	assert_int_equal(chunks_ref(s->tx, c.num, 1, NULL), 0);
	assert_int_equal(chunks_drop(s->tx, c.num, NULL), -EBUSY);
	assert_int_equal(chunks_ref(s->tx, c.num, -1, NULL), 0);
	assert_int_equal(chunks_drop(s->tx, c.num, NULL), 0);
	assert_int_equal(chunks_drop(s->tx, c.num, NULL), -ENOENT);
	assert_int_equal(chunks_add(s->tx, &again, NULL), 0);
	assert_true(again.num > c.num);
	assert_int_equal(again.pack, 9);
}

struct walk {
	struct storage *s;
	uint64_t last_off;
	unsigned seen, stop;
	int drop;
};

static int walk_each(void *arg, const struct chunk_row *c, uint64_t refs)
{
	struct walk *w = arg;

	assert_int_equal(c->pack, 7);
	assert_true(w->seen == 0 || c->off > w->last_off);
	assert_int_equal(refs, c->off % 3);
	w->last_off = c->off;
	if (w->drop && refs == 0)
		assert_int_equal(chunks_drop(w->s->tx, c->num, NULL), 0);
	return ++w->seen == w->stop;
}

static void of_pack__many__by_offset_and_no_others(void **state)
{
	struct storage *s = *state;
	struct walk w = {.s = s};
	uint64_t end = 77;

	assert_int_equal(chunks_end(s->tx, 7, &end, NULL), 0);
	assert_int_equal(end, 0);
	for (unsigned i = 0; i < 100; i++) {
		/* 37 and 100 share no divisor: every slot once, in disorder */
		struct chunk_row c = chunk_make(
			i, 7, i * 37 % 100 * 1000 + i % 3, i % 5 + 1);
		struct chunk_row other = chunk_make(1000 + i, 8, 7000 * i, 1);

		assert_int_equal(chunks_add(s->tx, &c, NULL), 0);
		assert_int_equal(
			chunks_ref(s->tx, c.num, (int)(c.off % 3), NULL), 0);
		assert_int_equal(chunks_add(s->tx, &other, NULL), 0);
	}
	assert_int_equal(chunks_of_pack(s->tx, 7, walk_each, &w, NULL), 0);
	assert_int_equal(w.seen, 100);
	assert_int_equal(chunks_end(s->tx, 7, &end, NULL), 0);
	assert_in_range(end, w.last_off + 100, w.last_off + 510);
	w = (struct walk){.s = s};
	assert_int_equal(chunks_from(s->tx, 7, 50000, walk_each, &w, NULL), 0);
	assert_int_equal(w.seen, 50);
	w = (struct walk){.s = s, .stop = 40};
	assert_int_equal(chunks_of_pack(s->tx, 7, walk_each, &w, NULL), 0);
	assert_int_equal(w.seen, 40);
	w = (struct walk){.s = s, .drop = 1};
	assert_int_equal(chunks_of_pack(s->tx, 7, walk_each, &w, NULL), 0);
	assert_int_equal(w.seen, 100);
	w = (struct walk){.s = s};
	assert_int_equal(chunks_of_pack(s->tx, 7, walk_each, &w, NULL), 0);
	assert_in_range(w.seen, 60, 70);
	w.seen = 0;
	assert_int_equal(chunks_of_pack(s->tx, 9, walk_each, &w, NULL), 0);
	assert_int_equal(w.seen, 0);
}

static int walk_none(void *arg, const struct chunk_row *c, uint64_t refs)
{
	(void)arg;
	(void)c;
	(void)refs;
	return 0;
}

static void row__damaged__told_and_untouched(void **state)
{
	static const char *const damage[] = {
		"UPDATE chunk SET frames = x'01'",
		"UPDATE chunk SET frames = x'6400000065'",
		"UPDATE chunk SET frames = x'64000000'",
		"UPDATE chunk SET frames = x'640000006500000000'",
		"UPDATE chunk SET frames = x'6400000066000000'",
		"UPDATE chunk SET frames = x'00000000c9000000'",
		"UPDATE chunk SET frames = x'ffffffffca000000'",
		"UPDATE chunk SET frames = zeroblob(516)",
		"UPDATE chunk SET frames = zeroblob(100000000)",
		"UPDATE chunk SET bytes = 0",
		"UPDATE chunk SET bytes = -1",
		"UPDATE chunk SET bytes = 4294967497",
		"UPDATE chunk SET plain = 0",
		"UPDATE chunk SET plain = 16777217",
		"UPDATE chunk SET plain = -1",
		"UPDATE chunk SET off = -1",
		"UPDATE chunk SET off = 1073741824",
		"UPDATE chunk SET pack = -7",
		"UPDATE chunk SET pack = 0",
		"UPDATE chunk SET id = x'00'",
		"UPDATE chunk SET id = zeroblob(33)",
		"UPDATE chunk SET id = 'text'",
	};
	struct storage *s = *state;
	struct chunk_row c = chunk_make(1, 7, 0, 2);
	struct chunk_row got = {.num = 42};

	assert_int_equal(chunks_add(s->tx, &c, NULL), 0);
	storage_poke(s, "CREATE TABLE saved AS SELECT * FROM chunk");
	for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
		struct pluri_err err = {0};

		storage_poke(s, damage[i]);
		assert_int_equal(
			chunks_get(s->tx, c.num, &got, &err), -EBADMSG);
		assert_non_null(strstr(err.text, "database"));
		assert_int_equal(got.num, 42);
		storage_poke(s, "DELETE FROM chunk; INSERT INTO chunk SELECT *"
				" FROM saved");
	}
	assert_int_equal(chunks_get(s->tx, c.num, &got, NULL), 0);
	storage_poke(s, "UPDATE chunk SET refs = -1");
	assert_int_equal(
		chunks_of_pack(s->tx, 7, walk_none, NULL, NULL), -EBADMSG);
	storage_poke(s, "UPDATE chunk SET off = -1, refs = 0");
	assert_int_equal(chunks_end(s->tx, 7, &got.num, NULL), -EBADMSG);
}

/* One frame more than there is room for, and all else as it should be. */
static void row__one_frame_too_many__told(void **state)
{
	struct storage *s = *state;
	struct chunk_row c = chunk_make(1, 7, 0, 2);
	uint8_t blob[4 * (CHUNK_FRAMES_MAX + 1)] = {0};
	struct db_stmt *st = NULL;

	assert_int_equal(chunks_add(s->tx, &c, NULL), 0);
	for (size_t i = 0; i < sizeof(blob); i += 4)
		blob[i] = 1;
	assert_int_equal(
		meta_query(s->tx, "UPDATE chunk SET bytes = ?1, frames = ?2",
			META_INTS(CHUNK_FRAMES_MAX + 1), &st, NULL),
		0);
	s->tx->ops->bind_blob(st, 2, (struct pluri_span){blob, sizeof(blob)});
	assert_int_equal(meta_step_done(s->tx, st, NULL), 0);
	assert_int_equal(chunks_get(s->tx, c.num, &c, NULL), -EBADMSG);
}

static void frames__codec__there_and_back(void **state)
{
	uint8_t blob[4 * CHUNK_FRAMES_MAX];

	(void)state;
	for (unsigned n = 1; n <= CHUNK_FRAMES_MAX; n++) {
		const struct chunk_row c = chunk_make(n, 1, 0, n);
		struct chunk_row got = {.bytes = c.bytes};
		const size_t len = chunks_frames_encode(&c, blob);

		assert_int_equal(len, n == 1 ? 0 : 4 * n);
		assert_int_equal(
			chunks_frames_decode(
				(struct pluri_span){blob, len}, &got, NULL),
			0);
		assert_int_equal(got.frames, n);
		assert_memory_equal(got.frame, c.frame, 4 * (size_t)n);
	}
	assert_memory_equal(blob, "\x64\0\0\0\x65\0\0\0", 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		chunk_test(add__any_number_of_frames__reads_back),
		chunk_test(add__id_is_there__first_one_wins),
		chunk_test(add__unlawful__refused_and_untouched),
		chunk_test(find__some_known__their_numbers),
		chunk_test(get__unknown__no_entry_and_untouched),
		chunk_test(ref__counted__never_below_zero),
		chunk_test(drop__referred_to__busy_until_free),
		chunk_test(of_pack__many__by_offset_and_no_others),
		chunk_test(row__damaged__told_and_untouched),
		chunk_test(row__one_frame_too_many__told),
		cmocka_unit_test(frames__codec__there_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
