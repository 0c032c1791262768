#include <errno.h>
#include <string.h>

#include "meta/fsck_int.h"
#include "meta/tree_int.h"

#define FIND_ENTRIES 100000 /* of a directory, read for one name */
#define FIND_DEPTH 256u

static void find_tell(struct fsck_finding *want, unsigned n, int64_t ino,
	int64_t dir, struct pluri_span name)
{
	for (unsigned i = 0; i < n; i++) {
		if (want[i].ino != (uint64_t)ino || want[i].dir)
			continue;
		want[i].dir = (uint64_t)dir;
		fsck_name(&want[i], name);
	}
}

int fsck_find(struct meta_tx *tx, struct fsck_cursor *at,
	struct fsck_finding *want, unsigned n, bool *ret_more,
	struct pluri_err *err)
{
	const int64_t from = at->on ? (int64_t)at->dir : INT64_MIN;
	const struct fsck_cursor was = *at; /* what is bound must stay */
	struct db_stmt *s = NULL;
	unsigned rows = 0;
	int r = meta_query(tx,
		"SELECT parent, name, ino FROM dentry"
		" WHERE (parent, name) > (?1, ?3)"
		" ORDER BY parent, name LIMIT ?2",
		META_INTS(from, FSCK_ROWS), &s, err);

	if (r == 0)
		tx->ops->bind_blob(
			s, 3, (struct pluri_span){was.name, was.name_len});
	while (r >= 0 && (r = meta_step(tx, s, err)) > 0) {
		const struct pluri_span name = tx->ops->get_blob(s, 1);

		find_tell(
			want, n, meta_int(tx, s, 2), meta_int(tx, s, 0), name);
		at->on = true;
		at->dir = meta_u64(tx, s, 0);
		at->name_len = name.len;
		if (name.len > sizeof(at->name)) {
			at->dir++;
			at->name_len = 0;
		}
		if (at->name_len)
			memcpy(at->name, name.data, at->name_len);
		rows++;
	}
	*ret_more = rows == FSCK_ROWS;
	return r < 0 ? r : 0;
}

/* The name of ino goes in front of what stands at *at: 1, 0, -errno. */
static int find_prepend(struct meta_tx *tx, const int64_t dir_ino[2], char *to,
	size_t *at, struct pluri_err *err)
{
	struct pluri_span name = {0};
	struct db_stmt *s = NULL;
	int r = meta_query(tx,
		"SELECT name FROM (SELECT name, ino FROM dentry"
		" WHERE parent = ?1 LIMIT ?3) AS d WHERE ino = ?2 LIMIT 1",
		META_INTS(dir_ino[0], dir_ino[1], FIND_ENTRIES), &s, err);

	if (r == 0)
		r = meta_step(tx, s, err);
	if (r <= 0)
		return r;
	name = tx->ops->get_blob(s, 0);
	if (name.len + 1 > *at)
		return 0;
	to[--*at] = '/';
	*at -= name.len;
	if (name.len)
		memcpy(to + *at, name.data, name.len);
	return 1;
}

int fsck_path(struct meta_tx *tx, uint64_t dir, char *to, size_t cap,
	struct pluri_err *err)
{
	size_t at = cap - 1;
	int r = 1;

	to[at] = 0;
	for (unsigned i = 0; r > 0 && dir != TREE_ROOT && i < FIND_DEPTH; i++) {
		int64_t step[2] = {0, (int64_t)dir};

		r = meta_ask(tx, "SELECT parent FROM inode WHERE ino = ?1",
			META_INTS((int64_t)dir), &step[0], err);
		if (r > 0)
			r = find_prepend(tx, step, to, &at, err);
		dir = (uint64_t)step[0];
	}
	if (r <= 0 || dir != TREE_ROOT || at == 0)
		return r < 0 ? r : 0;
	to[--at] = '/';
	memmove(to, to + at, cap - at);
	return 1;
}
