#include <errno.h>
#include <inttypes.h>

#include "meta/extent.h"
#include "meta/fsck_int.h"
#include "meta/tree_int.h"

#define EXTENT_EXACT 65536 /* extents of a file that one bracket may add up */

int fsck_extent_load(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err)
{
	return fsck_seen_read(f, tx,
		"SELECT num FROM chunk WHERE num > ?1 ORDER BY num LIMIT ?2",
		ret_more, err);
}

/* --- repairs ------------------------------------------------------------- */

static int extent_fix_del(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	int r = meta_change(tx,
		"DELETE FROM extent WHERE ino = ?1 AND off = ?2",
		META_INTS((int64_t)found->ino, (int64_t)found->off), err);

	(void)f;
	meta_touch(tx, META_TOUCHED_INODE, found->ino);
	meta_touch(tx, META_TOUCHED_CHUNK, found->chunk);
	if (r == 0)
		r = meta_change(tx,
			"UPDATE chunk SET refs = refs - 1"
			" WHERE num = ?1 AND refs > 0",
			META_INTS((int64_t)found->chunk), err);
	return r < 0 ? r : 1;
}

/* What another damage stands in the way of, the next round tries again. */
static int extent_mended(int r, struct pluri_err *err)
{
	if (r == -EBADMSG || r == -EINVAL || r == -ENOENT || r == -EBUSY)
		return 0;
	return r < 0 ? pluri_fail(err, -r, "check: cannot mend extents") : 1;
}

/* What is too much for one bracket is dead at once: see extent.h. */
static int extent_fix_past(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	bool more = false;

	(void)f;
	return extent_mended(extent_cut(tx, found->ino, (uint64_t)found->value,
				     EXTENT_STEP, &more, NULL),
		err);
}

/* What was written later, by its chunk's number, is put over the other. */
static int extent_fix_overlap(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	struct extent e[2] = {0};
	struct db_stmt *s = NULL;
	unsigned n = 0;
	int r = meta_query(tx,
		"SELECT off, len, skip, chunk FROM extent"
		" WHERE ino = ?1 AND off <= ?2 ORDER BY off DESC LIMIT 2",
		META_INTS((int64_t)found->ino, (int64_t)found->off), &s, err);

	(void)f;
	for (; r >= 0 && n < 2 && (r = meta_step(tx, s, err)) > 0; n++) {
		e[n].off = meta_u64(tx, s, 0);
		e[n].len = meta_u32(tx, s, 1);
		e[n].skip = meta_u32(tx, s, 2);
		e[n].chunk = meta_u64(tx, s, 3);
	}
	if (r < 0 || n < 2)
		return r < 0 ? r : 0;
	return extent_mended(
		extent_write(tx, found->ino,
			e[0].chunk >= e[1].chunk ? &e[0] : &e[1], 1, NULL),
		err);
}

static int extent_fix_bytes(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx, "UPDATE inode SET bytes = ?2 WHERE ino = ?1",
		META_INTS((int64_t)found->ino, found->value), err);
}

/* --- the bytes of a file ------------------------------------------------- */

/* Sum of a file's extents if one bracket may read them all: 1, else 0. */
static int extent_sum(struct meta_tx *tx, uint64_t ino, int64_t *ret_sum,
	struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = meta_query(tx,
		"SELECT count(*), COALESCE(sum(len), 0) FROM"
		" (SELECT len FROM extent WHERE ino = ?1 AND len > 0"
		" LIMIT ?2) AS e",
		META_INTS((int64_t)ino, EXTENT_EXACT), &s, err);

	if (r == 0)
		r = meta_step(tx, s, err);
	if (r < 0 || meta_int(tx, s, 0) == EXTENT_EXACT)
		return r < 0 ? r : 0;
	*ret_sum = meta_int(tx, s, 1);
	return 1;
}

/* All extents of f->file were read. */
static int extent_file_end(
	struct fsck *f, struct meta_tx *tx, struct pluri_err *err)
{
	static const struct fsck_rule wrong = {"inode-bytes",
		"sets the bytes to what extents hold", false, extent_fix_bytes};
	const uint64_t ino = f->file;
	struct fsck_finding *found;
	int64_t sum = f->file_sum;
	int64_t bytes = 0;
	int r;

	f->file = 0;
	if (ino == 0 || f->counting)
		return 0;
	r = meta_ask(tx, "SELECT bytes FROM inode WHERE ino = ?1",
		META_INTS((int64_t)ino), &bytes, err);
	if (r <= 0 || (bytes == sum && !f->file_touched))
		return r < 0 ? r : 0;
	r = extent_sum(tx, ino, &sum, err);
	if (r < 0)
		return r;
	if (r == 0 && f->file_touched) {
		f->busy++;
		return 0;
	}
	if (bytes == sum)
		return 0;
	found = fsck_add(f, &wrong,
		"%" PRId64 " bytes are told, extents hold %" PRId64, bytes,
		sum);
	found->ino = ino;
	found->value = sum;
	return 0;
}

