#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "meta/packs_int.h"

int packs_tail_add(struct meta_tx *tx, uint64_t num, uint64_t off,
	struct pluri_span bytes, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r;

	if (bytes.len == 0 || bytes.len > PACKS_TAIL_MAX ||
		off > PLURI_PACK_MAX - bytes.len)
		return pluri_fail(err, EINVAL,
			"pack %" PRIu64 ": a tail of %zu bytes at %" PRIu64,
			num, bytes.len, off);
	r = meta_query(tx,
		"INSERT INTO tail (pack, off, bytes) VALUES (?1, ?2, ?3)",
		META_INTS((int64_t)num, (int64_t)off), &s, err);
	if (r < 0)
		return r;
	tx->ops->bind_blob(s, 3, bytes);
	return meta_step_done(tx, s, err);
}

int packs_tail_drop(struct meta_tx *tx, uint64_t num, struct pluri_err *err)
{
	return meta_change(tx, "DELETE FROM tail WHERE pack = ?1",
		META_INTS((int64_t)num), err);
}

int packs_tail_begin(
	struct meta_tx *tx, uint64_t num, uint64_t *ret, struct pluri_err *err)
{
	int64_t off = 0;
	const int r = meta_ask(tx,
		"SELECT off FROM tail WHERE pack = ?1 ORDER BY off LIMIT 1",
		META_INTS((int64_t)num), &off, err);

	if (r > 0)
		*ret = off > 0 ? (uint64_t)off : 0;
	return r;
}

int packs_tail_list(struct meta_tx *tx, uint64_t num,
	int (*each)(void *arg, uint64_t off, struct pluri_span bytes),
	void *arg, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = meta_query(tx,
		"SELECT off, bytes FROM tail WHERE pack = ?1 ORDER BY off",
		META_INTS((int64_t)num), &s, err);

	while (r >= 0 && (r = meta_step(tx, s, err)) > 0) {
		const uint64_t off = meta_u64(tx, s, 0);
		const struct pluri_span bytes = tx->ops->get_blob(s, 1);

		if (bytes.len > PACKS_TAIL_MAX ||
			off > PLURI_PACK_MAX - bytes.len)
			return pluri_fail(err, EBADMSG,
				"database: pack %" PRIu64
				": its tail of %zu bytes at %" PRIu64
				" is damaged",
				num, bytes.len, off);
		r = each(arg, off, bytes);
		if (r < 0)
			return pluri_fail(err, -r,
				"pack %" PRIu64 ": its tail: %s", num,
				strerror(-r));
	}
	return r;
}
