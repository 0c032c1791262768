#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crew.h"
#include "fs/batch.h"
#include "fs/kits.h"

_Static_assert(BATCH_CHUNKS <= DEDUP_MAX, "asked about at once");

#define BATCH_CREW_BYTES (512u << 10) /* fewer are not worth waking others */

int batch_open(struct batch *b, struct volume *v, uint32_t policy,
	uint64_t bytes, struct pluri_err *err)
{
	int r = roster_policy(v->roster, policy, &b->pol);

	b->v = v;
	b->arena = NULL;
	b->to = (struct staging_to){0};
	if (r < 0)
		r = roster_policy(v->roster, 0, &b->pol);
	if (r < 0)
		return pluri_fail(err, EIO, "there is no default policy");
	b->dedup = (struct dedup){.v = v, .mode = b->pol.text.dedup};
	b->cap = bytes < BATCH_BYTES ? bytes : BATCH_BYTES;
	b->arena = malloc(b->cap + 1);
	batch_clear(b);
	return b->arena ? 0 : pluri_fail(err, ENOMEM, "flush: no memory");
}

void batch_close(struct batch *b)
{
	free(pluri_steal(b->arena));
}

uint8_t *batch_end(struct batch *b)
{
	return b->arena + b->len;
}

size_t batch_room(const struct batch *b)
{
	return b->items < BATCH_CHUNKS ? b->cap - b->len : 0;
}

void batch_add(struct batch *b, uint64_t off, size_t len)
{
	b->item[b->items++] = (struct batch_item){.data = batch_end(b),
		.bytes = (uint32_t)len,
		.e = {.off = off, .len = (uint32_t)len}};
	b->len += len;
}

void batch_join(struct batch *b, uint64_t off, size_t len)
{
	struct batch_item *last = b->items ? &b->item[b->items - 1] : NULL;
	const uint32_t most =
		b->pol.cdc.max < BATCH_JOIN ? b->pol.cdc.max : BATCH_JOIN;

	if (!last || !last->small || b->parts == BATCH_PARTS ||
		last->bytes + len > most) {
		batch_add(b, off, len);
		b->item[b->items - 1].small = len <= BATCH_SMALL;
		return;
	}
	b->part[b->parts++] = (struct batch_part){.item = b->items - 1,
		.e = {.off = off, .len = (uint32_t)len, .skip = last->bytes}};
	last->bytes += (uint32_t)len;
	b->len += len;
}

void batch_clear(struct batch *b)
{
	b->items = 0;
	b->parts = 0;
	b->len = 0;
}

void batch_keep(struct batch *b, unsigned n)
{
	b->items = n;
	while (b->parts > 0 && b->part[b->parts - 1].item >= n)
		b->parts--;
}

uint64_t batch_upto(const struct batch *b)
{
	const struct extent *e;

	if (b->items == 0)
		return 0;
	e = &b->item[b->items - 1].e;
	if (b->parts > 0 && b->part[b->parts - 1].item == b->items - 1)
		e = &b->part[b->parts - 1].e;
	return e->off + e->len;
}

uint64_t batch_bytes(const struct batch *b)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < b->items; i++)
		n += b->item[i].bytes;
	return n;
}

/* One step for each chunk, by whoever has time; 0, or the first failure of
 * any. */
static int batch_each(struct batch *b, void (*step)(void *arg, unsigned i),
	const char *what, struct pluri_err *err)
{
	if (b->len >= BATCH_CREW_BYTES)
		crew_each(b->v->crew, b->items, step, b);
	else
		for (unsigned i = 0; i < b->items; i++)
			step(b, i);
	for (unsigned i = 0; i < b->items; i++)
		if (b->item[i].code < 0)
			return pluri_fail(err, -b->item[i].code,
				"cannot %s a chunk of %u bytes", what,
				b->item[i].bytes);
	return 0;
}

static void batch_name(void *arg, unsigned i)
{
	struct batch *b = arg;
	struct batch_item *it = &b->item[i];

	it->code = dedup_name(
		&b->dedup, (struct pluri_span){it->data, it->bytes}, &it->id);
}

/* Which chunks are stored already, in one question. */
static int batch_ask(struct batch *b, struct pluri_err *err)
{
	struct dedup_item item[BATCH_CHUNKS];
	int r = batch_each(b, batch_name, "name", err);

	for (unsigned i = 0; i < b->items; i++)
		item[i] = (struct dedup_item){.id = b->item[i].id,
			.data = {b->item[i].data, b->item[i].bytes}};
	if (r >= 0)
		r = dedup_find(&b->dedup, item, b->items, err);
	for (unsigned i = 0; i < b->items && r >= 0; i++) {
		b->item[i].id = item[i].id;
		b->item[i].e.chunk = item[i].chunk;
	}
	return r;
}

/* The same content twice in one batch is appended once. */
static bool batch_twin(const struct batch *b, unsigned at)
{
	for (unsigned i = 0; i < at; i++)
		if (memcmp(&b->item[i].id, &b->item[at].id,
			    sizeof(b->item[at].id)) == 0)
			return true;
	return false;
}

