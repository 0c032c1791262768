/*
 * tests/unit/fs/house.h - a whole volume without a mount, in a directory of
 * its own: three stores, a (local), b (local, behind faults) and c (memory).
 */
#ifndef PLURI_TEST_HOUSE_H
#define PLURI_TEST_HOUSE_H

#include "fs/node.h"
#include "fs/volume.h"

struct house {
	char dir[64];
	char ini[4096];
	struct volume *v; /* NULL: closed */
};

/*
 * Make the volume and open it. volume, policy: lines for those sections of
 * the INI, "" for the usual: packs of 1 MiB in two copies on a, b, c.
 */
void house_new(struct house *h, const char *volume, const char *policy);
void house_free(struct house *h); /* the directory goes, too */

void house_open(struct house *h);
void house_close(struct house *h); /* must succeed */
void house_crash(struct house *h); /* what was not committed is gone */

/* Faults of store b, as backends/fault/fault.h has them. */
void house_fault(struct house *h, const char *rules);

/* The file's node, pinned; made when it is not there. */
struct node *house_file(struct house *h, const char *name);
uint64_t house_size(struct house *h, struct node *n);

void house_write(struct house *h, struct node *n, uint64_t off,
	const void *data, size_t len);
/* Exactly len bytes. */
void house_read(struct house *h, struct node *n, uint64_t off, void *to,
	size_t len);
void house_truncate(struct house *h, struct node *n, uint64_t size);

/* Flushed, and its extents split into those of 512 bytes at most. */
void house_shatter(struct house *h, struct node *n);

/* Everything is in the clouds, and nowhere else. */
void house_clouds(struct house *h);
/* Every shard of every pack is stored; false: not by then. */
bool house_paid(struct house *h, uint64_t ms);
/* Nothing decoded is in memory, no local pack that can go is left. */
void house_forget(struct house *h);

/* Bytes of the pack that the database has, too. */
uint64_t house_tail(struct house *h, uint64_t pack);

/* len bytes that no compressor shrinks, the same for the same seed. */
void house_noise(uint64_t seed, void *to, size_t len);

#endif
