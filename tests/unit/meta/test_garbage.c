/* What nothing refers to: found, moved, buried; never what something needs. */
#include "tests/unit/meta/storage.h"

#include "meta/garbage.h"
#include "meta/moves.h"

#define NOW 1000

static uint64_t chunk(struct storage *s, uint64_t pack, unsigned seed,
	uint64_t off, uint32_t bytes, int refs)
{
	struct chunk_row c = {.pack = pack,
		.off = off,
		.bytes = bytes,
		.plain = bytes,
		.frames = 1,
		.frame = {bytes}};

	memcpy(c.id.b, &seed, sizeof(seed));
	assert_int_equal(chunks_add(s->tx, &c, NULL), 0);
	if (refs)
		assert_int_equal(chunks_ref(s->tx, c.num, refs, NULL), 0);
	return c.num;
}

static void store_all(struct storage *s, uint64_t pack, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct shard_row row = {.pack = pack,
			.index = i,
			.store = s->store[i],
			.state = SHARD_STORED};

		assert_int_equal(packs_set_shard(s->tx, &row, NULL), 0);
	}
}

/* Closed, on two stores, made at time `seed`. */
static uint64_t closed(struct storage *s, unsigned seed, uint64_t bytes)
{
	const struct pack_row p = storage_pack(s, seed, 1, 1);

	assert_int_equal(
		packs_close(s->tx, p.num, bytes, 1, s->store, 2, NULL), 0);
	store_all(s, p.num, 2);
	return p.num;
}

static unsigned scan(struct storage *s, struct garbage_use *ret)
{
	struct garbage_pos at = {0};
	unsigned n = 0;
	int r;

	while ((r = garbage_scan(s->tx, &at, NOW, &ret[n], NULL)) != -ENOENT) {
		assert_true(r >= 0);
		n += (unsigned)r;
	}
	assert_int_equal(at.pack, 0);
	return n;
}

static void scan__packs_of_all_kinds__those_that_may_go(void **state)
{
	struct storage *s = *state;
	struct garbage_use got[8];
	struct pack_row open;
	struct move_row m = {.index = 0};
	uint64_t pack[5];

	pack[0] = closed(s, 1, 1000);
	(void)chunk(s, pack[0], 1, 0, 100, 2);
	(void)chunk(s, pack[0], 2, 100, 200, 0);
	(void)chunk(s, pack[0], 3, 300, 50, 1);
	pack[1] = closed(s, NOW + 1, 1000); /* too young */
	open = storage_pack(s, 3, 1, 1);
	(void)chunk(s, open.num, 4, 0, 10, 0);
	pack[2] = closed(s, 4, 1000); /* owes a shard */
	assert_int_equal(packs_set_shard(s->tx,
				 &(struct shard_row){.pack = pack[2],
					 .index = 1,
					 .store = s->store[1],
					 .state = SHARD_WANTED},
				 NULL),
		0);
	pack[3] = closed(s, 5, 1000); /* is moved */
	m.pack = pack[3];
	m.from = s->store[0];
	m.to = s->store[5];
	assert_int_equal(moves_add(s->tx, &m, NULL), 0);
	pack[4] = closed(s, 6, 500); /* empty */
	assert_int_equal(scan(s, got), 2);
	assert_int_equal(got[0].pack, pack[0]);
	assert_int_equal(got[0].bytes, 1000);
	assert_int_equal(got[0].live, 150);
	assert_int_equal(got[0].chunks, 2);
	assert_int_equal(got[0].dead, 1);
	assert_int_equal(got[1].pack, pack[4]);
	assert_int_equal(got[1].live, 0);
	assert_int_equal(garbage_fit(s->tx, pack[0], NULL), 1);
	assert_int_equal(garbage_fit(s->tx, pack[2], NULL), 0);
	assert_int_equal(garbage_fit(s->tx, pack[3], NULL), 0);
	assert_int_equal(garbage_fit(s->tx, open.num, NULL), 0);
	assert_int_equal(garbage_fit(s->tx, 99, NULL), 0);
}

/* More rows than one bracket looks at. */
static void scan__pack_of_many_chunks__counted_in_parts(void **state)
{
	const unsigned many = 2 * GARBAGE_ROWS;
	struct storage *s = *state;
	const uint64_t first = closed(s, 1, 1u << 20);
	const uint64_t second = closed(s, 2, 1000);
	struct garbage_pos at = {0};
	struct garbage_use got[4];

	for (unsigned i = 0; i < many; i++)
		(void)chunk(s, first, i, 100 * i, 100, i % 2);
	(void)chunk(s, second, many, 0, 7, 1);
	assert_int_equal(garbage_scan(s->tx, &at, NOW, got, NULL), 0);
	assert_true(at.inside);
	assert_int_equal(scan(s, got), 2);
	assert_int_equal(got[0].chunks, many / 2);
	assert_int_equal(got[0].dead, many / 2);
	assert_int_equal(got[0].live, 100 * many / 2);
	assert_int_equal(got[1].live, 7);
}

