#include <errno.h>

#include "base/text.h"
#include "base/wire.h"
#include "chunker/pack_index.h"

#define INDEX_MAGIC "PLURFOOT"
#define INDEX_VERSION 1u
#define INDEX_FOOT_PLAIN (PACK_FOOT - SEAL_TAG)
#define INDEX_FOOT_USED 32u /* the rest is reserved */
#define INDEX_AAD (2 * PLURI_ID_BYTES)
#define INDEX_ENTRY 52u

/* The footer: where the index stands. */
struct index_foot {
	uint64_t off;
	uint64_t bytes; /* sealed: with its tag, without the footer */
	uint32_t count;
};

size_t pack_index_bytes(uint32_t count)
{
	return (size_t)count * INDEX_ENTRY + SEAL_TAG + PACK_FOOT;
}

static struct pluri_span index_aad(const struct pluri_id *volume,
	const struct pluri_id *pack, uint8_t to[INDEX_AAD])
{
	memcpy(to, volume->b, PLURI_ID_BYTES);
	memcpy(to + PLURI_ID_BYTES, pack->b, PLURI_ID_BYTES);
	return (struct pluri_span){to, INDEX_AAD};
}

static void index_put(struct wire_out *w, const struct pack_entry *e)
{
	wire_give(w, e->id.b, PLURI_DIGEST_BYTES);
	wire_put(w, e->off, 8);
	wire_put(w, e->bytes, 4);
	wire_put(w, e->plain, 4);
	wire_put(w, e->frames, 4);
}

static void index_put_foot(
	const struct index_foot *f, uint8_t to[INDEX_FOOT_PLAIN])
{
	struct wire_out w = {to, INDEX_FOOT_PLAIN, false};

	memset(to, 0, INDEX_FOOT_PLAIN);
	wire_give(&w, INDEX_MAGIC, 8);
	wire_put(&w, INDEX_VERSION, 2);
	wire_put(&w, 0, 2);
	wire_put(&w, f->count, 4);
	wire_put(&w, f->off, 8);
	wire_put(&w, f->bytes, 8);
}

int pack_index_seal(struct sealer *s, const struct pluri_id *volume,
	const struct pluri_id *pack, const struct pack_entry *entries,
	uint32_t count, uint64_t off, uint8_t *to)
{
	const size_t plain = (size_t)count * INDEX_ENTRY;
	const struct index_foot foot = {off, plain + SEAL_TAG, count};
	struct wire_out w = {to, plain, false};
	uint8_t aad[INDEX_AAD];
	uint8_t last[INDEX_FOOT_PLAIN];
	int r;

	for (uint32_t i = 0; i < count; i++)
		index_put(&w, &entries[i]);
	r = sealer_seal(s, SEAL_INDEX, off, index_aad(volume, pack, aad),
		(struct pluri_span){to, plain}, to);
	if (r < 0)
		return r;
	index_put_foot(&foot, last);
	return sealer_seal(s, SEAL_FOOT, off + foot.bytes,
		(struct pluri_span){aad, sizeof(aad)},
		(struct pluri_span){last, sizeof(last)}, to + foot.bytes);
}

static int index_take_foot(const uint8_t from[INDEX_FOOT_PLAIN],
	struct index_foot *ret, struct pluri_err *err)
{
	struct wire_in w = {from, INDEX_FOOT_PLAIN, false};
	char magic[8];
	unsigned version;
	unsigned flags;

	wire_take(&w, magic, sizeof(magic));
	version = wire_u16(&w);
	flags = wire_u16(&w);
	if (memcmp(magic, INDEX_MAGIC, sizeof(magic)) != 0)
		return pluri_fail(err, EBADMSG, "no pack footer there");
	if (version != INDEX_VERSION || flags)
		return pluri_fail(err, EBADMSG,
			"pack footer of version %u with flags %#x, this "
			"program knows %u and none; a newer plurifs may have "
			"written it",
			version, flags, INDEX_VERSION);
	ret->count = wire_u32(&w);
	ret->off = wire_u64(&w);
	ret->bytes = wire_u64(&w);
	wire_zero(&w, INDEX_FOOT_PLAIN - INDEX_FOOT_USED);
	if (!wire_ok(&w))
		return pluri_fail(
			err, EBADMSG, "pack footer with reserved bytes set");
	return 0;
}

static int index_open_foot(struct sealer *s, const struct pluri_id *volume,
	const struct pluri_id *pack, uint64_t pack_bytes,
	const uint8_t from[PACK_FOOT], struct index_foot *ret,
	struct pluri_err *err)
{
	struct index_foot f;
	uint8_t aad[INDEX_AAD];
	uint8_t foot[INDEX_FOOT_PLAIN];
	int r;

