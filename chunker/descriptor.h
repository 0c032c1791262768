/*
 * chunker/descriptor.h - the volume descriptor: one small object on every
 * store that says whose bytes lie here.
 *
 * Its plain part has magic, version and volume id; the sealed part, the name
 * of the volume, the time it was made, the name of the store, and a random
 * nonce salt. It tells three things apart: this volume's (0), another volume's
 * (-EEXIST), this volume's under another key (-EACCES). Anything else is
 * -EBADMSG. Pure but for randomness given by the caller.
 */
#ifndef PLURI_CHUNKER_DESCRIPTOR_H
#define PLURI_CHUNKER_DESCRIPTOR_H

#include "chunker/keys.h"

#define DESCRIPTOR_BYTES 256u
#define DESCRIPTOR_NAME "pluri-volume" /* its object name */

struct descriptor {
	char volume[PLURI_NAME_MAX + 1]; /* the volume's name */
	char store[PLURI_NAME_MAX + 1];
	int64_t created_ns;
};

/* salt: 16 random bytes, never used twice. 0 or -EIO. */
int descriptor_encode(const struct keys *keys, const struct descriptor *d,
	const struct pluri_id *salt, uint8_t to[DESCRIPTOR_BYTES]);

/*
 * Judge an object's bytes against our keys; ret may be NULL. ret_volume, when
 * not NULL, is set whenever the plain part is readable, also for -EEXIST.
 */
int descriptor_decode(const struct keys *keys, struct pluri_span bytes,
	struct descriptor *ret, struct pluri_id *ret_volume,
	struct pluri_err *err);

#endif
