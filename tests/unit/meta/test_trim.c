/* Files of very many extents, cut short; and databases from before that. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "meta/extent.h"
#include "meta/meta_int.h"
#include "meta/packs.h"
#include "meta/schema.h"
#include "tests/unit/meta/bed.h"

#define MANY 200000u
#define PLAIN 4096u
#define CHUNKS 1000u

struct huge {
	struct bed *bed;
	uint64_t ino;
	uint64_t chunk[CHUNKS];
	uint64_t refs; /* seen */
};

static void huge_chunks(struct huge *h)
{
	struct pack_row p = {.kind = 0, .k = 1, .created_ns = BED_NOW};
	struct bed *b = h->bed;

	assert_int_equal(packs_add(b->tx, &p, &b->err), 0);
	for (unsigned i = 0; i < CHUNKS; i++) {
		struct chunk_row c = {.pack = p.num,
			.off = (uint64_t)i * PLAIN,
			.bytes = PLAIN,
			.plain = PLAIN,
			.frames = 1,
			.frame = {PLAIN}};

		memcpy(c.id.b, &i, sizeof(i));
		assert_int_equal(chunks_add(b->tx, &c, &b->err), 0);
		h->chunk[i] = c.num;
	}
}

/* A file of n extents. */
static struct huge *huge_new(struct bed *b, unsigned n)
{
	struct huge *h = calloc(1, sizeof(*h));
	struct extent e[100];

	assert_non_null(h);
	h->bed = b;
	bed_begin(b);
	h->ino = bed_make(b, TREE_ROOT, "f", S_IFREG | 0644);
	huge_chunks(h);
	bed_end(b);
	for (unsigned i = 0; i < n; i += 100) {
		for (unsigned j = 0; j < 100; j++)
			e[j] = (struct extent){(uint64_t)(i + j) * PLAIN, PLAIN,
				0, h->chunk[(i + j) * 7 % CHUNKS]};
		bed_begin(b);
		assert_int_equal(
			extent_write(b->tx, h->ino, e, 100, &b->err), 0);
		bed_end(b);
	}
	return h;
}

static uint64_t huge_bytes(struct huge *h)
{
	uint64_t bytes;

	bed_begin(h->bed);
	bytes = bed_get(h->bed, h->ino).bytes;
	bed_end(h->bed);
	return bytes;
}

static unsigned huge_shown(struct huge *h, uint64_t off)
{
	struct extent e[8];
	struct bed *b = h->bed;
	unsigned n = 0;

	bed_begin(b);
	assert_int_equal(extent_list(b->tx, h->ino,
				 (struct extent_span){off, UINT64_MAX}, e, 8,
				 &n, &b->err),
		0);
	bed_end(b);
	return n;
}

static bool huge_cut(struct huge *h, uint64_t off, unsigned limit)
{
	struct bed *b = h->bed;
	bool more = false;

	bed_begin(b);
	assert_int_equal(
		extent_cut(b->tx, h->ino, off, limit, &more, &b->err), 0);
	bed_end(b);
	return more;
}

static unsigned huge_trim(struct huge *h)
{
	struct bed *b = h->bed;
	unsigned steps = 0;
	bool more = true;

	while (more) {
		bed_begin(b);
		assert_int_equal(
			extent_trim(b->tx, 0, EXTENT_STEP, &more, &b->err), 0);
		bed_end(b);
		steps++;
	}
	return steps;
}

static int huge_ref(void *arg, const struct chunk_row *c, uint64_t refs)
{
	struct huge *h = arg;

	(void)c;
	h->refs += refs;
	return 0;
}

static uint64_t huge_refs(struct huge *h)
{
	struct bed *b = h->bed;

	h->refs = 0;
	bed_begin(b);
	assert_int_equal(chunks_of_pack(b->tx, 1, huge_ref, h, &b->err), 0);
	bed_end(b);
	return h->refs;
}

static void cut__huge_file__few_now_the_rest_in_steps(void **state)
{
	struct huge *h = huge_new(*state, MANY);
	const uint64_t at = 10 * PLAIN + 100;

	assert_int_equal(huge_refs(h), MANY);
	assert_true(huge_cut(h, at, EXTENT_STEP));
	/* the one that spans, and no more than asked */
	assert_int_equal(huge_refs(h), MANY - EXTENT_STEP);
	assert_int_equal(huge_shown(h, at), 0);
	assert_int_equal(huge_shown(h, at - 1), 1);
	assert_true(huge_trim(h) >= MANY / EXTENT_STEP - 1);
	assert_int_equal(huge_refs(h), 11);
	assert_int_equal(huge_bytes(h), at);
	free(h);
}

