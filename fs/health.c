#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "fs/answer.h"
#include "fs/balance.h"
#include "fs/commit.h"
#include "fs/node.h"
#include "fs/roster.h"
#include "fs/staging.h"
#include "fs/upload.h"
#include "fs/write.h"
#include "meta/packs.h"
#include "meta/tree.h"

#include "fs/health.h"

#define HEALTH_DEBT_S 60 /* how long redundancy may be missing */
#define HEALTH_PENDING_S 300 /* how long bytes may be local alone */

enum health_state { HEALTH_OK, HEALTH_WARNING, HEALTH_CRITICAL };

struct health_store {
	struct store_row row;
	struct packs_store holds;
	struct fleet_health fleet;
	char backend[PLURI_NAME_MAX + 1];
};

/* Everything that an answer is made of, gathered before it is made. */
struct health {
	struct volume *v;
	int64_t now_ns;
	struct packs_totals packs;
	struct tree_totals files;
	int64_t debt_since_ns; /* opening of the oldest pack in debt; 0: none */
	uint64_t pending_bytes, oldest_pending_s;
	unsigned stores;
	struct health_store store[PLURI_STORES_MAX];
	enum health_state state;
	json_t *reasons;
};

static void health_free(struct health *h)
{
	json_decref(h->reasons);
	free(h);
}
PLURI_OWN(health);

__attribute__((format(printf, 3, 4))) static void health_reason(
	struct health *h, enum health_state s, const char *fmt, ...)
{
	char text[PLURI_ERR_TEXT + PLURI_NAME_MAX + 64];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (s > h->state)
		h->state = s;
	(void)json_array_append_new(h->reasons, answer_text(text));
}

static uint64_t health_age_s(const struct health *h, int64_t since_ns)
{
	if (since_ns == 0 || since_ns >= h->now_ns)
		return 0;
	return (uint64_t)(h->now_ns - since_ns) / 1000000000u;
}

/* --- gathering ----------------------------------------------------------- */

static int health_debt(
	struct health *h, struct meta_tx *tx, struct pluri_err *err)
{
	struct pluri_err why = {0};
	struct shard_row oldest;
	struct pack_row pack;
	unsigned n = 0;
	int r;

	r = packs_debt(tx, &oldest, 1, &n, err);
	if (r < 0 || n == 0)
		return r;
	r = packs_get(tx, oldest.pack, &pack, &why);
	if (r == -EBADMSG || r == -ENOENT) {
		health_reason(
			h, HEALTH_CRITICAL, "%s: run pluri fsck", why.text);
		return 0;
	}
	if (r < 0 && err)
		*err = why;
	if (r == 0)
		h->debt_since_ns = pack.created_ns;
	return r;
}

static int health_rows(struct health *h, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int r;

	r = meta_begin(h->v->meta, &tx, err);
	if (r < 0)
		return r;
	r = packs_totals(tx, &h->packs, err);
	if (r == 0)
		r = tree_totals(tx, &h->files, err);
	if (r == 0 && h->packs.debt_shards > 0)
		r = health_debt(h, tx, err);
	for (unsigned i = 0; r == 0 && i < h->stores; i++)
		r = packs_of_store(
			tx, h->store[i].row.num, &h->store[i].holds, err);
	return meta_end(tx, r, err);
}

static int health_stores(struct health *h, struct pluri_err *err)
{
	pluri_auto_mem void *mem =
		calloc(1, PLURI_STORES_MAX * sizeof(struct store_row) +
				  sizeof(struct config_store));
	struct config_store *text = mem;
	struct store_row *rows;

	if (!mem)
		return pluri_fail(err, ENOMEM, "status: no memory");
	rows = (struct store_row *)(void *)(text + 1);
	h->stores = roster_stores(h->v->roster, rows);
	for (unsigned i = 0; i < h->stores; i++) {
		struct health_store *s = &h->store[i];

		s->row = rows[i];
		if (config_store_parse(s->row.name, s->row.text, text, NULL) ==
			0)
			(void)snprintf(s->backend, sizeof(s->backend), "%s",
				text->backend);
		(void)fleet_health(h->v->fleet, s->row.num, &s->fleet);
	}
	return 0;
}

