#include <errno.h>

#include "base/wire.h"

#include "meta/chunks_int.h"
#include "meta/meta_int.h"

#define CHUNKS_BATCH 16u /* rows read before each() sees the first */

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

int chunks_find(struct meta_tx *tx, const struct pluri_digest *ids, unsigned n,
	uint64_t *ret, struct pluri_err *err)
{
	for (unsigned i = 0; i < n; i++) {
		struct db_stmt *s = NULL;
		int r = meta_query(tx, "SELECT num FROM chunk WHERE id = ?1",
			NULL, 0, &s, err);

		if (r < 0)
			return r;
		tx->ops->bind_blob(
			s, 1, (struct pluri_span){ids[i].b, sizeof(ids[i].b)});
		r = meta_step(tx, s, err);
		if (r < 0)
			return r;
		ret[i] = r > 0 ? meta_u64(tx, s, 0) : 0;
	}
	return 0;
}

/* Judge what is about to be recorded as it will be judged when read. */
static int chunks_check(const struct chunk_row *c, struct pluri_err *err)
{
	uint64_t sum = 0;

	if (!chunks_lawful(c->pack, c->off, c->bytes, c->plain))
		return pluri_fail(err, EINVAL,
			"chunk: %u bytes for %u at offset %llu of pack %llu",
			c->bytes, c->plain, (unsigned long long)c->off,
			(unsigned long long)c->pack);
	if (c->frames < 1 || c->frames > CHUNK_FRAMES_MAX)
		return pluri_fail(err, EINVAL, "chunk: %u frames", c->frames);
	for (uint32_t i = 0; i < c->frames; i++) {
		if (c->frame[i] == 0)
			return pluri_fail(
				err, EINVAL, "chunk: frame %u is empty", i);
		sum += c->frame[i];
	}
	if (sum != c->bytes)
		return pluri_fail(err, EINVAL,
			"chunk: frames of %llu bytes in a chunk of %u",
			(unsigned long long)sum, c->bytes);
	return 0;
}

static int chunks_insert(struct meta_tx *tx, const struct chunk_row *c,
	uint64_t num, struct pluri_err *err)
{
	uint8_t frames[4 * CHUNK_FRAMES_MAX];
	const size_t len = chunks_frames_encode(c, frames);
	struct db_stmt *s = NULL;
	int r = meta_query(tx,
		"INSERT INTO chunk (num, pack, off, bytes, plain, refs, id,"
		" frames) VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7)"
		" ON CONFLICT (id) DO NOTHING",
		META_INTS((int64_t)num, (int64_t)c->pack, (int64_t)c->off,
			c->bytes, c->plain),
		&s, err);

	if (r < 0)
		return r;
	tx->ops->bind_blob(s, 6, (struct pluri_span){c->id.b, sizeof(c->id.b)});
	tx->ops->bind_blob(s, 7, (struct pluri_span){len ? frames : NULL, len});
	return meta_step_done(tx, s, err);
}

static int chunks_get_id(struct meta_tx *tx, const struct pluri_digest *id,
	struct chunk_row *ret, struct pluri_err *err)
{
	struct chunk_row c;
	struct db_stmt *s = NULL;
	int r = meta_query(tx,
		"SELECT " CHUNKS_COLUMNS " FROM chunk c WHERE c.id = ?1", NULL,
		0, &s, err);

	if (r < 0)
		return r;
	tx->ops->bind_blob(s, 1, (struct pluri_span){id->b, sizeof(id->b)});
	r = meta_step(tx, s, err);
	if (r == 0)
		return pluri_fail(err, EBADMSG,
			"database: a chunk is there and cannot be found; its "
			"index is damaged");
	if (r > 0)
		r = chunks_row(tx->ops, s, 0, &c, err);
	if (r < 0)
		return r;
	*ret = c;
	return 0;
}

int chunks_add(struct meta_tx *tx, struct chunk_row *c, struct pluri_err *err)
{
	int64_t there = 0;
	uint64_t num;
	int r = chunks_check(c, err);

	if (r == 0)
		r = meta_ask(tx, "SELECT 1 FROM pack WHERE num = ?1",
			META_INTS((int64_t)c->pack), &there, err);
	if (r < 0)
		return r;
	if (r == 0)
		return pluri_fail(err, ESTALE,
			"pack %llu of a new chunk was collected",
			(unsigned long long)c->pack);
	num = meta_next(tx, META_CHUNK);
	r = chunks_insert(tx, c, num, err);
	if (r < 0)
		return r;
	if (tx->ops->changes(tx->db) == 0)
		return chunks_get_id(tx, &c->id, c, err);
	c->num = num;
	return 0;
}

int chunks_get(struct meta_tx *tx, uint64_t num, struct chunk_row *ret,
	struct pluri_err *err)
{
	struct chunk_row c;
	struct db_stmt *s = NULL;
	int r = meta_query(tx,
		"SELECT " CHUNKS_COLUMNS " FROM chunk c WHERE c.num = ?1",
		META_INTS((int64_t)num), &s, err);

	if (r < 0)
		return r;
	r = meta_step(tx, s, err);
	if (r == 0)
		return pluri_fail(err, ENOENT, "there is no chunk %llu",
			(unsigned long long)num);
	if (r > 0)
		r = chunks_row(tx->ops, s, 0, &c, err);
	if (r < 0)
		return r;
	*ret = c;
	return 0;
}

int chunks_ref(
	struct meta_tx *tx, uint64_t num, int delta, struct pluri_err *err)
{
	int64_t refs = 0;
	int r;

	meta_touch(tx, META_TOUCHED_CHUNK, num);
	r = meta_change(tx,
		"UPDATE chunk SET refs = refs + ?2"
		" WHERE num = ?1 AND refs + ?2 >= 0",
		META_INTS((int64_t)num, delta), err);

