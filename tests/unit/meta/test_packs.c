#include "tests/unit/meta/storage.h"

#include "meta/chunks.h"

static void add__read_back__as_given(void **state)
{
	struct storage *s = *state;
	struct pack_row p = {.policy = 63,
		.kind = 2,
		.k = 20,
		.m = 12,
		.created_ns = INT64_MAX,
		.state = PACK_CLOSED,
		.bytes = 7,
		.sum = 7};
	struct pack_row got;
	struct pluri_err err = {0};

	memset(&p.id, 0xab, sizeof(p.id));
	assert_int_equal(packs_add(s->tx, &p, NULL), 0);
	assert_true(p.num > 0);
	assert_int_equal(packs_get(s->tx, p.num, &got, NULL), 0);
	assert_int_equal(got.num, p.num);
	assert_memory_equal(&got.id, &p.id, sizeof(p.id));
	assert_int_equal(got.policy, 63);
	assert_int_equal(got.state, PACK_OPEN);
	assert_int_equal(got.kind, 2);
	assert_int_equal(got.k, 20);
	assert_int_equal(got.m, 12);
	assert_true(got.local);
	assert_int_equal(got.bytes, 0);
	assert_int_equal(got.sum, 0);
	assert_true(got.created_ns == INT64_MAX);
	assert_int_equal(packs_find(s->tx, &p.id, &got, NULL), 0);
	assert_int_equal(got.num, p.num);
	got.num = 42;
	assert_int_equal(packs_add(s->tx, &got, &err), -EEXIST);
	assert_int_equal(got.num, 42);
	p.id.b[0] = 0;
	assert_int_equal(packs_find(s->tx, &p.id, &got, NULL), -ENOENT);
	assert_int_equal(packs_get(s->tx, 99, &got, NULL), -ENOENT);
	assert_int_equal(got.num, 42);
}

static void add__unlawful_layout__refused(void **state)
{
	struct storage *s = *state;
	struct pack_row p = {.k = 0, .m = 1};

	assert_int_equal(packs_add(s->tx, &p, NULL), -EINVAL);
	p.k = 30;
	p.m = 3;
	assert_int_equal(packs_add(s->tx, &p, NULL), -EINVAL);
	p.k = 255;
	p.m = 255;
	assert_int_equal(packs_add(s->tx, &p, NULL), -EINVAL);
	p.k = 1;
	p.m = 1;
	p.policy = PLURI_POLICIES_MAX;
	assert_int_equal(packs_add(s->tx, &p, NULL), -EINVAL);
}

static void close__with_stores__shards_wanted(void **state)
{
	struct storage *s = *state;
	const uint32_t on[3] = {s->store[2], s->store[0], s->store[1]};
	const struct pack_row p = storage_pack(s, 1, 2, 1);
	struct shard_row rows[PLURI_SHARDS_MAX];
	struct pack_row got;
	unsigned n = 99;

	assert_int_equal(packs_shards(s->tx, p.num, rows, 32, &n, NULL), 0);
	assert_int_equal(n, 0);
	assert_int_equal(
		packs_close(s->tx, p.num, 1000, UINT64_MAX, on, 3, NULL), 0);
	assert_int_equal(packs_get(s->tx, p.num, &got, NULL), 0);
	assert_int_equal(got.state, PACK_CLOSED);
	assert_int_equal(got.bytes, 1000);
	assert_true(got.sum == UINT64_MAX);
	assert_int_equal(packs_shards(s->tx, p.num, rows, 32, &n, NULL), 0);
	assert_int_equal(n, 3);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(rows[i].pack, p.num);
		assert_int_equal(rows[i].index, i);
		assert_int_equal(rows[i].store, on[i]);
		assert_int_equal(rows[i].state, SHARD_WANTED);
	}
	assert_int_equal(packs_shards(s->tx, p.num, rows, 2, &n, NULL), 0);
	assert_int_equal(n, 2);
}

static void full__shards_land_one_by_one__after_the_last(void **state)
{
	struct storage *s = *state;
	const struct pack_row p = storage_pack(s, 1, 2, 1);
	struct shard_row shard = {.pack = p.num, .state = SHARD_STORED};

	assert_int_equal(packs_full(s->tx, p.num + 1, NULL), -ENOENT);
	assert_int_equal(packs_full(s->tx, p.num, NULL), 0); /* open */
	assert_int_equal(
		packs_close(s->tx, p.num, 1000, 7, s->store, 3, NULL), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(packs_full(s->tx, p.num, NULL), 0);
		shard.index = i;
		shard.store = s->store[i];
		assert_int_equal(packs_set_shard(s->tx, &shard, NULL), 0);
	}
	assert_int_equal(packs_full(s->tx, p.num, NULL), 1);
	shard.state = SHARD_BAD;
	assert_int_equal(packs_set_shard(s->tx, &shard, NULL), 0);
	assert_int_equal(packs_full(s->tx, p.num, NULL), 0);
}

