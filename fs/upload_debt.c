#include <errno.h>
#include <stdlib.h>

#include "base/log.h"

#include "fs/upload_int.h"

#define UPLOAD_SCAN 4096u /* rows read at first */
#define UPLOAD_SCAN_MAX (1u << 24) /* ... and at most */

static struct owed **upload_owed_at(struct upload *u, uint64_t pack)
{
	struct owed **at = &u->owed;

	while (*at && (*at)->pack < pack)
		at = &(*at)->next;
	return at;
}

/* Its bytes count as long as it lacks its quorum. */
static void upload_judge(struct upload *u, struct owed *o)
{
	const bool pending =
		(unsigned)__builtin_popcountll(o->missing) > o->may_miss;

	if (pending == o->pending)
		return;
	o->pending = pending;
	if (pending) {
		(void)atomic_fetch_add(&u->pending, o->bytes);
		return;
	}
	(void)atomic_fetch_sub(&u->pending, o->bytes);
	u->settled += o->bytes;
}

int upload_owe(struct upload *u, const struct shard_row *rows, unsigned n,
	unsigned may_miss, uint64_t bytes)
{
	struct owed **at = upload_owed_at(u, rows[0].pack);
	struct owed *o = *at;

	if (!o || o->pack != rows[0].pack) {
		o = calloc(1, sizeof(*o));
		if (!o)
			return -ENOMEM;
		o->pack = rows[0].pack;
		o->may_miss = may_miss;
		o->bytes = bytes;
		o->next = *at;
		*at = o;
	}
	for (unsigned i = 0; i < n; i++)
		o->missing |= UINT64_C(1) << (rows[i].index & 63);
	upload_judge(u, o);
	return 0;
}

void upload_settle(struct upload *u, const struct shard_row *shard)
{
	struct owed **at = upload_owed_at(u, shard->pack);
	struct owed *o = *at;

	if (o && o->pack == shard->pack) {
		o->missing &= ~(UINT64_C(1) << (shard->index & 63));
		upload_judge(u, o);
		if (o->missing == 0) {
			*at = o->next;
			free(o);
		}
	}
	(void)pthread_cond_broadcast(&u->paid);
}

void upload_queue(struct upload *u, struct debt *d, bool again)
{
	struct debtor *s = &u->store[d->shard.store];
	struct debt **at = s->tail;

	if (again) { /* among the first, since several go at once */
		at = &s->head;
		while (*at && (*at)->shard.pack < d->shard.pack)
			at = &(*at)->next;
	}
	d->next = *at;
	*at = d;
	if (!d->next)
		s->tail = &d->next;
	s->queued++;
}

struct debt *upload_pop(struct debtor *s, uint64_t now, uint64_t *until)
{
	struct debt **at = &s->head;
	struct debt *d;

	while ((d = *at) && d->next_ms > now) {
		*until = d->next_ms < *until ? d->next_ms : *until;
		at = &d->next;
	}
	if (!d)
		return NULL;
	*at = d->next;
	if (!d->next)
		s->tail = at;
	s->queued--;
	return d;
}

void upload_hold(struct upload *u, struct debt *d, bool held)
{
	struct debtor *s = &u->store[d->shard.store];

	s->held += held;
	s->held -= d->held;
	d->held = held;
}

int upload_add(struct upload *u, const struct shard_row *shard)
{
	struct debt *d;

	if (shard->store >= PLURI_STORES_MAX)
		return -EBADMSG;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->u = u;
	d->shard = *shard;
	upload_queue(u, d, false);
	return 0;
}

bool upload_clear(const struct upload *u, uint64_t upto, bool all)
{
	for (const struct owed *o = u->owed; o && o->pack <= upto; o = o->next)
		if (all || o->pending)
			return false;
	return !u->lost;
}

static bool upload_among(const uint64_t *packs, unsigned n, uint64_t pack)
{
	for (unsigned i = 0; i < n; i++)
		if (packs[i] == pack)
			return true;
	return false;
}

