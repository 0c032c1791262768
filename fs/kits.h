/*
 * fs/kits.h - what compressing wants of memory (chunker/encode.h), lent to
 * whoever does it just now. Shared.
 *
 * As many are made as are in use at once; KITS_IDLE of each kind are kept for
 * the next. Two kinds, so that the many threads that read hold none of the
 * large ones.
 */
#ifndef PLURI_FS_KITS_H
#define PLURI_FS_KITS_H

#include "chunker/encode.h"

#define KITS_IDLE 8u

enum kits_kind { KITS_DOWN, KITS_UP, KITS_KINDS };

struct kits;

int kits_new(struct kits **ret, struct pluri_err *err);
void kits_free(struct kits *k); /* all are back. NULL is fine. */
PLURI_OWN(kits);

/* NULL: out of memory, which encoding and its undoing can do without. */
struct encode_kit *kits_take(struct kits *k, enum kits_kind kind);
void kits_give(struct kits *k, enum kits_kind kind, struct encode_kit *kit);

#endif