/* In memory or in packs: whichever waits longest. */
static void health_pending(struct health *h)
{
	const uint64_t dirty = write_dirty_bytes(h->v);
	const uint64_t since = dirty ? nodes_oldest_ms(h->v->nodes) : 0;
	const uint64_t now = clock_mono_ms(h->v->clock);
	const uint64_t held_s = since && since < now ? (now - since) / 1000 : 0;

	h->pending_bytes = h->packs.pending_bytes + dirty;
	h->oldest_pending_s = health_age_s(h, h->packs.oldest_ns);
	if (held_s > h->oldest_pending_s)
		h->oldest_pending_s = held_s;
}

/* --- judging ------------------------------------------------------------- */

static bool health_asked(const struct fleet_health *f)
{
	return f->class != FLEET_OK ||
	       f->puts + f->gets + f->dels + f->lists + f->errors > 0;
}

static bool health_reaches(const struct fleet_health *f)
{
	return f->up && f->class != FLEET_DOWN;
}

static void health_judge_store(struct health *h, const struct health_store *s)
{
	const enum fleet_class class = s->fleet.class;

	if (s->row.state == STORE_DRAINED || !health_asked(&s->fleet))
		return;
	if (class == FLEET_FOREIGN)
		health_reason(h, HEALTH_CRITICAL,
			"store %s holds another volume: %s", s->row.name,
			s->fleet.text);
	else if (!health_reaches(&s->fleet))
		health_reason(h, HEALTH_WARNING,
			"store %s is not reachable: %s", s->row.name,
			s->fleet.text);
	else if (class != FLEET_OK && class != FLEET_THROTTLED)
		health_reason(h, HEALTH_WARNING, "store %s: %s: %s",
			s->row.name, fleet_class_text(class), s->fleet.text);
}

static void health_judge_packs(struct health *h)
{
	const uint64_t debt_s = health_age_s(h, h->debt_since_ns);

	if (h->packs.unreadable > 0)
		health_reason(h, HEALTH_CRITICAL,
			"%llu packs cannot be read: too few good shards and "
			"no local file",
			(unsigned long long)h->packs.unreadable);
	if (h->debt_since_ns != 0 && debt_s > HEALTH_DEBT_S)
		health_reason(h, HEALTH_WARNING,
			"%llu shards are missing in the clouds, the oldest "
			"for %llu s",
			(unsigned long long)h->packs.debt_shards,
			(unsigned long long)debt_s);
	if (h->pending_bytes > 0 && h->oldest_pending_s > HEALTH_PENDING_S)
		health_reason(h, HEALTH_WARNING,
			"%llu bytes are on this machine alone, the oldest for "
			"%llu s",
			(unsigned long long)h->pending_bytes,
			(unsigned long long)h->oldest_pending_s);
}

static void health_judge_pace(struct health *h)
{
	const uint64_t max = write_staging_max(h->v);
	struct upload_backlog b;

	upload_backlog(h->v->upload, &b);
	if (b.pending > max)
		health_reason(h, HEALTH_CRITICAL,
			"writes wait%s: %llu bytes are on this machine alone, "
			"and %llu may be",
			b.moves ? "" : " or get \"no space\"",
			(unsigned long long)b.pending, (unsigned long long)max);
	else if (b.pending > max / 2 && b.moves)
		health_reason(h, HEALTH_WARNING,
			"writes are slowed down: %llu bytes are on this "
			"machine alone, and %llu may be",
			(unsigned long long)b.pending, (unsigned long long)max);
}

static void health_judge(struct health *h)
{
	struct pluri_err broken = {0};

	if (commit_broken(h->v->commit, &broken) < 0)
		health_reason(h, HEALTH_CRITICAL,
			"the volume takes no more writes: %s", broken.text);
	if (staging_missing(h->v->staging) > 0)
		health_reason(h, HEALTH_CRITICAL,
			"%u local packs that the clouds lack were gone or "
			"damaged at the start: is %s/" VOLUME_PACKS " mounted?",
			staging_missing(h->v->staging), h->v->config->state);
	health_judge_packs(h);
	health_judge_pace(h);
	for (unsigned i = 0; i < h->stores; i++)
		health_judge_store(h, &h->store[i]);
}

