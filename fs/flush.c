#include <errno.h>
#include <stdlib.h>

#include "base/crew.h"
#include "chunker/digest.h"
#include "fs/commit.h"
#include "fs/flush.h"
#include "fs/roster.h"
#include "fs/staging.h"
#include "fs/trim.h"
#include "meta/extent.h"

#define FLUSH_BATCH_BYTES (8u << 20)
#define FLUSH_BATCH_CHUNKS 64u
#define FLUSH_CREW_BYTES (512u << 10) /* fewer are not worth waking others */
#define FLUSH_TRIES 8u /* while what it relies on is collected */

struct flush_item { /* one chunk of the batch */
	struct extent e;
	struct pluri_digest id;
	const uint8_t *data; /* in the arena */
	int code; /* of its naming or encoding, -errno */
	struct encoded *enc; /* owned, until it is appended */
	bool fresh; /* appended by this flush: row is to be added */
	struct chunk_row row;
};

struct flush {
	struct volume *v;
	struct node *n;
	struct roster_policy pol;
	uint64_t done; /* bytes recorded */
	uint8_t *arena;
	size_t arena_cap, arena_len;
	size_t ahead; /* bytes of the run that lie behind arena_len already */
	unsigned items;
	struct flush_item item[FLUSH_BATCH_CHUNKS];
};

/* One step for each chunk of the batch, by whoever has time; 0, or the first
 * failure of any. No lock is held. */
static int flush_each(struct flush *f, void (*step)(void *arg, unsigned i),
	const char *what, struct pluri_err *err)
{
	if (f->arena_len >= FLUSH_CREW_BYTES)
		crew_each(f->v->crew, f->items, step, f);
	else
		for (unsigned i = 0; i < f->items; i++)
			step(f, i);
	for (unsigned i = 0; i < f->items; i++)
		if (f->item[i].code < 0)
			return pluri_fail(err, -f->item[i].code,
				"cannot %s a chunk of %u bytes", what,
				f->item[i].e.len);
	return 0;
}

static void flush_name(void *arg, unsigned i)
{
	struct flush *f = arg;
	struct flush_item *it = &f->item[i];

	it->code = digest_chunk(
		f->v->keys, (struct pluri_span){it->data, it->e.len}, &it->id);
}

/* Which chunks are stored already, in one question. */
static int flush_ask(struct flush *f, struct pluri_err *err)
{
	struct pluri_digest ids[FLUSH_BATCH_CHUNKS];
	uint64_t nums[FLUSH_BATCH_CHUNKS];
	struct meta_tx *tx = NULL;
	int r = flush_each(f, flush_name, "name", err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < f->items; i++)
		ids[i] = f->item[i].id;
	r = meta_begin(f->v->meta, &tx, err);
	if (r < 0)
		return r;
	r = meta_end(tx, chunks_find(tx, ids, f->items, nums, err), err);
	for (unsigned i = 0; i < f->items && r >= 0; i++)
		f->item[i].e.chunk = nums[i];
	return r;
}

/* The same content twice in one batch is appended once. */
static bool flush_twin(const struct flush *f, unsigned at)
{
	for (unsigned i = 0; i < at; i++)
		if (memcmp(&f->item[i].id, &f->item[at].id,
			    sizeof(f->item[at].id)) == 0)
			return true;
	return false;
}

static void flush_encode(void *arg, unsigned i)
{
	struct flush *f = arg;
	struct flush_item *it = &f->item[i];

	if (it->e.chunk == 0 && !flush_twin(f, i))
		it->code = encode_chunk(&f->pol.encode, &it->id,
			(struct pluri_span){it->data, it->e.len}, &it->enc,
			NULL);
}

static int flush_append(
	struct flush *f, struct flush_item *it, struct pluri_err *err)
{
	const struct encoded *enc = it->enc;
	struct pack_place place;
	int r;

	it->row.id = it->id;
	it->row.plain = enc->plain;
	it->row.frames = enc->frames;
	r = staging_add(
		f->v->staging, f->pol.num, enc, &it->row.pack, &place, err);
	if (r < 0)
		return r;
	it->row.off = place.off;
	it->row.bytes = place.bytes;
	memcpy(it->row.frame, place.frame,
		enc->frames * sizeof(place.frame[0]));
	it->fresh = true;
	return 0;
}

