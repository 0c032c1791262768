#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/meta/bed.h"

static void bed_open(struct bed *b)
{
	struct meta_volume v = {0};
	const int r = meta_open(b->path, &b->m, &v, &b->err);

	if (r < 0)
		print_error("%s\n", b->err.text);
	assert_int_equal(r, 0);
}

int bed_setup(void **state)
{
	struct meta_volume v = {.name = "bed", .created_ns = BED_NOW};
	struct bed *b = calloc(1, sizeof(*b));
	int r;

	assert_non_null(b);
	*state = b;
	(void)snprintf(b->dir, sizeof(b->dir), "/tmp/pluri-meta-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	(void)snprintf(b->path, sizeof(b->path), "%s/db", b->dir);
	memset(v.id.b, 7, sizeof(v.id.b));
	r = meta_create(b->path, &v, 1000, 1001, &b->err);
	if (r < 0)
		print_error("%s\n", b->err.text);
	assert_int_equal(r, 0);
	bed_open(b);
	return 0;
}

int bed_teardown(void **state)
{
	static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
	struct bed *b = *state;
	char path[128];

	if (b->tx)
		(void)meta_end(b->tx, -ECANCELED, NULL);
	meta_free(b->m);
	for (size_t i = 0; i < 4; i++) {
		(void)snprintf(path, sizeof(path), "%s%s", b->path, ends[i]);
		(void)unlink(path);
	}
	(void)rmdir(b->dir);
	free(b);
	return 0;
}

struct meta_tx *bed_begin(struct bed *b)
{
	assert_null(b->tx);
	assert_int_equal(meta_begin(b->m, &b->tx, &b->err), 0);
	return b->tx;
}

void bed_end(struct bed *b)
{
	struct meta_tx *tx = b->tx;

	b->tx = NULL;
	assert_int_equal(meta_end(tx, 0, &b->err), 0);
}

void bed_undo(struct bed *b)
{
	struct meta_tx *tx = b->tx;

	b->tx = NULL;
	assert_int_equal(meta_end(tx, -ECANCELED, &b->err), -ECANCELED);
}

void bed_reopen(struct bed *b)
{
	assert_null(b->tx);
	meta_free(b->m);
	b->m = NULL;
	bed_open(b);
}

struct tree_name bed_name(const char *s)
{
	return (struct tree_name){s, strlen(s)};
}

uint64_t bed_make(struct bed *b, uint64_t dir, const char *name, uint32_t mode)
{
	struct tree_attr a = {.mode = mode, .uid = 5, .gid = 6};

	assert_int_equal(tree_make(b->tx, dir, bed_name(name), NULL, BED_NOW,
				 &a, &b->err),
		0);
	return a.ino;
}

struct tree_attr bed_get(struct bed *b, uint64_t ino)
{
	struct tree_attr a = {0};

	assert_int_equal(tree_get(b->tx, ino, &a, &b->err), 0);
	return a;
}