/* --- telling ------------------------------------------------------------- */

static const char *health_error_text(enum fleet_class c)
{
	static const char *const words[] = {
		[FLEET_OK] = "none",
		[FLEET_DOWN] = "down",
		[FLEET_THROTTLED] = "throttled",
		[FLEET_AUTH] = "credentials",
		[FLEET_MISSING] = "missing",
		[FLEET_CORRUPT] = "corrupt",
		[FLEET_FULL] = "full",
		[FLEET_FOREIGN] = "foreign",
	};

	return words[c];
}

static json_t *health_store_json(const struct health_store *s)
{
	const struct fleet_health *f = &s->fleet;
	json_t *reach =
		health_asked(f) ? json_boolean(health_reaches(f)) : json_null();

	return json_pack("{ss ss ss ss so ss so sI sI sI sf}", "name",
		s->row.name, "backend", s->backend, "provider", s->row.provider,
		"state", store_state_text(s->row.state), "reachable", reach,
		"error", health_error_text(f->class), "message",
		answer_text(f->text), "objects", (json_int_t)s->holds.objects,
		"bytes", (json_int_t)s->holds.bytes, "wanted",
		(json_int_t)s->holds.wanted, "latency_ms",
		(double)f->latency_us / 1000.0);
}

static json_t *health_stores_json(const struct health *h)
{
	json_t *all = json_array();

	for (unsigned i = 0; i < h->stores; i++)
		(void)json_array_append_new(
			all, health_store_json(&h->store[i]));
	return all;
}

static json_t *health_packs_json(const struct packs_totals *p)
{
	return json_pack("{sI sI sI sI sI sI}", "total", (json_int_t)p->packs,
		"full", (json_int_t)p->full, "degraded",
		(json_int_t)p->degraded, "unsafe", (json_int_t)p->unsafe,
		"unreadable", (json_int_t)p->unreadable, "bytes",
		(json_int_t)p->bytes);
}

static json_t *health_json(struct health *h, json_t *jobs)
{
	static const char *const words[] = {"ok", "warning", "critical"};
	const struct volume *v = h->v;
	const bool live = v->mounted[0] != 0;
	char id[2 * PLURI_ID_BYTES + 1];
	json_t *j;

	j = json_pack("{ss ss ss so so sI sI sO so so so so so}", "volume",
		v->info.name, "id", text_hex(v->info.id.b, PLURI_ID_BYTES, id),
		"state", words[h->state], "pid",
		live ? json_integer(getpid()) : json_null(), "mounted",
		live ? answer_text(v->mounted) : json_null(), "pending_bytes",
		(json_int_t)h->pending_bytes, "oldest_pending_s",
		(json_int_t)h->oldest_pending_s, "reasons", h->reasons,
		"stores", health_stores_json(h), "packs",
		health_packs_json(&h->packs), "cache",
		json_pack("{sI sI sI}", "packs",
			(json_int_t)h->packs.local_packs, "bytes",
			(json_int_t)h->packs.local_bytes, "limit",
			(json_int_t)v->config->cache),
		"files",
		json_pack("{sI sI}", "inodes", (json_int_t)h->files.inodes,
			"bytes", (json_int_t)h->files.bytes),
		"jobs", jobs);
	return j;
}

int health_status(struct volume *v, json_t **ret, struct pluri_err *err)
{
	pluri_auto(health) h = calloc(1, sizeof(*h));
	json_t *jobs = NULL;
	json_t *j;
	int r;

	if (!h)
		return pluri_fail(err, ENOMEM, "status: no memory");
	h->v = v;
	h->now_ns = clock_real_ns(v->clock);
	h->reasons = json_array();
	r = health_stores(h, err);
	if (r == 0)
		r = health_rows(h, err);
	if (r == 0)
		r = balance_jobs(v->balance, &jobs, err);
	if (r < 0)
		return r;
	health_pending(h);
	health_judge(h);
	j = health_json(h, json_incref(json_object_get(jobs, "jobs")));
	json_decref(jobs);
	if (!j)
		return pluri_fail(err, ENOMEM, "status: no memory");
	*ret = j;
	return 0;
}
