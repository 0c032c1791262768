#include <errno.h>

#include "base/text.h"
#include "base/wire.h"
#include "chunker/pack.h"

#define PACK_MAGIC "PLURPACK"
#define PACK_VERSION 1u
#define PACK_HEAD_USED 48u /* the rest is reserved */

void pack_head_encode(const struct pluri_id *volume, const struct pluri_id *id,
	uint8_t to[PACK_HEAD])
{
	struct wire_out w = {to, PACK_HEAD, false};

	memset(to, 0, PACK_HEAD);
	wire_give(&w, PACK_MAGIC, 8);
	wire_put(&w, PACK_VERSION, 2);
	wire_put(&w, 0, 2);
	wire_put(&w, 0, 4);
	wire_give(&w, volume->b, PLURI_ID_BYTES);
	wire_give(&w, id->b, PLURI_ID_BYTES);
}

int pack_head_check(const uint8_t head[PACK_HEAD], const struct pluri_id *vol,
	const struct pluri_id *id, struct pluri_err *err)
{
	struct wire_in w = {head, PACK_HEAD, false};
	struct pluri_id v;
	struct pluri_id p;
	char magic[8];
	char hex[2 * PLURI_ID_BYTES + 1];
	unsigned version;
	unsigned flags;

	wire_take(&w, magic, sizeof(magic));
	version = wire_u16(&w);
	flags = wire_u16(&w);
	if (memcmp(magic, PACK_MAGIC, sizeof(magic)) != 0)
		return pluri_fail(err, EBADMSG, "this is not a pack");
	if (version != PACK_VERSION || flags)
		return pluri_fail(err, EBADMSG,
			"pack of version %u with flags %#x, this program "
			"knows %u and none; a newer plurifs may have written "
			"it",
			version, flags, PACK_VERSION);
	wire_zero(&w, 4);
	wire_take(&w, v.b, PLURI_ID_BYTES);
	wire_take(&w, p.b, PLURI_ID_BYTES);
	wire_zero(&w, PACK_HEAD - PACK_HEAD_USED);
	if (!wire_ok(&w))
		return pluri_fail(
			err, EBADMSG, "pack header with reserved bytes set");
	if (memcmp(v.b, vol->b, PLURI_ID_BYTES) != 0)
		return pluri_fail(err, EBADMSG,
			"this pack is of another volume, %s",
			text_hex(v.b, PLURI_ID_BYTES, hex));
	if (memcmp(p.b, id->b, PLURI_ID_BYTES) != 0)
		return pluri_fail(err, EBADMSG, "this is another pack, %s",
			text_hex(p.b, PLURI_ID_BYTES, hex));
	return 0;
}
