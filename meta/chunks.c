#include <errno.h>

#include "base/wire.h"

#include "meta/chunks_int.h"

size_t chunks_frames_encode(
	const struct chunk_row *c, uint8_t to[4 * CHUNK_FRAMES_MAX])
{
	const size_t len = (size_t)4 * c->frames;
	struct wire_out w = {.p = to, .left = len};

	if (c->frames <= 1 || c->frames > CHUNK_FRAMES_MAX)
		return 0;
	for (uint32_t i = 0; i < c->frames; i++)
		wire_put(&w, c->frame[i], 4);
	return len;
}

int chunks_frames_decode(
	struct pluri_span blob, struct chunk_row *c, struct pluri_err *err)
{
	struct wire_in w = {.p = blob.data, .left = blob.len};
	uint64_t sum = 0;

	if (blob.len == 0) {
		c->frames = 1;
		c->frame[0] = c->bytes;
		return 0;
	}
	if (blob.len % 4 || blob.len < 8 || blob.len > 4 * CHUNK_FRAMES_MAX)
		return pluri_fail(err, EBADMSG,
			"database: chunk %llu: %zu bytes of frame lengths",
			(unsigned long long)c->num, blob.len);
	c->frames = (uint32_t)(blob.len / 4);
	for (uint32_t i = 0; i < c->frames; i++) {
		c->frame[i] = wire_u32(&w);
		if (c->frame[i] == 0)
			return pluri_fail(err, EBADMSG,
				"database: chunk %llu: frame %u is empty",
				(unsigned long long)c->num, i);
		sum += c->frame[i];
	}
	if (sum != c->bytes)
		return pluri_fail(err, EBADMSG,
			"database: chunk %llu: frames of %llu bytes in a chunk "
			"of %u",
			(unsigned long long)c->num, (unsigned long long)sum,
			c->bytes);
	return 0;
}

/* What a row may say; the same ceilings judge it on the way in and out. */
static bool chunks_lawful(
	uint64_t pack, uint64_t off, uint64_t bytes, uint64_t plain)
{
	if (pack == 0 || pack > INT64_MAX || off > PLURI_PACK_MAX)
		return false;
	if (bytes == 0 || bytes > PLURI_PACK_MAX - off)
		return false;
	return plain > 0 && plain <= PLURI_CHUNK_MAX;
}

int chunks_row(const struct db_ops *ops, struct db_stmt *s, int at,
	struct chunk_row *c, struct pluri_err *err)
{
	const struct pluri_span id = ops->get_blob(s, at + 1);
	const uint64_t off = (uint64_t)ops->get_int(s, at + 3);
	const uint64_t bytes = (uint64_t)ops->get_int(s, at + 4);
	const uint64_t plain = (uint64_t)ops->get_int(s, at + 5);

	c->num = (uint64_t)ops->get_int(s, at);
	c->pack = (uint64_t)ops->get_int(s, at + 2);
	if (id.len != sizeof(c->id.b) ||
		!chunks_lawful(c->pack, off, bytes, plain))
		return pluri_fail(err, EBADMSG,
			"database: chunk %llu: its row is damaged (pack %llu, "
			"offset %llu, %llu bytes for %llu)",
			(unsigned long long)c->num, (unsigned long long)c->pack,
			(unsigned long long)off, (unsigned long long)bytes,
			(unsigned long long)plain);
	memcpy(c->id.b, id.data, sizeof(c->id.b));
	c->off = off;
	c->bytes = (uint32_t)bytes;
	c->plain = (uint32_t)plain;
	return chunks_frames_decode(ops->get_blob(s, at + 6), c, err);
}
