#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "meta/rows.h"

#define ROWS_BUCKETS 8192u /* a power of two */
#define ROWS_UNDO_FIRST 64u
#define ROWS_STEP 64u /* of ROWS_DIRTY_MAX, written when there are so many */

struct rows_entry {
	struct rows_row row;
	uint32_t next; /* in its bucket, or among the free; 0: none */
	bool used; /* not free */
	bool dirty; /* the table does not have it yet */
	uint32_t place; /* among those that are */
	bool lately; /* asked for since the hand passed */
	uint64_t noted; /* the bracket that has its earlier state noted */
};

/* How the bracket found a row: not written yet, or as the table has it, which
 * is undone by itself. */
struct rows_before {
	bool dirty;
	struct rows_row row;
};

struct rows {
	struct rows_entry entry[ROWS_MAX + 1]; /* [0] is nobody's */
	uint32_t bucket[ROWS_BUCKETS];
	uint32_t free, hand;
	uint32_t dirty; /* how many are, and which */
	uint32_t which[ROWS_MAX];
	bool direct, changed;
	uint64_t bracket; /* counted */
	struct rows_before *undo;
	size_t undos, room;
};

int rows_new(struct rows **ret, struct pluri_err *err)
{
	struct rows *r = calloc(1, sizeof(*r));

	if (!r)
		return pluri_fail(err, ENOMEM, "metadata: out of memory");
	for (uint32_t i = 1; i <= ROWS_MAX; i++)
		r->entry[i].next = i < ROWS_MAX ? i + 1 : 0;
	r->free = 1;
	*ret = r;
	return 0;
}

void rows_free(struct rows *r)
{
	if (r)
		free(r->undo);
	free(r);
}

/* --- the table of them ---------------------------------------------------- */

static uint32_t *rows_bucket(struct rows *r, uint64_t ino)
{
	const uint64_t h = ino * UINT64_C(0x9e3779b97f4a7c15);

	return &r->bucket[(h >> 32) & (ROWS_BUCKETS - 1)];
}

static struct rows_entry *rows_find(struct rows *r, uint64_t ino)
{
	uint32_t i = *rows_bucket(r, ino);

	while (i && r->entry[i].row.a.ino != ino)
		i = r->entry[i].next;
	return i ? &r->entry[i] : NULL;
}

static void rows_set_dirty(struct rows *r, struct rows_entry *e, bool dirty)
{
	uint32_t last;

	if (e->dirty == dirty)
		return;
	e->dirty = dirty;
	if (dirty) {
		e->place = r->dirty;
		r->which[r->dirty++] = (uint32_t)(e - r->entry);
		return;
	}
	last = r->which[--r->dirty];
	r->which[e->place] = last;
	r->entry[last].place = e->place;
}

static void rows_drop(struct rows *r, struct rows_entry *e)
{
	uint32_t *p = rows_bucket(r, e->row.a.ino);
	const uint32_t i = (uint32_t)(e - r->entry);

	while (*p != i)
		p = &r->entry[*p].next;
	*p = e->next;
	rows_set_dirty(r, e, false);
	*e = (struct rows_entry){.next = r->free};
	r->free = i;
}

/* There is always one that is not dirty: ROWS_DIRTY_MAX. */
static void rows_make_room(struct rows *r)
{
	assert(r->dirty < ROWS_MAX);
	while (!r->free) {
		struct rows_entry *e;

		r->hand = r->hand % ROWS_MAX + 1;
		e = &r->entry[r->hand];
		if (!e->dirty && !e->lately)
			rows_drop(r, e);
		else
			e->lately = false;
	}
}

static struct rows_entry *rows_add(struct rows *r, const struct rows_row *row)
{
	uint32_t *bucket = rows_bucket(r, row->a.ino);
	struct rows_entry *e;
	uint32_t i;

