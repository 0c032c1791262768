#include <errno.h>

#include "meta/meta.h"
#include "meta/schema.h"

/* What belongs to neither kind: the volume, its facts, its counters. */
static const char *schema_volume_step(int version)
{
	switch (version) {
	case 1:
		return "CREATE TABLE volume (one INTEGER NOT NULL PRIMARY KEY,"
		       " id BLOB NOT NULL, name TEXT NOT NULL,"
		       " key_check BLOB NOT NULL, created INTEGER NOT NULL);"
		       "CREATE TABLE fact (name TEXT NOT NULL PRIMARY KEY,"
		       " value INTEGER NOT NULL);"
		       "CREATE TABLE counter (id INTEGER NOT NULL PRIMARY KEY,"
		       " value INTEGER NOT NULL);"
		       "INSERT INTO counter (id, value) VALUES (0, 0), (1, 0),"
		       " (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0);";
	case 2:
		return "INSERT INTO counter (id, value) VALUES (8, 0);";
	default:
		return NULL;
	}
}

int schema_apply(const struct db_ops *ops, struct db *db, int64_t from,
	struct pluri_err *err)
{
	int r = 0;

	for (int v = (int)from + 1; v <= META_SCHEMA; v++) {
		const char *const steps[] = {schema_volume_step(v),
			schema_files_step(v), schema_storage_step(v)};

		for (size_t i = 0; i < 3 && r == 0; i++)
			if (steps[i])
				r = ops->exec(db, steps[i], err);
		if (r == 0)
			r = ops->set_version(db, v, err);
		if (r < 0)
			return r;
	}
	return 0;
}
