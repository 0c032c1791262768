/*
 * tests/unit/meta/storage.h - a volume in a scratch directory with an open
 * bracket, for tests of the storage kind.
 */
#ifndef PLURI_TESTS_META_STORAGE_H
#define PLURI_TESTS_META_STORAGE_H

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "meta/chunks.h"
#include "meta/meta_int.h"
#include "meta/packs.h"
#include "meta/rows.h"
#include "meta/stores.h"

struct storage {
	char dir[64];
	char path[96];
	struct meta *meta;
	struct meta_tx *tx;
	uint64_t seed;
	uint32_t store[8]; /* numbers of as many stores */
};

/* The same sequence in every run. */
__attribute__((unused)) static unsigned storage_random(
	struct storage *s, unsigned below)
{
	s->seed = s->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(s->seed >> 33) % below;
}

__attribute__((unused)) static void storage_poke(
	struct storage *s, const char *sql)
{
	struct pluri_err err = {0};

	assert_int_equal(rows_direct(s->tx, &err), 0);
	if (s->tx->ops->exec(s->tx->db, sql, &err) != 0)
		fail_msg("%s: %s", sql, err.text);
}

__attribute__((unused)) static uint32_t storage_store(
	struct storage *s, const char *name)
{
	struct store_row *row = calloc(1, sizeof(*row));
	uint32_t num;

	assert_non_null(row);
	row->num = UINT32_MAX;
	row->weight = 1;
	(void)snprintf(row->name, sizeof(row->name), "%s", name);
	(void)snprintf((char *)row->id.b, sizeof(row->id.b), "%s", name);
	assert_int_equal(stores_put(s->tx, row, NULL), 0);
	num = row->num;
	free(row);
	return num;
}

/* Identities made of a number. */
__attribute__((unused)) static struct pack_row storage_pack(
	struct storage *s, unsigned seed, uint8_t k, uint8_t m)
{
	struct pack_row p = {.kind = 1, .k = k, .m = m, .created_ns = seed};

	memcpy(p.id.b, &seed, sizeof(seed));
	assert_int_equal(packs_add(s->tx, &p, NULL), 0);
	return p;
}

__attribute__((unused)) static void storage_chunk(struct storage *s,
	uint64_t pack, unsigned seed, uint64_t off, uint32_t bytes)
{
	struct chunk_row c = {.pack = pack,
		.off = off,
		.bytes = bytes,
		.plain = bytes,
		.frames = 1,
		.frame = {bytes}};

	memcpy(c.id.b, &seed, sizeof(seed));
	assert_int_equal(chunks_add(s->tx, &c, NULL), 0);
	assert_int_equal(c.off, off);
}

static int storage_open(void **state)
{
	const struct meta_volume v = {.name = "test", .created_ns = 1};
	struct storage *s = calloc(1, sizeof(*s));
	struct meta_volume got;

	if (!s)
		return -1;
	s->seed = 1;
	(void)snprintf(s->dir, sizeof(s->dir), "/tmp/meta-test-XXXXXX");
	if (!mkdtemp(s->dir))
		return -1;
	(void)snprintf(s->path, sizeof(s->path), "%s/meta.db", s->dir);
	if (meta_create(s->path, &v, 0, 0, NULL) < 0 ||
		meta_open(s->path, &s->meta, &got, NULL) < 0 ||
		meta_begin(s->meta, &s->tx, NULL) < 0)
		return -1;
	*state = s;
	for (unsigned i = 0; i < 8; i++) {
		const char name[2] = {(char)('a' + i), 0};

		s->store[i] = storage_store(s, name);
	}
	return 0;
}

static int storage_close(void **state)
{
	struct storage *s = *state;
	char path[512];
	struct dirent *e;
	DIR *d;

	(void)meta_end(s->tx, 0, NULL);
	meta_free(s->meta);
	d = opendir(s->dir);
	while (d && (e = readdir(d)) != NULL) {
		(void)snprintf(path, sizeof(path), "%s/%s", s->dir, e->d_name);
		(void)unlink(path);
	}
	if (d)
		(void)closedir(d);
	(void)rmdir(s->dir);
	free(s);
	return 0;
}

#define storage_test(f) \
	cmocka_unit_test_setup_teardown(f, storage_open, storage_close)

#endif
