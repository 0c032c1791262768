#include <errno.h>
#include <stdlib.h>

#include "fs/roster.h"
#include "fs/staging.h"
#include "fs/upload.h"
#include "fs/write.h"
#include "meta/packs.h"

#include "fs/sync.h"

#define SYNC_TICKETS 64u /* the latest ones are known */
#define SYNC_DEBT_MIN 1024u /* rows read at first */
#define SYNC_DEBT_MAX (1u << 20) /* ... and at most */

struct sync_ticket {
	uint64_t num;
	uint64_t upto; /* packs numbered up to it hold the bytes */
	struct pluri_err err; /* of the flush; code 0: it went well */
};

struct sync {
	struct volume *v;
	pthread_mutex_t lock; /* guards all below but last_pack */
	pthread_cond_t wake;
	pthread_t thread;
	bool started, stop;
	uint64_t drawn, flushed; /* ticket numbers */
	struct sync_ticket ticket[SYNC_TICKETS];
	uint64_t last_pack; /* the thread's: the scan goes on from here */
};

/* --- the thread ---------------------------------------------------------- */

static int sync_last_pack(void *arg, const struct pack_row *p)
{
	struct sync *s = arg;

	s->last_pack = p->num;
	return 0;
}

static int sync_flush(struct sync *s, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int r;

	r = write_flush_all(s->v, err);
	if (r == 0)
		r = staging_close(s->v->staging, err);
	if (r == 0)
		r = meta_begin(s->v->meta, &tx, err);
	if (r < 0)
		return r;
	r = packs_list(tx, s->last_pack, sync_last_pack, s, err);
	return meta_end(tx, r, err);
}

/* One flush serves every ticket drawn before it began. */
static void sync_serve(struct sync *s)
{
	const uint64_t upto = s->drawn;
	struct pluri_err err = {0};
	int r;

	(void)pthread_mutex_unlock(&s->lock);
	r = sync_flush(s, &err);
	(void)pthread_mutex_lock(&s->lock);
	for (uint64_t n = s->flushed + 1; n <= upto; n++) {
		struct sync_ticket *t = &s->ticket[n % SYNC_TICKETS];

		if (t->num != n)
			continue;
		t->upto = s->last_pack;
		t->err = err;
		t->err.code = -r;
	}
	s->flushed = upto;
	(void)pthread_cond_broadcast(&s->wake);
}

static void *sync_run(void *arg)
{
	struct sync *s = arg;

	(void)pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		if (s->flushed == s->drawn)
			(void)clock_wait(&s->wake, &s->lock, UINT64_MAX);
		else
			sync_serve(s);
	}
	(void)pthread_mutex_unlock(&s->lock);
	return NULL;
}

int sync_new(struct volume *v, struct sync **ret, struct pluri_err *err)
{
	struct sync *s = calloc(1, sizeof(*s));
	int e;

	if (!s)
		return pluri_fail(err, ENOMEM, "sync: no memory");
	s->v = v;
	(void)pthread_mutex_init(&s->lock, NULL);
	clock_cond_init(&s->wake);
	e = pthread_create(&s->thread, NULL, sync_run, s);
	s->started = e == 0;
	if (e) {
		sync_free(s);
		return pluri_fail(err, e, "sync: no thread: %s", strerror(e));
	}
	*ret = s;
	return 0;
}

