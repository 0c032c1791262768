#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "meta/fsck_int.h"
#include "meta/rows.h"

/* In this order: what one repairs, the next may rely on. */
static const struct {
	const char *name;
	int (*step)(struct fsck *f, struct meta_tx *tx, bool *ret_more,
		struct pluri_err *err);
	enum meta_touched counts; /* begins windows of these */
} fsck_phases[] = {
	{"counters", fsck_counters, META_NOTHING},
	{"stores", fsck_store, META_NOTHING},
	{"policies", fsck_policy, META_NOTHING},
	{"orphans", fsck_orphan, META_NOTHING},
	{"inodes", fsck_inode, META_NOTHING},
	{"numbers", fsck_inode_load, META_TOUCHED_INODE},
	{"names", fsck_dentry, META_NOTHING},
	{"links", fsck_name_judge, META_NOTHING},
	{"attributes", fsck_attr, META_NOTHING},
	{"trims", fsck_trim, META_NOTHING},
	{"numbers", fsck_extent_load, META_TOUCHED_CHUNK},
	{"extents", fsck_extent, META_NOTHING},
	{"references", fsck_extent_judge, META_NOTHING},
	{"chunks", fsck_chunk, META_NOTHING},
	{"packs", fsck_pack, META_NOTHING},
	{"shards", fsck_shard, META_NOTHING},
	{"tails", fsck_tail, META_NOTHING},
	{"moves", fsck_move, META_NOTHING},
	{"jobs", fsck_job, META_NOTHING},
	{"graves", fsck_grave, META_NOTHING},
};
#define FSCK_PHASES (sizeof(fsck_phases) / sizeof(fsck_phases[0]))

static void fsck_touched(
	struct meta_watch *w, enum meta_touched what, uint64_t num)
{
	struct fsck *const f = (struct fsck *)w; /* its first member */
	size_t at;

	if (what == META_TOUCHED_INODE && num == f->file)
		f->file_touched = true;
	if (what != f->seen.kind)
		return;
	at = fsck_seen_find(&f->seen, num);
	if (at != FSCK_NONE)
		f->seen.count[at] |= FSCK_TOUCHED;
}

int fsck_new(struct meta *m, const struct fsck_options *o, struct fsck **ret,
	struct pluri_err *err)
{
	struct fsck *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return pluri_fail(err, ENOMEM, "check: no memory");
	f->watch.touched = fsck_touched;
	f->watch.upto = INT64_MIN;
	f->o = *o;
	f->rows = o->rows ? o->rows : FSCK_ROWS;
	if (!f->o.inodes)
		f->o.inodes = FSCK_INODES;
	if (!f->o.chunks)
		f->o.chunks = FSCK_CHUNKS;
	f->jump = FSCK_PHASES;
	r = meta_set_watch(m, &f->watch, err);
	if (r < 0) {
		free(f);
		return r;
	}
	f->meta = m;
	*ret = f;
	return 0;
}

void fsck_free(struct fsck *f)
{
	if (!f)
		return;
	(void)meta_set_watch(f->meta, NULL, NULL);
	fsck_seen_clear(&f->seen);
	free(f);
}

struct fsck_finding *fsck_add(
	struct fsck *f, const struct fsck_rule *rule, const char *fmt, ...)
{
	struct fsck_finding *const found = &f->out[f->n];
	va_list ap;

	f->n += f->n + 1 < FSCK_FINDINGS; /* the last one gives way */
	memset(found, 0, sizeof(*found));
	found->code = rule->code;
	found->action = rule->action;
	found->grave = rule->grave;
	found->fix = rule->fix;
	va_start(ap, fmt);
	(void)vsnprintf(found->text, sizeof(found->text), fmt, ap);
	va_end(ap);
	return found;
}

void fsck_name(struct fsck_finding *found, struct pluri_span name)
{
	found->name_len =
		name.len < sizeof(found->name) ? name.len : sizeof(found->name);
	if (found->name_len)
		memcpy(found->name, name.data, found->name_len);
}

int fsck_change(struct meta_tx *tx, const char *sql, const int64_t *v, size_t n,
	struct pluri_err *err)
{
	const int r = meta_change(tx, sql, v, n, err);