/* Into packs, in the file's order. *ret_kept: how many items, from the first,
 * are there; also on failure. */
static int flush_store(
	struct flush *f, unsigned *ret_kept, struct pluri_err *err)
{
	int r = flush_each(f, flush_encode, "encode", err);
	unsigned kept = 0;

	for (unsigned i = 0; i < f->items; i++) {
		if (r >= 0 && f->item[i].enc)
			r = flush_append(f, &f->item[i], err);
		kept += r >= 0;
		encoded_free(pluri_steal(f->item[i].enc));
	}
	*ret_kept = kept;
	return r;
}

/* Chunks, extents, size and times in one bracket; the node is locked. */
static int flush_rows(struct flush *f, struct meta_tx *tx, uint64_t size,
	struct pluri_err *err)
{
	struct extent e[FLUSH_BATCH_CHUNKS];
	struct tree_attr a = {0};
	int r = tree_get(tx, f->n->ino, &a, err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < f->items && r >= 0; i++) {
		struct flush_item *it = &f->item[i];

		if (it->fresh)
			r = chunks_add(tx, &it->row, err);
		else if (it->e.chunk == 0) /* a twin, recorded just now */
			r = chunks_find(tx, &it->id, 1, &it->row.num, err);
		else
			it->row.num = it->e.chunk;
		it->e.chunk = it->row.num;
		e[i] = it->e;
	}
	if (r >= 0 && f->items > 0)
		r = extent_write(tx, f->n->ino, e, f->items, err);
	if (r == -ENOENT)
		return pluri_fail(
			err, ESTALE, "a chunk that was found is forgotten");
	if (r < 0)
		return r;
	a.size = size > a.size ? size : a.size;
	a.atime_ns = f->n->atime_ns;
	a.mtime_ns = f->n->mtime_ns;
	/* A link or chmod since then may have set a later one. */
	if (f->n->ctime_ns > a.ctime_ns)
		a.ctime_ns = f->n->ctime_ns;
	return tree_set(tx,
		TREE_SET_SIZE | TREE_SET_ATIME | TREE_SET_MTIME |
			TREE_SET_CTIME,
		&a, err);
}

/* Where it lies now. Of content that was stored already nobody asked. */
static void flush_owe(struct flush *f, const struct flush_item *it)
{
	if (it->fresh)
		owing_add(&f->n->owing, it->row.pack);
	else
		owing_upto(&f->n->owing, staging_last(f->v->staging));
}

/*
 * Record the batch and take its bytes out of memory, at once for readers.
 * last: nothing else is to come, so the size may be the whole file's. -ESTALE:
 * the batch is as it was.
 */
static int flush_record(struct flush *f, bool last, struct pluri_err *err)
{
	const struct extent *end = f->items ? &f->item[f->items - 1].e : NULL;
	struct meta_tx *tx = NULL;
	uint64_t size = end ? end->off + end->len : 0;
	int r;

	commit_enter(f->v->commit);
	(void)pthread_mutex_lock(&f->n->lock);
	/* Not the size of bytes that are newer and not recorded yet: after a
	 * crash they would read as zeros. */
	if (last && f->n->dirty.bytes == 0 && f->n->size > size)
		size = f->n->size;
	r = meta_begin(f->v->meta, &tx, err);
	if (r >= 0)
		r = meta_end(tx, flush_rows(f, tx, size, err), err);
	for (unsigned i = 0; i < f->items && r >= 0; i++)
		flush_owe(f, &f->item[i]);
	for (unsigned i = 0; i < f->items && r >= 0; i++) {
		r = dirty_punch(
			&f->n->flight, f->item[i].e.off, f->item[i].e.len);
		if (r < 0) /* recorded all the same; it goes once more */
			(void)pluri_fail(err, -r, "flush: no memory");
		else
			f->done += f->item[i].e.len;
	}
	if (r >= 0)
		node_recorded(f->v->nodes, f->n);
	if (r >= 0 && last && f->n->dirty.bytes == 0)
		f->n->attr_dirty = false;
	(void)pthread_mutex_unlock(&f->n->lock);
	commit_leave(f->v->commit);
	if (r == -ESTALE)
		return r;
	f->items = 0;
	f->arena_len = 0;
	f->ahead = 0;
	return r;
}

