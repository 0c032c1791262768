#include "tests/unit/meta/fsck_plant.h"

#define JOB "INSERT INTO job VALUES (1, "
#define JOB_REST ", 0, 0, 0, 0, 0, 0, '');"

/* A volume of which any row is like that does not open. */
static void fsck__jobs_damaged__found_and_mended(void **state)
{
	static const struct plant list[] = {
		{JOB "7, 4294967295, 1" JOB_REST, "counter-low job-absurd "},
		{JOB "-1, 4294967295, 0" JOB_REST, "counter-low job-absurd "},
		{JOB "1, 64, 0" JOB_REST, "counter-low job-absurd "},
		{JOB "1, -1, 0" JOB_REST, "counter-low job-absurd "},
		{JOB "0, 4294967295, 3" JOB_REST, "counter-low job-absurd "},
		{JOB "0, 4294967295, 1" JOB_REST
		     "UPDATE job SET text = hex(zeroblob(256))",
			"counter-low job-absurd "},
		{JOB "0, 4294967295, 1" JOB_REST
		     "UPDATE job SET text = substr(hex(zeroblob(256)), 2)",
			"counter-low "},
		{JOB "1, 3, 2" JOB_REST, "counter-low "},
	};

	PLANT(list);
}

static void fsck__graves_damaged__found_and_mended(void **state)
{
	static const struct plant list[] = {
		{"INSERT INTO grave VALUES (900, 32, 0, zeroblob(16), 1)",
			"grave-absurd "},
		{"INSERT INTO grave VALUES (900, 0, 64, zeroblob(16), 1)",
			"grave-absurd "},
		{"INSERT INTO grave VALUES (900, 0, 0, X'00', 1)",
			"grave-absurd "},
		{"INSERT INTO grave SELECT 900, 0, 0, id, 1 FROM pack"
		 " WHERE num = 1",
			"grave-of-pack "},
		{"INSERT INTO grave VALUES (900, 0, 0, zeroblob(16), 1)", ""},
	};

	PLANT(list);
}

static void fsck__moves_damaged__found_and_mended(void **state)
{
	static const struct plant list[] = {
		{"INSERT INTO move VALUES (1, 1, 900, 0, 0, 1, 0)",
			"counter-low move-no-shard "},
		{"INSERT INTO move VALUES (1, 1, 1, 32, 0, 1, 0)",
			"counter-low move-no-shard "},
		{"INSERT INTO move VALUES (1, 1, 1, 0, 0, 50, 0)",
			"counter-low move-no-store "},
		{"INSERT INTO move VALUES (1, 1, 1, 0, -1, 1, 0)",
			"counter-low move-no-store "},
		{"INSERT INTO move VALUES (1, 1, 1, 0, 0, 2, 2)",
			"counter-low move-step "},
		{"INSERT INTO move VALUES (1, 1, 1, 0, 0, 2, 1)",
			"counter-low "},
	};

	PLANT(list);
}