static void cut__process_dies__goes_on(void **state)
{
	struct bed *b = *state;
	struct huge *h = huge_new(b, 5000);
	bool more = false;

	assert_true(huge_cut(h, 0, EXTENT_STEP));
	bed_begin(b);
	assert_int_equal(
		extent_trim(b->tx, h->ino, EXTENT_STEP, &more, &b->err), 0);
	assert_true(more);
	bed_end(b);
	assert_int_equal(meta_commit(b->m, &b->err), 0);
	bed_begin(b); /* lost with the process */
	assert_int_equal(
		extent_trim(b->tx, h->ino, EXTENT_STEP, &more, &b->err), 0);
	bed_end(b);
	bed_reopen(b);
	assert_int_equal(huge_refs(h), 5000 - 2 * EXTENT_STEP);
	assert_int_equal(huge_shown(h, 0), 0);
	(void)huge_trim(h);
	assert_int_equal(huge_refs(h), 0);
	assert_int_equal(huge_bytes(h), 0);
	assert_int_equal(huge_trim(h), 1); /* nothing is left to do */
	free(h);
}

static void cut__again_below__from_there_on(void **state)
{
	struct huge *h = huge_new(*state, 5000);

	assert_true(huge_cut(h, 4000 * PLAIN, 10));
	assert_true(huge_cut(h, 4500 * PLAIN, 10));
	assert_int_equal(huge_shown(h, 4000 * PLAIN), 0);
	assert_int_equal(huge_refs(h), 4990);
	assert_true(huge_cut(h, 100 * PLAIN, 10));
	assert_int_equal(huge_shown(h, 100 * PLAIN), 0);
	assert_int_equal(huge_shown(h, 99 * PLAIN), 1);
	(void)huge_trim(h);
	assert_int_equal(huge_refs(h), 100);
	free(h);
}

static void cut__few_extents__done_at_once(void **state)
{
	struct huge *h = huge_new(*state, 200);
	struct bed *b = *state;

	assert_false(huge_cut(h, 0, EXTENT_STEP));
	bed_begin(b);
	assert_int_equal(b->tx->counter[META_TRIMS], 0);
	bed_end(b);
	assert_int_equal(huge_refs(h), 0);
	free(h);
}

/* Removed altogether while it is being trimmed. */
static void drop__pending_trim__goes_with_it(void **state)
{
	struct huge *h = huge_new(*state, 2000);
	struct tree_attr a = {0};
	struct bed *b = *state;
	bool more = true;

	assert_true(huge_cut(h, 500 * PLAIN, 10));
	bed_begin(b);
	assert_int_equal(tree_unlink(b->tx, TREE_ROOT, bed_name("f"), false,
				 BED_NOW, &a, &b->err),
		0);
	while (more)
		assert_int_equal(extent_punch(b->tx, h->ino, 0, UINT64_MAX, 100,
					 &more, &b->err),
			0);
	assert_int_equal(tree_drop(b->tx, h->ino, &b->err), 0);
	assert_int_equal(b->tx->counter[META_TRIMS], 0);
	bed_end(b);
	assert_int_equal(huge_trim(h), 1);
	assert_int_equal(huge_refs(h), 0);
	free(h);
}

/* Its steps end where the whole range has ended, dead extents or not. */
static void punch__in_steps__tells_how_far(void **state)
{
	struct huge *h = huge_new(*state, 1000);
	struct bed *b = *state;
	struct extent_span at = {50 * PLAIN + 1, 800 * PLAIN};
	const uint64_t end = at.off + at.len;
	uint64_t upto = 0;
	unsigned steps = 0;

	assert_true(huge_cut(h, 700 * PLAIN, 10));
	while (at.off < end) {
		bed_begin(b);
		assert_int_equal(extent_punch_step(b->tx, h->ino, at, 100,
					 &upto, &b->err),
			0);
		bed_end(b);
		assert_true(upto > at.off && upto <= end);
		at.len -= upto - at.off;
		at.off = upto;
		steps++;
	}
	assert_int_equal(steps, 7);
	(void)huge_trim(h);
	assert_int_equal(huge_refs(h), 51);
	assert_int_equal(huge_bytes(h), 50 * PLAIN + 1);
	free(h);
}

/* --- databases that know no trims ----------------------------------------- */

static void old_exec(
	struct bed *b, const struct db_ops *ops, struct db *db, const char *sql)
{
	if (sql && ops->exec(db, sql, &b->err) < 0)
		fail_msg("%s", b->err.text);
}

