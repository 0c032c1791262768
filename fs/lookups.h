/*
 * fs/lookups.h - how often the kernel has looked up which inode: it keeps an
 * inode until it says forget as many times. There are as many as the kernel
 * caches, millions perhaps, so an entry has 16 bytes. Confined.
 */
#ifndef PLURI_FS_LOOKUPS_H
#define PLURI_FS_LOOKUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lookups_entry {
	uint64_t ino;	/* 0: free */
	uint32_t count; /* at its maximum it stays there: never forgotten */
	uint32_t gone;	/* the inode has lost its last name */
};

struct lookups { /* zero to begin with */
	struct lookups_entry *slot; /* open addressing, linear */
	size_t cap, used;	    /* cap: 0, or a power of two */
};

void lookups_free(struct lookups *l); /* leaves it empty */

/* Once more. -ENOMEM. */
int lookups_add(struct lookups *l, uint64_t ino);
/* count times less; never below none. true: that was the last, and *ret_gone
 * is as was set. */
bool lookups_sub(struct lookups *l, uint64_t ino, uint64_t count,
	bool *ret_gone);

bool lookups_has(const struct lookups *l, uint64_t ino);
/* false for what nobody has looked up. */
bool lookups_gone(const struct lookups *l, uint64_t ino);
void lookups_set_gone(struct lookups *l, uint64_t ino, bool gone);

#endif
