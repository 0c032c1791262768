#include <errno.h>
#include <inttypes.h>

#include "meta/chunks_int.h"
#include "meta/fsck_int.h"

struct chunk_line {
	int64_t num, pack, off, bytes, refs;
	bool lawful, pack_there, closed;
	int64_t pack_bytes;
};

static const char chunk_sql[] =
	"SELECT " CHUNKS_COLUMNS ", c.refs, p.num IS NOT NULL, p.state, p.bytes"
	" FROM chunk c LEFT JOIN pack p ON p.num = c.pack"
	" WHERE (c.pack, c.off, c.num) > (?1, ?2, ?3)"
	" ORDER BY c.pack, c.off, c.num LIMIT ?4";

static void chunk_get(
	struct meta_tx *tx, struct db_stmt *s, struct chunk_line *c)
{
	struct chunk_row row;

	c->num = meta_int(tx, s, 0);
	c->pack = meta_int(tx, s, 2);
	c->off = meta_int(tx, s, 3);
	c->bytes = meta_int(tx, s, 4);
	c->lawful = chunks_row(tx->ops, s, 0, &row, NULL) == 0;
	c->refs = meta_int(tx, s, 7);
	c->pack_there = meta_int(tx, s, 8) != 0;
	c->closed = meta_int(tx, s, 9) != 0;
	c->pack_bytes = meta_int(tx, s, 10);
}

/* Only what no file needs may go. */
static int chunk_fix_unused(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	if (found->value != 0)
		return 0;
	return fsck_change(tx, "DELETE FROM chunk WHERE num = ?1 AND refs = 0",
		META_INTS((int64_t)found->chunk), err);
}

static void chunk_add(struct fsck *f, const struct fsck_rule *rule,
	const struct chunk_line *c, const char *what)
{
	struct fsck_finding *const found = fsck_add(f, rule,
		"%s: %" PRId64 " bytes at %" PRId64 ", %" PRId64 " references",
		what, c->bytes, c->off, c->refs);

	found->chunk = (uint64_t)c->num;
	found->pack = (uint64_t)c->pack;
	found->off = (uint64_t)c->off;
	found->value = c->refs;
}

/* Does any chunk before it in its pack, as they are now, reach into it? */
static int chunk_overlap(struct fsck *f, struct meta_tx *tx,
	const struct chunk_line *c, struct pluri_err *err)
{
	static const struct fsck_rule overlap = {"chunk-overlap",
		"forgets it when no file has it; else none: bytes that are not "
		"its own fail their checksum, and reads give EIO",
		true, chunk_fix_unused};
	int64_t yes = 0;
	int r;

	if (f->pack_end <= (uint64_t)c->off)
		return 0;
	r = meta_ask(tx,
		"SELECT 1 FROM (SELECT off, bytes FROM chunk WHERE pack = ?1"
		" AND off <= ?2 AND num <> ?3 ORDER BY off DESC LIMIT 2) AS b"
		" WHERE off + bytes > ?2",
		META_INTS(c->pack, c->off, c->num), &yes, err);
	if (r > 0)
		chunk_add(f, &overlap, c, "begins inside another one");
	return r < 0 ? r : 0;
}

static int chunk_judge(struct fsck *f, struct meta_tx *tx,
	const struct chunk_line *c, struct pluri_err *err)
{
	static const struct fsck_rule absurd = {"chunk-absurd",
		"forgets it when no file has it; else none: reads give EIO",
		true, chunk_fix_unused};
	static const struct fsck_rule nowhere = {"chunk-no-pack",
		"forgets it when no file has it; else none: its bytes are "
		"lost, and reads give EIO; restore the files",
		true, chunk_fix_unused};
	static const struct fsck_rule past = {"chunk-past-pack",
		"forgets it when no file has it; else none: its bytes are "
		"lost, and reads give EIO; restore the files",
		true, chunk_fix_unused};

	if (!c->lawful) {
		chunk_add(f, &absurd, c, "cannot be");
		return 0;
	}
	if (!c->pack_there)
		chunk_add(f, &nowhere, c, "there is no such pack");
	else if (c->closed && c->pack_bytes >= 0 &&
		 c->off + c->bytes > c->pack_bytes)
		chunk_add(f, &past, c, "ends behind its pack");
	return chunk_overlap(f, tx, c, err);
}

int fsck_chunk(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err)
{
	struct chunk_line c = {0};
	struct db_stmt *s = NULL;
	int told = 0;
	int r = fsck_query(f, tx, chunk_sql, 3, &s, err);

	if (!f->on)
		fsck_seen_clear(&f->seen);
	while (r >= 0 && told == 0 && fsck_go(f) &&
		(r = meta_step(tx, s, err)) > 0) {
		chunk_get(tx, s, &c);
		if (!f->on || f->key[0] != c.pack)
			f->pack_end = 0;
		f->key[0] = c.pack;
		f->key[1] = c.off;
		f->key[2] = c.num;
		fsck_took(f);
		told = chunk_judge(f, tx, &c, err);
		if (c.lawful && (uint64_t)(c.off + c.bytes) > f->pack_end)
			f->pack_end = (uint64_t)(c.off + c.bytes);
	}
	*ret_more = r > 0 || !fsck_go(f);
	return told < 0 ? told : r;
}