static int flush_try(struct flush *f, bool last, struct pluri_err *err)
{
	unsigned kept = 0;
	int r = 0;

	if (f->items > 0) {
		r = flush_ask(f, err);
		if (r >= 0)
			r = flush_store(f, &kept, err);
	}
	if (r >= 0)
		return flush_record(f, last, err);
	/* On a full disk, what was appended counts: the next try must not
	 * need the same room again. */
	f->items = kept;
	if (kept > 0)
		(void)flush_record(f, false, NULL);
	return r;
}

/*
 * A chunk that nothing refers to may be forgotten after it was found, and a
 * pack end after it was written to (fs/repack.h): then all is asked anew.
 */
static int flush_batch(struct flush *f, bool last, struct pluri_err *err)
{
	int r = flush_try(f, last, err);

	for (unsigned i = 1; r == -ESTALE && i < FLUSH_TRIES; i++) {
		for (unsigned at = 0; at < f->items; at++) {
			f->item[at].fresh = false;
			f->item[at].e.chunk = 0;
		}
		r = flush_try(f, last, err);
	}
	return r;
}

/*
 * One chunk of the run at off (left bytes to its end). keep: a tail without a
 * cut is better kept for later; *ret_len is 0 then.
 */
static int flush_cut(struct flush *f, uint64_t off, uint64_t left, bool keep,
	size_t *ret_len, struct pluri_err *err)
{
	const size_t want = left < f->pol.cdc.max ? left : f->pol.cdc.max;
	struct flush_item *it;
	uint8_t *at;
	size_t len;
	int r;

	if (f->items == FLUSH_BATCH_CHUNKS ||
		want > f->arena_cap - f->arena_len) {
		r = flush_batch(f, false, err);
		if (r < 0)
			return r;
	}
	at = f->arena + f->arena_len;
	if (want > f->ahead && dirty_copy(&f->n->flight, off + f->ahead,
				       want - f->ahead, at + f->ahead) < 0)
		return pluri_fail(err, EIO, "a dirty range has a hole");
	len = cdc_cut(&f->pol.cdc, at, want);
	if (len == 0 && keep) {
		*ret_len = 0;
		return 0;
	}
	if (len == 0)
		len = want;
	it = &f->item[f->items++];
	*it = (struct flush_item){
		.data = at, .e = {.off = off, .len = (uint32_t)len}};
	f->arena_len += len;
	f->ahead = want - len;
	*ret_len = len;
	return 0;
}

static int flush_runs(struct flush *f, bool whole, struct pluri_err *err)
{
	uint64_t off = 0;
	uint64_t left = dirty_run(&f->n->flight, 0, &off);
	bool kept = false;
	bool grows = false; /* the run was cut before: somebody streams */

	while (left > 0) {
		size_t len = 0;
		const int r =
			flush_cut(f, off, left, grows && !whole, &len, err);

		if (r < 0)
			return r;
		kept |= len == 0;
		grows = true;
		off += len ? len : left;
		left -= len ? len : left;
		if (left > 0)
			continue;
		left = dirty_run(&f->n->flight, off, &off);
		f->ahead = 0;
		grows = false;
	}
	return flush_batch(f, !kept, err);
}

static int flush_open(struct flush *f, struct pluri_err *err)
{
	const uint64_t bytes = f->n->flight.bytes;
	uint32_t policy;
	int r;

	(void)pthread_mutex_lock(&f->n->lock);
	policy = f->n->policy;
	(void)pthread_mutex_unlock(&f->n->lock);
	r = roster_policy(f->v->roster, policy, &f->pol);
	if (r < 0) /* a policy that is no longer there */
		r = roster_policy(f->v->roster, 0, &f->pol);
	if (r < 0)
		return pluri_fail(err, EIO, "there is no default policy");
	f->arena_cap = bytes < FLUSH_BATCH_BYTES ? bytes : FLUSH_BATCH_BYTES;
	f->arena = malloc(f->arena_cap + 1);
	return f->arena ? 0 : pluri_fail(err, ENOMEM, "flush: no memory");
}

