/*
 * tests/unit/fs/yard.h - a house of FILES small files in one pack on the stores
 * a and b, with a collector that is told when to do its rounds.
 */
#ifndef PLURI_TEST_YARD_H
#define PLURI_TEST_YARD_H

#include "fs/repack_int.h"
#include "tests/unit/fs/house.h"

#define KIB 1024u
#define FILES 10u
#define LEN (90 * KIB) /* less than a chunk may be cut at */

#define AT_ONCE "timeout = 10s\nrepack_age = 0ms\nrepack_rate = 1G\n"
#define VOLUME AT_ONCE "keep_deleted = 0ms"
#define POLICY \
	"layout = mirror:2\nstores = a b\npack = 1M\npack_age = 60s"

struct yard {
	struct house h;
	uint64_t seed[FILES]; /* content of f0, f1...; 0: empty */
};

void yard_begin(struct yard *y, const char *volume);
void yard_begin_as(struct yard *y, const char *volume, const char *policy);
void yard_again(struct yard *y); /* after kill -9 */
void yard_met(struct yard *y); /* every store has been looked at */

void yard_put(struct yard *y, unsigned i, uint64_t seed);
/* All but some lose their content. */
void yard_poor(struct yard *y);

void yard_check(struct yard *y);
/* With the local packs, and from the stores alone. */
void yard_check_all(struct yard *y);

unsigned yard_objects(struct yard *y, char store);
unsigned yard_locals(struct yard *y); /* pack files, lost ones, too */
unsigned yard_packs(struct yard *y);
uint64_t yard_graves(struct yard *y);

/* One round, nothing of it for lack of time. */
void yard_turn(struct yard *y);
/* Rounds until nothing is left to do; objects and rows agree then. */
void yard_collect(struct yard *y);

#endif
