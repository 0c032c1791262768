#include <errno.h>

#include "meta/meta_int.h"

int meta_get_fact(struct meta_tx *tx, const char *name, int64_t *ret,
	struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = meta_query(
		tx, "SELECT value FROM fact WHERE name = ?1", NULL, 0, &s, err);

	if (r < 0)
		return r;
	tx->ops->bind_text(s, 1, name);
	r = meta_step(tx, s, err);
	if (r > 0)
		*ret = meta_int(tx, s, 0);
	return r == 0 ? -ENOENT : r < 0 ? r : 0;
}

int meta_set_fact(
	struct meta_tx *tx, const char *name, int64_t v, struct pluri_err *err)
{
	struct db_stmt *s = NULL;
	int r = meta_query(tx,
		"INSERT INTO fact (value, name) VALUES (?1, ?2) ON CONFLICT "
		"(name) DO UPDATE SET value = excluded.value",
		META_INTS(v), &s, err);

	if (r < 0)
		return r;
	tx->ops->bind_text(s, 2, name);
	return meta_step_done(tx, s, err);
}
