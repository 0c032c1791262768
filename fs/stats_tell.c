#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/text.h"
#include "fs/cache.h"
#include "fs/merge.h"
#include "fs/node.h"
#include "fs/repack.h"
#include "fs/stats.h"
#include "fs/volume.h"
#include "fs/write.h"
#include "meta/packs.h"
#include "meta/stores.h"

/* Everything that the answer is made of, gathered before it is made. */
struct stats_told {
	struct volume *v;
	struct packs_totals packs;
	struct packs_owed owed[PLURI_STORES_MAX];
	unsigned stores;
	struct store_row store[PLURI_STORES_MAX];
};

static int stats_rows(struct stats_told *t, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int r = meta_begin(t->v->meta, &tx, err);

	if (r < 0)
		return r;
	r = packs_pending(tx, &t->packs, err);
	if (r == 0)
		r = packs_owed(tx, t->owed, err);
	if (r == 0)
		r = stores_list(tx, t->store, &t->stores, err);
	return meta_end(tx, r, err);
}

/* --- the daemon ---------------------------------------------------------- */

/* "VmRSS:     1234 kB" of /proc/self/status, in bytes; 0: not to be learnt. */
static uint64_t stats_memory(const char *name)
{
	FILE *f = fopen("/proc/self/status", "re");
	const size_t n = strlen(name);
	char line[128];
	uint64_t kib = 0;

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, name, n) == 0 && line[n] == ':')
			kib = strtoull(line + n + 1, NULL, 10);
	(void)fclose(f);
	return kib * 1024;
}

static json_int_t stats_time_us(const struct timeval *t)
{
	return (json_int_t)t->tv_sec * 1000000 + t->tv_usec;
}

static json_t *stats_daemon(const struct volume *v)
{
	struct rusage used = {0};

	(void)getrusage(RUSAGE_SELF, &used);
	return json_pack("{si sI sI sI sI sI}", "pid", (int)getpid(),
		"since_us", (json_int_t)(v->opened_ns / 1000), "uptime_us",
		(json_int_t)((clock_mono_ms(v->clock) - v->opened_ms) * 1000),
		"cpu_us_total",
		stats_time_us(&used.ru_utime) + stats_time_us(&used.ru_stime),
		"memory_bytes", (json_int_t)stats_memory("VmRSS"),
		"memory_most_bytes", (json_int_t)stats_memory("VmHWM"));
}

/* --- requests ------------------------------------------------------------ */

static json_t *stats_histogram(const struct stats_view *w)
{
	json_t *all = json_object();

	for (unsigned i = 0; i < STATS_STEPS; i++) {
		char end[24];

		if (w->step[i] == 0)
			continue;
		(void)snprintf(end, sizeof(end), "%llu",
			(unsigned long long)stats_step_end(i));
		(void)json_object_set_new(
			all, end, json_integer((json_int_t)w->step[i]));
	}
	return all;
}

static json_int_t stats_below(const struct stats_view *w, unsigned permille)
{
	const uint64_t us = stats_quantile(w->step, permille);

	return (json_int_t)(us < w->max_us ? us : w->max_us);
}

static json_t *stats_requests(const struct stats *s)
{
	json_t *all = json_object();

	for (unsigned k = 0; k < STATS_KINDS; k++) {
		struct stats_view w;

		stats_look(s, (enum stats_kind)k, &w);
		(void)json_object_set_new(all,
			stats_kind_text((enum stats_kind)k),
			json_pack("{sI sI sI sI sI sI sI so}", "requests_total",
				(json_int_t)w.requests, "errors_total",
				(json_int_t)w.errors, "bytes_total",
				(json_int_t)w.bytes, "busy_us_total",
				(json_int_t)w.busy_us, "max_us",
				(json_int_t)w.max_us, "p50_us",
				stats_below(&w, 500), "p99_us",
				stats_below(&w, 990), "histogram_us",
				stats_histogram(&w)));
	}
	return all;
}

