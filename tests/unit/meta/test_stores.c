#include "tests/unit/meta/storage.h"

#include "meta/garbage.h"
#include "meta/meta_int.h"
#include "meta/moves.h"

struct lists {
	struct store_row stores[PLURI_STORES_MAX];
	struct policy_row policies[PLURI_POLICIES_MAX];
	unsigned n;
};

static struct lists *lists_new(void)
{
	struct lists *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	return l;
}

static void put__new_and_changed__listed(void **state)
{
	struct storage *s = *state;
	struct lists *l = lists_new();
	struct store_row row;

	assert_int_equal(stores_list(s->tx, l->stores, &l->n, NULL), 0);
	assert_int_equal(l->n, 8);
	row = l->stores[3];
	assert_string_equal(row.name, "d");
	(void)strcpy(row.name, "nas");
	(void)strcpy(row.provider, "home");
	memset(row.text, 'x', sizeof(row.text) - 1);
	row.weight = UINT32_MAX;
	row.state = STORE_DRAINED;
	memset(&row.id, 0xee, sizeof(row.id));
	assert_int_equal(stores_put(s->tx, &row, NULL), 0);
	assert_int_equal(stores_list(s->tx, l->stores, &l->n, NULL), 0);
	assert_int_equal(l->n, 8);
	for (unsigned i = 0; i < l->n; i++)
		assert_int_equal(l->stores[i].num, i);
	assert_memory_equal(&l->stores[3].id, &row.id, sizeof(row.id));
	assert_string_equal(l->stores[3].name, "nas");
	assert_string_equal(l->stores[3].provider, "home");
	assert_string_equal(l->stores[3].text, row.text);
	assert_int_equal(l->stores[3].weight, UINT32_MAX);
	assert_int_equal(l->stores[3].state, STORE_DRAINED);
	free(l);
}

static void put__full__no_space_then_lowest_free(void **state)
{
	struct storage *s = *state;
	struct lists *l = lists_new();
	struct pluri_err err = {0};
	char name[8];

	for (unsigned i = 8; i < PLURI_STORES_MAX; i++) {
		(void)snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(storage_store(s, name), i);
	}
	assert_int_equal(stores_list(s->tx, l->stores, &l->n, NULL), 0);
	assert_int_equal(l->n, PLURI_STORES_MAX);
	l->stores[0].num = UINT32_MAX;
	(void)strcpy(l->stores[0].name, "more");
	memset(&l->stores[0].id, 0xee, sizeof(l->stores[0].id));
	assert_int_equal(stores_put(s->tx, &l->stores[0], &err), -ENOSPC);
	assert_int_equal(l->stores[0].num, UINT32_MAX);
	assert_int_equal(stores_del(s->tx, 40, NULL), 0);
	assert_int_equal(stores_del(s->tx, 5, NULL), 0);
	assert_int_equal(storage_store(s, "five"), 5);
	assert_int_equal(storage_store(s, "forty"), 40);
	free(l);
}

static void put__unlawful_or_taken__refused(void **state)
{
	struct storage *s = *state;
	struct lists *l = lists_new();
	struct store_row *row = &l->stores[20];

	assert_int_equal(stores_list(s->tx, l->stores, &l->n, NULL), 0);
	*row = l->stores[0];
	row->num = UINT32_MAX;
	assert_int_equal(stores_put(s->tx, row, NULL), -EEXIST);
	row->num = 1;
	assert_int_equal(stores_put(s->tx, row, NULL), -EEXIST);
	row->num = 20;
	(void)strcpy(row->name, "other");
	assert_int_equal(stores_put(s->tx, row, NULL), -ENOENT);
	row->num = 0;
	row->name[0] = 0;
	assert_int_equal(stores_put(s->tx, row, NULL), -EINVAL);
	memset(row->name, 'n', sizeof(row->name));
	assert_int_equal(stores_put(s->tx, row, NULL), -EINVAL);
	row->name[4] = 0;
	row->state = (enum store_state)4;
	assert_int_equal(stores_put(s->tx, row, NULL), -EINVAL);
	row->state = STORE_ACTIVE;
	memset(row->text, 't', sizeof(row->text));
	assert_int_equal(stores_put(s->tx, row, NULL), -EINVAL);
	row->text[0] = 0;
	assert_int_equal(stores_put(s->tx, row, NULL), 0);
	free(l);
}

