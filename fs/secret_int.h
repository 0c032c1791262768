/*
 * fs/secret_int.h - how the files of fs/secret*.c share one reading of a
 * reference; users include fs/secret.h.
 */
#ifndef PLURI_FS_SECRET_INT_H
#define PLURI_FS_SECRET_INT_H

#include "fs/secret.h"

/* Bytes kept out of core dumps and wiped when freed. Zero is empty. */
struct secret_room {
	char *data; /* SECRET_MAX + 1 bytes, NUL-terminated, or NULL */
	size_t len;
};

int secret_room_new(struct secret_room *r, struct pluri_err *err);
void secret_room_free(struct secret_room *r);

/* What ref refers to, at most SECRET_MAX bytes, without NUL. r is empty. */
int secret_source_read(const char *ref, struct secret_room *r,
	struct pluri_err *err);
/* Form alone: env:, file: or command: and something behind it. */
int secret_source_check(const char *ref, struct pluri_err *err);

/* The standard output of a command that ends well within timeout_ms. */
int secret_command_read(const char *command, unsigned timeout_ms,
	struct secret_room *r, struct pluri_err *err);

#endif
