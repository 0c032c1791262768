#include "tests/unit/meta/storage.h"

#include "meta/moves.h"

/* A closed pack of two shards on the first two stores, index 0 STORED. */
static uint64_t moves_pack(struct storage *s, unsigned seed)
{
	const uint32_t on[2] = {s->store[0], s->store[1]};
	const struct pack_row p = storage_pack(s, seed, 1, 1);
	const struct shard_row shard = {
		.pack = p.num, .store = on[0], .state = SHARD_STORED};

	assert_int_equal(packs_close(s->tx, p.num, 10, 0, on, 2, NULL), 0);
	assert_int_equal(packs_set_shard(s->tx, &shard, NULL), 0);
	return p.num;
}

static struct move_row moves_make(struct storage *s, uint64_t pack)
{
	return (struct move_row){
		.job = 3, .pack = pack, .from = s->store[0], .to = s->store[2]};
}

static struct shard_row moves_shard(struct storage *s, uint64_t pack)
{
	struct shard_row rows[2];
	unsigned n = 0;

	assert_int_equal(packs_shards(s->tx, pack, rows, 2, &n, NULL), 0);
	assert_int_equal(n, 2);
	return rows[0];
}

static unsigned moves_count(struct storage *s)
{
	struct move_row rows[64];
	unsigned n = 0;

	assert_int_equal(moves_list(s->tx, 0, rows, 64, &n, NULL), 0);
	return n;
}