static void fsck__step_of_a_move_lost__shard_tells_it(void **state)
{
	struct storage *s = *state;
	struct move_row m[2];
	unsigned n = 0;

	storage_poke(s, "INSERT INTO move VALUES (1, 1, 1, 0, 0, 5, -3);"
			"INSERT INTO move VALUES (2, 1, 1, 1, 6, 1, 77)");
	repair_all(s);
	expect_clean(s);
	assert_int_equal(moves_list(s->tx, 0, m, 2, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_int_equal(m[0].step, MOVE_COPY);
	assert_int_equal(m[1].step, MOVE_DELETE);
}

static void fsck__packs_damaged__found_and_mended(void **state)
{
	static const struct plant list[] = {
		{"UPDATE pack SET policy = 64 WHERE num = 1", "pack-policy "},
		{"UPDATE pack SET policy = -1 WHERE num = 2", "pack-policy "},
		{"UPDATE pack SET kind = 256 WHERE num = 1", "pack-absurd "},
		{"UPDATE pack SET k = 0 WHERE num = 1", "pack-absurd "},
		{"UPDATE pack SET m = 32 WHERE num = 1", "pack-absurd "},
		{"UPDATE pack SET m = -1, state = 9 WHERE num = 2",
			"pack-absurd "},
		{"UPDATE pack SET state = -1 WHERE num = 1", "pack-absurd "},
		{"UPDATE pack SET local = 2 WHERE num = 1", "pack-absurd "},
		{"UPDATE pack SET bytes = -1 WHERE num = 2", "pack-absurd "},
		{"UPDATE pack SET bytes = -1 WHERE num = 1", "!pack-absurd "},
		{"UPDATE pack SET bytes = 1073741825 WHERE num = 1",
			"!pack-absurd "},
		{"UPDATE pack SET id = X'00' WHERE num = 1", "!pack-absurd "},
	};

	PLANT(list);
}

static void fsck__layout_of_a_pack_lost__shards_tell_it(void **state)
{
	struct storage *s = *state;
	struct pack_row p;

	storage_poke(s, "UPDATE pack SET k = 99, m = 99, state = 7,"
			" local = 5, kind = -1 WHERE num = 1;"
			"UPDATE pack SET m = 70, state = 7 WHERE num = 2");
	repair_all(s);
	expect_clean(s);
	assert_int_equal(packs_get(s->tx, 1, &p, NULL), 0);
	assert_int_equal(p.kind, 1);
	assert_int_equal(p.k, 1);
	assert_int_equal(p.m, 1);
	assert_int_equal(p.state, PACK_CLOSED);
	assert_true(p.local);
	assert_int_equal(p.bytes, 5000);
	assert_int_equal(packs_get(s->tx, 2, &p, NULL), 0);
	assert_int_equal(p.m, 1);
	assert_int_equal(p.state, PACK_OPEN);
}

/* Nothing was there yet: it is wanted elsewhere, or no debt could be read. */
static void fsck__unstored_shard_on_unknown_store__wanted(void **state)
{
	struct storage *s = *state;
	struct shard_row row[4];
	unsigned n = 0;

	storage_poke(s, "UPDATE shard SET store = 99 WHERE idx = 1;"
			"UPDATE shard SET state = 0; UPDATE pack SET stored ="
			" 0, local = 0 WHERE num = 1");
	repair_all(s);
	assert_int_equal(packs_debt(s->tx, row, 4, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_true(row[1].store < 8);
}

static void fsck__policies_damaged__found_and_mended(void **state)
{
	static const struct plant list[] = {
		{"UPDATE policy SET num = 64",
			"policy-missing policy-number inode-policy inode-policy"
			" inode-policy inode-policy inode-policy inode-policy"
			" inode-policy inode-policy pack-policy pack-policy "},
		{"INSERT INTO policy VALUES (-1, 'x', '')", "policy-number "},
		{"INSERT INTO policy VALUES (64, 'x', '')", "policy-number "},
		{"UPDATE policy SET name = ''", "policy-absurd "},
		{"UPDATE policy SET name = 'A'", "policy-absurd "},
		{"UPDATE policy SET name = '-a'", "policy-absurd "},
		{"UPDATE policy SET name = 'a b'", "policy-absurd "},
		{"UPDATE policy SET name = hex(zeroblob(33))",
			"policy-absurd "},
		{"UPDATE policy SET name = hex(zeroblob(32))", ""},
		{"INSERT INTO policy VALUES (5, 'x/', '')", "policy-absurd "},
		{"UPDATE policy SET text = hex(zeroblob(2048))",
			"policy-absurd "},
		{"UPDATE policy SET text = substr(hex(zeroblob(2048)), 2)", ""},
	};

	PLANT(list);
}

static void fsck__policies_mended__the_rest_stays(void **state)
{
	struct policy_row *p = calloc(PLURI_POLICIES_MAX, sizeof(*p));
	struct storage *s = *state;
	unsigned n = 0;

	assert_non_null(p);
	storage_poke(s, "UPDATE policy SET num = 70, text = 'kept';"
			"INSERT INTO policy VALUES (5, '', 'too')");
	repair_all(s);
	expect_clean(s);
	assert_int_equal(stores_list_policies(s->tx, p, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_int_equal(p[0].num, 0);
	assert_string_equal(p[0].name, "default");
	assert_string_equal(p[0].text, "kept");
	assert_string_equal(p[1].name, "lost-5");
	assert_string_equal(p[1].text, "too");
	free(p);
}

static void fsck__stores_damaged__found_and_mended(void **state)
{
	static const struct plant list[] = {
		{"UPDATE store SET num = 64 WHERE num = 5", "store-number "},
		{"UPDATE store SET num = -1 WHERE num = 5", "store-number "},
		{"UPDATE store SET weight = -1 WHERE num = 5", "store-absurd "},
		{"UPDATE store SET weight = 4294967296 WHERE num = 5",
			"store-absurd "},
		{"UPDATE store SET state = 4 WHERE num = 5", "store-absurd "},
		{"UPDATE store SET id = X'00' WHERE num = 5", "store-absurd "},
		{"UPDATE store SET name = 'a/b' WHERE num = 5",
			"store-absurd "},
		{"UPDATE store SET provider = hex(zeroblob(33))"
		 " WHERE num = 5",
			"store-absurd "},
		{"UPDATE store SET text = hex(zeroblob(2048)) WHERE num = 5",
			"store-absurd "},
	};

	PLANT(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fsck_test(fsck__jobs_damaged__found_and_mended),
		fsck_test(fsck__graves_damaged__found_and_mended),
		fsck_test(fsck__moves_damaged__found_and_mended),
		fsck_test(fsck__step_of_a_move_lost__shard_tells_it),
		fsck_test(fsck__packs_damaged__found_and_mended),
		fsck_test(fsck__layout_of_a_pack_lost__shards_tell_it),
		fsck_test(fsck__unstored_shard_on_unknown_store__wanted),
		fsck_test(fsck__policies_damaged__found_and_mended),
		fsck_test(fsck__policies_mended__the_rest_stays),
		fsck_test(fsck__stores_damaged__found_and_mended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
