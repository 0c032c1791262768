#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "fs/balance.h"
#include "fs/cache.h"
#include "fs/fsck.h"
#include "fs/health.h"
#include "fs/roster.h"
#include "fs/staging.h"
#include "fs/stats.h"
#include "fs/sync.h"

#include "fs/control_int.h"

struct control_handler {
	const char *name;
	int (*run)(struct volume *v, const json_t *args, json_t **ret,
		struct pluri_err *err);
};

/* --- arguments ----------------------------------------------------------- */

static int control_text(const json_t *args, const char *name, const char **ret,
	struct pluri_err *err)
{
	const char *s = json_string_value(json_object_get(args, name));

	if (!s)
		return pluri_fail(
			err, EINVAL, "the argument \"%s\" is missing", name);
	*ret = s;
	return 0;
}

/* The INI as it is now: the one named, else the one opened, read again. */
static int control_want(struct volume *v, const json_t *args,
	struct config **ret, struct pluri_err *err)
{
	const json_t *named = json_object_get(args, "config");
	struct config *c = NULL;
	int r;

	if (named && !json_is_string(named))
		return pluri_fail(err, EINVAL,
			"the argument \"config\" is not the path of a file");
	r = config_load(
		named ? json_string_value(named) : v->config->file, &c, err);
	if (r == -ENOENT && !named)
		return 0; /* gone since: the one that was opened counts */
	if (r < 0)
		return r;
	if (strcmp(c->name, v->info.name) != 0) {
		r = pluri_fail(err, EINVAL,
			"%.300s describes volume %s, this is volume %s",
			c->file, c->name, v->info.name);
		config_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

/* --- calls --------------------------------------------------------------- */

struct control_greeting {
	struct volume *v;
	uint32_t store;
	pthread_t thread;
	bool started;
};

static void *control_greet_one(void *arg)
{
	struct control_greeting *g = arg;

	/* what it finds is in the fleet's health */
	(void)volume_greet(g->v, g->store, NULL);
	return NULL;
}

/* Nobody has asked the stores yet: all at once, each within its timeout. */
static void control_greet(struct volume *v)
{
	pluri_auto_mem struct store_row *row =
		calloc(PLURI_STORES_MAX, sizeof(*row));
	struct control_greeting all[PLURI_STORES_MAX] = {0};
	const unsigned n = row ? roster_stores(v->roster, row) : 0;

	for (unsigned i = 0; i < n; i++) {
		struct control_greeting *g = &all[i];

		if (row[i].state == STORE_DRAINED)
			continue;
		*g = (struct control_greeting){.v = v, .store = row[i].num};
		g->started = pthread_create(&g->thread, NULL, control_greet_one,
				     g) == 0;
	}
	for (unsigned i = 0; i < n; i++)
		if (all[i].started)
			(void)pthread_join(all[i].thread, NULL);
}

static int control_status(struct volume *v, const json_t *args, json_t **ret,
	struct pluri_err *err)
{
	(void)args;
	if (v->mounted[0] == 0)
		control_greet(v);
	return health_status(v, ret, err);
}

static int control_stats(struct volume *v, const json_t *args, json_t **ret,
	struct pluri_err *err)
{
	(void)args;
	return stats_tell(v, ret, err);
}

static int control_where(struct volume *v, const json_t *args, json_t **ret,
	struct pluri_err *err)
{
	const char *path = NULL;
	int r;

	r = control_text(args, "path", &path, err);
	if (r < 0)
		return r;
	return health_where(v, path,
		json_is_true(json_object_get(args, "explain")), ret, err);
}

static int control_policies(struct volume *v, const json_t *args, json_t **ret,
	struct pluri_err *err)
{
	(void)args;
	return health_policies(v, ret, err);
}

static int control_sync(struct volume *v, const json_t *args, json_t **ret,
	struct pluri_err *err)
{
	const json_t *ticket = json_object_get(args, "ticket");
	const json_int_t wait =
		json_integer_value(json_object_get(args, "wait_ms"));

	if (json_is_true(json_object_get(args, "start")))
		return sync_start(v->sync, ret, err);
	if (!json_is_integer(ticket) || json_integer_value(ticket) < 0)
		return pluri_fail(err, EINVAL,
			"sync needs \"start\": true, or a \"ticket\"");
	return sync_ask(v->sync, (uint64_t)json_integer_value(ticket),
		wait > 0 ? (uint64_t)wait : 0, ret, err);
}

static int control_cache_clear(struct volume *v, const json_t *args,
	json_t **ret, struct pluri_err *err)
{
	struct staging_dropped d = {0};
	json_t *j;
	int r;

	(void)args;
	r = staging_evict(v->staging, 0, &d, err);
	if (r < 0)
		return r;
	cache_drop_all(v->cache);
	j = json_pack("{sI sI sI sI ss}", "dropped_packs",
		(json_int_t)d.dropped, "dropped_bytes",
		(json_int_t)d.dropped_bytes, "kept_packs", (json_int_t)d.kept,
		"kept_bytes", (json_int_t)d.kept_bytes, "kept_why",
		d.kept ? "not all of their shards are in the clouds yet" : "");
	if (!j)
		return pluri_fail(err, ENOMEM, "cache-clear: no memory");
	*ret = j;
	return 0;
}

static int control_plan(struct volume *v, const json_t *args, json_t **ret,
	struct pluri_err *err)
{
	pluri_auto(config) want = NULL;
	const int r = control_want(v, args, &want, err);

	return r < 0 ? r : balance_plan(v->balance, want, ret, err);
}

static int control_apply(struct volume *v, const json_t *args, json_t **ret,
	struct pluri_err *err)
{
	pluri_auto(config) want = NULL;
	const int r = control_want(v, args, &want, err);

	return r < 0 ? r : balance_apply(v->balance, want, ret, err);
}

static int control_drain_plan(struct volume *v, const json_t *args,
	json_t **ret, struct pluri_err *err)
{
	const char *store = NULL;
	const int r = control_text(args, "store", &store, err);

	return r < 0 ? r : balance_drain_plan(v->balance, store, ret, err);
}

static int control_rebalance(struct volume *v, const json_t *args, json_t **ret,
	struct pluri_err *err)
{
	(void)args;
	return balance_start(v->balance, ret, err);
}

static int control_drain(struct volume *v, const json_t *args, json_t **ret,
	struct pluri_err *err)
{
	const char *store = NULL;
	const int r = control_text(args, "store", &store, err);

	return r < 0 ? r : balance_drain(v->balance, store, ret, err);
}

static int control_jobs(struct volume *v, const json_t *args, json_t **ret,
	struct pluri_err *err)
{
	(void)args;
	return balance_jobs(v->balance, ret, err);
}

static int control_fsck(struct volume *v, const json_t *args, json_t **ret,
	struct pluri_err *err)
{
	const json_t *id = json_object_get(args, "check");

	if (json_is_true(json_object_get(args, "stop")))
		return fsck_run_stop(v->fsck, ret, err);
	if (json_is_true(json_object_get(args, "start")))
		return fsck_run_start(v->fsck,
			json_is_true(json_object_get(args, "repair")), ret,
			err);
	if (!json_is_integer(id) || json_integer_value(id) < 0)
		return pluri_fail(err, EINVAL,
			"fsck needs \"start\": true, \"stop\": true, or a "
			"\"check\"");
	return fsck_run_ask(
		v->fsck, (uint64_t)json_integer_value(id), ret, err);
}

static const struct control_handler control_handlers[] = {
	{"status", control_status},
	{"stats", control_stats},
	{"where", control_where},
	{"sync", control_sync},
	{"policy-list", control_policies},
	{"cache-clear", control_cache_clear},
	{"plan", control_plan},
	{"apply", control_apply},
	{"drain-plan", control_drain_plan},
	{"rebalance", control_rebalance},
	{"drain", control_drain},
	{"jobs", control_jobs},
	{"fsck", control_fsck},
};

int control_call(struct volume *v, const char *name, const json_t *args,
	json_t **ret, struct pluri_err *err)
{
	const size_t n = sizeof(control_handlers) / sizeof(*control_handlers);

	for (size_t i = 0; i < n; i++) {
		const struct control_handler *h = &control_handlers[i];

		if (strcmp(h->name, name) != 0)
			continue;
		log_line(LOG_DEBUG, "call: %s", name);
		if (v->bare && h->run != control_fsck)
			return pluri_fail(err, EIO, "%s", v->why.text);
		return h->run(v, args, ret, err);
	}
	return pluri_fail(err, ENOENT,
		"this plurifs (%s) has no call \"%.64s\"", PLURI_VERSION, name);
}
