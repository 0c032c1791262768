#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/names.h"
#include "fs/watch.h"
#include "fs/write.h"
#include "tests/unit/fs/pages.h"

#define SCATTER 475u /* a golden part of PAGES, and prime to it */

static void pages_met(struct pages *g)
{
	const struct timespec tick = {.tv_nsec = 5000000};

	while (!watch_met(g->h.v->watch, 0) || !watch_met(g->h.v->watch, 1) ||
		!watch_met(g->h.v->watch, 2))
		(void)nanosleep(&tick, NULL);
}

void pages_open(struct pages *g)
{
	pages_met(g);
	g->n = house_file(&g->h, "db");
	g->m = g->h.v->merge;
	g->m->quiet_ms = 0;
}

void pages_begin_as(struct pages *g, const char *volume, const char *policy)
{
	memset(g, 0, sizeof(*g));
	house_new(&g->h, volume, policy);
	pages_open(g);
	g->m->scanning = false; /* what is written now is noted */
	g->data = calloc(1, LEN);
	g->got = malloc(LEN);
}

void pages_begin(struct pages *g, const char *volume)
{
	pages_begin_as(g, volume, POLICY);
}

void pages_shut(struct pages *g)
{
	node_unpin(g->h.v->nodes, g->n);
	g->n = NULL;
}

void pages_end(struct pages *g)
{
	if (g->n)
		pages_shut(g);
	house_free(&g->h);
	free(g->data);
	free(g->got);
}

void pages_flush(struct pages *g)
{
	assert_int_equal(write_flush(g->h.v, g->n, NULL), 0);
}

void pages_put(struct pages *g, uint64_t seed, uint64_t off, size_t len)
{
	house_noise(seed, g->data + off, len);
	house_write(&g->h, g->n, off, g->data + off, len);
}

void pages_scatter(struct pages *g, uint64_t seed, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		pages_put(g, seed + i, i * SCATTER % PAGES * PAGE, PAGE);
		pages_flush(g);
	}
}

void pages_database(struct pages *g, unsigned n)
{
	pages_put(g, 1, 0, LEN);
	pages_flush(g);
	pages_scatter(g, 100, n);
}

unsigned pages_extents(struct pages *g, unsigned *ret_chunks)
{
	struct extent *e = calloc(4096, sizeof(*e));
	struct meta_tx *tx = NULL;
	unsigned n = 0;

	assert_int_equal(meta_begin(g->h.v->meta, &tx, NULL), 0);
	assert_int_equal(meta_end(tx,
				 extent_list(tx, g->n->ino,
					 (struct extent_span){0, UINT64_MAX}, e,
					 4096, &n, NULL),
				 NULL),
		0);
	*ret_chunks = 0;
	for (unsigned i = 0; i < n; i++) {
		bool known = false;

		for (unsigned j = 0; j < i && !known; j++)
			known = e[j].chunk == e[i].chunk;
		*ret_chunks += !known;
	}
	free(e);
	return n;
}

unsigned pages_count(struct pages *g)
{
	unsigned chunks;

	return pages_extents(g, &chunks);
}

void pages_same(struct pages *g)
{
	house_read(&g->h, g->n, 0, g->got, LEN);
	assert_memory_equal(g->got, g->data, LEN);
}

void pages_same_all(struct pages *g)
{
	pages_same(g);
	house_clouds(&g->h);
	pages_same(g);
}

void pages_turn(struct pages *g)
{
	struct pluri_err err = {0};
	bool more = true;

	for (unsigned i = 0; i < MERGE_SETS * MERGE_WAYS; i++)
		g->m->table.spot[i / MERGE_WAYS][i % MERGE_WAYS].due_ms = 0;
	atomic_store(&g->h.v->asked_ms, 0);
	for (unsigned i = 0; i < 20 && more; i++)
		if (merge_round(g->m, &more, &err) < 0)
			fail_msg("%s", err.text);
}

void pages_merge(struct pages *g)
{
	pages_turn(g); /* the scan may find something to copy... */
	pages_turn(g);
	assert_true(house_paid(&g->h, 20000));
	pages_turn(g); /* ...and this one has it in its place */
	assert_int_equal(g->m->copies, 0);
}

void pages_stat(struct pages *g, struct tree_attr *a)
{
	assert_int_equal(names_stat(g->h.v, g->n->ino, a, NULL), 0);
}
