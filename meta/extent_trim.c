#include <errno.h>
#include <inttypes.h>

#include "meta/extent_int.h"

int extent_dead(struct meta_tx *tx, uint64_t ino, uint64_t *ret_off,
	struct pluri_err *err)
{
	int64_t off = INT64_MAX;
	int r = 0;

	if (tx->counter[META_TRIMS] != 0)
		r = meta_ask(tx, "SELECT off FROM trim WHERE ino = ?1",
			META_INTS((int64_t)ino), &off, err);
	if (r < 0)
		return r;
	if (off < 0)
		return pluri_fail(err, EBADMSG,
			"database: inode %" PRIu64 " is to be cut at %" PRId64
			"; it is damaged",
			ino, off);
	*ret_off = r > 0 ? (uint64_t)off : UINT64_MAX;
	return r;
}

int extent_alive(
	struct meta_tx *tx, uint64_t ino, uint64_t end, struct pluri_err *err)
{
	uint64_t dead = UINT64_MAX;
	const int r = extent_dead(tx, ino, &dead, err);

	if (r < 0 || end <= dead)
		return r < 0 ? r : 0;
	return pluri_fail(err, EBUSY,
		"inode %" PRIu64 " is being trimmed from %" PRIu64 " on", ino,
		dead);
}

int extent_trimmed(struct meta_tx *tx, uint64_t ino, struct pluri_err *err)
{
	const int r = meta_change(tx, "DELETE FROM trim WHERE ino = ?1",
		META_INTS((int64_t)ino), err);

	if (r == 0 && tx->ops->changes(tx->db) > 0)
		tx->counter[META_TRIMS]--;
	return r;
}

int extent_cut(struct meta_tx *tx, uint64_t ino, uint64_t off, unsigned limit,
	bool *ret_more, struct pluri_err *err)
{
	uint64_t dead = UINT64_MAX;
	bool more = false;
	int r = extent_dead(tx, ino, &dead, err);

	if (r < 0)
		return r;
	if (off >= dead) { /* what is behind is dead already */
		*ret_more = true;
		return 0;
	}
	r = extent_punch(tx, ino, off, UINT64_MAX, limit, &more, err);
	if (r == 0 && more)
		r = meta_change(tx,
			"INSERT INTO trim (ino, off) VALUES (?1, ?2)"
			" ON CONFLICT (ino) DO UPDATE SET off = excluded.off",
			META_INTS((int64_t)ino, (int64_t)off), err);
	if (r < 0)
		return r;
	if (more && dead == UINT64_MAX)
		tx->counter[META_TRIMS]++;
	*ret_more = more;
	return 0;
}

static int extent_trim_first(
	struct meta_tx *tx, uint64_t *ret_ino, struct pluri_err *err)
{
	int64_t ino = 0;
	int r = 0;

	if (tx->counter[META_TRIMS] != 0)
		r = meta_ask(tx, "SELECT ino FROM trim ORDER BY ino LIMIT 1",
			NULL, 0, &ino, err);
	if (r > 0)
		*ret_ino = (uint64_t)ino;
	return r;
}

int extent_trim(struct meta_tx *tx, uint64_t ino, unsigned limit,
	bool *ret_more, struct pluri_err *err)
{
	const bool any = ino == 0;
	uint64_t dead = UINT64_MAX;
	bool more = false;
	int r = any ? extent_trim_first(tx, &ino, err) : 1;

	if (r > 0)
		r = extent_dead(tx, ino, &dead, err);
	if (r > 0)
		r = extent_punch(tx, ino, dead, UINT64_MAX, limit, &more, err);
	if (r < 0)
		return r;
	*ret_more = more || (any && tx->counter[META_TRIMS] != 0);
	return 0;
}