/* --- one extent ---------------------------------------------------------- */

struct extent_line {
	uint64_t ino, chunk;
	int64_t off, len, skip, plain, size; /* size: of the file */
	bool there, chunk_there;
	uint32_t mode;
};

static const char extent_sql[] =
	"SELECT e.ino, e.off, e.len, e.skip, e.chunk, i.ino IS NOT NULL,"
	" i.mode, c.num IS NOT NULL, c.plain, i.size FROM extent e"
	" LEFT JOIN inode i ON i.ino = e.ino"
	" LEFT JOIN chunk c ON c.num = e.chunk"
	" WHERE (e.ino, e.off) > (?1, ?2) ORDER BY e.ino, e.off LIMIT ?3";

static void extent_get(
	struct meta_tx *tx, struct db_stmt *s, struct extent_line *e)
{
	e->ino = meta_u64(tx, s, 0);
	e->off = meta_int(tx, s, 1);
	e->len = meta_int(tx, s, 2);
	e->skip = meta_int(tx, s, 3);
	e->chunk = meta_u64(tx, s, 4);
	e->there = meta_int(tx, s, 5) != 0;
	e->mode = meta_u32(tx, s, 6);
	e->chunk_there = meta_int(tx, s, 7) != 0;
	e->plain = meta_int(tx, s, 8);
	e->size = meta_int(tx, s, 9);
}

static void extent_add(struct fsck *f, const struct fsck_rule *rule,
	const struct extent_line *e)
{
	struct fsck_finding *const found = fsck_add(f, rule,
		"%" PRId64 " bytes at %" PRId64 ", %" PRId64
		" into chunk %" PRIu64,
		e->len, e->off, e->skip, e->chunk);

	found->ino = e->ino;
	found->off = (uint64_t)e->off;
	found->chunk = e->chunk;
}

/* Does the extent before it, as it is now, reach into e? */
static int extent_overlap(struct fsck *f, struct meta_tx *tx,
	const struct extent_line *e, struct pluri_err *err)
{
	static const struct fsck_rule overlap = {"extent-overlap",
		"lets the later chunk have the bytes that both claim", true,
		extent_fix_overlap};
	int64_t end = 0;
	int r;

	if (f->file != e->ino || (uint64_t)e->off >= f->file_end)
		return 0;
	r = meta_ask(tx,
		"SELECT off + len FROM extent WHERE ino = ?1 AND off < ?2"
		" ORDER BY off DESC LIMIT 1",
		META_INTS((int64_t)e->ino, e->off), &end, err);
	if (r > 0 && end > e->off)
		extent_add(f, &overlap, e);
	return r < 0 ? r : 0;
}

/* Does it reach over the end of its file? Told once of each. */
static int extent_past_end(struct fsck *f, struct meta_tx *tx,
	const struct extent_line *e, struct pluri_err *err)
{
	static const struct fsck_rule past = {"extent-past-end",
		"removes what lies behind the file's end; enlarge the file "
		"before, if it was longer",
		false, extent_fix_past};
	uint64_t dead = UINT64_MAX;
	struct fsck_finding *found;
	int r;

	if (f->file_past || e->size < 0 || e->off + e->len <= e->size)
		return 0;
	r = extent_dead(tx, e->ino, &dead, NULL);
	if (r < 0 && r != -EBADMSG) /* trim-absurd tells of that */
		return pluri_fail(err, -r, "check: cannot read what is dead");
	if (r < 0 || (uint64_t)e->off >= dead)
		return 0;
	f->file_past = true;
	found = fsck_add(f, &past,
		"%" PRId64 " bytes at %" PRId64
		", but the file ends at %" PRId64,
		e->len, e->off, e->size);
	found->ino = e->ino;
	found->off = (uint64_t)e->off;
	found->value = e->size;
	return 0;
}

static int extent_judge(struct fsck *f, struct meta_tx *tx,
	const struct extent_line *e, struct pluri_err *err)
{
	static const struct fsck_rule none = {"extent-no-inode",
		"none: bytes of a file whose inode is lost; restore the "
		"database",
		true, NULL};
	static const struct fsck_rule other = {"extent-no-file",
		"none: bytes of what was a file; restore the database, or set "
		"its mode",
		true, NULL};
	static const struct fsck_rule empty = {"extent-absurd",
		"removes the extent, which holds nothing", false,
		extent_fix_del};
	static const struct fsck_rule absurd = {"extent-absurd",
		"none: reads of it give EIO; write these bytes anew", true,
		NULL};
	static const struct fsck_rule lost = {"extent-chunk-missing",
		"none: these bytes are lost, and reads of them give EIO; "
		"restore the file",
		true, NULL};
	static const struct fsck_rule past = {"extent-past-chunk",
		"none: reads of it give EIO; restore the file", true, NULL};
	int r;

	if (!e->there || !S_ISREG(e->mode)) {
		extent_add(f, e->there ? &other : &none, e);
		return 0;
	}
	if (e->len < 1) {
		extent_add(f, &empty, e);
		return 0;
	}
	if (e->off < 0 || e->skip < 0 || e->len > PLURI_CHUNK_MAX ||
		e->skip > PLURI_CHUNK_MAX - e->len ||
		e->off > INT64_MAX - e->len) {
		extent_add(f, &absurd, e);
		return extent_overlap(f, tx, e, err);
	}
	if (!e->chunk_there)
		extent_add(f, &lost, e);
	else if (e->skip + e->len > e->plain)
		extent_add(f, &past, e);
	r = extent_past_end(f, tx, e, err);
	return r < 0 ? r : extent_overlap(f, tx, e, err);
}