static void batch_encode(void *arg, unsigned i)
{
	struct batch *b = arg;
	struct batch_item *it = &b->item[i];

	struct encode_kit *kit;

	if (it->e.chunk != 0 || batch_twin(b, i))
		return;
	kit = kits_take(b->v->kits, KITS_DOWN);
	it->code = encode_chunk_with(kit, &b->pol.encode, &it->id,
		(struct pluri_span){it->data, it->bytes}, &it->enc, NULL);
	kits_give(b->v->kits, KITS_DOWN, kit);
}

static int batch_append(
	struct batch *b, struct batch_item *it, struct pluri_err *err)
{
	const struct encoded *enc = it->enc;
	struct pack_place place;
	int r;

	it->row.id = it->id;
	it->row.plain = enc->plain;
	it->row.frames = enc->frames;
	r = staging_add(b->v->staging, b->to, enc, &it->row.pack, &place, err);
	if (r < 0)
		return r;
	it->row.off = place.off;
	it->row.bytes = place.bytes;
	memcpy(it->row.frame, place.frame,
		enc->frames * sizeof(place.frame[0]));
	it->fresh = true;
	return 0;
}

int batch_store(struct batch *b, unsigned *ret_kept, struct pluri_err *err)
{
	unsigned kept = 0;
	int r;

	*ret_kept = 0;
	r = batch_ask(b, err);
	if (r < 0)
		return r;
	r = batch_each(b, batch_encode, "encode", err);
	b->to = staging_way(b->v->staging, b->pol.num, batch_bytes(b));
	for (unsigned i = 0; i < b->items; i++) {
		if (r >= 0 && b->item[i].enc)
			r = batch_append(b, &b->item[i], err);
		kept += r >= 0;
		encoded_free(pluri_steal(b->item[i].enc));
	}
	*ret_kept = kept;
	return r;
}

/* In the file's order, so those of one pack follow each other. */
int batch_stable(const struct batch *b, struct pluri_err *err)
{
	uint64_t pack = 0;
	uint64_t end = 0;
	int r = 0;

	if (!b->to.later)
		return 0;
	for (unsigned i = 0; i < b->items && r >= 0; i++) {
		const struct chunk_row *row = &b->item[i].row;

		if (!b->item[i].fresh)
			continue;
		if (pack != 0 && row->pack != pack)
			r = staging_stable(b->v->staging, pack, end, err);
		pack = row->pack;
		end = row->off + row->bytes;
	}
	if (pack != 0 && r >= 0)
		r = staging_stable(b->v->staging, pack, end, err);
	return r;
}

struct batch_out { /* extents on their way into the table */
	struct meta_tx *tx;
	uint64_t ino;
	unsigned n;
	struct extent e[BATCH_CHUNKS];
};

static int batch_flush(struct batch_out *o, struct pluri_err *err)
{
	const unsigned n = o->n;

	o->n = 0;
	return n ? extent_write(o->tx, o->ino, o->e, n, err) : 0;
}

static int batch_put(struct batch_out *o, const struct extent *e,
	uint64_t chunk, struct pluri_err *err)
{
	o->e[o->n] = *e;
	o->e[o->n++].chunk = chunk;
	return o->n < BATCH_CHUNKS ? 0 : batch_flush(o, err);
}

static int batch_extents(
	const struct batch *b, struct batch_out *o, struct pluri_err *err)
{
	const struct batch_part *p = b->part;
	const struct batch_part *end = b->part + b->parts;
	int r = 0;

	for (unsigned i = 0; i < b->items && r >= 0; i++) {
		const uint64_t chunk = b->item[i].row.num;

		r = batch_put(o, &b->item[i].e, chunk, err);
		for (; p < end && p->item == i && r >= 0; p++)
			r = batch_put(o, &p->e, chunk, err);
	}
	return r < 0 ? r : batch_flush(o, err);
}

int batch_chunks(const struct dedup *d, struct batch_item *it, unsigned n,
	struct meta_tx *tx, struct pluri_err *err)
{
	int r = 0;

	for (unsigned i = 0; i < n && r >= 0; i++, it++) {
		if (it->fresh)
			r = dedup_add(d, tx, &it->row, err);
		else if (it->e.chunk == 0) /* a twin, recorded just now */
			r = chunks_find(tx, &it->id, 1, &it->row.num, err);
		else
			it->row.num = it->e.chunk;
		it->e.chunk = it->row.num;
	}
	return r;
}

int batch_rows(struct batch *b, struct meta_tx *tx, uint64_t ino,
	struct pluri_err *err)
{
	struct batch_out out = {.tx = tx, .ino = ino};
	int r = batch_chunks(&b->dedup, b->item, b->items, tx, err);

	if (r >= 0)
		r = batch_extents(b, &out, err);
	if (r == -ENOENT)
		return pluri_fail(
			err, ESTALE, "a chunk that was found is forgotten");
	return r;
}

void batch_again(struct batch *b)
{
	for (unsigned i = 0; i < b->items; i++) {
		b->item[i].fresh = false;
		b->item[i].e.chunk = 0;
	}
}

void batch_owe(const struct batch *b, struct owing *owing)
{
	for (unsigned i = 0; i < b->items; i++)
		if (b->item[i].fresh)
			owing_add(owing, b->item[i].row.pack);
		else
			owing_upto(owing, staging_last(b->v->staging));
}
