#include <errno.h>
#include <stdlib.h>

#include "base/text.h"
#include "fs/answer.h"

#include "fs/balance_job.h"

/* --- packs, a bracket at a time ------------------------------------------ */

struct balance_reader {
	struct meta_tx *tx;
	uint64_t *after;
	struct balance_pack *ret;
	unsigned n;
	int code;
	struct pluri_err *err;
};

static int balance_read(void *arg, const struct pack_row *p)
{
	struct balance_reader *b = arg;
	struct balance_pack *to = &b->ret[b->n];

	*b->after = p->num;
	if (p->state != PACK_CLOSED)
		return 0;
	to->row = *p;
	b->code = packs_shards(
		b->tx, p->num, to->shard, PLURI_SHARDS_MAX, &to->n, b->err);
	if (b->code < 0)
		return 1;
	return ++b->n == BALANCE_BATCH;
}

int balance_plan_batch(struct volume *v, uint64_t *after,
	struct balance_pack *ret, unsigned *ret_n, struct pluri_err *err)
{
	struct balance_reader b = {.after = after, .ret = ret, .err = err};
	int r;

	r = meta_begin(v->meta, &b.tx, err);
	if (r < 0)
		return r;
	r = packs_list(b.tx, *after, balance_read, &b, err);
	r = meta_end(b.tx, r < 0 ? r : b.code, err);
	if (r == 0)
		*ret_n = b.n;
	return r;
}

uint64_t balance_plan_shard_bytes(const struct pack_row *p)
{
	const struct layout l = {
		.kind = (enum stripe_kind)p->kind,
		.k = p->k,
		.m = p->m,
	};

	return SHARD_HEAD + stripe_body_bytes(&l, p->bytes);
}

/* --- sums ---------------------------------------------------------------- */

static void balance_sum_pack(const struct balance_world *w,
	const struct balance_pack *p, struct balance_sums *sums)
{
	const struct balance_table *t = balance_world_table(w, p->row.policy);
	const uint64_t bytes = balance_plan_shard_bytes(&p->row);
	struct balance_step step[PLURI_SHARDS_MAX];
	struct pluri_err why = {0};
	unsigned n = 0;

	if (t &&
		balance_steps(t, &p->row.id, p->shard, p->n, step, &n, &why) <
			0 &&
		sums->stuck++ == 0)
		sums->why = why;
	for (unsigned i = 0; i < n; i++) {
		const unsigned from = step[i].from % PLURI_STORES_MAX;
		const unsigned to = step[i].to % PLURI_STORES_MAX;

		sums->shards++;
		sums->bytes += bytes;
		sums->out[from]++;
		sums->bytes_out[from] += bytes;
		sums->in[to]++;
		sums->bytes_in[to] += bytes;
	}
}

int balance_plan_sum(struct volume *v, const struct balance_world *w,
	struct balance_sums *ret, struct pluri_err *err)
{
	pluri_auto_mem struct balance_pack *pack =
		calloc(BALANCE_BATCH, sizeof(*pack));
	uint64_t after = 0;
	unsigned n = 0;

	if (!pack)
		return pluri_fail(err, ENOMEM, "plan: no memory");
	*ret = (struct balance_sums){0};
	do {
		const int r = balance_plan_batch(v, &after, pack, &n, err);

		if (r < 0)
			return r;
		for (unsigned i = 0; i < n; i++)
			balance_sum_pack(w, &pack[i], ret);
	} while (n == BALANCE_BATCH);
	return 0;
}

/* --- answers ------------------------------------------------------------- */

static json_t *balance_moves_json(
	const struct balance_world *w, const struct balance_sums *s)
{
	json_t *by = json_array();

	for (unsigned i = 0; i < w->stores; i++) {
		const uint32_t num = w->store[i].num;

		if (s->in[num] + s->out[num] == 0)
			continue;
		(void)json_array_append_new(by,
			json_pack("{ss sI sI sI sI}", "store", w->store[i].name,
				"in", (json_int_t)s->in[num], "out",
				(json_int_t)s->out[num], "bytes_in",
				(json_int_t)s->bytes_in[num], "bytes_out",
				(json_int_t)s->bytes_out[num]));
	}
	return json_pack("{sI sI so}", "shards", (json_int_t)s->shards, "bytes",
		(json_int_t)s->bytes, "by_store", by);
}

