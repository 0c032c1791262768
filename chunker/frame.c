#include <errno.h>

#include "base/wire.h"
#include "chunker/frame.h"

#define FRAME_VERSION 1u
#define FRAME_ZSTD 1u /* the only flag so far */
#define FRAME_HEAD_AAD (2 * PLURI_ID_BYTES)
#define FRAME_BODY_AAD (PLURI_ID_BYTES + PLURI_DIGEST_BYTES + 20)

static unsigned frame_flags(const struct frame_head *h)
{
	return h->zstd ? FRAME_ZSTD : 0;
}

void frame_head_encode(const struct frame_head *h, uint8_t to[FRAME_HEAD_PLAIN])
{
	struct wire_out w = {to, FRAME_HEAD_PLAIN, false};

	wire_put(&w, FRAME_VERSION, 2);
	wire_put(&w, frame_flags(h), 2);
	wire_put(&w, h->plain, 4);
	wire_put(&w, h->stored, 4);
	wire_put(&w, h->id.chunk_bytes, 4);
	wire_put(&w, h->id.index, 2);
	wire_put(&w, h->id.count, 2);
	wire_put(&w, 0, 4);
	wire_give(&w, h->id.chunk.b, PLURI_DIGEST_BYTES);
	wire_give(&w, h->origin.b, PLURI_ID_BYTES);
	wire_put(&w, h->origin_off, 8);
}

/* What the sizes must be, given the chunk's: frames are cut by rule. */
static bool frame_sizes_fit(const struct frame_head *h)
{
	const uint32_t bytes = h->id.chunk_bytes;
	uint32_t left;

	if (bytes == 0 || bytes > PLURI_CHUNK_MAX)
		return false;
	if (h->id.count != (bytes + FRAME_PLAIN - 1) / FRAME_PLAIN)
		return false;
	if (h->id.index >= h->id.count)
		return false;
	left = bytes - h->id.index * FRAME_PLAIN;
	if (h->plain != (left < FRAME_PLAIN ? left : FRAME_PLAIN))
		return false;
	if (h->zstd)
		return h->stored > 0 && h->stored < h->plain;
	return h->stored == h->plain;
}

int frame_head_decode(const uint8_t from[FRAME_HEAD_PLAIN],
	struct frame_head *ret, struct pluri_err *err)
{
	struct wire_in w = {from, FRAME_HEAD_PLAIN, false};
	const unsigned version = wire_u16(&w);
	const unsigned flags = wire_u16(&w);
	struct frame_head h = {.zstd = flags & FRAME_ZSTD};

	if (version != FRAME_VERSION)
		return pluri_fail(err, EBADMSG,
			"frame header of version %u, this program knows %u; "
			"a newer plurifs may have written it",
			version, FRAME_VERSION);
	if (flags & ~FRAME_ZSTD)
		return pluri_fail(err, EBADMSG,
			"frame header with unknown flags %#x; a newer plurifs "
			"may have written it",
			flags);
	h.plain = wire_u32(&w);
	h.stored = wire_u32(&w);
	h.id.chunk_bytes = wire_u32(&w);
	h.id.index = wire_u16(&w);
	h.id.count = wire_u16(&w);
	wire_zero(&w, 4);
	wire_take(&w, h.id.chunk.b, PLURI_DIGEST_BYTES);
	wire_take(&w, h.origin.b, PLURI_ID_BYTES);
	h.origin_off = wire_u64(&w);
	if (!wire_ok(&w) || h.origin_off >= PLURI_PACK_MAX)
		return pluri_fail(err, EBADMSG,
			"frame header with reserved bytes set or an origin "
			"beyond any pack");
	if (!frame_sizes_fit(&h))
		return pluri_fail(err, EBADMSG,
			"frame %u of %u with %u bytes stored as %u cannot be "
			"of a chunk of %u bytes",
			h.id.index, h.id.count, h.plain, h.stored,
			h.id.chunk_bytes);
	*ret = h;
	return 0;
}

