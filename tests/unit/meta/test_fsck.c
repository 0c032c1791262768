#include "tests/unit/meta/fsck_plant.h"

static void fsck__nothing_wrong__nothing_found(void **state)
{
	expect_clean(*state);
}

static void fsck__names_damaged__found_and_mended(void **state)
{
	static const struct plant list[] = {
		{"INSERT INTO dentry VALUES (2, X'61', 900, 32768, 50)",
			"counter-low dentry-dangling "},
		{"INSERT INTO dentry VALUES (2, X'61', 900, 32768, -3)",
			"dentry-dangling "},
		{"UPDATE dentry SET type = 16384 WHERE ino = 4",
			"dentry-type "},
		{"UPDATE dentry SET name = X'2e2e' WHERE ino = 4",
			"dentry-name "},
		{"UPDATE dentry SET name = X'612f62' WHERE ino = 4",
			"dentry-name "},
		{"UPDATE dentry SET name = X'610062' WHERE ino = 4",
			"dentry-name "},
		{"UPDATE dentry SET name = X'' WHERE ino = 4", "dentry-name "},
		{"UPDATE dentry SET name = zeroblob(256) WHERE ino = 4",
			"dentry-name "},
		{"UPDATE dentry SET cookie = 0 WHERE ino = 4",
			"dentry-cookie "},
		{"UPDATE dentry SET cookie = 140737488355000 WHERE ino = 4",
			"dentry-cookie "},
		{"UPDATE dentry SET cookie = 5 WHERE ino IN (4, 6)",
			"dentry-cookie dentry-cookie "},
		{"UPDATE dentry SET cookie = 5 WHERE ino IN (4, 6);"
		 "UPDATE dentry SET type = 16384 WHERE ino = 4",
			"dentry-cookie dentry-cookie "},
		{"INSERT INTO dentry VALUES (1, X'7a', 900, 32768, 4);"
		 "UPDATE dentry SET cookie = 4 WHERE ino = 4",
			"dentry-cookie dentry-cookie "},
		{"UPDATE dentry SET parent = 900 WHERE ino = 4",
			"dentry-no-directory "},
		{"UPDATE dentry SET parent = 7 WHERE ino = 4",
			"dentry-no-directory "},
		{"DELETE FROM dentry WHERE ino = 4", "inode-unnamed "},
		{"DELETE FROM dentry WHERE ino = 5", "inode-unnamed "},
		{"DELETE FROM dentry WHERE ino = 6", "inode-unnamed "},
		{"DELETE FROM dentry WHERE ino = 3",
			"nlink-wrong inode-unnamed "},
		{"DELETE FROM dentry WHERE ino = 7 AND parent = 2",
			"nlink-wrong "},
		{"UPDATE inode SET nlink = 9 WHERE ino = 4", "nlink-wrong "},
		{"UPDATE inode SET nlink = 0 WHERE ino = 4", "nlink-wrong "},
		{"UPDATE inode SET nlink = 2 WHERE ino = 2", "nlink-wrong "},
		{"INSERT INTO orphan VALUES (4)", "orphan-named "},
		{"INSERT INTO orphan VALUES (900)", "orphan-no-inode "},
		{"DELETE FROM orphan", "inode-unnamed "},
		{"UPDATE inode SET nlink = 1 WHERE ino = 8", "nlink-wrong "},
		{"DELETE FROM inode WHERE ino = 5",
			"total-wrong dentry-dangling "},
	};

	PLANT(list);
}