	rows_make_room(r);
	i = r->free;
	e = &r->entry[i];
	r->free = e->next;
	*e = (struct rows_entry){.row = *row, .next = *bucket, .used = true};
	*bucket = i;
	return e;
}

/* --- brackets ------------------------------------------------------------- */

void rows_begin(struct rows *r)
{
	r->bracket++;
	r->undos = 0;
	r->direct = false;
	r->changed = false;
}

bool rows_keep(struct rows *r)
{
	return r->changed;
}

/* The oldest note of a row is restored last. */
void rows_undo(struct rows *r)
{
	while (r->undos > 0) {
		const struct rows_before *b = &r->undo[--r->undos];
		struct rows_entry *e = rows_find(r, b->row.a.ino);

		if (e)
			rows_drop(r, e);
		if (b->dirty)
			rows_set_dirty(r, rows_add(r, &b->row), true);
	}
}

/* Before a change of it, or its end. */
static int rows_note(
	struct rows *r, struct rows_entry *e, struct pluri_err *err)
{
	struct rows_before *more;
	size_t room;

	r->changed = true;
	if (e->noted == r->bracket)
		return 0;
	if (r->undos == r->room) {
		room = r->room ? 2 * r->room : ROWS_UNDO_FIRST;
		more = realloc(r->undo, room * sizeof(*more));
		if (!more)
			return pluri_fail(
				err, ENOMEM, "metadata: out of memory");
		r->undo = more;
		r->room = room;
	}
	r->undo[r->undos++] =
		(struct rows_before){.dirty = e->dirty, .row = e->row};
	e->noted = r->bracket;
	return 0;
}

/* --- reading -------------------------------------------------------------- */

static void rows_from(
	struct meta_tx *tx, struct db_stmt *s, int at, struct rows_row *ret)
{
	struct tree_attr *a = &ret->a;

	a->ino = meta_u64(tx, s, at);
	a->generation = meta_u64(tx, s, at + 1);
	a->mode = meta_u32(tx, s, at + 2);
	a->uid = meta_u32(tx, s, at + 3);
	a->gid = meta_u32(tx, s, at + 4);
	a->nlink = meta_u32(tx, s, at + 5);
	a->rdev = meta_u32(tx, s, at + 6);
	a->size = meta_u64(tx, s, at + 7);
	a->bytes = meta_u64(tx, s, at + 8);
	a->atime_ns = meta_int(tx, s, at + 9);
	a->mtime_ns = meta_int(tx, s, at + 10);
	a->ctime_ns = meta_int(tx, s, at + 11);
	a->policy = meta_u32(tx, s, at + 12);
	ret->parent = meta_u64(tx, s, at + 13);
}

void rows_read(
	struct meta_tx *tx, struct db_stmt *s, int at, struct rows_row *ret)
{
	const struct rows_entry *e = rows_find(tx->rows, meta_u64(tx, s, at));

	if (e)
		*ret = e->row;
	else
		rows_from(tx, s, at, ret);
}

void rows_learn(
	struct meta_tx *tx, struct db_stmt *s, int at, struct rows_row *ret)
{
	struct rows *r = tx->rows;
	struct rows_entry *e = rows_find(r, meta_u64(tx, s, at));

	if (e) {
		e->lately = true;
		*ret = e->row;
		return;
	}
	rows_from(tx, s, at, ret);
	if (!r->direct)
		(void)rows_add(r, ret);
}

int rows_get(struct meta_tx *tx, uint64_t ino, struct rows_row *ret,
	struct pluri_err *err)
{
	struct rows_entry *e = rows_find(tx->rows, ino);
	struct db_stmt *s = NULL;
	int r;

	if (e) {
		e->lately = true;
		*ret = e->row;
		return 0;
	}
	r = meta_query(tx,
		"SELECT " ROWS_COLUMNS " FROM inode i WHERE i.ino = ?1",
		META_INTS((int64_t)ino), &s, err);
	if (r == 0)
		r = meta_step(tx, s, err);
	if (r <= 0)
		return r == 0 ? -ENOENT : r;
	rows_learn(tx, s, 0, ret);
	return 0;
}