static void move__whole_way__copy_switch_delete_done(void **state)
{
	struct storage *s = *state;
	struct move_row m = moves_make(s, moves_pack(s, 1));
	struct move_row got;
	unsigned n = 0;

	m.step = MOVE_DELETE;
	assert_int_equal(moves_add(s->tx, &m, NULL), 0);
	assert_int_equal(m.step, MOVE_COPY);
	assert_int_equal(moves_shard(s, m.pack).store, s->store[0]);
	assert_int_equal(moves_list(s->tx, 0, &got, 1, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_int_equal(got.num, m.num);
	assert_int_equal(got.job, 3);
	assert_int_equal(got.pack, m.pack);
	assert_int_equal(got.index, 0);
	assert_int_equal(got.from, s->store[0]);
	assert_int_equal(got.to, s->store[2]);
	assert_int_equal(got.step, MOVE_COPY);
	assert_int_equal(moves_done(s->tx, m.num, NULL), -EBUSY);

	assert_int_equal(moves_switch(s->tx, m.num, NULL), 0);
	assert_int_equal(moves_shard(s, m.pack).store, s->store[2]);
	assert_int_equal(moves_shard(s, m.pack).state, SHARD_STORED);
	assert_int_equal(moves_list(s->tx, 0, &got, 1, &n, NULL), 0);
	assert_int_equal(got.step, MOVE_DELETE);
	assert_int_equal(got.from, s->store[0]);
	assert_int_equal(moves_switch(s->tx, m.num, NULL), 0);
	assert_int_equal(moves_cancel(s->tx, m.num, NULL), -EBUSY);

	assert_int_equal(moves_done(s->tx, m.num, NULL), 0);
	assert_int_equal(moves_count(s), 0);
	assert_int_equal(moves_done(s->tx, m.num, NULL), -ENOENT);
	assert_int_equal(moves_switch(s->tx, m.num, NULL), -ENOENT);
}

static void move__shard_was_bad__stored_and_counted(void **state)
{
	struct storage *s = *state;
	struct move_row m = moves_make(s, moves_pack(s, 1));
	const struct shard_row bad = {
		.pack = m.pack, .store = s->store[0], .state = SHARD_BAD};
	struct packs_totals t;

	assert_int_equal(moves_add(s->tx, &m, NULL), 0);
	assert_int_equal(packs_set_shard(s->tx, &bad, NULL), 0);
	assert_int_equal(packs_totals(s->tx, &t, NULL), 0);
	assert_int_equal(t.unsafe, 1);
	assert_int_equal(moves_switch(s->tx, m.num, NULL), 0);
	assert_int_equal(packs_totals(s->tx, &t, NULL), 0);
	assert_int_equal(t.unsafe, 0);
	assert_int_equal(t.degraded, 1);
	assert_int_equal(moves_switch(s->tx, m.num, NULL), 0);
	assert_int_equal(packs_totals(s->tx, &t, NULL), 0);
	assert_int_equal(t.degraded, 1);
}

static void add__second_for_a_shard__exists(void **state)
{
	struct storage *s = *state;
	struct move_row m = moves_make(s, moves_pack(s, 1));
	struct move_row again = m;
	struct move_row other = m;

	assert_int_equal(moves_add(s->tx, &m, NULL), 0);
	again.to = s->store[3];
	assert_int_equal(moves_add(s->tx, &again, NULL), -EEXIST);
	assert_int_equal(again.num, 0);
	other.index = 1;
	other.from = s->store[1];
	assert_int_equal(moves_add(s->tx, &other, NULL), 0);
	assert_int_equal(moves_cancel(s->tx, m.num, NULL), 0);
	assert_int_equal(moves_add(s->tx, &again, NULL), 0);
	assert_true(again.num > other.num);
	assert_int_equal(moves_shard(s, m.pack).store, s->store[0]);
}

static void add__makes_no_sense__refused(void **state)
{
	struct storage *s = *state;
	const struct move_row good = moves_make(s, moves_pack(s, 1));
	struct move_row m = good;

	m.to = m.from;
	assert_int_equal(moves_add(s->tx, &m, NULL), -EINVAL);
	m = good;
	m.from = s->store[1];
	assert_int_equal(moves_add(s->tx, &m, NULL), -ESTALE);
	m = good;
	m.to = 50;
	assert_int_equal(moves_add(s->tx, &m, NULL), -ENOENT);
	m = good;
	m.index = 2;
	assert_int_equal(moves_add(s->tx, &m, NULL), -ENOENT);
	m = good;
	m.pack = 99;
	assert_int_equal(moves_add(s->tx, &m, NULL), -ENOENT);
	assert_int_equal(moves_count(s), 0);
}

static void switch__shard_went_elsewhere__stale(void **state)
{
	struct storage *s = *state;
	struct move_row m = moves_make(s, moves_pack(s, 1));
	struct shard_row shard = moves_shard(s, m.pack);

	assert_int_equal(moves_add(s->tx, &m, NULL), 0);
	shard.store = s->store[5];
	assert_int_equal(packs_set_shard(s->tx, &shard, NULL), 0);
	assert_int_equal(moves_switch(s->tx, m.num, NULL), -ESTALE);
	assert_int_equal(moves_shard(s, m.pack).store, s->store[5]);
	assert_int_equal(moves_cancel(s->tx, m.num, NULL), 0);
}

static void list__in_pieces__each_once(void **state)
{
	struct storage *s = *state;
	struct move_row rows[7];
	uint64_t after = 0;
	unsigned seen = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < 30; i++) {
		struct move_row m = moves_make(s, moves_pack(s, i));

		assert_int_equal(moves_add(s->tx, &m, NULL), 0);
	}
	do {
		assert_int_equal(
			moves_list(s->tx, after, rows, 7, &n, NULL), 0);
		for (unsigned i = 0; i < n; i++) {
			assert_true(rows[i].num > after);
			after = rows[i].num;
			seen++;
		}
	} while (n == 7);
	assert_int_equal(seen, 30);
}

static void pack__has_a_move__not_dropped(void **state)
{
	struct storage *s = *state;
	struct move_row m = moves_make(s, moves_pack(s, 1));

	assert_int_equal(moves_add(s->tx, &m, NULL), 0);
	assert_int_equal(packs_drop(s->tx, m.pack, NULL), -EBUSY);
	assert_int_equal(moves_cancel(s->tx, m.num, NULL), 0);
	assert_int_equal(packs_drop(s->tx, m.pack, NULL), 0);
}

static void job__put_and_changed__newest_first(void **state)
{
	struct storage *s = *state;
	struct job_row jobs[3] = {{.kind = JOB_DRAIN, .store = 2},
		{.kind = JOB_REBALANCE, .store = UINT32_MAX}};
	struct job_row got[3];
	unsigned n = 0;

	jobs[0].started_ns = 5;
	jobs[0].total_shards = 9;
	jobs[0].total_bytes = 10;
	assert_int_equal(moves_put_job(s->tx, &jobs[0], NULL), 0);
	assert_int_equal(moves_put_job(s->tx, &jobs[1], NULL), 0);
	assert_true(jobs[1].num > jobs[0].num);
	jobs[0].state = JOB_FAILED;
	jobs[0].ended_ns = 6;
	jobs[0].shards = 7;
	jobs[0].bytes = 8;
	memset(jobs[0].text, 'x', sizeof(jobs[0].text) - 1);
	assert_int_equal(moves_put_job(s->tx, &jobs[0], NULL), 0);
	assert_int_equal(moves_list_jobs(s->tx, got, 3, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_int_equal(got[0].num, jobs[1].num);
	assert_int_equal(got[0].store, UINT32_MAX);
	assert_int_equal(got[1].num, jobs[0].num);
	assert_int_equal(got[1].kind, JOB_DRAIN);
	assert_int_equal(got[1].store, 2);
	assert_int_equal(got[1].state, JOB_FAILED);
	assert_int_equal(got[1].started_ns, 5);
	assert_int_equal(got[1].ended_ns, 6);
	assert_int_equal(got[1].shards, 7);
	assert_int_equal(got[1].bytes, 8);
	assert_int_equal(got[1].total_shards, 9);
	assert_int_equal(got[1].total_bytes, 10);
	assert_string_equal(got[1].text, jobs[0].text);
	assert_int_equal(moves_list_jobs(s->tx, got, 1, &n, NULL), 0);
	assert_int_equal(n, 1);
	jobs[2] = jobs[0];
	jobs[2].num = 99;
	assert_int_equal(moves_put_job(s->tx, &jobs[2], NULL), -ENOENT);
	jobs[2].num = 0;
	jobs[2].state = (enum job_state)3;
	assert_int_equal(moves_put_job(s->tx, &jobs[2], NULL), -EINVAL);
	jobs[2].state = JOB_DONE;
	jobs[2].store = 64;
	assert_int_equal(moves_put_job(s->tx, &jobs[2], NULL), -EINVAL);
	jobs[2].store = 3;
	memset(jobs[2].text, 'x', sizeof(jobs[2].text));
	assert_int_equal(moves_put_job(s->tx, &jobs[2], NULL), -EINVAL);
}

static void rows__damaged__told(void **state)
{
	static const char *const damage[] = {
		"UPDATE move SET idx = 32",
		"UPDATE move SET idx = 0, from_store = -1",
		"UPDATE move SET from_store = 0, to_store = 64",
		"UPDATE move SET to_store = 2, step = 2",
	};
	static const char *const jobs[] = {
		"UPDATE job SET kind = 2",
		"UPDATE job SET kind = 0, state = -1",
		"UPDATE job SET state = 0, store = 64",
		"UPDATE job SET store = 1, text = hex(zeroblob(256))",
	};
	struct storage *s = *state;
	struct move_row m = moves_make(s, moves_pack(s, 1));
	struct job_row j = {.store = 1};
	unsigned n = 99;

	assert_int_equal(moves_add(s->tx, &m, NULL), 0);
	assert_int_equal(moves_put_job(s->tx, &j, NULL), 0);
	for (unsigned i = 0; i < 4; i++) {
		struct pluri_err err = {0};

		storage_poke(s, damage[i]);
		assert_int_equal(
			moves_list(s->tx, 0, &m, 1, &n, &err), -EBADMSG);
		assert_true(err.text[0] != 0);
		assert_int_equal(moves_switch(s->tx, m.num, NULL), -EBADMSG);
		storage_poke(s, jobs[i]);
		assert_int_equal(
			moves_list_jobs(s->tx, &j, 1, &n, &err), -EBADMSG);
		assert_int_equal(n, 99);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		storage_test(move__whole_way__copy_switch_delete_done),
		storage_test(move__shard_was_bad__stored_and_counted),
		storage_test(add__second_for_a_shard__exists),
		storage_test(add__makes_no_sense__refused),
		storage_test(switch__shard_went_elsewhere__stale),
		storage_test(list__in_pieces__each_once),
		storage_test(pack__has_a_move__not_dropped),
		storage_test(job__put_and_changed__newest_first),
		storage_test(rows__damaged__told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
