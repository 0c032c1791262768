/*
 * The input is a frame header of 80 bytes and a body, as they are before
 * sealing: they are sealed as FORMAT.md says and opened. The bytes are also
 * tried as they are, which no key fits.
 */
#include "base/wire.h"
#include "chunker/frame.h"

#include "tests/fuzz/keyed.h"

#define OFF 64u
#define BODY_AAD 68u

static struct pluri_span body_aad(const struct keys *keys,
	const struct frame_head *h, uint8_t to[BODY_AAD])
{
	struct wire_out w = {to, BODY_AAD, false};

	wire_give(&w, keys_volume(keys)->b, PLURI_ID_BYTES);
	wire_give(&w, h->id.chunk.b, PLURI_DIGEST_BYTES);
	wire_put(&w, h->id.chunk_bytes, 4);
	wire_put(&w, h->id.index, 4);
	wire_put(&w, h->id.count, 4);
	wire_put(&w, h->zstd, 4);
	wire_put(&w, h->plain, 4);
	return (struct pluri_span){to, BODY_AAD};
}

static void try_raw(const struct frame_at *at, struct pluri_span bytes)
{
	static uint8_t out[FRAME_PLAIN];
	struct pluri_room room = {out, sizeof(out), 0};
	const struct frame_id want = {.chunk_bytes = 1, .count = 1};
	struct frame_head h;

	(void)frame_peek(at, bytes, &h, NULL);
	(void)frame_open(at, bytes, &want, &room, NULL);
}

static void try_sealed(
	const struct frame_at *at, const uint8_t *data, size_t size)
{
	const struct pluri_span body = {
		data + FRAME_HEAD_PLAIN, size - FRAME_HEAD_PLAIN};
	const size_t len = size + 2 * SEAL_TAG;
	uint8_t *sealed = malloc(len);
	uint8_t *out = malloc(FRAME_PLAIN);
	struct pluri_room room = {out, FRAME_PLAIN, 0};
	struct frame_head h = {.plain = 0};
	uint8_t aad[BODY_AAD];

	FUZZ_CHECK(sealed && out);
	(void)frame_head_decode(data, &h, NULL);
	keyed_seal(at->keys, KEYED_PACK, SEAL_HEAD, OFF,
		keyed_aad(at->keys, aad),
		(struct pluri_span){data, FRAME_HEAD_PLAIN}, sealed);
	keyed_seal(at->keys, KEYED_PACK, SEAL_BODY, OFF,
		body_aad(at->keys, &h, aad), body, sealed + FRAME_HEAD);
	if (frame_open(at, (struct pluri_span){sealed, len}, &h.id, &room,
		    NULL) == 0)
		FUZZ_CHECK(room.len == h.plain && h.stored <= body.len);
	free(sealed);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	pluri_auto(keys) keys = keyed_keys();
	const struct frame_at at = {keys, keyed_id(KEYED_PACK), OFF};

	try_raw(&at, (struct pluri_span){data, size});
	if (size >= FRAME_HEAD_PLAIN && size <= FRAME_STORED_MAX)
		try_sealed(&at, data, size);
	return 0;
}
