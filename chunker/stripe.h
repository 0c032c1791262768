/*
 * chunker/stripe.h - pack <-> shards, by layout.
 *
 * mirror:n      n copies, any 1 is enough (n = 1 is plain striping of packs)
 * erasure:k+m   k data and m parity fragments, any k are enough
 * disperse:k+m  like erasure, and fewer than k tell nothing
 *
 * A shard object is a SHARD_HEAD header (plain, with checksums) and a body.
 * Every layout keeps this law: to read pack bytes [off, off + len) it is
 * enough to read one and the same byte range from any `need` shards. Only
 * mirror can be encoded and joined so far; the others parse, and say so.
 *
 * Pure.
 */
#ifndef PLURI_CHUNKER_STRIPE_H
#define PLURI_CHUNKER_STRIPE_H

#include "base/err.h"
#include "base/types.h"

#define SHARD_HEAD 128u

enum stripe_kind {
	STRIPE_MIRROR = 1,
	STRIPE_ERASURE = 2,
	STRIPE_DISPERSE = 3,
};

/* mirror:n is k = 1, m = n - 1. */
struct layout {
	enum stripe_kind kind;
	uint8_t k, m; /* k >= 1, k + m <= PLURI_SHARDS_MAX */
};

#define LAYOUT_TEXT 24
/* "mirror:2"; -EINVAL says what is wrong, -ENOTSUP what is not built yet. */
int layout_parse(const char *s, struct layout *ret, struct pluri_err *err);
const char *layout_text(const struct layout *l, char to[LAYOUT_TEXT]);
unsigned layout_shards(const struct layout *l); /* k + m */

/*
 * Shards that must be stored before the pack counts as safe in the clouds:
 * one less than all, but k at least: any one cloud may be away.
 */
unsigned layout_quorum(const struct layout *l);

struct shard_head {
	struct pluri_id volume, pack;
	struct layout layout;
	uint8_t index; /* < k + m */
	uint64_t pack_bytes;
	uint64_t pack_sum;   /* digest_sum of the whole pack */
	uint64_t body_bytes; /* after the header */
	uint64_t body_sum;   /* digest_sum of them */
};

void shard_head_encode(const struct shard_head *h, uint8_t to[SHARD_HEAD]);
/* 0 or -EBADMSG: magic, version, unknown flags, reserved, sums, ceilings. */
int shard_head_decode(const uint8_t from[SHARD_HEAD], struct shard_head *ret,
	struct pluri_err *err);

/* Bytes of the body of every shard of a pack; 0: a layout not built yet. */
uint64_t stripe_body_bytes(const struct layout *l, uint64_t pack_bytes);

/* Reads pack bytes while a shard is made. Exactly len, or -errno. */
typedef int (*stripe_read)(void *arg, uint64_t off, void *to, size_t len,
	struct pluri_err *err);

/* Body bytes [off, off + to->cap) of shard index, made from the pack: all. */
int stripe_body(const struct layout *l, unsigned index, stripe_read read,
	void *arg, uint64_t off, struct pluri_room *to, struct pluri_err *err);

/*
 * Object bytes to read from each of *ret_need shards for pack bytes
 * [off, off + len), which lie inside the pack.
 */
void stripe_range(const struct layout *l, uint64_t pack_bytes, uint64_t off,
	uint64_t len, uint64_t *ret_off, uint64_t *ret_len,
	unsigned *ret_need);

struct stripe_piece {
	unsigned index;		 /* of the shard */
	struct pluri_span bytes; /* what stripe_range asked for */
};

/* Pack bytes [off, off + to->cap) from `need` pieces. 0, -EINVAL, -EBADMSG. */
int stripe_join(const struct layout *l, uint64_t pack_bytes, uint64_t off,
	const struct stripe_piece *pieces, unsigned n, struct pluri_room *to,
	struct pluri_err *err);

/* "packs/3f/3fa9...-00": object name of a shard; to: PLURI_OBJECT_KEY_MAX+1 */
#define SHARD_PREFIX "packs/"
void shard_name(const struct pluri_id *pack, unsigned index, char *to);
/* 0, or -EINVAL when the name is not a shard's. */
int shard_name_parse(const char *name, struct pluri_id *ret_pack,
	unsigned *ret_index);

#endif