/* --- changing ------------------------------------------------------------- */

static int rows_write(
	struct meta_tx *tx, const struct rows_row *row, struct pluri_err *err)
{
	const struct tree_attr *a = &row->a;

	return meta_change(tx,
		"UPDATE inode SET mode = ?2, uid = ?3, gid = ?4, nlink = ?5,"
		" size = ?6, bytes = ?7, atime = ?8, mtime = ?9, ctime = ?10,"
		" policy = ?11, parent = ?12 WHERE ino = ?1",
		META_INTS((int64_t)a->ino, a->mode, a->uid, a->gid, a->nlink,
			(int64_t)a->size, (int64_t)a->bytes, a->atime_ns,
			a->mtime_ns, a->ctime_ns, a->policy,
			(int64_t)row->parent),
		err);
}

/* The i-th of those that wait; the last takes its place. */
static int rows_settle_one(
	struct meta_tx *tx, uint32_t i, struct pluri_err *err)
{
	struct rows *rows = tx->rows;
	struct rows_entry *e = &rows->entry[rows->which[i]];
	int r = rows_note(rows, e, err);

	if (r == 0)
		r = rows_write(tx, &e->row, err);
	if (r == 0)
		rows_set_dirty(rows, e, false);
	return r;
}

int rows_settle(struct meta_tx *tx, struct pluri_err *err)
{
	int r = 0;

	while (tx->rows->dirty > 0 && r == 0)
		r = rows_settle_one(tx, tx->rows->dirty - 1, err);
	return r;
}

/* Room for more: some that have waited long, so that nobody pays for all. */
static int rows_settle_some(struct meta_tx *tx, struct pluri_err *err)
{
	int r = 0;

	for (uint32_t i = 0; i < ROWS_STEP && r == 0; i++)
		r = rows_settle_one(tx, i, err);
	return r;
}

int rows_direct(struct meta_tx *tx, struct pluri_err *err)
{
	struct rows *rows = tx->rows;
	const int r = rows_settle(tx, err);

	if (r < 0)
		return r;
	rows->direct = true;
	for (uint32_t i = 1; i <= ROWS_MAX; i++)
		if (rows->entry[i].used)
			rows_drop(rows, &rows->entry[i]);
	return 0;
}

int rows_set(
	struct meta_tx *tx, const struct rows_row *row, struct pluri_err *err)
{
	struct rows *rows = tx->rows;
	struct rows_entry *e;
	int r;

	if (rows->direct)
		return rows_write(tx, row, err);
	r = tx->ops->room(tx->db, err);
	if (r == 0 && rows->dirty >= ROWS_DIRTY_MAX)
		r = rows_settle_some(tx, err);
	if (r < 0)
		return r;
	e = rows_find(rows, row->a.ino);
	if (!e) /* it had to make room since it was asked for */
		e = rows_add(rows, row);
	r = rows_note(rows, e, err);
	if (r < 0)
		return r;
	e->row = *row;
	e->lately = true;
	rows_set_dirty(rows, e, true);
	return 0;
}

int rows_made(
	struct meta_tx *tx, const struct rows_row *row, struct pluri_err *err)
{
	struct rows *rows = tx->rows;
	struct rows_entry *e;
	int r;

	if (rows->direct)
		return 0;
	e = rows_add(rows, row);
	r = rows_note(rows, e, err);
	if (r < 0)
		rows_drop(rows, e);
	return r;
}

int rows_gone(struct meta_tx *tx, uint64_t ino, struct pluri_err *err)
{
	struct rows *rows = tx->rows;
	struct rows_entry *e = rows_find(rows, ino);
	const int r = e ? rows_note(rows, e, err) : 0;

	if (r == 0 && e)
		rows_drop(rows, e);
	return r;
}