static struct pluri_span frame_head_aad(const struct keys *keys,
	const struct pluri_id *pack, uint8_t to[FRAME_HEAD_AAD])
{
	memcpy(to, keys_volume(keys)->b, PLURI_ID_BYTES);
	memcpy(to + PLURI_ID_BYTES, pack->b, PLURI_ID_BYTES);
	return (struct pluri_span){to, FRAME_HEAD_AAD};
}

/* Identity as wanted; only flags and plain are the (authentic) header's. */
static struct pluri_span frame_body_aad(const struct keys *keys,
	const struct frame_id *id, const struct frame_head *h,
	uint8_t to[FRAME_BODY_AAD])
{
	struct wire_out w = {to, FRAME_BODY_AAD, false};

	wire_give(&w, keys_volume(keys)->b, PLURI_ID_BYTES);
	wire_give(&w, id->chunk.b, PLURI_DIGEST_BYTES);
	wire_put(&w, id->chunk_bytes, 4);
	wire_put(&w, id->index, 4);
	wire_put(&w, id->count, 4);
	wire_put(&w, frame_flags(h), 4);
	wire_put(&w, h->plain, 4);
	return (struct pluri_span){to, FRAME_BODY_AAD};
}

int frame_seal(struct sealer *s, const struct keys *keys,
	const struct pluri_id *pack, uint64_t off, const struct frame_id *id,
	const struct encoded_frame *f, uint8_t *to)
{
	const struct frame_head h = {
		*id, f->plain, f->stored, f->zstd, *pack, off};
	uint8_t head[FRAME_HEAD_PLAIN];
	uint8_t aad[FRAME_BODY_AAD];
	int r;

	frame_head_encode(&h, head);
	r = sealer_seal(s, SEAL_HEAD, off, frame_head_aad(keys, pack, aad),
		(struct pluri_span){head, sizeof(head)}, to);
	if (r < 0)
		return r;
	return sealer_seal(s, SEAL_BODY, off, frame_body_aad(keys, id, &h, aad),
		(struct pluri_span){f->data, f->stored}, to + FRAME_HEAD);
}

static int frame_open_head(struct sealer *s, const struct frame_at *at,
	struct pluri_span bytes, struct frame_head *ret, struct pluri_err *err)
{
	uint8_t head[FRAME_HEAD_PLAIN];
	uint8_t aad[FRAME_HEAD_AAD];
	int r;

	if (bytes.len < FRAME_HEAD)
		return pluri_fail(err, EBADMSG,
			"frame at %llu: %zu bytes are less than a header",
			(unsigned long long)at->off, bytes.len);
	r = sealer_open(s, SEAL_HEAD, at->off,
		frame_head_aad(at->keys, &at->pack, aad),
		(struct pluri_span){bytes.data, FRAME_HEAD}, head);
	if (r < 0)
		return pluri_fail(err, -r,
			"frame at %llu: its header is not authentic: damaged, "
			"or of another place, pack, volume or key",
			(unsigned long long)at->off);
	r = frame_head_decode(head, ret, err);
	if (r < 0)
		(void)pluri_where(
			err, "frame at %llu", (unsigned long long)at->off);
	return r;
}

int frame_peek(const struct frame_at *at, struct pluri_span bytes,
	struct frame_head *ret, struct pluri_err *err)
{
	pluri_auto(sealer) s = NULL;
	int r;

	r = sealer_new(at->keys, &at->pack, &s, err);
	if (r < 0)
		return r;
	return frame_open_head(s, at, bytes, ret, err);
}

/* Is it the frame that was asked for, whole, and does it fit? */
static int frame_judge(const struct frame_at *at, const struct frame_head *h,
	const struct frame_id *want, size_t len, size_t room,
	struct pluri_err *err)
{
	const unsigned long long off = at->off;

	if (memcmp(h->id.chunk.b, want->chunk.b, PLURI_DIGEST_BYTES) != 0 ||
		h->id.chunk_bytes != want->chunk_bytes ||
		h->id.index != want->index || h->id.count != want->count)
		return pluri_fail(err, EBADMSG,
			"frame at %llu: it is frame %u of %u of another chunk "
			"or size, frame %u of %u was expected",
			off, h->id.index, h->id.count, want->index,
			want->count);
	if (len < (size_t)h->stored + FRAME_OVERHEAD)
		return pluri_fail(err, EBADMSG,
			"frame at %llu: cut short, %zu bytes of %u", off, len,
			h->stored + FRAME_OVERHEAD);
	if (room < h->plain)
		return pluri_fail(err, EINVAL,
			"frame at %llu: %u bytes do not fit into %zu", off,
			h->plain, room);
	return 0;
}