static void fsck__directories_damaged__found_and_mended(void **state)
{
	static const struct plant list[] = {
		{"UPDATE inode SET parent = 1 WHERE ino = 3",
			"directory-parent "},
		{"UPDATE inode SET parent = 900 WHERE ino = 3",
			"parent-missing directory-parent "},
		{"UPDATE inode SET parent = 1 WHERE ino = 4", "parent-wrong "},
		{"UPDATE inode SET parent = 2 WHERE ino = 1", "parent-wrong "},
		{"INSERT INTO dentry VALUES (1, X'78', 3, 16384, 2)",
			"directory-two-names "},
		{"INSERT INTO dentry VALUES (2, X'78', 3, 16384, 1)",
			"nlink-wrong directory-two-names "},
		{"INSERT INTO dentry VALUES (2, X'78', 1, 16384, 1)",
			"directory-two-names "},
		/* 2 below 3 and 3 below 2 */
		{"UPDATE dentry SET parent = 3, cookie = 1 WHERE ino = 2;"
		 "UPDATE inode SET parent = 3 WHERE ino = 2;"
		 "UPDATE inode SET nlink = 3 WHERE ino = 3;"
		 "UPDATE inode SET nlink = 2 WHERE ino = 1",
			"directory-ring "},
		{"UPDATE dentry SET parent = 3, cookie = 1 WHERE ino = 3;"
		 "UPDATE inode SET parent = 3, nlink = 3 WHERE ino = 3;"
		 "UPDATE inode SET nlink = 2 WHERE ino = 2",
			"directory-ring "},
		{"DELETE FROM inode WHERE ino = 2",
			"parent-missing total-wrong dentry-dangling "
			"dentry-no-directory dentry-no-directory nlink-wrong "},
		{"DELETE FROM inode WHERE ino = 1",
			"root-missing parent-missing total-wrong "
			"dentry-no-directory dentry-no-directory "
			"dentry-no-directory dentry-no-directory "},
	};

	PLANT(list);
}

static void fsck__inodes_damaged__found_and_mended(void **state)
{
	static const struct plant list[] = {
		{"UPDATE inode SET size = -5 WHERE ino = 4", "inode-size "},
		{"UPDATE inode SET size = 9007199254740993 WHERE ino = 4",
			"inode-size "},
		{"UPDATE inode SET size = 5 WHERE ino = 2", "inode-size "},
		{"UPDATE inode SET size = 6001 WHERE ino = 4", "total-wrong "},
		{"UPDATE inode SET size = 9 WHERE ino = 6", "symlink-size "},
		{"UPDATE inode SET target = NULL WHERE ino = 6",
			"!symlink-target "},
		{"UPDATE inode SET target = X'' WHERE ino = 6",
			"!symlink-target "},
		{"UPDATE inode SET target = X'6100' WHERE ino = 6",
			"!symlink-target "},
		{"UPDATE inode SET target = X'61' WHERE ino = 4",
			"inode-target "},
		{"UPDATE inode SET mode = 420 WHERE ino = 5",
			"inode-mode dentry-type "},
		{"UPDATE inode SET uid = -1 WHERE ino = 5", "inode-owner "},
		{"UPDATE inode SET policy = 7 WHERE ino = 5", "inode-policy "},
		{"UPDATE inode SET bytes = 1701 WHERE ino = 4", "inode-bytes "},
		{"UPDATE inode SET bytes = -1 WHERE ino = 5", "inode-bytes "},
		{"INSERT INTO xattr VALUES (900, X'61', X'')",
			"xattr-no-inode "},
		{"INSERT INTO xattr VALUES (4, X'', X'')", "xattr-invalid "},
		{"INSERT INTO xattr VALUES (4, zeroblob(300), X'')",
			"xattr-invalid "},
		{"INSERT INTO xattr VALUES"
		 " (4, CAST('system.posix_acl_access' AS BLOB), X'0300')",
			"acl-malformed "},
		/* a named user without a mask */
		{"INSERT INTO xattr VALUES"
		 " (4, CAST('system.posix_acl_access' AS BLOB), X'02000000"
		 "01000600ffffffff"
		 "0200070005000000"
		 "04000400ffffffff"
		 "20000400ffffffff')",
			"acl-malformed "},
		{"INSERT INTO xattr VALUES"
		 " (4, CAST('system.posix_acl_default' AS BLOB), X'02000000"
		 "01000600ffffffff"
		 "04000400ffffffff"
		 "20000400ffffffff')",
			"acl-malformed "},
		{"DELETE FROM counter WHERE id = 3", "counter-missing "},
	};

	PLANT(list);
}