static void set_state__each__kept(void **state)
{
	struct storage *s = *state;
	struct lists *l = lists_new();

	for (unsigned i = 0; i <= STORE_DRAINED; i++) {
		assert_int_equal(
			stores_set_state(s->tx, 2, (enum store_state)i, NULL),
			0);
		assert_int_equal(stores_list(s->tx, l->stores, &l->n, NULL), 0);
		assert_int_equal(l->stores[2].state, i);
		assert_int_equal(l->stores[1].state, STORE_ACTIVE);
	}
	assert_int_equal(
		stores_set_state(s->tx, 2, (enum store_state)4, NULL), -EINVAL);
	assert_int_equal(
		stores_set_state(s->tx, 63, STORE_ACTIVE, NULL), -ENOENT);
	assert_string_equal(store_state_text(STORE_DRAINING), "draining");
	assert_string_equal(store_state_text((enum store_state)9), "unknown");
	free(l);
}

static void del__named_by_shards_or_moves__busy_with_counts(void **state)
{
	struct storage *s = *state;
	const uint32_t on[2] = {s->store[0], s->store[1]};
	const struct pack_row p = storage_pack(s, 1, 1, 1);
	struct move_row m = {.job = 1,
		.pack = p.num,
		.from = s->store[0],
		.to = s->store[2]};
	struct pluri_err err = {0};

	assert_int_equal(packs_close(s->tx, p.num, 10, 0, on, 2, NULL), 0);
	assert_int_equal(moves_add(s->tx, &m, NULL), 0);
	assert_int_equal(stores_del(s->tx, s->store[0], &err), -EBUSY);
	assert_non_null(strstr(err.text, "1 shards and 1 moves, and 0 obj"));
	assert_int_equal(stores_del(s->tx, s->store[1], &err), -EBUSY);
	assert_non_null(strstr(err.text, "1 shards and 0 moves"));
	assert_int_equal(stores_del(s->tx, s->store[2], &err), -EBUSY);
	assert_non_null(strstr(err.text, "0 shards and 1 moves"));
	assert_int_equal(stores_del(s->tx, s->store[3], &err), 0);
	assert_int_equal(stores_del(s->tx, s->store[3], &err), -ENOENT);
	assert_int_equal(moves_switch(s->tx, m.num, NULL), 0);
	assert_int_equal(stores_del(s->tx, s->store[0], &err), -EBUSY);
	assert_int_equal(moves_done(s->tx, m.num, NULL), 0);
	assert_int_equal(stores_del(s->tx, s->store[0], &err), 0);
	assert_int_equal(packs_drop(s->tx, p.num, NULL), 0);
	assert_int_equal(stores_del(s->tx, s->store[1], &err), 0);
	assert_int_equal(stores_del(s->tx, s->store[2], &err), 0);
}

