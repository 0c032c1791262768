#include <stddef.h>

#include "meta/schema.h"

/*
 * pack.stored counts the pack's STORED shards: with it, totals need no look
 * at the shards, and with the indices on what is seldom, at few packs.
 * chunk.frames is null for a chunk of one frame. tail: see meta/packs.h.
 */
static const char schema_storage_v1[] =
	"CREATE TABLE store("
	" num INTEGER PRIMARY KEY,"
	" id BLOB NOT NULL UNIQUE,"
	" name TEXT NOT NULL UNIQUE,"
	" provider TEXT NOT NULL,"
	" weight INTEGER NOT NULL,"
	" state INTEGER NOT NULL,"
	" text TEXT NOT NULL);"

	"CREATE TABLE policy("
	" num INTEGER PRIMARY KEY,"
	" name TEXT NOT NULL UNIQUE,"
	" text TEXT NOT NULL);"

	"CREATE TABLE pack("
	" num INTEGER PRIMARY KEY,"
	" id BLOB NOT NULL UNIQUE,"
	" policy INTEGER NOT NULL,"
	" state INTEGER NOT NULL,"
	" kind INTEGER NOT NULL,"
	" k INTEGER NOT NULL,"
	" m INTEGER NOT NULL,"
	" local INTEGER NOT NULL,"
	" bytes INTEGER NOT NULL,"
	" sum INTEGER NOT NULL,"
	" created INTEGER NOT NULL,"
	" stored INTEGER NOT NULL);"
	"CREATE INDEX pack_open ON pack(num) WHERE state = 0;"
	"CREATE INDEX pack_local ON pack(num) WHERE local = 1;"
	"CREATE INDEX pack_short ON pack(num) WHERE stored < k + m;"

	"CREATE TABLE shard("
	" pack INTEGER NOT NULL,"
	" idx INTEGER NOT NULL,"
	" store INTEGER NOT NULL,"
	" state INTEGER NOT NULL,"
	" PRIMARY KEY(pack, idx)) WITHOUT ROWID;"
	"CREATE INDEX shard_store ON shard(store, state);"
	"CREATE INDEX shard_debt ON shard(pack, idx) WHERE state <> 1;"

	"CREATE TABLE chunk("
	" num INTEGER PRIMARY KEY,"
	" id BLOB NOT NULL UNIQUE,"
	" pack INTEGER NOT NULL,"
	" off INTEGER NOT NULL,"
	" bytes INTEGER NOT NULL,"
	" plain INTEGER NOT NULL,"
	" frames BLOB,"
	" refs INTEGER NOT NULL);"
	"CREATE INDEX chunk_pack ON chunk(pack, off);"

	"CREATE TABLE move("
	" num INTEGER PRIMARY KEY,"
	" job INTEGER NOT NULL,"
	" pack INTEGER NOT NULL,"
	" idx INTEGER NOT NULL,"
	" from_store INTEGER NOT NULL,"
	" to_store INTEGER NOT NULL,"
	" step INTEGER NOT NULL,"
	" UNIQUE(pack, idx));"

	"CREATE TABLE job("
	" num INTEGER PRIMARY KEY,"
	" kind INTEGER NOT NULL,"
	" store INTEGER NOT NULL,"
	" state INTEGER NOT NULL,"
	" started INTEGER NOT NULL,"
	" ended INTEGER NOT NULL,"
	" shards INTEGER NOT NULL,"
	" bytes INTEGER NOT NULL,"
	" total_shards INTEGER NOT NULL,"
	" total_bytes INTEGER NOT NULL,"
	" text TEXT NOT NULL);";

static const char schema_storage_v3[] =
	"CREATE TABLE tail("
	" pack INTEGER NOT NULL,"
	" off INTEGER NOT NULL,"
	" bytes BLOB NOT NULL,"
	" PRIMARY KEY(pack, off)) WITHOUT ROWID;";

/* meta/garbage.h; id and idx name the object. */
static const char schema_storage_v4[] =
	"CREATE TABLE grave("
	" pack INTEGER NOT NULL,"
	" idx INTEGER NOT NULL,"
	" store INTEGER NOT NULL,"
	" id BLOB NOT NULL,"
	" at INTEGER NOT NULL,"
	" PRIMARY KEY(pack, idx)) WITHOUT ROWID;"
	"CREATE INDEX grave_id ON grave(id);"
	"CREATE INDEX grave_at ON grave(at);";

const char *schema_storage_step(int version)
{
	switch (version) {
	case 1:
		return schema_storage_v1;
	case 3:
		return schema_storage_v3;
	case 4:
		return schema_storage_v4;
	default:
		return NULL;
	}
}