static int frame_open_body(struct sealer *s, struct encode_kit *kit,
	const struct frame_at *at, const struct frame_head *h,
	const struct frame_id *want, const uint8_t *body, uint8_t *to)
{
	const struct pluri_span sealed = {body, h->stored + SEAL_TAG};
	pluri_auto_mem uint8_t *squeezed = NULL;
	uint8_t bytes[FRAME_BODY_AAD];
	const struct pluri_span aad = frame_body_aad(at->keys, want, h, bytes);
	int r;

	if (!h->zstd)
		return sealer_open(
			s, SEAL_BODY, h->origin_off, aad, sealed, to);
	squeezed = malloc(h->stored);
	if (!squeezed)
		return -ENOMEM;
	r = sealer_open(s, SEAL_BODY, h->origin_off, aad, sealed, squeezed);
	if (r < 0)
		return r;
	return encode_undo_with(kit, true,
		(struct pluri_span){squeezed, h->stored}, h->plain, to);
}

/* With the sealer of the pack that holds it. */
static int frame_open_with(struct sealer *s, struct encode_kit *kit,
	const struct frame_at *at, struct pluri_span bytes,
	const struct frame_id *want, struct pluri_room *to,
	struct pluri_err *err)
{
	pluri_auto(sealer) other = NULL; /* of the origin, when repacked */
	struct frame_head h;
	int r = frame_open_head(s, at, bytes, &h, err);

	if (r == 0)
		r = frame_judge(at, &h, want, bytes.len, to->cap, err);
	if (r == 0 && memcmp(h.origin.b, at->pack.b, PLURI_ID_BYTES) != 0)
		r = sealer_new(at->keys, &h.origin, &other, err);
	if (r < 0)
		return r;
	r = frame_open_body(other ? other : s, kit, at, &h, want,
		(const uint8_t *)bytes.data + FRAME_HEAD, to->data);
	if (r < 0)
		return pluri_fail(err, -r,
			r == -ENOMEM ? "frame at %llu: out of memory"
				     : "frame at %llu: its body is damaged",
			(unsigned long long)at->off);
	to->len = h.plain;
	return 0;
}

int frame_open(const struct frame_at *at, struct pluri_span bytes,
	const struct frame_id *want, struct pluri_room *to,
	struct pluri_err *err)
{
	pluri_auto(sealer) s = NULL;
	const int r = sealer_new(at->keys, &at->pack, &s, err);

	return r < 0 ? r : frame_open_with(s, NULL, at, bytes, want, to, err);
}

struct frame_opener {
	struct sealer *sealer;
	struct encode_kit *kit; /* borrowed */
	const struct keys *keys;
	struct pluri_id pack;
};

int frame_opener_new(const struct keys *keys, const struct pluri_id *pack,
	struct encode_kit *kit, struct frame_opener **ret,
	struct pluri_err *err)
{
	pluri_auto(frame_opener) o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return pluri_fail(err, ENOMEM, "frame: out of memory");
	o->kit = kit;
	o->keys = keys;
	o->pack = *pack;
	r = sealer_new(keys, pack, &o->sealer, err);
	if (r < 0)
		return r;
	*ret = pluri_steal(o);
	return 0;
}

void frame_opener_free(struct frame_opener *o)
{
	if (!o)
		return;
	sealer_free(o->sealer);
	free(o);
}

int frame_opener_open(struct frame_opener *o, uint64_t off,
	struct pluri_span bytes, const struct frame_id *want,
	struct pluri_room *to, struct pluri_err *err)
{
	const struct frame_at at = {o->keys, o->pack, off};

	return frame_open_with(o->sealer, o->kit, &at, bytes, want, to, err);
}