	r = sealer_open(s, SEAL_FOOT, pack_bytes - PACK_FOOT,
		index_aad(volume, pack, aad),
		(struct pluri_span){from, PACK_FOOT}, foot);
	if (r < 0)
		return pluri_fail(err, -r,
			"its footer is not authentic: the pack is damaged, not "
			"closed, or of another volume or key");
	r = index_take_foot(foot, &f, err);
	if (r < 0)
		return r;
	if (f.count > PACK_CHUNKS_MAX ||
		f.bytes != pack_index_bytes(f.count) - PACK_FOOT ||
		f.off < PACK_HEAD || f.off > pack_bytes ||
		f.bytes + PACK_FOOT != pack_bytes - f.off)
		return pluri_fail(err, EBADMSG,
			"an index of %u chunks and %llu bytes at %llu does "
			"not fit the pack",
			f.count, (unsigned long long)f.bytes,
			(unsigned long long)f.off);
	*ret = f;
	return 0;
}

/* Chunks follow each other without gaps, and have possible sizes. */
static bool index_entry_fits(
	const struct pack_entry *e, uint64_t at, uint64_t end)
{
	uint64_t extra;

	if (e->plain == 0 || e->plain > PLURI_CHUNK_MAX)
		return false;
	if (e->frames != (e->plain + FRAME_PLAIN - 1) / FRAME_PLAIN)
		return false;
	extra = (uint64_t)e->frames * FRAME_OVERHEAD;
	return e->off == at && e->bytes <= end - at &&
	       e->bytes >= extra + e->frames && e->bytes <= extra + e->plain;
}

static int index_open(struct sealer *s, const struct pluri_id *volume,
	const struct pluri_id *pack, const struct index_foot *foot,
	uint8_t *bytes, struct pack_entry *ret, struct pluri_err *err)
{
	struct wire_in w = {bytes, foot->bytes - SEAL_TAG, false};
	uint8_t aad[INDEX_AAD];
	uint64_t at = PACK_HEAD;
	int r;

	r = sealer_open(s, SEAL_INDEX, foot->off, index_aad(volume, pack, aad),
		(struct pluri_span){bytes, foot->bytes}, bytes);
	if (r < 0)
		return pluri_fail(err, -r, "its index is not authentic");
	for (uint32_t i = 0; i < foot->count; i++) {
		struct pack_entry *e = &ret[i];

		wire_take(&w, e->id.b, PLURI_DIGEST_BYTES);
		e->off = wire_u64(&w);
		e->bytes = wire_u32(&w);
		e->plain = wire_u32(&w);
		e->frames = wire_u32(&w);
		if (!index_entry_fits(e, at, foot->off))
			return pluri_fail(err, EBADMSG,
				"chunk %u of its index cannot be: %u bytes at "
				"%llu for %u in %u frames",
				i, e->bytes, (unsigned long long)e->off,
				e->plain, e->frames);
		at += e->bytes;
	}
	if (at != foot->off)
		return pluri_fail(err, EBADMSG,
			"its index leaves bytes before itself unexplained");
	return 0;
}

static int pack_index_in(struct sealer *s, const struct pluri_id *volume,
	const struct pluri_id *id, const struct pack_source *src,
	struct pack_entry **ret_entries, uint32_t *ret_count,
	struct pluri_err *err)
{
	pluri_auto_mem struct pack_entry *entries = NULL;
	pluri_auto_mem uint8_t *bytes = NULL;
	uint8_t last[PACK_FOOT];
	struct index_foot foot = {0};
	int r;

	if (src->bytes < PACK_HEAD + pack_index_bytes(0) ||
		src->bytes > PLURI_PACK_MAX)
		return pluri_fail(err, EBADMSG, "no pack has %llu bytes",
			(unsigned long long)src->bytes);
	r = src->read(src->arg, src->bytes - PACK_FOOT, last, PACK_FOOT, err);
	if (r == 0)
		r = index_open_foot(
			s, volume, id, src->bytes, last, &foot, err);
	if (r < 0)
		return r;
	entries = calloc(foot.count + 1, sizeof(*entries));
	bytes = malloc(foot.bytes);
	if (!entries || !bytes)
		return pluri_fail(err, ENOMEM, "out of memory");
	r = src->read(src->arg, foot.off, bytes, foot.bytes, err);
	if (r == 0)
		r = index_open(s, volume, id, &foot, bytes, entries, err);
	if (r < 0)
		return r;
	*ret_entries = pluri_steal(entries);
	*ret_count = foot.count;
	return 0;
}

int pack_index(const struct keys *keys, const struct pluri_id *id,
	const struct pack_source *src, struct pack_entry **ret_entries,
	uint32_t *ret_count, struct pluri_err *err)
{
	pluri_auto(sealer) s = NULL;
	char hex[2 * PLURI_ID_BYTES + 1];
	int r;

	r = sealer_new(keys, id, &s, err);
	if (r == 0)
		r = pack_index_in(s, keys_volume(keys), id, src, ret_entries,
			ret_count, err);
	if (r < 0)
		(void)pluri_where(
			err, "pack %s", text_hex(id->b, PLURI_ID_BYTES, hex));
	return r;
}