void sync_free(struct sync *s)
{
	if (!s)
		return;
	(void)pthread_mutex_lock(&s->lock);
	s->stop = true;
	(void)pthread_cond_broadcast(&s->wake);
	(void)pthread_mutex_unlock(&s->lock);
	if (s->started)
		(void)pthread_join(s->thread, NULL);
	(void)pthread_cond_destroy(&s->wake);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

/* --- asking -------------------------------------------------------------- */

int sync_start(struct sync *s, json_t **ret, struct pluri_err *err)
{
	uint64_t num;
	json_t *j;

	(void)pthread_mutex_lock(&s->lock);
	num = ++s->drawn;
	s->ticket[num % SYNC_TICKETS] = (struct sync_ticket){.num = num};
	(void)pthread_cond_broadcast(&s->wake);
	(void)pthread_mutex_unlock(&s->lock);
	j = json_pack("{sI}", "ticket", (json_int_t)num);
	if (!j)
		return pluri_fail(err, ENOMEM, "sync: no memory");
	*ret = j;
	return 0;
}

/* Cannot take what is owed to it, as far as is known. */
static bool sync_down(struct sync *s, uint32_t store)
{
	struct fleet_health h = {0};

	if (fleet_health(s->v->fleet, store, &h) < 0 || !h.up)
		return true;
	return h.class == FLEET_AUTH || h.class == FLEET_MISSING ||
	       h.class == FLEET_FULL || h.class == FLEET_FOREIGN;
}

/* At most max debts, oldest pack first. */
static int sync_debt(struct sync *s, struct shard_row *rows, unsigned max,
	unsigned *ret_n, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	const int r = meta_begin(s->v->meta, &tx, err);

	if (r < 0)
		return r;
	return meta_end(tx, packs_debt(tx, rows, max, ret_n, err), err);
}

/* Which stores packs up to `upto` are owed to: a bit set. */
static int sync_debtors(
	struct sync *s, uint64_t upto, uint64_t *ret, struct pluri_err *err)
{
	uint64_t owed = 0;
	bool more = true;

	/* a full answer may hide a store that comes later: ask for more */
	for (unsigned max = SYNC_DEBT_MIN; more; max *= 4) {
		pluri_auto_mem void *mem =
			calloc(max, sizeof(struct shard_row));
		struct shard_row *rows = mem;
		unsigned n = 0;
		int r;

		if (!rows)
			return pluri_fail(err, ENOMEM, "sync: no memory");
		r = sync_debt(s, rows, max, &n, err);
		if (r < 0)
			return r;
		for (unsigned i = 0; i < n && rows[i].pack <= upto; i++)
			owed |= UINT64_C(1) << (rows[i].store & 63);
		more = n == max && rows[n - 1].pack <= upto &&
		       max < SYNC_DEBT_MAX;
	}
	*ret = owed;
	return 0;
}

static int sync_judge(struct sync *s, const struct sync_ticket *t,
	bool *ret_done, json_t *down, struct pluri_err *err)
{
	struct store_row row;
	uint64_t owed = 0;
	int r;

	r = sync_debtors(s, t->upto, &owed, err);
	if (r < 0)
		return r;
	*ret_done = true;
	for (uint32_t i = 0; i < PLURI_STORES_MAX; i++) {
		if (!(owed >> i & 1))
			continue;
		if (!sync_down(s, i))
			*ret_done = false;
		else if (roster_store(s->v->roster, i, &row) == 0)
			(void)json_array_append_new(
				down, json_string(row.name));
	}
	if (!*ret_done)
		return 0;
	r = upload_wait(s->v->upload, t->upto, false, 0, NULL, NULL, err);
	*ret_done = r == 0;
	return r == -ETIMEDOUT ? 0 : r;
}

static int sync_ticket(struct sync *s, uint64_t num, struct sync_ticket *ret,
	bool *ret_flushed, struct pluri_err *err)
{
	(void)pthread_mutex_lock(&s->lock);
	*ret = s->ticket[num % SYNC_TICKETS];
	*ret_flushed = num <= s->flushed;
	(void)pthread_mutex_unlock(&s->lock);
	if (num == 0 || ret->num != num)
		return pluri_fail(err, ENOENT,
			"sync: ticket %llu is not known (any more)",
			(unsigned long long)num);
	if (*ret_flushed && ret->err.code != 0) {
		if (err)
			*err = ret->err;
		return -ret->err.code;
	}
	return 0;
}

static int sync_pending(struct sync *s, uint64_t *ret, struct pluri_err *err)
{
	struct packs_totals t = {0};
	struct meta_tx *tx = NULL;
	int r;

	r = meta_begin(s->v->meta, &tx, err);
	if (r == 0)
		r = meta_end(tx, packs_totals(tx, &t, err), err);
	if (r == 0)
		*ret = t.pending_bytes + write_dirty_bytes(s->v);
	return r;
}

/* Until it is flushed, then until all of it is stored: for wait_ms in all. */
static void sync_wait(struct sync *s, uint64_t ticket, uint64_t wait_ms)
{
	const uint64_t until = clock_mono_ms(clock_system()) + wait_ms;
	uint64_t upto;

	(void)pthread_mutex_lock(&s->lock);
	while (s->flushed < ticket && !s->stop &&
		clock_mono_ms(clock_system()) < until)
		(void)clock_wait(&s->wake, &s->lock, until);
	upto = s->ticket[ticket % SYNC_TICKETS].upto;
	if (s->flushed < ticket || s->stop)
		upto = 0;
	(void)pthread_mutex_unlock(&s->lock);
	if (upto > 0)
		(void)upload_wait(
			s->v->upload, upto, true, until, NULL, NULL, NULL);
}

int sync_ask(struct sync *s, uint64_t ticket, uint64_t wait_ms, json_t **ret,
	struct pluri_err *err)
{
	struct sync_ticket t;
	uint64_t pending = 0;
	bool flushed = false;
	bool done = false;
	json_t *down;
	json_t *j;
	int r;

	r = sync_ticket(s, ticket, &t, &flushed, err);
	if (r == 0 && wait_ms > 0) {
		sync_wait(s, ticket,
			wait_ms < SYNC_WAIT_MS ? wait_ms : SYNC_WAIT_MS);
		r = sync_ticket(s, ticket, &t, &flushed, err);
	}
	if (r == 0)
		r = sync_pending(s, &pending, err);
	if (r < 0)
		return r;
	down = json_array();
	if (flushed)
		r = sync_judge(s, &t, &done, down, err);
	j = json_pack("{sb sI so}", "done", (int)done, "pending_bytes",
		(json_int_t)pending, "stores_down", down);
	if (r < 0 || !j) {
		json_decref(j);
		return r < 0 ? r : pluri_fail(err, ENOMEM, "sync: no memory");
	}
	*ret = j;
	return 0;
}