static int extent_line(struct fsck *f, struct meta_tx *tx,
	const struct extent_line *e, struct pluri_err *err)
{
	const size_t at = fsck_seen_find(&f->seen, e->chunk);
	uint64_t end;
	int r = 0;

	if (at != FSCK_NONE)
		fsck_seen_add(&f->seen.count[at]);
	if (f->counting)
		return 0;
	if (e->ino != f->file) {
		r = extent_file_end(f, tx, err);
		f->file = e->ino;
		f->file_touched = false;
		f->file_past = false;
		f->file_sum = 0;
		f->file_end = 0;
	}
	if (r == 0)
		r = extent_judge(f, tx, e, err);
	if (e->len > 0 && S_ISREG(e->mode))
		f->file_sum += e->len;
	end = (uint64_t)e->off + (uint64_t)e->len;
	if (e->off >= 0 && e->len > 0 && end > f->file_end)
		f->file_end = end;
	return r;
}

int fsck_extent(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err)
{
	struct extent_line e = {0};
	struct db_stmt *s = NULL;
	int told = 0;
	int r = fsck_query(f, tx, extent_sql, 2, &s, err);

	while (r >= 0 && told == 0 && fsck_go(f) &&
		(r = meta_step(tx, s, err)) > 0) {
		extent_get(tx, s, &e);
		f->key[0] = (int64_t)e.ino;
		f->key[1] = e.off;
		fsck_took(f);
		told = extent_line(f, tx, &e, err);
	}
	*ret_more = r > 0 || !fsck_go(f);
	if (r == 0 && told == 0 && !*ret_more)
		told = extent_file_end(f, tx, err);
	return told < 0 ? told : r;
}

/* --- references ---------------------------------------------------------- */

static int extent_fix_refs(struct fsck *f, struct meta_tx *tx,
	struct fsck_finding *found, struct pluri_err *err)
{
	(void)f;
	return fsck_change(tx, "UPDATE chunk SET refs = ?2 WHERE num = ?1",
		META_INTS((int64_t)found->chunk, found->value), err);
}

static void extent_refs(struct fsck *f, uint64_t num, int64_t refs, size_t at)
{
	static const struct fsck_rule wrong = {"chunk-refs",
		"sets the references to the extents that were counted", false,
		extent_fix_refs};
	uint32_t *const count = &f->seen.count[at];
	const int64_t seen = *count & FSCK_COUNT;
	struct fsck_finding *found;

	if (*count & FSCK_SETTLED)
		return;
	if (seen != refs && *count & FSCK_TOUCHED) {
		f->unsettled++;
		return;
	}
	*count |= FSCK_SETTLED;
	if (seen == refs)
		return;
	found = fsck_add(f, &wrong,
		"%" PRId64 " references are told, %" PRId64 " extents have it",
		refs, seen);
	found->chunk = num;
	found->value = seen;
}

int fsck_extent_judge(struct fsck *f, struct meta_tx *tx, bool *ret_more,
	struct pluri_err *err)
{
	const struct fsck_seen *const w = &f->seen;
	const int64_t last = w->n ? (int64_t)fsck_seen_num(w, w->n - 1) : 0;
	struct db_stmt *s = NULL;
	int r;

	if (!f->on)
		f->key[0] = w->n ? (int64_t)w->base - 1 : INT64_MAX;
	r = fsck_query(f, tx,
		"SELECT num, refs FROM chunk WHERE num > ?1 ORDER BY num"
		" LIMIT ?2",
		1, &s, err);
	while (r >= 0 && f->key[0] < last && fsck_go(f) &&
		(r = meta_step(tx, s, err)) > 0) {
		size_t at;

		f->key[0] = meta_int(tx, s, 0);
		fsck_took(f);
		at = fsck_seen_find(w, (uint64_t)f->key[0]);
		if (at != FSCK_NONE)
			extent_refs(
				f, (uint64_t)f->key[0], meta_int(tx, s, 1), at);
	}
	*ret_more = f->key[0] < last && (r > 0 || !fsck_go(f));
	if (!*ret_more && r >= 0)
		fsck_window(f, FSCK_AT_CHUNKS, FSCK_AT_EXTENTS);
	return r;
}