static void close__makes_no_sense__refused(void **state)
{
	struct storage *s = *state;
	const uint32_t on[3] = {s->store[0], s->store[1], s->store[2]};
	const uint32_t none[2] = {s->store[0], 50};
	const struct pack_row p = storage_pack(s, 1, 1, 1);

	storage_chunk(s, p.num, 1, 100, 50);
	assert_int_equal(packs_close(s->tx, 99, 150, 0, on, 2, NULL), -ENOENT);
	assert_int_equal(
		packs_close(s->tx, p.num, 150, 0, on, 3, NULL), -EINVAL);
	assert_int_equal(
		packs_close(s->tx, p.num, 149, 0, on, 2, NULL), -EINVAL);
	assert_int_equal(
		packs_close(s->tx, p.num, PLURI_PACK_MAX + 1, 0, on, 2, NULL),
		-EINVAL);
	assert_int_equal(
		meta_end(s->tx,
			packs_close(s->tx, p.num, 150, 0, none, 2, NULL), NULL),
		-ENOENT);
	assert_int_equal(meta_begin(s->meta, &s->tx, NULL), 0);
}

static void close__twice__stale(void **state)
{
	struct storage *s = *state;
	const struct pack_row p = storage_pack(s, 1, 1, 0);

	assert_int_equal(
		packs_close(s->tx, p.num, 150, 1, s->store, 1, NULL), 0);
	assert_int_equal(
		packs_close(s->tx, p.num, 160, 2, s->store, 1, NULL), -ESTALE);
}

static void drop__with_chunks__busy_and_numbers_not_reused(void **state)
{
	struct storage *s = *state;
	const struct pack_row p = storage_pack(s, 1, 1, 1);
	uint64_t chunk = 0;
	struct pluri_digest id = {{1}};
	struct shard_row row;
	unsigned n = 0;

	storage_chunk(s, p.num, 1, 0, 10);
	assert_int_equal(
		packs_close(s->tx, p.num, 10, 1, s->store, 2, NULL), 0);
	assert_int_equal(packs_drop(s->tx, p.num, NULL), -EBUSY);
	assert_int_equal(chunks_find(s->tx, &id, 1, &chunk, NULL), 0);
	assert_int_equal(chunks_drop(s->tx, chunk, NULL), 0);
	assert_int_equal(packs_drop(s->tx, p.num, NULL), 0);
	assert_int_equal(packs_shards(s->tx, p.num, &row, 1, &n, NULL), 0);
	assert_int_equal(n, 0);
	assert_int_equal(packs_drop(s->tx, p.num, NULL), -ENOENT);
	assert_true(storage_pack(s, 1, 1, 1).num > p.num);
}

struct walk {
	struct storage *s;
	uint64_t last;
	unsigned seen, stop;
};

static int walk_each(void *arg, const struct pack_row *p)
{
	struct walk *w = arg;

	assert_true(p->num > w->last);
	w->last = p->num;
	if (p->num % 2)
		assert_int_equal(packs_drop(w->s->tx, p->num, NULL), 0);
	return ++w->seen == w->stop;
}

struct tails {
	unsigned n;
	uint64_t off[4];
	uint8_t first[4];
	int fail;
};

static int tail_note(void *arg, uint64_t off, struct pluri_span bytes)
{
	struct tails *t = arg;

	assert_true(t->n < 4);
	t->off[t->n] = off;
	t->first[t->n++] = *(const uint8_t *)bytes.data;
	return t->fail;
}

