/*
 * The input is 4 bytes (how many bytes of frames the pack has), a footer of 64
 * bytes and an index, as they are before sealing. They are sealed where they
 * belong; what pack_index() then accepts must seal to the same bytes again.
 */
#include <errno.h>

#include "base/wire.h"
#include "chunker/pack_index.h"

#include "tests/fuzz/keyed.h"

#define FOOT (PACK_FOOT - SEAL_TAG)

struct tail {
	uint8_t *p; /* sealed index and footer */
	size_t len;
	uint64_t off; /* where they stand */
};

static int read_tail(
	void *arg, uint64_t off, void *to, size_t len, struct pluri_err *err)
{
	const struct tail *t = arg;

	if (off < t->off || off - t->off > t->len ||
		len > t->len - (off - t->off))
		return pluri_fail(err, EBADMSG, "outside");
	memcpy(to, t->p + (off - t->off), len);
	return 0;
}

static void expect_same(const struct keys *keys, const struct tail *t,
	const struct pack_entry *entries, uint32_t count)
{
	const struct pluri_id id = keyed_id(KEYED_PACK);
	uint8_t *again = malloc(t->len);
	struct sealer *s = NULL;

	FUZZ_CHECK(again && pack_index_bytes(count) == t->len);
	FUZZ_CHECK(sealer_new(keys, &id, &s, NULL) == 0);
	FUZZ_CHECK(pack_index_seal(s, keys_volume(keys), &id, entries, count,
			   t->off, again) == 0);
	FUZZ_CHECK(memcmp(again, t->p, t->len) == 0);
	sealer_free(s);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct pluri_id id = keyed_id(KEYED_PACK);
	pluri_auto(keys) keys = keyed_keys();
	struct wire_in w = {data, size, false};
	struct tail t = {.off = PACK_HEAD + wire_u32(&w)};
	struct pack_source src = {read_tail, &t, 0};
	struct pack_entry *entries = NULL;
	uint32_t count = 0;
	uint8_t aad[2 * PLURI_ID_BYTES];
	size_t index;

	if (size < 4 + FOOT)
		return 0;
	index = size - 4 - FOOT;
	t.len = index + SEAL_TAG + PACK_FOOT;
	t.p = malloc(t.len);
	FUZZ_CHECK(t.p);
	src.bytes = t.off + t.len;
	keyed_seal(keys, KEYED_PACK, SEAL_INDEX, t.off, keyed_aad(keys, aad),
		(struct pluri_span){data + 4 + FOOT, index}, t.p);
	keyed_seal(keys, KEYED_PACK, SEAL_FOOT, src.bytes - PACK_FOOT,
		keyed_aad(keys, aad), (struct pluri_span){data + 4, FOOT},
		t.p + t.len - PACK_FOOT);
	if (pack_index(keys, &id, &src, &entries, &count, NULL) == 0)
		expect_same(keys, &t, entries, count);
	free(entries);
	free(t.p);
	return 0;
}
