/*
 * chunker/pack_index.h - index and footer of a pack, for pack.c alone.
 *
 *   sealed index (entries + tag) | sealed footer (PACK_FOOT)
 *
 * Both are ciphertext, so that not even the number of chunks shows. The footer
 * says where the index begins; chunks lie without gaps from PACK_HEAD to
 * there. Pure.
 */
#ifndef PLURI_CHUNKER_PACK_INDEX_H
#define PLURI_CHUNKER_PACK_INDEX_H

#include "chunker/pack.h"

/* Bytes of index and footer of so many chunks. */
size_t pack_index_bytes(uint32_t count);

/*
 * Seal index and footer for offset off of the sealer's pack (whose id is
 * pack). to: pack_index_bytes(count) bytes. 0 or -EIO.
 */
int pack_index_seal(struct sealer *s, const struct pluri_id *volume,
	const struct pluri_id *pack, const struct pack_entry *entries,
	uint32_t count, uint64_t off, uint8_t *to);

#endif