static void tail__of_an_open_pack__ascending_until_it_closes(void **state)
{
	static const uint8_t big[PACKS_TAIL_MAX + 1];
	struct storage *s = *state;
	const uint32_t on[2] = {s->store[0], s->store[1]};
	const struct pack_row p = storage_pack(s, 1, 1, 1);
	const struct pack_row q = storage_pack(s, 2, 1, 1);
	struct tails t = {0};
	uint64_t begin = 0;

	assert_int_equal(packs_tail_begin(s->tx, p.num, &begin, NULL), 0);
	assert_int_equal(packs_tail_add(s->tx, p.num, 900,
				 (struct pluri_span){"bc", 2}, NULL),
		0);
	assert_int_equal(packs_tail_add(s->tx, p.num, 64,
				 (struct pluri_span){"a", 1}, NULL),
		0);
	assert_int_equal(packs_tail_add(s->tx, q.num, 70,
				 (struct pluri_span){"q", 1}, NULL),
		0);
	assert_int_equal(packs_tail_list(s->tx, p.num, tail_note, &t, NULL), 0);
	assert_int_equal(t.n, 2);
	assert_int_equal(t.off[0], 64);
	assert_int_equal(t.off[1], 900);
	assert_int_equal(t.first[1], 'b');
	assert_int_equal(packs_tail_begin(s->tx, p.num, &begin, NULL), 1);
	assert_int_equal(begin, 64);
	t = (struct tails){.fail = -ENOSPC};
	assert_int_equal(
		packs_tail_list(s->tx, p.num, tail_note, &t, NULL), -ENOSPC);
	assert_int_equal(t.n, 1);
	assert_int_equal(packs_close(s->tx, p.num, 1000, 0, on, 2, NULL), 0);
	t = (struct tails){0};
	assert_int_equal(packs_tail_list(s->tx, p.num, tail_note, &t, NULL), 0);
	assert_int_equal(t.n, 0);
	assert_int_equal(packs_drop(s->tx, q.num, NULL), 0);
	assert_int_equal(packs_tail_list(s->tx, q.num, tail_note, &t, NULL), 0);
	assert_int_equal(t.n, 0);
	assert_int_equal(packs_tail_add(s->tx, p.num, 0,
				 (struct pluri_span){big, sizeof(big)}, NULL),
		-EINVAL);
	assert_int_equal(packs_tail_add(s->tx, p.num, PLURI_PACK_MAX,
				 (struct pluri_span){"a", 1}, NULL),
		-EINVAL);
}

static void tail__damaged_row__told(void **state)
{
	struct storage *s = *state;
	const struct pack_row p = storage_pack(s, 1, 1, 1);
	struct tails t = {0};

	storage_poke(s, "INSERT INTO tail VALUES (1, -1, X'00')");
	assert_int_equal(p.num, 1);
	assert_int_equal(
		packs_tail_list(s->tx, p.num, tail_note, &t, NULL), -EBADMSG);
	storage_poke(s, "DELETE FROM tail; INSERT INTO tail"
			" VALUES (1, 64, zeroblob(1048577))");
	assert_int_equal(
		packs_tail_list(s->tx, p.num, tail_note, &t, NULL), -EBADMSG);
	assert_int_equal(t.n, 0);
}

static void list__changed_while_shown__every_one_once(void **state)
{
	struct storage *s = *state;
	struct walk w = {.s = s};

	assert_int_equal(packs_list(s->tx, 0, walk_each, &w, NULL), 0);
	assert_int_equal(w.seen, 0);
	for (unsigned i = 0; i < 200; i++)
		(void)storage_pack(s, i, 1, 1);
	assert_int_equal(packs_list(s->tx, 0, walk_each, &w, NULL), 0);
	assert_int_equal(w.seen, 200);
	w = (struct walk){.s = s, .stop = 50};
	assert_int_equal(packs_list(s->tx, 0, walk_each, &w, NULL), 0);
	assert_int_equal(w.seen, 50);
	w.stop = 0;
	assert_int_equal(packs_list(s->tx, w.last, walk_each, &w, NULL), 0);
	assert_int_equal(w.seen, 100);
}

static void set__unknown__no_entry(void **state)
{
	struct storage *s = *state;
	const struct pack_row p = storage_pack(s, 1, 1, 0);
	struct shard_row row = {.pack = p.num, .store = s->store[0]};

	assert_int_equal(packs_set_local(s->tx, 99, true, NULL), -ENOENT);
	assert_int_equal(packs_set_shard(s->tx, &row, NULL), -ENOENT);
	assert_int_equal(
		packs_close(s->tx, p.num, 150, 1, s->store, 1, NULL), 0);
	assert_int_equal(packs_set_shard(s->tx, &row, NULL), 0);
	row.store = 50;
	assert_int_equal(packs_set_shard(s->tx, &row, NULL), -ENOENT);
	row.store = s->store[0];
	row.state = (enum shard_state)3;
	assert_int_equal(packs_set_shard(s->tx, &row, NULL), -EINVAL);
}