/* As an older version made it, with a root, a file and an extent. */
static void old_make(struct bed *b, int version)
{
	static const char rows[] =
		"CREATE TABLE volume (one INTEGER NOT NULL PRIMARY KEY,"
		" id BLOB NOT NULL, name TEXT NOT NULL,"
		" key_check BLOB NOT NULL, created INTEGER NOT NULL);"
		"CREATE TABLE fact (name TEXT NOT NULL PRIMARY KEY,"
		" value INTEGER NOT NULL);"
		"CREATE TABLE counter (id INTEGER NOT NULL PRIMARY KEY,"
		" value INTEGER NOT NULL);"
		"INSERT INTO counter (id, value) VALUES (0, 2), (1, 1), (2, 1),"
		" (3, 1), (4, 0), (5, 0), (6, 2), (7, 4096);"
		"INSERT INTO volume VALUES (1, zeroblob(16), 'old',"
		" zeroblob(32), 5);"
		"INSERT INTO inode VALUES"
		" (1, 16877, 0, 0, 2, 0, 0, 0, 0, 0, 0, 1, 0, 1, NULL),"
		" (2, 33188, 0, 0, 1, 0, 4096, 4096, 0, 0, 0, 1, 0, 0, NULL);"
		"INSERT INTO dentry VALUES (1, x'66', 2, 32768, 1);"
		"INSERT INTO pack VALUES"
		" (1, zeroblob(16), 0, 0, 0, 1, 0, 1, 0, 0, 0, 0);"
		"INSERT INTO chunk VALUES"
		" (1, zeroblob(32), 1, 0, 4096, 4096, NULL, 1);"
		"INSERT INTO extent VALUES (2, 0, 4096, 0, 1);";
	const struct db_ops *ops = db_sqlite();
	struct db *db = NULL;

	assert_int_equal(ops->open(b->path, true, &db, &b->err), 0);
	assert_int_equal(ops->begin(db, &b->err), 0);
	old_exec(b, ops, db, schema_files_step(1));
	old_exec(b, ops, db, schema_storage_step(1));
	old_exec(b, ops, db, rows);
	if (version == 2) {
		old_exec(b, ops, db, schema_files_step(2));
		old_exec(b, ops, db,
			"INSERT INTO counter (id, value) VALUES (8, 0)");
	}
	assert_int_equal(ops->set_version(db, version, &b->err), 0);
	assert_int_equal(ops->commit(db, &b->err), 0);
	ops->close(db);
}

static int met(void *arg, const struct tree_entry *e)
{
	*(uint64_t *)arg += e->attr.ino;
	return 0;
}

static void open__first_schema__migrated_and_kept(void **state)
{
	struct bed *b = *state;
	struct meta_volume v = {0};
	struct tree_attr a = {0};
	uint64_t listed = 0;
	bool more = true;

	meta_free(b->m);
	b->m = NULL;
	(void)strcat(b->path, ".old");
	old_make(b, 1);
	if (meta_open(b->path, &b->m, &v, &b->err) < 0)
		fail_msg("%s", b->err.text);
	assert_string_equal(v.name, "old");
	bed_begin(b);
	assert_int_equal(
		tree_lookup(b->tx, TREE_ROOT, bed_name("f"), &a, &b->err), 0);
	assert_int_equal(a.ino, 2);
	assert_int_equal(a.bytes, 4096);
	assert_int_equal(
		tree_list(b->tx, TREE_ROOT, 0, false, met, &listed, &b->err),
		0);
	assert_int_equal(listed, 2);
	assert_int_equal(b->tx->counter[META_CHUNK], 1);
	assert_int_equal(extent_cut(b->tx, 2, 0, 0, &more, &b->err), 0);
	assert_true(more);
	bed_end(b);
	assert_int_equal(meta_close(b->m, &b->err), 0);
	bed_reopen(b); /* of the new schema now */
	bed_begin(b);
	assert_int_equal(b->tx->counter[META_TRIMS], 1);
	assert_int_equal(extent_trim(b->tx, 0, 9, &more, &b->err), 0);
	assert_false(more);
	assert_int_equal(bed_get(b, 2).bytes, 0);
	bed_end(b);
	meta_free(b->m);
	b->m = NULL;
	(void)remove(b->path);
	b->path[strlen(b->path) - 4] = '\0';
}

/* It makes tables alone, and is kept though nothing else happens. */
static void open__second_schema__migrated_at_once(void **state)
{
	const struct db_ops *ops = db_sqlite();
	struct bed *b = *state;
	struct meta_volume v = {0};
	struct db *db = NULL;
	int64_t version = 0;

	meta_free(b->m);
	b->m = NULL;
	(void)strcat(b->path, ".old");
	old_make(b, 2);
	if (meta_open(b->path, &b->m, &v, &b->err) < 0)
		fail_msg("%s", b->err.text);
	meta_free(b->m); /* nothing is committed by this */
	b->m = NULL;
	assert_int_equal(ops->open(b->path, false, &db, &b->err), 0);
	assert_int_equal(ops->get_version(db, &version, &b->err), 0);
	assert_int_equal(version, META_SCHEMA);
	ops->close(db);
	(void)remove(b->path);
	b->path[strlen(b->path) - 4] = '\0';
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)
		T(cut__huge_file__few_now_the_rest_in_steps),
		T(cut__process_dies__goes_on),
		T(cut__again_below__from_there_on),
		T(cut__few_extents__done_at_once),
		T(drop__pending_trim__goes_with_it),
		T(punch__in_steps__tells_how_far),
		T(open__first_schema__migrated_and_kept),
		T(open__second_schema__migrated_at_once),
#undef T
	};

	return cmocka_run_group_tests_name("trim", tests, NULL, NULL);
}
