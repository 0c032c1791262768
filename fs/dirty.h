/*
 * fs/dirty.h - written bytes of one file that are not in chunks yet: sorted
 * pieces that never overlap. Confined (the node's lock).
 */
#ifndef PLURI_FS_DIRTY_H
#define PLURI_FS_DIRTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIRTY_PIECE (1u << 20) /* bytes of one piece, at most */

struct dirty_piece {
	uint64_t off;
	uint32_t len, cap;
	uint8_t *data; /* owned */
};

struct dirty {
	struct dirty_piece *piece; /* ascending */
	size_t n, cap;
	uint64_t bytes; /* sum of len */
};

void dirty_free(struct dirty *d); /* leaves it empty */

/* Lay bytes over what is there; over = false: only into the gaps, under it.
 * -ENOMEM leaves a part of the bytes in place. */
int dirty_write(struct dirty *d, uint64_t off, const void *data, size_t len,
	bool over);
/* Everything in [off, off + len) is dropped. -ENOMEM. */
int dirty_punch(struct dirty *d, uint64_t off, uint64_t len);

/*
 * Walk what [off, off + len) holds: the first range of it that is dirty.
 * false: none. *ret_data is borrowed; *ret_len ends with its piece.
 */
bool dirty_next(const struct dirty *d, uint64_t off, uint64_t len,
	uint64_t *ret_off, size_t *ret_len, const uint8_t **ret_data);

/* Copy [off, off + len) to `to`. -EIO when a part of it is not dirty. */
int dirty_copy(const struct dirty *d, uint64_t off, size_t len,
	uint8_t *to);
/* Length of the run of adjoining pieces that begins at or after off;
 * *ret_off is where it begins. 0: none. */
uint64_t dirty_run(const struct dirty *d, uint64_t off, uint64_t *ret_off);

/* Where the last piece ends; 0: there is none. */
uint64_t dirty_upto(const struct dirty *d);

/* Move all of from under to (to wins where both have bytes); from is empty
 * afterwards, or keeps the rest on -ENOMEM. */
int dirty_under(struct dirty *to, struct dirty *from);

#endif
