/*
 * meta/schema.h - the tables, and how older ones become newer ones.
 *
 * The two kinds of metadata have their tables in two files: schema_files.c
 * and schema_storage.c; what belongs to the volume is in schema.c. Pure but
 * for schema_apply().
 */
#ifndef PLURI_META_SCHEMA_H
#define PLURI_META_SCHEMA_H

#include "meta/db.h"

/*
 * SQL that leads from version - 1 to version (several statements, ended by
 * semicolons), or NULL when that version changed nothing here. Every table has
 * a PRIMARY KEY, or its changes could not be shipped.
 */
const char *schema_files_step(int version);
const char *schema_storage_step(int version);

/* Bring the database from version `from` (0: empty) to META_SCHEMA, in the
 * transaction that is open. */
int schema_apply(const struct db_ops *ops, struct db *db, int64_t from,
	struct pluri_err *err);

#endif
