#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "base/wire.h"
#include "chunker/digest.h"
#include "chunker/stripe.h"

#define SHARD_MAGIC "PLURSHRD"
#define SHARD_VERSION 1u
#define SHARD_USED 80u /* the rest is reserved, up to the sum */
#define SHARD_SUM (SHARD_HEAD - 8)

void shard_head_encode(const struct shard_head *h, uint8_t to[SHARD_HEAD])
{
	struct wire_out w = {to, SHARD_HEAD, false};

	memset(to, 0, SHARD_HEAD);
	wire_give(&w, SHARD_MAGIC, 8);
	wire_put(&w, SHARD_VERSION, 2);
	wire_put(&w, 0, 2);
	wire_put(&w, h->layout.kind, 1);
	wire_put(&w, h->layout.k, 1);
	wire_put(&w, h->layout.m, 1);
	wire_put(&w, h->index, 1);
	wire_give(&w, h->volume.b, PLURI_ID_BYTES);
	wire_give(&w, h->pack.b, PLURI_ID_BYTES);
	wire_put(&w, h->pack_bytes, 8);
	wire_put(&w, h->pack_sum, 8);
	wire_put(&w, h->body_bytes, 8);
	wire_put(&w, h->body_sum, 8);
	w = (struct wire_out){to + SHARD_SUM, 8, false};
	wire_put(&w, digest_sum((struct pluri_span){to, SHARD_SUM}), 8);
}

/* Magic, version, flags and sum, before anything else is believed. */
static int shard_head_known(
	struct wire_in *w, const uint8_t *from, struct pluri_err *err)
{
	struct wire_in sum = {from + SHARD_SUM, 8, false};
	char magic[8];
	unsigned version;
	unsigned flags;

	wire_take(w, magic, sizeof(magic));
	version = wire_u16(w);
	flags = wire_u16(w);
	if (memcmp(magic, SHARD_MAGIC, sizeof(magic)) != 0)
		return pluri_fail(err, EBADMSG, "this is not a shard");
	if (digest_sum((struct pluri_span){from, SHARD_SUM}) != wire_u64(&sum))
		return pluri_fail(err, EBADMSG,
			"shard header damaged: its checksum is wrong");
	if (version != SHARD_VERSION || flags)
		return pluri_fail(err, EBADMSG,
			"shard of version %u with flags %#x, this program "
			"knows %u and none; a newer plurifs may have written "
			"it",
			version, flags, SHARD_VERSION);
	return 0;
}

static int shard_head_judge(const struct shard_head *h, struct pluri_err *err)
{
	const struct layout *l = &h->layout;

	if (l->kind != STRIPE_MIRROR)
		return pluri_fail(err, EBADMSG,
			"shard of layout kind %u, which this version of "
			"plurifs cannot read",
			(unsigned)l->kind);
	if (l->k != 1 || layout_shards(l) > PLURI_SHARDS_MAX ||
		h->index >= layout_shards(l))
		return pluri_fail(err, EBADMSG,
			"shard %u of %u+%u cannot be of a mirror", h->index,
			l->k, l->m);
	if (h->pack_bytes == 0 || h->pack_bytes > PLURI_PACK_MAX)
		return pluri_fail(err, EBADMSG,
			"shard of a pack of %llu bytes: no pack has them",
			(unsigned long long)h->pack_bytes);
	if (h->body_bytes != stripe_body_bytes(l, h->pack_bytes) ||
		h->body_sum != h->pack_sum)
		return pluri_fail(err, EBADMSG,
			"shard header at odds with itself: a mirror's body is "
			"the pack");
	return 0;
}

int shard_head_decode(const uint8_t from[SHARD_HEAD], struct shard_head *ret,
	struct pluri_err *err)
{
	struct wire_in w = {from, SHARD_SUM, false};
	struct shard_head h;
	int r;

	r = shard_head_known(&w, from, err);
	if (r < 0)
		return r;
	h.layout.kind = (enum stripe_kind)wire_u8(&w);
	h.layout.k = wire_u8(&w);
	h.layout.m = wire_u8(&w);
	h.index = wire_u8(&w);
	wire_take(&w, h.volume.b, PLURI_ID_BYTES);
	wire_take(&w, h.pack.b, PLURI_ID_BYTES);
	h.pack_bytes = wire_u64(&w);
	h.pack_sum = wire_u64(&w);
	h.body_bytes = wire_u64(&w);
	h.body_sum = wire_u64(&w);
	wire_zero(&w, SHARD_SUM - SHARD_USED);
	if (!wire_ok(&w))
		return pluri_fail(
			err, EBADMSG, "shard header with reserved bytes set");
	r = shard_head_judge(&h, err);
	if (r < 0)
		return r;
	*ret = h;
	return 0;
}

void shard_name(const struct pluri_id *pack, unsigned index, char *to)
{
	char hex[2 * PLURI_ID_BYTES + 1];

	text_hex(pack->b, PLURI_ID_BYTES, hex);
	(void)snprintf(to, PLURI_OBJECT_KEY_MAX + 1,
		SHARD_PREFIX "%.2s/%s-%02u", hex, hex, index);
}

int shard_name_parse(
	const char *name, struct pluri_id *ret_pack, unsigned *ret_index)
{
	const size_t skip = sizeof(SHARD_PREFIX "3f/") - 1;
	char again[PLURI_OBJECT_KEY_MAX + 1];
	char hex[2 * PLURI_ID_BYTES + 1] = "";
	const char *dash;
	struct pluri_id pack;
	unsigned index;

	if (strlen(name) != skip + 2 * PLURI_ID_BYTES + sizeof("-00") - 1)
		return -EINVAL;
	dash = name + skip + 2 * PLURI_ID_BYTES;
	memcpy(hex, name + skip, 2 * PLURI_ID_BYTES);
	if (text_unhex(hex, pack.b, PLURI_ID_BYTES) < 0)
		return -EINVAL;
	index = (unsigned)(dash[1] - '0') * 10 + (unsigned)(dash[2] - '0');
	if (index >= PLURI_SHARDS_MAX)
		return -EINVAL;
	/* Anything else that is wrong shows in the name it should have. */
	shard_name(&pack, index, again);
	if (strcmp(again, name) != 0)
		return -EINVAL;
	*ret_pack = pack;
	*ret_index = index;
	return 0;
}