	return r < 0 ? r : tx->ops->changes(tx->db) > 0;
}

int fsck_query(struct fsck *f, struct meta_tx *tx, const char *sql, unsigned n,
	struct db_stmt **ret, struct pluri_err *err)
{
	const int r = meta_query(tx, sql, f->key, n, ret, err);

	if (r == 0)
		tx->ops->bind_int(*ret, (int)n + 1, f->rows);
	return r;
}

int fsck_query_name(struct fsck *f, struct meta_tx *tx, const char *sql,
	struct db_stmt **ret, struct pluri_err *err)
{
	const int r = fsck_query(f, tx, sql, 1, ret, err);

	memcpy(f->bound, f->name, sizeof(f->bound));
	if (r == 0)
		tx->ops->bind_blob(
			*ret, 3, (struct pluri_span){f->bound, f->name_len});
	return r;
}

void fsck_took_name(struct fsck *f, int64_t num, struct pluri_span name)
{
	fsck_took(f);
	f->key[0] = num;
	f->name_len = name.len;
	if (f->name_len > sizeof(f->name)) {
		f->key[0]++;
		f->name_len = 0;
		f->busy++;
	}
	if (f->name_len)
		memcpy(f->name, name.data, f->name_len);
}

/* A phase begins: nothing of the last one's place is left. */
static void fsck_enter(struct fsck *f)
{
	f->on = false;
	f->key[0] = f->key[1] = f->key[2] = INT64_MIN;
	f->name_len = 0;
	f->file = 0;
}

static void fsck_next(struct fsck *f)
{
	const unsigned old = f->phase;

	f->phase = f->jump < FSCK_PHASES ? f->jump : old + 1;
	f->jump = FSCK_PHASES;
	fsck_enter(f);
	if (f->phase > old && f->phase < FSCK_PHASES &&
		fsck_phases[f->phase].counts) {
		fsck_seen_clear(&f->seen);
		f->seen.kind = fsck_phases[f->phase].counts;
		f->seen.max = f->seen.kind == META_TOUCHED_INODE ? f->o.inodes
								 : f->o.chunks;
		f->counting = false;
		f->pass = 0;
	}
}

static int fsck_repair(
	struct fsck *f, struct meta_tx *tx, unsigned n, struct pluri_err *err)
{
	for (unsigned i = 0; i < n; i++) {
		struct fsck_finding *const found = &f->out[i];
		const int r = found->fix ? found->fix(f, tx, found, err) : 0;

		if (r < 0)
			return r;
		found->state = r > 0 ? FSCK_REPAIRED : FSCK_LEFT;
	}
	return 0;
}

static int fsck_bracket(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err)
{
	int r = rows_direct(tx, err);

	if (r < 0)
		return r;
	if (!f->on && f->phase == 0)
		fsck_enter(f);
	r = fsck_phases[f->phase].step(f, tx, ret_more, err);
	if (r < 0 || !f->o.repair)
		return r < 0 ? r : 0;
	return fsck_repair(f, tx, f->n, err);
}

int fsck_step(struct fsck *f, struct fsck_finding *ret, unsigned *ret_n,
	bool *ret_done, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	bool more = false;
	uint64_t memory;
	int r = meta_begin(f->meta, &tx, err);

	if (r < 0)
		return r;
	f->out = ret;
	f->n = 0;
	f->took = 0;
	r = fsck_bracket(f, tx, &more, err);
	if (r == 0 && !more)
		fsck_next(f);
	r = meta_end(tx, r, err);
	if (r < 0)
		return r;
	memory = fsck_seen_memory(&f->seen) + sizeof(*f);
	f->memory = memory > f->memory ? memory : f->memory;
	*ret_n = f->n;
	*ret_done = f->phase == FSCK_PHASES;
	return 0;
}

void fsck_progress(const struct fsck *f, struct fsck_progress *ret)
{
	const unsigned at = f->phase < FSCK_PHASES ? f->phase : FSCK_PHASES - 1;

	*ret = (struct fsck_progress){
		.phase = fsck_phases[at].name,
		.at = f->phase,
		.phases = FSCK_PHASES,
		.rows = f->total_rows,
		.busy = f->busy,
		.memory = f->memory,
	};
}