/* --- caches, and what is on its way -------------------------------------- */

static json_t *stats_cache(const struct volume *v)
{
	struct cache_stats c = {0};

	cache_stats(v->cache, &c);
	return json_pack("{sI sI sI sI sI sI}", "hits_total",
		(json_int_t)c.hits, "misses_total", (json_int_t)c.misses,
		"used_bytes", (json_int_t)c.bytes, "limit_bytes",
		(json_int_t)v->config->memory, "ahead_bytes",
		(json_int_t)c.ahead, "neighbours_used_bytes_total",
		(json_int_t)c.used);
}

static json_t *stats_fetches(const struct stats *s)
{
	return json_pack("{sI sI sI sI}", "local_total",
		(json_int_t)stats_value(s, STATS_LOCAL), "local_bytes_total",
		(json_int_t)stats_value(s, STATS_LOCAL_BYTES), "cloud_total",
		(json_int_t)stats_value(s, STATS_CLOUD), "cloud_bytes_total",
		(json_int_t)stats_value(s, STATS_CLOUD_BYTES));
}

/* How long what waits longest has waited, in memory or in a pack. */
static uint64_t stats_oldest_us(const struct stats_told *t, uint64_t dirty)
{
	const uint64_t since = dirty ? nodes_oldest_ms(t->v->nodes) : 0;
	const uint64_t now = clock_mono_ms(t->v->clock);
	const int64_t real_ns = clock_real_ns(t->v->clock);
	const int64_t pack_ns = t->packs.oldest_ns;
	const uint64_t held = since && since < now ? (now - since) * 1000 : 0;
	const uint64_t staged = pack_ns && pack_ns < real_ns
					? (uint64_t)(real_ns - pack_ns) / 1000
					: 0;

	return held > staged ? held : staged;
}

static json_t *stats_pending(const struct stats_told *t)
{
	const uint64_t dirty = write_dirty_bytes(t->v);

	return json_pack("{sI sI sI sI sI sI sI sI sI}", "dirty_bytes",
		(json_int_t)dirty, "dirty_limit_bytes",
		(json_int_t)t->v->config->dirty, "slowed_us_total",
		(json_int_t)stats_value(t->v->stats, STATS_SLOWED_US),
		"staged_bytes", (json_int_t)t->packs.pending_bytes,
		"staged_limit_bytes", (json_int_t)write_staging_max(t->v),
		"staged_packs", (json_int_t)t->packs.below_quorum, "oldest_us",
		(json_int_t)stats_oldest_us(t, dirty), "owed_shards",
		(json_int_t)t->packs.debt_shards, "owed_bytes",
		(json_int_t)t->packs.debt_bytes);
}

static json_t *stats_garbage(const struct volume *v)
{
	struct repack_stats r = {0};

	repack_stats(v->repack, &r);
	return json_pack("{so so sI sI sI sI sI sI}", "scanned_bytes",
		r.scanned_bytes ? json_integer((json_int_t)r.scanned_bytes)
				: json_null(),
		"live_bytes",
		r.scanned_bytes ? json_integer((json_int_t)r.scanned_live)
				: json_null(),
		"forgotten_chunks_total", (json_int_t)r.forgotten,
		"copied_bytes_total", (json_int_t)r.copied_bytes,
		"emptied_packs_total", (json_int_t)r.buried,
		"emptied_bytes_total", (json_int_t)r.buried_bytes,
		"deleted_objects_total", (json_int_t)r.deleted,
		"waiting_copies", (json_int_t)r.waiting);
}

static json_t *stats_merged(const struct volume *v)
{
	struct merge_stats m = {0};

	merge_stats(v->merge, &m);
	return json_pack("{sI sI sI sI sI sI sI}", "ranges_total",
		(json_int_t)m.ranges, "extents_before_total",
		(json_int_t)m.before, "extents_after_total",
		(json_int_t)m.after, "bytes_total", (json_int_t)m.bytes,
		"copied_bytes_total", (json_int_t)m.copied_bytes, "vain_total",
		(json_int_t)m.vain, "waiting_copies", (json_int_t)m.waiting);
}