/* Put flight under dirty. Returns how many bytes were hidden by newer ones. */
static uint64_t flush_merge(struct node *n, int *ret)
{
	const uint64_t before = n->dirty.bytes + n->flight.bytes;
	uint64_t after;

	*ret = dirty_under(&n->dirty, &n->flight);
	after = n->dirty.bytes + n->flight.bytes;
	return after < before ? before - after : 0;
}

/*
 * Take the dirty ranges into flight: 1 when there is something to do, 2 when
 * they go where old extents are to be removed first. While there is a flush no
 * cut can begin.
 */
static int flush_take(struct volume *v, struct node *n, uint64_t *ret_done,
	struct pluri_err *err)
{
	int blocked = 0;
	int r = 0;

	(void)pthread_mutex_lock(&n->lock);
	while (n->flushing)
		(void)pthread_cond_wait(&n->idle, &n->lock);
	if (n->flight.bytes)
		*ret_done += flush_merge(n, &r);
	if (r < 0)
		(void)pluri_fail(err, -r, "flush: no memory");
	else
		blocked = trim_blocks(v, n->ino, dirty_upto(&n->dirty), err);
	if (blocked != 0)
		r = blocked < 0 ? blocked : 2;
	if (r == 0 && (n->dirty.bytes || n->attr_dirty)) {
		dirty_free(&n->flight);
		n->flushing = true;
		n->flight = n->dirty;
		n->dirty = (struct dirty){0};
		atomic_store(&n->due_ms, 0);
		n->fresh_ms = 0;
		r = 1;
	}
	(void)pthread_mutex_unlock(&n->lock);
	return r;
}

static int flush_begin(struct volume *v, struct node *n, uint64_t *ret_done,
	struct pluri_err *err)
{
	int r = flush_take(v, n, ret_done, err);

	while (r == 2) {
		r = trim_finish(v, n->ino, err);
		if (r >= 0)
			r = flush_take(v, n, ret_done, err);
	}
	return r;
}

static void flush_end(
	struct node *n, bool failed, uint64_t now_ms, uint64_t *ret_done)
{
	bool kept;
	int r;

	(void)pthread_mutex_lock(&n->lock);
	kept = n->flight.bytes > 0 || failed;
	/* What was kept or failed is dirty again, under what is newer. Should
	 * memory fail here, it stays in flight and is merged next time. */
	*ret_done += flush_merge(n, &r);
	if (r == 0)
		dirty_free(&n->flight);
	if (n->dirty.bytes == 0 && n->flight.bytes == 0 && !n->attr_dirty) {
		atomic_store(&n->dirty_since_ms, 0);
		atomic_store(&n->due_ms, 0);
	} else {
		if (!kept)
			atomic_store(&n->dirty_since_ms,
				n->fresh_ms ? n->fresh_ms : now_ms);
		if (atomic_load(&n->due_ms) == 0)
			atomic_store(&n->due_ms, now_ms + NODE_FLUSH_MS);
	}
	n->flushing = false;
	(void)pthread_cond_broadcast(&n->idle);
	(void)pthread_mutex_unlock(&n->lock);
}

int flush_node(struct volume *v, struct node *n, bool whole, uint64_t *ret_done,
	struct pluri_err *err)
{
	struct flush *f;
	int r;

	*ret_done = 0;
	r = flush_begin(v, n, ret_done, err);
	if (r <= 0)
		return r;
	f = calloc(1, sizeof(*f));
	if (f) {
		f->v = v;
		f->n = n;
		r = flush_open(f, err);
		if (r >= 0)
			r = flush_runs(f, whole, err);
		*ret_done += f->done;
		free(f->arena);
		free(f);
	} else {
		r = pluri_fail(err, ENOMEM, "flush: no memory");
	}
	flush_end(n, r < 0, clock_mono_ms(v->clock), ret_done);
	return r;
}