static void forget__some_referred_to__the_others_go(void **state)
{
	struct storage *s = *state;
	const uint64_t pack = closed(s, 1, 100000);
	struct chunk_row live[8];
	unsigned n = 0;

	for (unsigned i = 0; i < 600; i++)
		(void)chunk(s, pack, i, 100 * i, 100, i % 100 == 7);
	assert_int_equal(garbage_forget(s->tx, pack, 300, &n, NULL), 0);
	assert_int_equal(n, 300);
	assert_int_equal(garbage_forget(s->tx, pack, 1000, &n, NULL), 0);
	assert_int_equal(n, 294);
	assert_int_equal(garbage_forget(s->tx, pack, 1000, &n, NULL), 0);
	assert_int_equal(n, 0);
	assert_int_equal(garbage_live(s->tx, pack, NULL, live, 8, &n, NULL), 0);
	assert_int_equal(n, 6);
	assert_int_equal(live[0].off, 700);
	assert_int_equal(
		garbage_live(s->tx, pack, &live[0], live, 2, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_int_equal(live[0].off, 10700);
}

static void switch__copy_is_stored__place_changes_and_nothing_else(void **state)
{
	struct storage *s = *state;
	const uint64_t from = closed(s, 1, 1000);
	const uint64_t to = closed(s, 2, 1000);
	const uint64_t num = chunk(s, from, 1, 100, 10, 3);
	struct chunk_row was, c, got;

	assert_int_equal(chunks_get(s->tx, num, &was, NULL), 0);
	c = was;
	c.pack = to;
	c.off = 500;
	c.bytes = 9;
	c.frame[0] = 9;
	assert_int_equal(garbage_switch(s->tx, from, 99, &c, NULL), 0);
	assert_int_equal(garbage_switch(s->tx, from, 100, &c, NULL), 1);
	assert_int_equal(chunks_get(s->tx, num, &got, NULL), 0);
	assert_int_equal(got.pack, to);
	assert_int_equal(got.off, 500);
	assert_int_equal(got.bytes, 9);
	assert_int_equal(got.frames, 1);
	assert_int_equal(got.frame[0], 9);
	assert_int_equal(got.plain, 10);
	assert_memory_equal(&got.id, &was.id, sizeof(was.id));
	assert_int_equal(chunks_ref(s->tx, num, -3, NULL), 0); /* as before */
	assert_int_equal(garbage_switch(s->tx, from, 100, &c, NULL), 0);
}

static void switch__world_has_moved__left_alone(void **state)
{
	struct storage *s = *state;
	const uint64_t from = closed(s, 1, 1000);
	const uint64_t to = closed(s, 2, 1000);
	const uint64_t num = chunk(s, from, 1, 100, 10, 1);
	struct chunk_row c, got, other;

	assert_int_equal(chunks_get(s->tx, num, &c, NULL), 0);
	c.pack = to;
	assert_int_equal(packs_set_shard(s->tx,
				 &(struct shard_row){.pack = to,
					 .index = 0,
					 .store = s->store[0],
					 .state = SHARD_BAD},
				 NULL),
		0);
	assert_int_equal(garbage_switch(s->tx, from, 100, &c, NULL), -EAGAIN);
	store_all(s, to, 2);
	c.pack = 99;
	assert_int_equal(garbage_switch(s->tx, from, 100, &c, NULL), -ESTALE);
	c.pack = to;
	other = c;
	other.id.b[0] ^= 1;
	assert_int_equal(
		garbage_switch(s->tx, from, 100, &other, NULL), -EBADMSG);
	assert_int_equal(chunks_ref(s->tx, num, -1, NULL), 0);
	assert_int_equal(garbage_switch(s->tx, from, 100, &c, NULL), 0);
	assert_int_equal(chunks_get(s->tx, num, &got, NULL), 0);
	assert_int_equal(got.pack, from);
	assert_int_equal(chunks_drop(s->tx, num, NULL), 0);
	assert_int_equal(garbage_switch(s->tx, from, 100, &c, NULL), 0);
}

static void bury__empty_pack__graves_instead_of_rows(void **state)
{
	struct storage *s = *state;
	const uint64_t pack = closed(s, 1, 1000);
	struct garbage_grave g[4];
	struct garbage_totals t;
	struct pack_row p;
	unsigned n = 0;

	assert_int_equal(packs_get(s->tx, pack, &p, NULL), 0);
	assert_int_equal(garbage_known(s->tx, &p.id, NULL), 0);
	assert_int_equal(garbage_bury(s->tx, pack, NOW, NULL), 0);
	assert_int_equal(packs_get(s->tx, pack, &p, NULL), -ENOENT);
	assert_int_equal(garbage_bury(s->tx, pack, NOW, NULL), -ENOENT);
	assert_int_equal(garbage_known(s->tx, &p.id, NULL), 1);
	assert_int_equal(
		garbage_graves(s->tx, NULL, NOW - 1, g, 4, &n, NULL), 0);
	assert_int_equal(n, 0);
	assert_int_equal(garbage_graves(s->tx, NULL, NOW, g, 1, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_int_equal(
		garbage_graves(s->tx, &g[0], NOW, g + 1, 3, &n, NULL), 0);
	assert_int_equal(n, 1);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(g[i].pack, pack);
		assert_int_equal(g[i].index, i);
		assert_int_equal(g[i].store, s->store[i]);
		assert_int_equal(g[i].at_ns, NOW);
		assert_memory_equal(&g[i].id, &p.id, sizeof(p.id));
	}
	assert_int_equal(garbage_total(s->tx, &t, NULL), 0);
	assert_int_equal(t.graves, 2);
	assert_int_equal(t.oldest_ns, NOW);
	assert_int_equal(garbage_done(s->tx, pack, 0, NULL), 0);
	assert_int_equal(garbage_done(s->tx, pack, 0, NULL), 0);
	assert_int_equal(garbage_known(s->tx, &p.id, NULL), 1);
	assert_int_equal(garbage_done(s->tx, pack, 1, NULL), 0);
	assert_int_equal(garbage_known(s->tx, &p.id, NULL), 0);
}

/* A failure undoes the bracket, graves included. */
static void bury_again(struct storage *s, uint64_t pack, int want)
{
	struct garbage_totals t;
	int r;

	assert_int_equal(meta_end(s->tx, 0, NULL), 0);
	assert_int_equal(meta_begin(s->meta, &s->tx, NULL), 0);
	r = garbage_bury(s->tx, pack, NOW, NULL);
	assert_int_equal(r, want);
	(void)meta_end(s->tx, r, NULL);
	assert_int_equal(meta_begin(s->meta, &s->tx, NULL), 0);
	assert_int_equal(garbage_total(s->tx, &t, NULL), 0);
	assert_int_equal(t.graves, 0);
}

static void bury__still_needed__refused(void **state)
{
	struct storage *s = *state;
	const uint64_t pack = closed(s, 1, 1000);
	const uint64_t owes = closed(s, 2, 1000);
	const uint64_t moved = closed(s, 3, 1000);
	const struct pack_row open = storage_pack(s, 4, 1, 1);
	struct move_row m = {
		.pack = moved, .from = s->store[0], .to = s->store[5]};
	uint64_t num = chunk(s, pack, 1, 0, 10, 0);

	bury_again(s, pack, -EBUSY);
	assert_int_equal(chunks_drop(s->tx, num, NULL), 0);
	assert_int_equal(packs_set_shard(s->tx,
				 &(struct shard_row){.pack = owes,
					 .index = 0,
					 .store = s->store[0],
					 .state = SHARD_WANTED},
				 NULL),
		0);
	bury_again(s, owes, -EAGAIN);
	assert_int_equal(moves_add(s->tx, &m, NULL), 0);
	bury_again(s, moved, -EBUSY);
	bury_again(s, open.num, -EAGAIN);
}

/* Somebody appended to a pack and comes to record that when it is gone. */
static void add__pack_was_buried__estale(void **state)
{
	struct storage *s = *state;
	const uint64_t pack = closed(s, 1, 1000);
	struct chunk_row c = {.pack = pack,
		.bytes = 10,
		.plain = 10,
		.frames = 1,
		.frame = {10}};

	assert_int_equal(garbage_bury(s->tx, pack, NOW, NULL), 0);
	assert_int_equal(chunks_add(s->tx, &c, NULL), -ESTALE);
	assert_int_equal(c.num, 0);
}

static void graves__row_is_damaged__told(void **state)
{
	static const char *const damage[] = {"UPDATE grave SET idx = idx + 32",
		"UPDATE grave SET store = 64", "UPDATE grave SET store = -1",
		"UPDATE grave SET id = x'00'"};
	struct storage *s = *state;
	const uint64_t pack = closed(s, 1, 1000);
	struct garbage_grave g[4];
	unsigned n = 0;

	assert_int_equal(garbage_bury(s->tx, pack, NOW, NULL), 0);
	storage_poke(s, "CREATE TABLE saved AS SELECT * FROM grave");
	for (unsigned i = 0; i < 4; i++) {
		storage_poke(s, damage[i]);
		assert_int_equal(
			garbage_graves(s->tx, NULL, NOW, g, 4, &n, NULL),
			-EBADMSG);
		storage_poke(s, "DELETE FROM grave; INSERT INTO grave SELECT *"
				" FROM saved");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		storage_test(scan__packs_of_all_kinds__those_that_may_go),
		storage_test(scan__pack_of_many_chunks__counted_in_parts),
		storage_test(forget__some_referred_to__the_others_go),
		storage_test(
			switch__copy_is_stored__place_changes_and_nothing_else),
		storage_test(switch__world_has_moved__left_alone),
		storage_test(bury__empty_pack__graves_instead_of_rows),
		storage_test(bury__still_needed__refused),
		storage_test(add__pack_was_buried__estale),
		storage_test(graves__row_is_damaged__told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