	if (r < 0 || tx->ops->changes(tx->db) > 0)
		return r;
	r = meta_ask(tx, "SELECT refs FROM chunk WHERE num = ?1",
		META_INTS((int64_t)num), &refs, err);
	if (r < 0)
		return r;
	if (r > 0)
		return pluri_fail(err, EBADMSG,
			"database: chunk %llu: %lld references and %d more",
			(unsigned long long)num, (long long)refs, delta);
	return pluri_fail(err, ENOENT, "there is no chunk %llu to refer to",
		(unsigned long long)num);
}

int chunks_move(
	struct meta_tx *tx, const struct chunk_row *c, struct pluri_err *err)
{
	uint8_t frames[4 * CHUNK_FRAMES_MAX];
	const size_t len = chunks_frames_encode(c, frames);
	struct db_stmt *s = NULL;
	int r = chunks_check(c, err);

	if (r == 0)
		r = meta_query(tx,
			"UPDATE chunk SET pack = ?2, off = ?3, bytes = ?4,"
			" frames = ?5 WHERE num = ?1",
			META_INTS((int64_t)c->num, (int64_t)c->pack,
				(int64_t)c->off, c->bytes),
			&s, err);
	if (r < 0)
		return r;
	tx->ops->bind_blob(s, 5, (struct pluri_span){len ? frames : NULL, len});
	r = meta_step_done(tx, s, err);
	return r < 0 ? r : tx->ops->changes(tx->db) > 0;
}

int chunks_drop(struct meta_tx *tx, uint64_t num, struct pluri_err *err)
{
	int64_t refs = 0;
	int r = meta_ask(tx, "SELECT refs FROM chunk WHERE num = ?1",
		META_INTS((int64_t)num), &refs, err);

	if (r < 0)
		return r;
	if (r == 0)
		return pluri_fail(err, ENOENT, "there is no chunk %llu",
			(unsigned long long)num);
	if (refs != 0)
		return pluri_fail(err, EBUSY, "chunk %llu has %lld references",
			(unsigned long long)num, (long long)refs);
	meta_touch(tx, META_TOUCHED_CHUNK, num);
	return meta_change(tx, "DELETE FROM chunk WHERE num = ?1",
		META_INTS((int64_t)num), err);
}

/* Where a listing goes on: after this offset and number. */
struct chunks_mark {
	uint64_t pack, off, num;
};

struct chunks_item {
	struct chunk_row c;
	uint64_t refs;
};

static int chunks_batch(struct meta_tx *tx, const struct chunks_mark *at,
	struct chunks_item *ret, unsigned *ret_n, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	unsigned n = 0;
	int r = meta_query(tx,
		"SELECT " CHUNKS_COLUMNS ", c.refs FROM chunk c WHERE"
		" c.pack = ?1 AND c.off >= ?2 AND (c.off > ?2 OR c.num > ?3)"
		" ORDER BY c.off, c.num LIMIT ?4",
		META_INTS((int64_t)at->pack, (int64_t)at->off, (int64_t)at->num,
			CHUNKS_BATCH),
		&s, err);

	while (r >= 0 && n < CHUNKS_BATCH) {
		r = meta_step(tx, s, err);
		if (r <= 0)
			break;
		ret[n].refs = meta_u64(tx, s, 7);
		if (ret[n].refs > INT64_MAX)
			return pluri_fail(err, EBADMSG,
				"database: chunk %llu has references below "
				"zero",
				(unsigned long long)meta_u64(tx, s, 0));
		r = chunks_row(tx->ops, s, 0, &ret[n++].c, err);
	}
	if (r < 0)
		return r;
	*ret_n = n;
	return 0;
}

int chunks_from(struct meta_tx *tx, uint64_t pack, uint64_t from,
	int (*each)(void *arg, const struct chunk_row *c, uint64_t refs),
	void *arg, struct pluri_err *err)
{
	struct chunks_mark at = {.pack = pack, .off = from};
	struct chunks_item rows[CHUNKS_BATCH];
	unsigned n = 0;

	do {
		const int r = chunks_batch(tx, &at, rows, &n, err);

		if (r < 0)
			return r;
		for (unsigned i = 0; i < n; i++) {
			if (each(arg, &rows[i].c, rows[i].refs) != 0)
				return 0;
			at.off = rows[i].c.off;
			at.num = rows[i].c.num;
		}
	} while (n == CHUNKS_BATCH);
	return 0;
}

int chunks_of_pack(struct meta_tx *tx, uint64_t pack,
	int (*each)(void *arg, const struct chunk_row *c, uint64_t refs),
	void *arg, struct pluri_err *err)
{
	return chunks_from(tx, pack, 0, each, arg, err);
}

int chunks_end(
	struct meta_tx *tx, uint64_t pack, uint64_t *ret, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	uint64_t off = 0;
	uint64_t bytes = 0;
	int r = meta_query(tx,
		"SELECT off, bytes FROM chunk WHERE pack = ?1"
		" ORDER BY off DESC LIMIT 1",
		META_INTS((int64_t)pack), &s, err);

	if (r == 0)
		r = meta_step(tx, s, err);
	if (r < 0)
		return r;
	if (r > 0) {
		off = meta_u64(tx, s, 0);
		bytes = meta_u64(tx, s, 1);
	}
	if (off > PLURI_PACK_MAX || bytes > PLURI_PACK_MAX - off)
		return pluri_fail(err, EBADMSG,
			"database: a chunk ends beyond pack %llu",
			(unsigned long long)pack);
	*ret = off + bytes;
	return 0;
}
