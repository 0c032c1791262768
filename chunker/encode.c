#include <errno.h>
#include <string.h>

#include <zstd.h>
#include <zstd_errors.h>

#include "chunker/encode.h"

#define ENCODE_LEVEL_MAX 19
#define ENCODE_RETRY 8u /* of frames that are likely incompressible */

/* Frees the compressor at the end of the scope. */
static void encode_drop(ZSTD_CCtx **z)
{
	(void)ZSTD_freeCCtx(*z);
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

static int encode_compress(struct encoded *e, int level)
{
	__attribute__((cleanup(encode_drop))) ZSTD_CCtx *z = ZSTD_createCCtx();
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

int encode_chunk(const struct encode_options *o, const struct pluri_digest *id,
	struct pluri_span plain, struct encoded **ret, struct pluri_err *err)
{
	pluri_auto(encoded) e = NULL;

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
	if (o->compress && encode_compress(e, o->level) < 0)
		return pluri_fail(err, ENOMEM, "encode: out of memory");
	*ret = pluri_steal(e);
	return 0;
}

void encoded_free(struct encoded *e)
{
	if (!e)
		return;
	free(e->data);
	free(e);
}

int encode_undo(
	bool zstd, struct pluri_span stored, uint32_t plain, uint8_t *to)
{
	ZSTD_DCtx *z;
	size_t n;

	if (!zstd) {
		if (stored.len != plain)
			return -EBADMSG;
		memcpy(to, stored.data, plain);
		return 0;
	}
	/* By hand: ZSTD_decompress() calls a lack of memory bad data. */
	z = ZSTD_createDCtx();
	if (!z)
		return -ENOMEM;
	n = ZSTD_decompressDCtx(z, to, plain, stored.data, stored.len);
	(void)ZSTD_freeDCtx(z);
	return !ZSTD_isError(n) && n == plain ? 0 : -EBADMSG;
}