/* What no apply can mend, said among the changes; it does not count as one. */
static void balance_add_note(
	json_t *changes, const char *what, uint64_t n, const char *why)
{
	char text[PLURI_ERR_TEXT + 128];
	char count[24] = "";

	if (n > 0)
		(void)snprintf(
			count, sizeof(count), "%llu ", (unsigned long long)n);
	(void)snprintf(text, sizeof(text), "%s%s: %s", count, what, why);
	(void)json_array_append_new(
		changes, json_pack("{ss ss so}", "kind", "policy-change",
				 "name", "", "text", answer_text(text)));
}

int balance_plan_answer(const struct balance_world *w,
	const struct balance_sums *s, json_t *changes, bool pending,
	json_t **ret, struct pluri_err *err)
{
	struct pluri_err none = {0};
	json_t *j;

	if (balance_world_check(w, &none) < 0)
		balance_add_note(
			changes, "new packs have no place", 0, none.text);
	if (s->stuck > 0)
		balance_add_note(changes,
			"packs have shards that must leave their stores and "
			"have nowhere to go",
			s->stuck, s->why.text);
	j = json_pack("{so so sb}", "changes", changes, "moves",
		balance_moves_json(w, s), "pending",
		(int)(pending || s->shards > 0));
	if (!j)
		return pluri_fail(err, ENOMEM, "plan: no memory");
	*ret = j;
	return 0;
}

int balance_plan(struct balance *b, const struct config *want, json_t **ret,
	struct pluri_err *err)
{
	pluri_auto(balance_diff) d = NULL;
	pluri_auto(balance_world) w = NULL;
	struct balance_sums sums;
	int r;

	if (!want)
		want = b->v->config;
	r = roster_judge(want, err);
	if (r == 0)
		r = balance_diff_new(b->v, want, &d, err);
	if (r == 0)
		r = balance_world_new(b->v, want, UINT32_MAX, &w, err);
	if (r == 0)
		r = balance_plan_sum(b->v, w, &sums, err);
	if (r < 0)
		return r;
	return balance_plan_answer(w, &sums, balance_diff_json(d),
		balance_diff_pending(d), ret, err);
}

/* -ENOENT with the nearest name. */
static int balance_store(struct volume *v, const char *name,
	struct store_row *ret, struct pluri_err *err)
{
	pluri_auto_mem struct store_row *row =
		calloc(PLURI_STORES_MAX, sizeof(*row));
	const char *names[PLURI_STORES_MAX + 1] = {0};
	const char *near;
	unsigned n;

	if (roster_find_store(v->roster, name, ret) == 0)
		return 0;
	n = row ? roster_stores(v->roster, row) : 0;
	for (unsigned i = 0; i < n; i++)
		names[i] = row[i].name;
	near = text_nearest(name, names);
	return pluri_fail(err, ENOENT, "volume %s has no store \"%.64s\"%s%s%s",
		v->info.name, name, near ? "; did you mean \"" : "",
		near ? near : "", near ? "\"?" : "");
}

int balance_plan_drain(struct volume *v, const char *name,
	struct store_row *ret_store, struct balance_world **ret,
	struct pluri_err *err)
{
	pluri_auto(balance_world) w = NULL;
	int r;

	r = balance_store(v, name, ret_store, err);
	if (r == 0)
		r = balance_world_new(v, NULL, ret_store->num, &w, err);
	if (r == 0)
		r = balance_world_check(w, err);
	if (r < 0) {
		if (r == -ENOSPC && err)
			(void)pluri_where(err,
				"store %s cannot be drained, its data would "
				"have nowhere to go",
				name);
		return r;
	}
	*ret = pluri_steal(w);
	return 0;
}

int balance_drain_plan(struct balance *b, const char *store, json_t **ret,
	struct pluri_err *err)
{
	pluri_auto(balance_world) w = NULL;
	pluri_auto_mem struct store_row *row = calloc(1, sizeof(*row));
	struct balance_sums sums;
	json_t *changes;
	int r;

	if (!row)
		return pluri_fail(err, ENOMEM, "plan: no memory");
	r = balance_plan_drain(b->v, store, row, &w, err);
	if (r == 0)
		r = balance_plan_sum(b->v, w, &sums, err);
	if (r < 0)
		return r;
	changes = json_array();
	if (row->state != STORE_DRAINED)
		(void)json_array_append_new(changes,
			json_pack("{ss ss ss}", "kind", "store-change", "name",
				row->name, "text",
				"drained: takes nothing new, everything "
				"moves off, its descriptor is deleted"));
	return balance_plan_answer(
		w, &sums, changes, row->state != STORE_DRAINED, ret, err);
}
