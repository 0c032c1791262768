#include "tests/unit/meta/storage.h"

#include <time.h>

/* One pack of 1000 bytes made at 5, `stored` shards of it, and what it is. */
struct judged {
	uint8_t k, m;
	unsigned stored;
	bool local;
	const char *is; /* full, degraded, unsafe or unreadable */
	bool below;
	uint64_t debt_bytes;
};

static void pack_judged(struct storage *s, const struct judged *j)
{
	struct pack_row p = storage_pack(s, 5, j->k, j->m);
	uint32_t on[PLURI_SHARDS_MAX];
	struct packs_totals t;

	for (unsigned i = 0; i < PLURI_SHARDS_MAX; i++)
		on[i] = s->store[i % 8];
	assert_int_equal(packs_close(s->tx, p.num, 1000, 0, on,
				 (unsigned)j->k + j->m, NULL),
		0);
	for (unsigned i = 0; i < j->stored; i++) {
		const struct shard_row row = {.pack = p.num,
			.index = i,
			.store = on[i],
			.state = SHARD_STORED};

		assert_int_equal(packs_set_shard(s->tx, &row, NULL), 0);
	}
	assert_int_equal(packs_set_local(s->tx, p.num, j->local, NULL), 0);
	assert_int_equal(packs_totals(s->tx, &t, NULL), 0);
	assert_int_equal(t.packs, 1);
	assert_int_equal(t.bytes, 1000);
	assert_int_equal(t.full, strcmp(j->is, "full") == 0);
	assert_int_equal(t.degraded, strcmp(j->is, "degraded") == 0);
	assert_int_equal(t.unsafe, strcmp(j->is, "unsafe") == 0);
	assert_int_equal(t.unreadable, strcmp(j->is, "unreadable") == 0);
	assert_int_equal(t.below_quorum, j->below);
	assert_int_equal(t.pending_bytes, j->below ? 1000 : 0);
	assert_int_equal(t.oldest_ns, j->below ? 5 : 0);
	assert_int_equal(t.local_packs, j->local);
	assert_int_equal(t.local_bytes, j->local ? 1000 : 0);
	assert_int_equal(t.debt_shards, (unsigned)j->k + j->m - j->stored);
	assert_int_equal(t.debt_bytes, j->debt_bytes);
	assert_int_equal(packs_drop(s->tx, p.num, NULL), 0);
}