static void bracket__undone__counts_as_before(void **state)
{
	struct storage *s = *state;
	const struct pack_row p = storage_pack(s, 1, 1, 1);
	struct shard_row row = {.pack = p.num, .store = s->store[0]};
	struct packs_totals before;
	struct packs_totals after;

	assert_int_equal(
		packs_close(s->tx, p.num, 10, 0, s->store, 2, NULL), 0);
	assert_int_equal(packs_totals(s->tx, &before, NULL), 0);
	assert_int_equal(meta_end(s->tx, 0, NULL), 0);
	assert_int_equal(meta_begin(s->meta, &s->tx, NULL), 0);
	row.state = SHARD_STORED;
	assert_int_equal(packs_set_shard(s->tx, &row, NULL), 0);
	(void)storage_pack(s, 2, 1, 1);
	assert_int_equal(meta_end(s->tx, -EIO, NULL), -EIO);
	assert_int_equal(meta_begin(s->meta, &s->tx, NULL), 0);
	assert_int_equal(packs_totals(s->tx, &after, NULL), 0);
	assert_memory_equal(&before, &after, sizeof(before));
}

static int walk_count(void *arg, const struct pack_row *p)
{
	*(uint64_t *)arg += p->num;
	return 0;
}

/* One that is whole, behind those that are not. */
static const char another[] =
	"INSERT INTO pack SELECT 50, X'00112233445566778899aabbccddeeff',"
	" policy, state, kind, k, m, local, bytes, sum, created, stored"
	" FROM saved";

static void rows__damaged__told(void **state)
{
	static const char *const damage[] = {
		"UPDATE pack SET state = 2",
		"UPDATE pack SET state = -1",
		"UPDATE pack SET kind = 256",
		"UPDATE pack SET k = 0",
		"UPDATE pack SET k = 33",
		"UPDATE pack SET k = 20, m = 13",
		"UPDATE pack SET m = -1",
		"UPDATE pack SET k = -1, m = 3",
		"UPDATE pack SET policy = 64",
		"UPDATE pack SET local = 2",
		"UPDATE pack SET bytes = -1",
		"UPDATE pack SET bytes = 1073741825",
		"UPDATE pack SET id = x'00'",
		"UPDATE pack SET id = 'some text'",
	};
	static const char *const shards[] = {
		"UPDATE shard SET state = 3",
		"UPDATE shard SET state = -1",
		"UPDATE shard SET state = 0, store = 64",
		"UPDATE shard SET store = 0, idx = idx + 32",
	};
	struct storage *s = *state;
	const struct pack_row p = storage_pack(s, 1, 1, 1);
	struct pack_row got = {.num = 42};
	struct shard_row row;
	struct packs_totals t;
	unsigned n = 99;
	uint64_t seen;

	assert_int_equal(
		packs_close(s->tx, p.num, 10, 0, s->store, 2, NULL), 0);
	storage_poke(s, "CREATE TABLE saved AS SELECT * FROM pack");
	for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
		struct pluri_err err = {0};

		storage_poke(s, damage[i]);
		assert_int_equal(packs_get(s->tx, p.num, &got, NULL), -EBADMSG);
		assert_int_equal(packs_get(s->tx, p.num, &got, &err), -EBADMSG);
		assert_true(err.text[0] != 0);
		assert_int_equal(got.num, 42);
		storage_poke(s, another);
		seen = 0;
		assert_int_equal(
			packs_list(s->tx, 0, walk_count, &seen, NULL), 0);
		assert_int_equal(seen, 50);
		assert_int_equal(packs_totals(s->tx, &t, NULL), 0);
		storage_poke(s, "DELETE FROM pack; INSERT INTO pack SELECT *"
				" FROM saved");
	}
	for (size_t i = 0; i < sizeof(shards) / sizeof(shards[0]); i++) {
		storage_poke(s, shards[i]);
		assert_int_equal(packs_shards(s->tx, p.num, &row, 1, &n, NULL),
			-EBADMSG);
		assert_int_equal(
			packs_debt(s->tx, &row, 1, &n, NULL), -EBADMSG);
		assert_int_equal(n, 99);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		storage_test(add__read_back__as_given),
		storage_test(add__unlawful_layout__refused),
		storage_test(close__with_stores__shards_wanted),
		storage_test(full__shards_land_one_by_one__after_the_last),
		storage_test(close__makes_no_sense__refused),
		storage_test(close__twice__stale),
		storage_test(drop__with_chunks__busy_and_numbers_not_reused),
		storage_test(tail__of_an_open_pack__ascending_until_it_closes),
		storage_test(tail__damaged_row__told),
		storage_test(list__changed_while_shown__every_one_once),
		storage_test(set__unknown__no_entry),
		storage_test(bracket__undone__counts_as_before),
		storage_test(rows__damaged__told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
