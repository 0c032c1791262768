#include <assert.h>
#include <errno.h>
#include <stdbool.h>

#include "chunker/stripe.h"

static int stripe_unbuilt(const struct layout *l, struct pluri_err *err)
{
	char text[LAYOUT_TEXT];

	return pluri_fail(err, ENOTSUP,
		"layout %s: this version of plurifs can only mirror",
		layout_text(l, text));
}

uint64_t stripe_body_bytes(const struct layout *l, uint64_t pack_bytes)
{
	return l->kind == STRIPE_MIRROR ? pack_bytes : 0;
}

int stripe_body(const struct layout *l, unsigned index, stripe_read read,
	void *arg, uint64_t off, struct pluri_room *to, struct pluri_err *err)
{
	int r;

	if (l->kind != STRIPE_MIRROR)
		return stripe_unbuilt(l, err);
	if (index >= layout_shards(l))
		return pluri_fail(
			err, EINVAL, "shard %u of %u", index, layout_shards(l));
	r = read(arg, off, to->data, to->cap, err);
	if (r >= 0)
		to->len = to->cap;
	return r;
}

void stripe_range(const struct layout *l, uint64_t pack_bytes, uint64_t off,
	uint64_t len, uint64_t *ret_off, uint64_t *ret_len, unsigned *ret_need)
{
	assert(off <= pack_bytes && len <= pack_bytes - off);
	(void)pack_bytes;
	*ret_off = SHARD_HEAD + off;
	*ret_len = len;
	*ret_need = l->k;
}

int stripe_join(const struct layout *l, uint64_t pack_bytes, uint64_t off,
	const struct stripe_piece *pieces, unsigned n, struct pluri_room *to,
	struct pluri_err *err)
{
	if (l->kind != STRIPE_MIRROR)
		return stripe_unbuilt(l, err);
	if (off > pack_bytes || to->cap > pack_bytes - off)
		return pluri_fail(err, EINVAL,
			"%zu bytes at %llu reach beyond a pack of %llu",
			to->cap, (unsigned long long)off,
			(unsigned long long)pack_bytes);
	if (n < l->k || pieces[0].index >= layout_shards(l) ||
		pieces[0].bytes.len != to->cap)
		return pluri_fail(err, EBADMSG,
			"%u pieces do not make %zu bytes of a pack", n,
			to->cap);
	if (to->cap)
		memcpy(to->data, pieces[0].bytes.data, to->cap);
	to->len = to->cap;
	return 0;
}
