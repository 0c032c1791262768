#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>
#include <zstd_errors.h>

#include "chunker/encode.h"

#define ENCODE_LEVEL_MAX 19
#define ENCODE_RETRY 8u /* of frames that are likely incompressible */

struct encode_kit {
	ZSTD_CCtx *down; /* NULL: not needed yet */
	ZSTD_DCtx *up;
};

struct encode_kit *encode_kit_new(void)
{
	return calloc(1, sizeof(struct encode_kit));
}

static void encode_kit_empty(struct encode_kit *kit)
{
	(void)ZSTD_freeCCtx(kit->down);
	(void)ZSTD_freeDCtx(kit->up);
}

void encode_kit_free(struct encode_kit *kit)
{
	if (!kit)
		return;
	encode_kit_empty(kit);
	free(kit);
}

static ZSTD_CCtx *encode_kit_down(struct encode_kit *kit)
{
	if (!kit->down)
		kit->down = ZSTD_createCCtx();
	return kit->down;
}

static ZSTD_DCtx *encode_kit_up(struct encode_kit *kit)
{
	if (!kit->up)
		kit->up = ZSTD_createDCtx();
	return kit->up;
}

/* Most bytes a compressed frame may have to be worth it: it saves 1/16. */
static size_t encode_worth(uint32_t plain)
{
	return plain - (plain + 15) / 16;
}

/* 1 when the frame now stands compressed at to, 0 when that did not pay. */
static int encode_squeeze(
	ZSTD_CCtx *z, int level, struct encoded_frame *f, uint8_t *to)
{
	const size_t room = encode_worth(f->plain);
	const size_t n =
		ZSTD_compressCCtx(z, to, room, f->data, f->plain, level);

	if (ZSTD_isError(n)) {
		const ZSTD_ErrorCode code = ZSTD_getErrorCode(n);

		return code == ZSTD_error_memory_allocation ? -ENOMEM : 0;
	}
	f->data = to;
	f->stored = (uint32_t)n;
	f->zstd = true;
	return 1;
}

static void encode_cut(struct encoded *e, const uint8_t *data)
{
	e->frames = (e->plain + FRAME_PLAIN - 1) / FRAME_PLAIN;
	for (uint32_t i = 0; i < e->frames; i++) {
		const uint32_t off = i * FRAME_PLAIN;
		const uint32_t left = e->plain - off;
		const uint32_t n = left < FRAME_PLAIN ? left : FRAME_PLAIN;

		e->frame[i] = (struct encoded_frame){n, n, false, data + off};
	}
}

static int encode_compress(struct encode_kit *kit, struct encoded *e, int level)
{
	ZSTD_CCtx *z = encode_kit_down(kit);
	size_t used = 0;
	int paid = 0;

	/* Compressed frames are smaller than plain ones, so this is enough. */
	e->data = malloc(e->plain);
	if (!z || !e->data)
		return -ENOMEM;
	for (uint32_t i = 0; i < e->frames; i++) {
		int r;

		if (!paid && i % ENCODE_RETRY)
			continue;
		r = encode_squeeze(z, level, &e->frame[i], e->data + used);
		if (r < 0)
			return r;
		if (i == 0)
			paid = r;
		if (r)
			used += e->frame[i].stored;
	}
	return 0;
}

int encode_chunk_with(struct encode_kit *kit, const struct encode_options *o,
	const struct pluri_digest *id, struct pluri_span plain,
	struct encoded **ret, struct pluri_err *err)
{
	struct encode_kit own = {NULL, NULL};
	pluri_auto(encoded) e = NULL;
	int r = 0;

	if (plain.len == 0 || plain.len > PLURI_CHUNK_MAX)
		return pluri_fail(err, EINVAL,
			"a chunk of %zu bytes: it must have 1 to %u", plain.len,
			PLURI_CHUNK_MAX);
	if (o->compress && (o->level < 1 || o->level > ENCODE_LEVEL_MAX))
		return pluri_fail(err, EINVAL, "zstd level %d: take 1 to %d",
			o->level, ENCODE_LEVEL_MAX);
	e = calloc(1, sizeof(*e));
	if (!e)
		return pluri_fail(err, ENOMEM, "encode: out of memory");
	e->id = *id;
	e->plain = (uint32_t)plain.len;
	encode_cut(e, plain.data);
	if (o->compress)
		r = encode_compress(kit ? kit : &own, e, o->level);
	encode_kit_empty(&own);
	if (r < 0)
		return pluri_fail(err, ENOMEM, "encode: out of memory");
	*ret = pluri_steal(e);
	return 0;
}

int encode_chunk(const struct encode_options *o, const struct pluri_digest *id,
	struct pluri_span plain, struct encoded **ret, struct pluri_err *err)
{
	return encode_chunk_with(NULL, o, id, plain, ret, err);
}

void encoded_free(struct encoded *e)
{
	if (!e)
		return;
	free(e->data);
	free(e);
}

int encode_undo_with(struct encode_kit *kit, bool zstd,
	struct pluri_span stored, uint32_t plain, uint8_t *to)
{
	struct encode_kit own = {NULL, NULL};
	ZSTD_DCtx *z;
	size_t n;

	if (!zstd) {
		if (stored.len != plain)
			return -EBADMSG;
		memcpy(to, stored.data, plain);
		return 0;
	}
	/* By hand: ZSTD_decompress() calls a lack of memory bad data. */
	z = encode_kit_up(kit ? kit : &own);
	if (!z)
		return -ENOMEM;
	n = ZSTD_decompressDCtx(z, to, plain, stored.data, stored.len);
	encode_kit_empty(&own);
	return !ZSTD_isError(n) && n == plain ? 0 : -EBADMSG;
}

int encode_undo(
	bool zstd, struct pluri_span stored, uint32_t plain, uint8_t *to)
{
	return encode_undo_with(NULL, zstd, stored, plain, to);
}