static void del__objects_to_be_deleted_there__busy_unless_drained(void **state)
{
	struct storage *s = *state;
	struct pluri_err err = {0};
	uint64_t n = 0;

	assert_int_equal(meta_change(s->tx,
				 "INSERT INTO grave VALUES"
				 " (900, 0, ?1, zeroblob(16), 1)",
				 META_INTS(s->store[0]), NULL),
		0);
	assert_int_equal(garbage_of_store(s->tx, s->store[0], &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_int_equal(stores_del(s->tx, s->store[0], &err), -EBUSY);
	assert_non_null(strstr(err.text, "1 objects that are to be deleted"));
	assert_int_equal(stores_del(s->tx, s->store[1], &err), 0);
	assert_int_equal(
		stores_set_state(s->tx, s->store[0], STORE_DRAINED, NULL), 0);
	assert_int_equal(stores_del(s->tx, s->store[0], &err), 0);
	assert_int_equal(garbage_of_store(s->tx, s->store[0], &n, NULL), 0);
	assert_int_equal(n, 0);
}

static void policy__put_and_changed__listed(void **state)
{
	struct storage *s = *state;
	struct lists *l = lists_new();
	struct policy_row p = {.num = UINT32_MAX, .name = "first"};

	assert_int_equal(stores_put_policy(s->tx, &p, NULL), 0);
	assert_int_equal(p.num, 1);
	p = (struct policy_row){.num = UINT32_MAX, .name = "default"};
	assert_int_equal(stores_put_policy(s->tx, &p, NULL), 0);
	assert_int_equal(p.num, 0);
	p = (struct policy_row){.num = 7, .name = "seven", .text = "a = b\n"};
	assert_int_equal(stores_put_policy(s->tx, &p, NULL), 0);
	p.num = UINT32_MAX;
	assert_int_equal(stores_put_policy(s->tx, &p, NULL), -EEXIST);
	(void)strcpy(p.name, "second");
	assert_int_equal(stores_put_policy(s->tx, &p, NULL), 0);
	assert_int_equal(p.num, 2);
	p.num = PLURI_POLICIES_MAX;
	assert_int_equal(stores_put_policy(s->tx, &p, NULL), -EINVAL);
	p = (struct policy_row){.num = 7, .name = "siete", .text = "c = d\n"};
	assert_int_equal(stores_put_policy(s->tx, &p, NULL), 0);
	assert_int_equal(
		stores_list_policies(s->tx, l->policies, &l->n, NULL), 0);
	assert_int_equal(l->n, 4);
	assert_string_equal(l->policies[0].name, "default");
	assert_string_equal(l->policies[1].name, "first");
	assert_string_equal(l->policies[2].name, "second");
	assert_int_equal(l->policies[3].num, 7);
	assert_string_equal(l->policies[3].name, "siete");
	assert_string_equal(l->policies[3].text, "c = d\n");
	free(l);
}

static void policy__full__no_space(void **state)
{
	struct storage *s = *state;
	struct policy_row p;

	for (unsigned i = 1; i < PLURI_POLICIES_MAX; i++) {
		p = (struct policy_row){.num = UINT32_MAX};
		(void)snprintf(p.name, sizeof(p.name), "p%u", i);
		assert_int_equal(stores_put_policy(s->tx, &p, NULL), 0);
		assert_int_equal(p.num, i);
	}
	p = (struct policy_row){.num = UINT32_MAX, .name = "more"};
	assert_int_equal(stores_put_policy(s->tx, &p, NULL), -ENOSPC);
	p = (struct policy_row){.num = UINT32_MAX, .name = "default"};
	assert_int_equal(stores_put_policy(s->tx, &p, NULL), 0);
}

static void rows__damaged__told(void **state)
{
	static const char *const damage[] = {
		"UPDATE store SET num = 64 WHERE num = 7",
		"UPDATE store SET num = -1 WHERE num = 7",
		"UPDATE store SET state = 4 WHERE num = 7",
		"UPDATE store SET weight = -1 WHERE num = 7",
		"UPDATE store SET id = x'01' WHERE num = 7",
		"UPDATE store SET name = hex(zeroblob(40)) WHERE num = 7",
		"UPDATE store SET provider = hex(zeroblob(40)) WHERE num = 7",
		"UPDATE store SET text = hex(zeroblob(2048)) WHERE num = 7",
	};
	struct storage *s = *state;
	struct lists *l = lists_new();
	const struct policy_row p = {.name = "default"};
	struct policy_row put = p;

	storage_poke(s, "CREATE TABLE saved AS SELECT * FROM store");
	for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
		struct pluri_err err = {0};

		storage_poke(s, damage[i]);
		l->n = 99;
		assert_int_equal(
			stores_list(s->tx, l->stores, &l->n, &err), -EBADMSG);
		assert_int_equal(err.code, EBADMSG);
		assert_int_equal(l->n, 99);
		storage_poke(s, "DELETE FROM store; INSERT INTO store SELECT *"
				" FROM saved");
	}
	assert_int_equal(stores_put_policy(s->tx, &put, NULL), 0);
	storage_poke(s, "UPDATE policy SET num = 64");
	assert_int_equal(stores_list_policies(s->tx, l->policies, &l->n, NULL),
		-EBADMSG);
	storage_poke(s, "UPDATE policy SET num = 0, name = hex(zeroblob(40))");
	assert_int_equal(stores_list_policies(s->tx, l->policies, &l->n, NULL),
		-EBADMSG);
	free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		storage_test(put__new_and_changed__listed),
		storage_test(put__full__no_space_then_lowest_free),
		storage_test(put__unlawful_or_taken__refused),
		storage_test(set_state__each__kept),
		storage_test(del__named_by_shards_or_moves__busy_with_counts),
		storage_test(
			del__objects_to_be_deleted_there__busy_unless_drained),
		storage_test(policy__put_and_changed__listed),
		storage_test(policy__full__no_space),
		storage_test(rows__damaged__told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