static void fsck__lawful_acl__not_found(void **state)
{
	storage_poke(*state,
		"INSERT INTO xattr VALUES"
		" (4, CAST('system.posix_acl_access' AS BLOB), X'02000000"
		"01000600ffffffff"
		"0200070005000000"
		"0200070006000000"
		"04000400ffffffff"
		"10000700ffffffff"
		"20000400ffffffff')");
	expect_clean(*state);
}

static void fsck__extents_damaged__found_and_mended(void **state)
{
	static const struct plant list[] = {
		{"INSERT INTO extent VALUES (900, 0, 10, 0, 4);"
		 "UPDATE chunk SET refs = 1 WHERE num = 4",
			"!extent-no-inode "},
		{"INSERT INTO extent VALUES (2, 0, 10, 0, 4);"
		 "UPDATE chunk SET refs = 1 WHERE num = 4",
			"!extent-no-file "},
		{"INSERT INTO extent VALUES (4, 7000, 0, 0, 4);"
		 "UPDATE chunk SET refs = 1 WHERE num = 4",
			"extent-absurd "},
		{"UPDATE extent SET skip = -1 WHERE ino = 7",
			"!extent-absurd "},
		{"INSERT INTO extent VALUES (4, 500, 100, 0, 4);"
		 "UPDATE inode SET bytes = 1800 WHERE ino = 4;"
		 "UPDATE chunk SET refs = 1 WHERE num = 4",
			"extent-overlap "},
		{"UPDATE extent SET skip = 900 WHERE ino = 7",
			"!extent-past-chunk "},
		{"UPDATE inode SET size = 5699 WHERE ino = 4",
			"total-wrong extent-past-end "},
		{"UPDATE inode SET size = 0 WHERE ino = 4",
			"total-wrong extent-past-end "},
		/* the chunk's count stands in the way of the first cut */
		{"UPDATE inode SET size = 5000 WHERE ino = 4;"
		 "UPDATE chunk SET refs = 0 WHERE num = 2",
			"total-wrong extent-past-end chunk-refs "},
		{"UPDATE chunk SET refs = 0 WHERE num = 1", "chunk-refs "},
		{"UPDATE chunk SET refs = 2 WHERE num = 1", "chunk-refs "},
		{"UPDATE chunk SET refs = 1 WHERE num = 4", "chunk-refs "},
	};

	PLANT(list);
}

static void fsck__trims_damaged__found_and_mended(void **state)
{
	static const struct plant list[] = {
		{"INSERT INTO trim VALUES (900, 0)",
			"total-wrong trim-no-file "},
		{"INSERT INTO trim VALUES (2, 0)", "total-wrong trim-no-file "},
		{"INSERT INTO trim VALUES (4, 6000)", "total-wrong "},
		{"INSERT INTO trim VALUES (4, -1)", "total-wrong trim-absurd "},
		{"INSERT INTO trim VALUES (4, 5100)",
			"total-wrong trim-overlap "},
		{"UPDATE counter SET value = 9 WHERE id = 99", ""},
	};

	PLANT(list);
}

static void fsck__chunk_lost__extent_stays(void **state)
{
	struct storage *s = *state;
	struct extent_row row[4];
	struct seen seen;
	unsigned n = 0;

	storage_poke(s, "UPDATE extent SET chunk = 900 WHERE ino = 7");
	repair_all(s);
	check(s, false, &seen);
	assert_string_equal(seen.codes, "extent-chunk-missing ");
	assert_int_equal(extent_read(s->tx, 7, (struct extent_span){0, 300},
				 row, 4, &n, NULL),
		-EBADMSG);
}

