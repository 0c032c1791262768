/*
 * tests/unit/fs/pages.h - a house with one file, "db", that is written page by
 * page, and merging that is told when to do its rounds.
 */
#ifndef PLURI_TEST_PAGES_H
#define PLURI_TEST_PAGES_H

#include "fs/merge_int.h"
#include "tests/unit/fs/house.h"

#define KIB 1024u
#define MIB (1024u * KIB)
#define PAGE (4 * KIB)
#define LEN (3 * MIB)
#define PAGES (LEN / PAGE)

#define VOLUME "timeout = 2s\nmerge_rate = 1G\nrepack_age = 0ms"
#define POLICY "layout = mirror:2\nstores = a b\npack = 4M\npack_age = 60s"

struct pages {
	struct house h;
	struct node *n;
	struct merge *m;
	uint8_t *data, *got; /* LEN: what it should have */
};

void pages_begin(struct pages *g, const char *volume);
void pages_begin_as(
	struct pages *g, const char *volume, const char *policy);
void pages_end(struct pages *g);
/* Around a close or crash of the house. */
void pages_shut(struct pages *g);
void pages_open(struct pages *g);

void pages_put(struct pages *g, uint64_t seed, uint64_t off, size_t len);
void pages_flush(struct pages *g);
/* n pages, here and there, each recorded by itself. */
void pages_scatter(struct pages *g, uint64_t seed, unsigned n);
/* All of it, then n pages. */
void pages_database(struct pages *g, unsigned n);

/* Extents of the file, and of how many chunks. */
unsigned pages_extents(struct pages *g, unsigned *ret_chunks);
unsigned pages_count(struct pages *g);
void pages_stat(struct pages *g, struct tree_attr *a);
void pages_same(struct pages *g);
void pages_same_all(struct pages *g); /* from the stores, too */

/* A round, for which everything has waited long enough. */
void pages_turn(struct pages *g);
/* Until all is done. */
void pages_merge(struct pages *g);

#endif