bool upload_clear_of(const struct upload *u, const uint64_t *packs, unsigned n)
{
	for (const struct owed *o = u->owed; o; o = o->next)
		if (o->pending && upload_among(packs, n, o->pack))
			return false;
	return !u->lost;
}

static void upload_hurry_at(struct debtor *s, const uint64_t *packs, unsigned n)
{
	struct debt *first = NULL;
	struct debt **first_end = &first;
	struct debt **at = &s->head;

	while (*at) {
		struct debt *d = *at;

		if (!upload_among(packs, n, d->shard.pack)) {
			at = &d->next;
			continue;
		}
		*at = d->next;
		*first_end = d;
		first_end = &d->next;
	}
	s->tail = at;
	if (!first)
		return;
	*first_end = s->head;
	if (!s->head)
		s->tail = first_end;
	s->head = first;
}

void upload_hurry(struct upload *u, const uint64_t *packs, unsigned n)
{
	for (unsigned i = 0; i < PLURI_STORES_MAX; i++)
		upload_hurry_at(&u->store[i], packs, n);
}

void upload_forget(struct upload *u)
{
	for (unsigned i = 0; i < PLURI_STORES_MAX; i++)
		for (uint64_t until = 0; u->store[i].head;) {
			struct debt *d =
				upload_pop(&u->store[i], UINT64_MAX, &until);

			upload_hold(u, d, false);
			free(d);
		}
	while (u->owed) {
		struct owed *o = u->owed;

		u->owed = o->next;
		free(o);
	}
	atomic_store(&u->pending, 0);
}

static unsigned upload_may_miss(const struct pack_row *p)
{
	const struct layout l = {
		.kind = (enum stripe_kind)p->kind, .k = p->k, .m = p->m};

	return layout_shards(&l) - layout_quorum(&l);
}

/* What one pack of the scan owes; rows of a pack stand together. */
static int upload_scan_pack(struct upload *u, struct meta_tx *tx,
	const struct shard_row *rows, unsigned n, struct pluri_err *err)
{
	struct pack_row p = {0};
	struct pluri_err why = {0};
	int r = packs_get(tx, rows[0].pack, &p, &why);

	if (r == -EBADMSG || r == -ENOENT) { /* it goes nowhere */
		log_line(LOG_ERROR, "%s: run pluri fsck", why.text);
		return 0;
	}
	if (r < 0) {
		if (err)
			*err = why;
		return r;
	}
	r = upload_owe(u, rows, n, upload_may_miss(&p), p.bytes);
	for (unsigned i = 0; i < n && r >= 0; i++)
		r = upload_add(u, &rows[i]);
	return r < 0 ? pluri_fail(err, -r, "upload: %s", strerror(-r)) : 0;
}

/* All debts, or 1: there are more than max. */
static int upload_scan(struct upload *u, struct shard_row *rows, unsigned max,
	struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	unsigned n = 0;
	int r = meta_begin(u->v->meta, &tx, err);

	if (r < 0)
		return r;
	r = packs_debt(tx, rows, max, &n, err);
	if (r >= 0 && n == max)
		return meta_end(tx, 1, err);
	for (unsigned i = 0; i < n && r >= 0;) {
		unsigned same = 1;

		while (i + same < n && rows[i + same].pack == rows[i].pack)
			same++;
		r = upload_scan_pack(u, tx, rows + i, same, err);
		i += same;
	}
	return meta_end(tx, r, err);
}

int upload_read(struct upload *u, struct pluri_err *err)
{
	int r = 1;

	upload_forget(u);
	for (unsigned max = UPLOAD_SCAN; r > 0 && max <= UPLOAD_SCAN_MAX;
		max *= 4) {
		struct shard_row *rows = calloc(max, sizeof(*rows));

		r = rows ? upload_scan(u, rows, max, err)
			 : pluri_fail(err, ENOMEM, "upload: no memory");
		free(rows);
	}
	if (r > 0)
		r = pluri_fail(err, EOVERFLOW, "upload: too many debts");
	u->lost = r < 0;
	return r;
}