static void totals__one_pack__as_defined(void **state)
{
	static const struct judged rows[] = {
		/* striping: one shard is all and is wanted */
		{1, 0, 0, true, "unsafe", true, 1000},
		{1, 0, 0, false, "unreadable", true, 1000},
		{1, 0, 1, true, "full", false, 0},
		{1, 0, 1, false, "full", false, 0},
		/* two copies: one is the quorum */
		{1, 1, 0, true, "unsafe", true, 2000},
		{1, 1, 0, false, "unreadable", true, 2000},
		{1, 1, 1, true, "degraded", false, 1000},
		{1, 1, 1, false, "degraded", false, 1000},
		{1, 1, 2, false, "full", false, 0},
		/* three copies: two are */
		{1, 2, 1, false, "degraded", true, 2000},
		{1, 2, 2, false, "degraded", false, 1000},
		{1, 2, 3, true, "full", false, 0},
		/* fragments of a third, rounded up */
		{3, 0, 2, false, "unreadable", true, 334},
		{3, 0, 3, false, "full", false, 0},
		{3, 1, 2, true, "unsafe", true, 668},
		{3, 1, 3, true, "degraded", false, 334},
		{3, 2, 2, true, "unsafe", true, 1002},
		{3, 2, 3, true, "degraded", true, 668},
		{3, 2, 4, true, "degraded", false, 334},
		{3, 2, 5, true, "full", false, 0},
		{20, 12, 20, false, "degraded", true, 600},
		{20, 12, 31, false, "degraded", false, 50},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		pack_judged(*state, &rows[i]);
}

static void totals__open_packs__count_with_chunks(void **state)
{
	struct storage *s = *state;
	const struct pack_row empty = storage_pack(s, 3, 1, 1);
	const struct pack_row late = storage_pack(s, 9, 1, 1);
	const struct pack_row early = storage_pack(s, 7, 1, 1);
	struct packs_totals t;

	assert_int_equal(packs_totals(s->tx, &t, NULL), 0);
	assert_int_equal(t.below_quorum, 0);
	assert_int_equal(t.oldest_ns, 0);
	assert_int_equal(t.local_packs, 3);
	storage_chunk(s, late.num, 1, 64, 100);
	storage_chunk(s, late.num, 2, 164, 100);
	storage_chunk(s, early.num, 3, 64, 10);
	assert_int_equal(packs_totals(s->tx, &t, NULL), 0);
	assert_int_equal(t.packs, 0);
	assert_int_equal(t.bytes, 0);
	assert_int_equal(t.full + t.degraded + t.unsafe + t.unreadable, 0);
	assert_int_equal(t.below_quorum, 2);
	assert_int_equal(t.pending_bytes, 264 + 74);
	assert_int_equal(t.oldest_ns, 7);
	assert_int_equal(t.local_bytes, 264 + 74);
	assert_int_equal(t.debt_shards, 0);
	assert_int_equal(packs_set_local(s->tx, early.num, false, NULL), 0);
	assert_int_equal(packs_set_local(s->tx, empty.num, false, NULL), 0);
	assert_int_equal(packs_totals(s->tx, &t, NULL), 0);
	assert_int_equal(t.unreadable, 1);
	assert_int_equal(t.local_packs, 1);
}

/* What a pack should be, counted by hand. */
struct model {
	uint64_t num;
	unsigned k, n, state[8];
	uint32_t store[8];
	bool closed, local;
	uint64_t bytes, end;
	int64_t created;
};

#define MODELS 40u

static void model_add(const struct model *p, struct packs_totals *t)
{
	const unsigned quorum = p->n - 1 > p->k ? p->n - 1 : p->k;
	const uint64_t bytes = p->closed ? p->bytes : p->end;
	unsigned stored = 0;

	if (p->local) {
		t->local_packs++;
		t->local_bytes += bytes;
	}
	if (!p->closed && p->end == 0)
		return;
	for (unsigned i = 0; p->closed && i < p->n; i++)
		stored += p->state[i] == SHARD_STORED;
	if (stored < quorum) {
		t->below_quorum++;
		t->pending_bytes += bytes;
		if (t->oldest_ns == 0 || p->created < t->oldest_ns)
			t->oldest_ns = p->created;
	}
	if (stored < p->k && !p->local)
		t->unreadable++;
	if (!p->closed)
		return;
	t->packs++;
	t->bytes += bytes;
	t->full += stored == p->n;
	t->degraded += stored >= p->k && stored < p->n;
	t->unsafe += stored < p->k && p->local;
	t->debt_shards += p->n - stored;
	t->debt_bytes += (p->n - stored) * ((bytes + p->k - 1) / p->k);
}

static void model_check_stores(struct storage *s, const struct model *p)
{
	for (unsigned at = 0; at < 8; at++) {
		struct packs_store want = {0};
		struct packs_store got;

		for (unsigned i = 0; i < MODELS; i++)
			for (unsigned j = 0; p[i].closed && j < p[i].n; j++) {
				const bool on = p[i].store[j] == s->store[at];
				const bool ok = p[i].state[j] == SHARD_STORED;

				want.objects += on && ok;
				want.wanted += on && !ok;
				want.bytes +=
					on && ok ? (p[i].bytes + p[i].k - 1) /
							   p[i].k
						 : 0;
			}
		assert_int_equal(
			packs_of_store(s->tx, s->store[at], &got, NULL), 0);
		assert_memory_equal(&got, &want, sizeof(want));
	}
}

/* What one pack owes, by store. */
static void model_owe(const struct model *p, struct packs_owed *owed)
{
	for (unsigned i = 0; p->closed && i < p->n; i++) {
		if (p->state[i] == SHARD_STORED)
			continue;
		owed[p->store[i]].shards++;
		owed[p->store[i]].bytes += (p->bytes + p->k - 1) / p->k;
	}
}

static void model_check_owed(struct storage *s, const struct model *p)
{
	struct packs_owed want[PLURI_STORES_MAX] = {{0, 0}};
	struct packs_owed got[PLURI_STORES_MAX];

	for (unsigned i = 0; i < MODELS; i++)
		model_owe(&p[i], want);
	assert_int_equal(packs_owed(s->tx, got, NULL), 0);
	assert_memory_equal(got, want, sizeof(want));
}

static void model_check_pending(
	struct storage *s, const struct packs_totals *all)
{
	struct packs_totals t;

	assert_int_equal(packs_pending(s->tx, &t, NULL), 0);
	assert_int_equal(t.below_quorum, all->below_quorum);
	assert_int_equal(t.pending_bytes, all->pending_bytes);
	assert_int_equal(t.oldest_ns, all->oldest_ns);
	assert_int_equal(t.debt_shards, all->debt_shards);
	assert_int_equal(t.debt_bytes, all->debt_bytes);
}

static void model_check_debt(struct storage *s, uint64_t want)
{
	struct shard_row rows[MODELS * 8];
	uint64_t last = 0;
	unsigned n = 0;

	assert_int_equal(packs_debt(s->tx, rows, MODELS * 8, &n, NULL), 0);
	assert_int_equal(n, want);
	for (unsigned i = 0; i < n; i++) {
		assert_true(rows[i].pack * 100 + rows[i].index > last);
		assert_true(rows[i].state != SHARD_STORED);
		last = rows[i].pack * 100 + rows[i].index;
	}
	assert_int_equal(packs_debt(s->tx, rows, 3, &n, NULL), 0);
	assert_int_equal(n, want < 3 ? want : 3);
}

static void model_check(struct storage *s, const struct model *p)
{
	struct packs_totals want = {0};
	struct packs_totals got;

	for (unsigned i = 0; i < MODELS; i++)
		if (p[i].num)
			model_add(&p[i], &want);
	assert_int_equal(packs_totals(s->tx, &got, NULL), 0);
	assert_memory_equal(&got, &want, sizeof(want));
	model_check_stores(s, p);
	model_check_owed(s, p);
	model_check_pending(s, &want);
	model_check_debt(s, want.debt_shards);
}

static void model_shard(struct storage *s, struct model *p)
{
	const unsigned i = storage_random(s, p->n);
	struct shard_row row = {.pack = p->num, .index = i};

	p->state[i] = storage_random(s, 4) % 3; /* WANTED is likelier */
	if (storage_random(s, 4))
		p->state[i] = SHARD_STORED;
	if (storage_random(s, 5) == 0)
		p->store[i] = s->store[storage_random(s, 8)];
	row.state = (enum shard_state)p->state[i];
	row.store = p->store[i];
	assert_int_equal(packs_set_shard(s->tx, &row, NULL), 0);
}

static void model_close(struct storage *s, struct model *p)
{
	for (unsigned i = 0; i < p->n; i++)
		p->store[i] = s->store[storage_random(s, 8)];
	p->bytes = p->end + storage_random(s, 1000);
	p->closed = true;
	memset(p->state, 0, sizeof(p->state));
	assert_int_equal(
		packs_close(s->tx, p->num, p->bytes, 0, p->store, p->n, NULL),
		0);
}

static void model_drop(struct storage *s, struct model *p)
{
	const int r = packs_drop(s->tx, p->num, NULL);

	assert_int_equal(r, p->end ? -EBUSY : 0);
	if (r == 0)
		*p = (struct model){0};
}

static void model_step(struct storage *s, struct model *p, unsigned step)
{
	if (!p->num) {
		*p = (struct model){.k = 1 + storage_random(s, 4),
			.local = true,
			.created = 1 + storage_random(s, 1000000)};
		p->n = p->k + storage_random(s, 4);
		p->num = storage_pack(
			s, step, (uint8_t)p->k, (uint8_t)(p->n - p->k))
				 .num;
		storage_poke(s, "UPDATE pack SET created = num * 7");
		p->created = (int64_t)p->num * 7;
		return;
	}
	switch (storage_random(s, 12)) {
	case 0:
		p->local = !p->local;
		assert_int_equal(
			packs_set_local(s->tx, p->num, p->local, NULL), 0);
		break;
	case 1:
		model_drop(s, p);
		break;
	case 2:
	case 3:
		if (p->closed)
			break;
		storage_chunk(s, p->num, step, p->end, 100 + step % 50);
		p->end += 100 + step % 50;
		break;
	default:
		if (p->closed)
			model_shard(s, p);
		else if (storage_random(s, 4) == 0)
			model_close(s, p);
		break;
	}
}

static void totals__random_history__same_as_recounted(void **state)
{
	struct storage *s = *state;
	struct model packs[MODELS] = {0};

	for (unsigned step = 1; step <= 4000; step++) {
		model_step(s, &packs[storage_random(s, MODELS)], step);
		if (step % 20 == 0)
			model_check(s, packs);
	}
}

static double now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void totals_timed(
	struct storage *s, const char *what, struct packs_totals *ret)
{
	const double start = now_ms();

	assert_int_equal(packs_totals(s->tx, ret, NULL), 0);
	(void)printf("# packs_totals of 100000 packs, %s: %.1f ms\n", what,
		now_ms() - start);
}

static void owed_timed(struct storage *s)
{
	const double start = now_ms();
	struct packs_owed owed[PLURI_STORES_MAX];
	struct packs_totals t;

	assert_int_equal(packs_owed(s->tx, owed, NULL), 0);
	assert_int_equal(packs_pending(s->tx, &t, NULL), 0);
	assert_int_equal(t.debt_shards, 2000);
	(void)printf("# what 2000 shards of 200000 owe: %.1f ms\n",
		now_ms() - start);
}

static void store_timed(struct storage *s)
{
	const double start = now_ms();
	struct packs_store one;

	assert_int_equal(packs_of_store(s->tx, 4, &one, NULL), 0);
	assert_int_equal(one.objects + one.wanted, 25000);
	(void)printf("# packs_of_store of 25000 shards: %.1f ms\n",
		now_ms() - start);
}

static void totals__100000_packs__time_told(void **state)
{
	struct storage *s = *state;
	struct packs_totals t;

	storage_poke(s,
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
		" WHERE i < 100000) INSERT INTO pack SELECT i, randomblob(16),"
		" 0, 1, 1, 1, 1, i % 10 = 0, 16000000, 5, i, 2 - (i % 50 = 0)"
		" FROM n");
	storage_poke(
		s, "INSERT INTO shard SELECT num, 0, num % 4, 1 FROM pack");
	storage_poke(s, "INSERT INTO shard SELECT num, 1, 4 + num % 4,"
			" num % 50 <> 0 FROM pack");
	totals_timed(s, "first", &t);
	totals_timed(s, "few short", &t);
	assert_int_equal(t.packs, 100000);
	assert_int_equal(t.full, 98000);
	assert_int_equal(t.degraded, 2000);
	assert_int_equal(t.debt_shards, 2000);
	store_timed(s);
	owed_timed(s);
	storage_poke(s, "UPDATE pack SET stored = 0");
	totals_timed(s, "all short", &t);
	assert_int_equal(t.unsafe, 10000);
	assert_int_equal(t.unreadable, 90000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		storage_test(totals__one_pack__as_defined),
		storage_test(totals__open_packs__count_with_chunks),
		storage_test(totals__random_history__same_as_recounted),
		storage_test(totals__100000_packs__time_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
