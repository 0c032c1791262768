/*
 * fs/secret.h - credentials and keys by reference; never kept elsewhere.
 *
 * A reference is env:NAME, file:PATH or command:CMD (run by /bin/sh, at most
 * 30 s, 64 KiB). Credentials are "name = value" lines, '#' comments. Files that
 * group or others may read are refused, with the chmod to run. Memory is
 * locked out of core dumps and wiped. No message ever holds a value.
 */
#ifndef PLURI_FS_SECRET_H
#define PLURI_FS_SECRET_H

#include "base/err.h"
#include "base/own.h"
#include "base/types.h"

#define SECRET_MAX 65536u

struct secret; /* the lines of one reference. Shared: has its own lock */

/* ref "" gives an empty set. Does not read yet; judges the reference's form. */
int secret_new(const char *ref, struct secret **ret, struct pluri_err *err);
void secret_free(struct secret *s);
PLURI_OWN(secret);

/* As pluri_host.secret: fresh reads the source again. */
int secret_get(struct secret *s, const char *name, int fresh, char *to,
	size_t cap, struct pluri_err *err);

/*
 * The volume key: 64 hexadecimal digits (white space around them is fine) from
 * any reference. -ENOENT when a file: is not there.
 */
int secret_key(const char *ref, uint8_t ret[PLURI_KEY_BYTES],
	struct pluri_err *err);
/* Write a new key file (file: references only), 0600, never over another:
 * -EEXIST. Synced with its directory. */
int secret_key_create(const char *ref, const uint8_t key[PLURI_KEY_BYTES],
	struct pluri_err *err);

/* Plain memset that the compiler may not drop. */
void secret_wipe(void *p, size_t n);

#endif