static void fsck__chunk_lost__file_is_cut_and_removed(void **state)
{
	struct storage *s = *state;
	bool more = false;

	storage_poke(s, "UPDATE extent SET chunk = 900 WHERE ino = 4;"
			"UPDATE chunk SET refs = 0 WHERE num IN (1, 2)");
	assert_int_equal(extent_punch(s->tx, 4, 100, 100, 9, &more, NULL), 0);
	assert_int_equal(
		extent_punch(s->tx, 4, 0, UINT64_MAX, 9, &more, NULL), 0);
	expect_clean(s);
}

static void fsck__overlap_mended__later_chunk_wins(void **state)
{
	struct storage *s = *state;
	struct extent_row row[8];
	unsigned n = 0;

	storage_poke(s, "INSERT INTO extent VALUES (4, 500, 100, 0, 4);"
			"UPDATE inode SET bytes = 1800 WHERE ino = 4;"
			"UPDATE chunk SET refs = 1 WHERE num = 4");
	repair_all(s);
	assert_int_equal(extent_read(s->tx, 4, (struct extent_span){0, 1000},
				 row, 8, &n, NULL),
		0);
	assert_int_equal(n, 3);
	assert_int_equal(row[0].e.len, 500);
	assert_int_equal(row[1].e.chunk, 4);
	assert_int_equal(row[1].e.len, 100);
	assert_int_equal(row[2].e.off, 600);
	assert_int_equal(row[2].e.skip, 600);
	assert_int_equal(row[2].e.chunk, 1);
	expect_clean(s);
}

static void fsck__storage_damaged__found_and_mended(void **state)
{
	static const struct plant list[] = {
		{"UPDATE chunk SET pack = 900 WHERE num = 4", "chunk-no-pack "},
		{"UPDATE chunk SET pack = 900 WHERE num = 1",
			"!chunk-no-pack "},
		{"UPDATE chunk SET off = 4900 WHERE num = 4",
			"chunk-past-pack "},
		{"UPDATE chunk SET off = 3000 WHERE num = 4", "chunk-overlap "},
		{"UPDATE chunk SET off = 500 WHERE num = 2", "!chunk-overlap "},
		{"UPDATE chunk SET bytes = 0 WHERE num = 1", "!chunk-absurd "},
		{"UPDATE chunk SET frames = X'0102' WHERE num = 1",
			"!chunk-absurd "},
		{"UPDATE pack SET policy = 9 WHERE num = 1", "pack-policy "},
		{"UPDATE pack SET stored = 2 WHERE num = 1", "pack-stored "},
		{"DELETE FROM shard WHERE idx = 1", "pack-short-of-shards "},
		{"DELETE FROM shard; UPDATE pack SET stored = 0",
			"pack-short-of-shards "},
		{"INSERT INTO shard VALUES (2, 0, 1, 0)", "pack-open-shards "},
		{"UPDATE pack SET local = 0 WHERE num = 1", ""},
		{"UPDATE pack SET local = 0, stored = 0 WHERE num = 1;"
		 "UPDATE shard SET state = 2",
			"!pack-unreadable "},
		{"INSERT INTO shard VALUES (900, 0, 1, 0)", "shard-no-pack "},
		{"INSERT INTO shard VALUES (1, 2, 1, 0)", "shard-surplus "},
		{"UPDATE shard SET state = 8 WHERE idx = 1", "shard-state "},
		{"UPDATE shard SET store = 50 WHERE idx = 1",
			"shard-no-store "},
		{"INSERT INTO tail VALUES (2, 64, X'00')", ""},
		{"INSERT INTO tail VALUES (1, 64, X'00')",
			"tail-no-open-pack "},
		{"INSERT INTO tail VALUES (900, 64, X'00'), (901, 7, X'00')",
			"tail-no-open-pack tail-no-open-pack "},
		{"INSERT INTO tail VALUES (2, -5, X'00')", "tail-absurd "},
		{"INSERT INTO tail VALUES (2, 64, zeroblob(1048577))",
			"tail-absurd "},
	};

	PLANT(list);
}

