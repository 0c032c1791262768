/*
 * tests/unit/meta/fsck_volume.h - a small volume with something of everything,
 * and one check of it.
 */
#ifndef PLURI_TESTS_META_FSCK_VOLUME_H
#define PLURI_TESTS_META_FSCK_VOLUME_H

#include <sys/stat.h>

#include "tests/unit/meta/storage.h"

#include "meta/extent.h"
#include "meta/fsck.h"
#include "meta/moves.h"
#include "meta/tree.h"

#define NOW 1000000007

/*
 * The volume that everything is done to:
 *
 *	1 /            2 /d        3 /d/e      4 /file (2 chunks and a hole)
 *	5 /d/e/empty   6 /link     7 /d/hard = /hard2     8 orphan
 *	chunks 1 2 (of 4) 3 (of 7) 4 (of none); packs 1 (closed, 2 shards) 2
 */
__attribute__((unused))
static uint64_t made(struct storage *s, uint64_t dir, const char *name,
	uint32_t mode, const char *target)
{
	struct tree_attr a = {.mode = mode, .uid = 5, .gid = 6};

	assert_int_equal(
		tree_make(s->tx, dir, (struct tree_name){name, strlen(name)},
			target, NOW, &a, NULL),
		0);
	return a.ino;
}

__attribute__((unused))
static void sized(struct storage *s, uint64_t ino, uint64_t size)
{
	struct tree_attr a = {.ino = ino, .size = size};

	assert_int_equal(tree_set(s->tx, TREE_SET_SIZE, &a, NULL), 0);
}

__attribute__((unused))
static void make_tree(struct storage *s)
{
	const struct extent e[] = {{0, 1000, 0, 1}, {5000, 700, 100, 2}};
	const struct extent h = {0, 300, 0, 3};
	struct tree_attr a;

	(void)made(s, TREE_ROOT, "d", S_IFDIR | 0755, NULL);
	(void)made(s, 2, "e", S_IFDIR | 0755, NULL);
	(void)made(s, TREE_ROOT, "file", S_IFREG | 0644, NULL);
	(void)made(s, 3, "empty", S_IFREG | 0644, NULL);
	(void)made(s, TREE_ROOT, "link", S_IFLNK | 0777, "d/e");
	(void)made(s, 2, "hard", S_IFREG | 0644, NULL);
	(void)made(s, TREE_ROOT, "gone", S_IFREG | 0644, NULL);
	assert_int_equal(tree_link(s->tx, 7, TREE_ROOT,
				 (struct tree_name){"hard2", 5}, NOW, &a, NULL),
		0);
	assert_int_equal(
		tree_unlink(s->tx, TREE_ROOT, (struct tree_name){"gone", 4},
			false, NOW, &a, NULL),
		0);
	assert_int_equal(extent_write(s->tx, 4, e, 2, NULL), 0);
	assert_int_equal(extent_write(s->tx, 7, &h, 1, NULL), 0);
	sized(s, 4, 6000);
	sized(s, 7, 300);
	assert_int_equal(tree_setxattr(s->tx, 4, "user.a",
				 (struct pluri_span){"v", 1}, 0, NOW, NULL),
		0);
}

__attribute__((unused))
static int fsck_open(void **state)
{
	const uint32_t on[] = {0, 1};
	struct policy_row p = {.num = UINT32_MAX, .name = "default"};
	struct shard_row shard = {.pack = 1, .state = SHARD_STORED};
	struct storage *s;

	if (storage_open(state) < 0)
		return -1;
	s = *state;
	if (stores_put_policy(s->tx, &p, NULL) < 0)
		return -1;
	(void)storage_pack(s, 1, 1, 1);
	(void)storage_pack(s, 2, 1, 1);
	for (unsigned i = 0; i < 4; i++)
		storage_chunk(s, 1, i + 1, 100 + 1000 * (uint64_t)i, 1000);
	if (packs_close(s->tx, 1, 5000, 0, on, 2, NULL) < 0 ||
		packs_set_shard(s->tx, &shard, NULL) < 0)
		return -1;
	make_tree(s);
	(void)meta_end(s->tx, 0, NULL);
	return meta_begin(s->meta, &s->tx, NULL);
}

/* --- one check ----------------------------------------------------------- */

struct seen {
	char codes[2048]; /* one after the other, a space behind each */
	unsigned left, repaired;
	struct fsck_progress p;
};

__attribute__((unused))
static void note(struct seen *to, const struct fsck_finding *f)
{
	const size_t n = strlen(to->codes);

	assert_non_null(f->action);
	assert_true(f->text[0] != 0);
	(void)snprintf(to->codes + n, sizeof(to->codes) - n, "%s ", f->code);
	to->left += f->state == FSCK_LEFT;
	to->repaired += f->state == FSCK_REPAIRED;
}

__attribute__((unused))
static void check_with(
	struct storage *s, const struct fsck_options *o, struct seen *to)
{
	struct fsck_finding *f = calloc(FSCK_FINDINGS, sizeof(*f));
	struct pluri_err err = {0};
	struct fsck *c = NULL;
	bool done = false;
	unsigned n = 0;

	*to = (struct seen){0};
	assert_non_null(f);
	(void)meta_end(s->tx, 0, NULL);
	assert_int_equal(fsck_new(s->meta, o, &c, &err), 0);
	while (!done) {
		if (fsck_step(c, f, &n, &done, &err) < 0)
			fail_msg("%s", err.text);
		for (unsigned i = 0; i < n; i++)
			note(to, &f[i]);
	}
	fsck_progress(c, &to->p);
	fsck_free(c);
	free(f);
	assert_int_equal(meta_begin(s->meta, &s->tx, NULL), 0);
}

__attribute__((unused))
static void check(struct storage *s, bool repair, struct seen *to)
{
	const struct fsck_options o = {.repair = repair, .now_ns = NOW};

	check_with(s, &o, to);
}

__attribute__((unused))
static void expect_clean(struct storage *s)
{
	struct seen seen;

	check(s, false, &seen);
	assert_string_equal(seen.codes, "");
	assert_int_equal(seen.p.busy, 0);
}

__attribute__((unused))
static void repair_all(struct storage *s)
{
	struct seen seen;
	unsigned rounds = 0;

	do {
		check(s, true, &seen);
		assert_true(++rounds < 6);
	} while (seen.repaired);
}

#define fsck_test(f) \
	cmocka_unit_test_setup_teardown(f, fsck_open, storage_close)

#endif
