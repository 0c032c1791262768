/*
 * What the metadata costs one thread: empty brackets, creates, lookups,
 * extents, commits. Usage: bench_meta DIR [COUNT]; DIR decides which disk.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "meta/extent.h"
#include "meta/packs.h"
#include "meta/tree.h"

#define BATCH 1000u /* brackets a commit */
#define NAMES_A_DIR 1000u

struct bench {
	struct meta *m;
	struct pluri_err err;
	uint64_t *dir;
	uint64_t chunk;
	unsigned count;
};

static double seconds(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void need(struct bench *b, int r)
{
	if (r == 0)
		return;
	(void)fprintf(stderr, "bench_meta: %d: %s\n", r, b->err.text);
	exit(1);
}

static struct tree_name name_of(unsigned n, char to[32])
{
	(void)snprintf(to, 32, "file-%08u.txt", n);
	return (struct tree_name){to, strlen(to)};
}

static void one_empty(struct bench *b, struct meta_tx *tx, unsigned i)
{
	(void)b;
	(void)tx;
	(void)i;
}

static void one_dir(struct bench *b, struct meta_tx *tx, unsigned i)
{
	struct tree_attr a = {.mode = S_IFDIR | 0755};
	char name[32];

	if (i % NAMES_A_DIR != 0)
		return;
	need(b, tree_make(
			tx, TREE_ROOT, name_of(i, name), NULL, 1, &a, &b->err));
	b->dir[i / NAMES_A_DIR] = a.ino;
}

static void one_create(struct bench *b, struct meta_tx *tx, unsigned i)
{
	struct tree_attr a = {.mode = S_IFREG | 0644};
	char name[32];

	need(b, tree_make(tx, b->dir[i / NAMES_A_DIR], name_of(i, name), NULL,
			1, &a, &b->err));
}

static void one_lookup(struct bench *b, struct meta_tx *tx, unsigned i)
{
	const unsigned n = (unsigned)((uint64_t)i * 7919 % b->count);
	struct tree_attr a = {0};
	char name[32];

	need(b, tree_lookup(tx, b->dir[n / NAMES_A_DIR], name_of(n, name), &a,
			&b->err));
}

static void one_extent(struct bench *b, struct meta_tx *tx, unsigned i)
{
	const struct extent e = {
		(uint64_t)(i / 64) << 20, 1 << 20, 0, b->chunk};

	need(b, extent_write(tx, TREE_ROOT + 1 + i % 64, &e, 1, &b->err));
}

static void one_read(struct bench *b, struct meta_tx *tx, unsigned i)
{
	struct extent_row row[2];
	unsigned n = 0;

	need(b, extent_read(tx, TREE_ROOT + 1 + i % 64,
			(struct extent_span){(uint64_t)(i / 64) << 20, 1 << 20},
			row, 2, &n, &b->err));
}

static void one_unlink(struct bench *b, struct meta_tx *tx, unsigned i)
{
	struct tree_attr a = {0};
	char name[32];

	need(b, tree_unlink(tx, b->dir[i / NAMES_A_DIR], name_of(i, name),
			false, 2, &a, &b->err));
}

static void run(struct bench *b, const char *what,
	void (*one)(struct bench *b, struct meta_tx *tx, unsigned i))
{
	const double began = seconds();
	double took;

	for (unsigned i = 0; i < b->count; i++) {
		struct meta_tx *tx = NULL;

		need(b, meta_begin(b->m, &tx, &b->err));
		one(b, tx, i);
		need(b, meta_end(tx, 0, &b->err));
		if (i % BATCH == BATCH - 1)
			need(b, meta_commit(b->m, &b->err));
	}
	need(b, meta_commit(b->m, &b->err));
	took = seconds() - began;
	(void)printf("%-10s %9.0f /s\n", what, b->count / took);
}

static void add_chunk(struct bench *b)
{
	struct pack_row p = {.k = 1, .created_ns = 1};
	struct chunk_row c = {.bytes = 1 << 20,
		.plain = 1 << 20,
		.frames = 1,
		.frame = {1 << 20}};
	struct meta_tx *tx = NULL;

	need(b, meta_begin(b->m, &tx, &b->err));
	need(b, packs_add(tx, &p, &b->err));
	c.pack = p.num;
	need(b, chunks_add(tx, &c, &b->err));
	need(b, meta_end(tx, 0, &b->err));
	b->chunk = c.num;
}

int main(int argc, char **argv)
{
	struct meta_volume v = {.name = "bench", .created_ns = 1};
	struct bench b = {.count = 200000};
	char path[4096];
	double began;

	if (argc < 2 || argc > 3) {
		(void)fprintf(stderr, "usage: bench_meta DIR [COUNT]\n");
		return 2;
	}
	if (argc == 3)
		b.count = (unsigned)strtoul(argv[2], NULL, 10);
	b.dir = calloc(b.count / NAMES_A_DIR + 1, sizeof(*b.dir));
	(void)snprintf(path, sizeof(path), "%s/bench_meta.db", argv[1]);
	need(&b, b.dir && b.count > 0 ? 0 : -1);
	need(&b, meta_create(path, &v, 0, 0, &b.err));
	need(&b, meta_open(path, &b.m, &v, &b.err));
	add_chunk(&b);
	run(&b, "empty", one_empty);
	run(&b, "folders", one_dir);
	run(&b, "create", one_create);
	run(&b, "lookup", one_lookup);
	run(&b, "extent", one_extent);
	run(&b, "read", one_read);
	run(&b, "unlink", one_unlink);
	began = seconds();
	need(&b, meta_sync(b.m, &b.err));
	(void)printf("%-10s %9.3f ms\n", "sync", (seconds() - began) * 1e3);
	meta_free(b.m);
	(void)unlink(path);
	free(b.dir);
	return 0;
}