static void fsck__only_copy_on_unknown_store__shard_stays(void **state)
{
	struct storage *s = *state;
	struct seen seen;

	storage_poke(s, "UPDATE shard SET store = 50 WHERE idx = 0;"
			"UPDATE pack SET local = 0 WHERE num = 1");
	repair_all(s);
	check(s, false, &seen);
	assert_string_equal(seen.codes, "shard-no-store ");
}

static void fsck__counters_lost__raised(void **state)
{
	struct storage *s = *state;

	s->tx->counter[META_INO] = 2;
	s->tx->counter[META_COOKIE] = 1;
	s->tx->counter[META_CHUNK] = 0;
	s->tx->counter[META_PACK] = 1;
	repair_all(s);
	assert_int_equal(s->tx->counter[META_INO], 8);
	assert_true(s->tx->counter[META_COOKIE] >= 8);
	assert_int_equal(s->tx->counter[META_CHUNK], 4);
	assert_int_equal(s->tx->counter[META_PACK], 2);
	expect_clean(s);
}

/* --- where what lost its name goes --------------------------------------- */

static void fsck__directory_lost_its_name__tree_is_found(void **state)
{
	struct storage *s = *state;
	struct tree_attr lost = {0};
	struct tree_attr a = {0};

	storage_poke(s, "DELETE FROM dentry WHERE ino = 2");
	repair_all(s);
	expect_clean(s);
	assert_int_equal(
		tree_lookup(s->tx, TREE_ROOT,
			(struct tree_name){FSCK_LOST, strlen(FSCK_LOST)}, &lost,
			NULL),
		0);
	assert_int_equal(lost.mode, S_IFDIR | 0700);
	assert_int_equal(tree_lookup(s->tx, lost.ino,
				 (struct tree_name){"#2", 2}, &a, NULL),
		0);
	assert_int_equal(a.ino, 2);
	assert_int_equal(
		tree_lookup(s->tx, 2, (struct tree_name){"hard", 4}, &a, NULL),
		0);
}

static void fsck__empty_file_lost_its_name__orphan(void **state)
{
	struct storage *s = *state;
	uint64_t ino[4];
	unsigned n = 0;

	storage_poke(s, "DELETE FROM dentry WHERE ino = 5");
	repair_all(s);
	expect_clean(s);
	assert_int_equal(tree_orphans(s->tx, 0, ino, 4, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_int_equal(ino[0], 5);
}

static void fsck__lost_and_found_is_a_file__stepped_around(void **state)
{
	struct storage *s = *state;
	struct tree_attr a = {0};

	(void)made(s, TREE_ROOT, FSCK_LOST, S_IFREG | 0600, NULL);
	storage_poke(s, "DELETE FROM dentry WHERE ino = 4");
	repair_all(s);
	expect_clean(s);
	assert_int_equal(tree_lookup(s->tx, TREE_ROOT,
				 (struct tree_name){
					 FSCK_LOST ".1", strlen(FSCK_LOST) + 2},
				 &a, NULL),
		0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fsck_test(fsck__nothing_wrong__nothing_found),
		fsck_test(fsck__names_damaged__found_and_mended),
		fsck_test(fsck__directories_damaged__found_and_mended),
		fsck_test(fsck__inodes_damaged__found_and_mended),
		fsck_test(fsck__lawful_acl__not_found),
		fsck_test(fsck__extents_damaged__found_and_mended),
		fsck_test(fsck__trims_damaged__found_and_mended),
		fsck_test(fsck__chunk_lost__extent_stays),
		fsck_test(fsck__chunk_lost__file_is_cut_and_removed),
		fsck_test(fsck__overlap_mended__later_chunk_wins),
		fsck_test(fsck__storage_damaged__found_and_mended),
		fsck_test(fsck__only_copy_on_unknown_store__shard_stays),
		fsck_test(fsck__counters_lost__raised),
		fsck_test(fsck__directory_lost_its_name__tree_is_found),
		fsck_test(fsck__empty_file_lost_its_name__orphan),
		fsck_test(fsck__lost_and_found_is_a_file__stepped_around),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