/* --- stores -------------------------------------------------------------- */

static json_t *stats_latency(uint64_t us)
{
	return us ? json_integer((json_int_t)us) : json_null();
}

static json_t *stats_store(const struct stats_told *t, unsigned i)
{
	const struct store_row *row = &t->store[i];
	const struct packs_owed *owed = &t->owed[row->num];
	struct fleet_health h = {0};
	const bool known = fleet_health(t->v->fleet, row->num, &h) == 0;
	json_t *j;

	j = json_pack("{ss ss so sI sI sI sI sI sI sI sI sI sI}", "name",
		row->name, "state", store_state_text(row->state), "up",
		known ? json_boolean(h.up) : json_null(), "gets_total",
		(json_int_t)h.gets, "puts_total", (json_int_t)h.puts,
		"dels_total", (json_int_t)h.dels, "lists_total",
		(json_int_t)h.lists, "errors_total", (json_int_t)h.errors,
		"in_bytes_total", (json_int_t)h.bytes_in, "out_bytes_total",
		(json_int_t)h.bytes_out, "in_flight", (json_int_t)h.in_flight,
		"owed_shards", (json_int_t)owed->shards, "owed_bytes",
		(json_int_t)owed->bytes);
	if (!j)
		return NULL;
	(void)json_object_set_new(
		j, "gets_us_total", json_integer((json_int_t)h.gets_us));
	(void)json_object_set_new(
		j, "puts_us_total", json_integer((json_int_t)h.puts_us));
	(void)json_object_set_new(
		j, "window", json_integer((json_int_t)h.window));
	(void)json_object_set_new(
		j, "hedges_total", json_integer((json_int_t)h.hedges));
	(void)json_object_set_new(
		j, "hedges_won_total", json_integer((json_int_t)h.hedges_won));
	(void)json_object_set_new(j, "get_us", stats_latency(h.latency_us));
	(void)json_object_set_new(j, "get_p50_us", stats_latency(h.get_p50_us));
	(void)json_object_set_new(j, "get_p95_us", stats_latency(h.get_p95_us));
	(void)json_object_set_new(j, "get_p99_us", stats_latency(h.get_p99_us));
	(void)json_object_set_new(j, "put_p50_us", stats_latency(h.put_p50_us));
	(void)json_object_set_new(j, "put_p95_us", stats_latency(h.put_p95_us));
	(void)json_object_set_new(j, "put_p99_us", stats_latency(h.put_p99_us));
	return j;
}

static json_t *stats_stores(const struct stats_told *t)
{
	json_t *all = json_array();

	for (unsigned i = 0; i < t->stores; i++)
		(void)json_array_append_new(all, stats_store(t, i));
	return all;
}

int stats_tell(struct volume *v, json_t **ret, struct pluri_err *err)
{
	struct stats_told *t = calloc(1, sizeof(*t));
	json_t *j = NULL;
	int r;

	if (!t)
		return pluri_fail(err, ENOMEM, "stats: no memory");
	t->v = v;
	r = stats_rows(t, err);
	if (r == 0) {
		j = json_pack("{ss so sI so so so so so so so}", "volume",
			v->info.name, "daemon", stats_daemon(v),
			"requests_in_flight",
			(json_int_t)stats_in_flight(v->stats), "requests",
			stats_requests(v->stats), "cache", stats_cache(v),
			"fetches", stats_fetches(v->stats), "pending",
			stats_pending(t), "garbage", stats_garbage(v), "merged",
			stats_merged(v), "stores", stats_stores(t));
		if (!j)
			r = pluri_fail(err, ENOMEM, "stats: no memory");
	}
	free(t);
	if (r == 0)
		*ret = j;
	return r;
}
