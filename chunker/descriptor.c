#include <errno.h>
#include <stdbool.h>

#include "base/text.h"
#include "base/wire.h"
#include "chunker/descriptor.h"
#include "chunker/digest.h"
#include "chunker/seal.h"

/*
 * magic 8 | version 2 | flags 2 | zero 4 | volume 16 | salt 16 | sealed 200 |
 * sum 8. The sum tells damage from another key.
 */
#define DESCRIPTOR_MAGIC "PLURIVOL"
#define DESCRIPTOR_VERSION 1u
#define DESCRIPTOR_PLAIN 48u
#define DESCRIPTOR_SECRET 184u
#define DESCRIPTOR_SECRET_USED (8 + 2 * PLURI_NAME_MAX)
#define DESCRIPTOR_SUM (DESCRIPTOR_BYTES - 8)

_Static_assert(
	DESCRIPTOR_PLAIN + DESCRIPTOR_SECRET + SEAL_TAG == DESCRIPTOR_SUM,
	"the parts of the descriptor fill it");

static uint64_t descriptor_sum(const uint8_t *bytes)
{
	return digest_sum((struct pluri_span){bytes, DESCRIPTOR_SUM});
}

static void descriptor_secret(
	const struct descriptor *d, uint8_t to[DESCRIPTOR_SECRET])
{
	struct wire_out w = {to, DESCRIPTOR_SECRET, false};

	memset(to, 0, DESCRIPTOR_SECRET);
	wire_put(&w, (uint64_t)d->created_ns, 8);
	memcpy(w.p, d->volume, strnlen(d->volume, PLURI_NAME_MAX));
	memcpy(w.p + PLURI_NAME_MAX, d->store,
		strnlen(d->store, PLURI_NAME_MAX));
}

int descriptor_encode(const struct keys *keys, const struct descriptor *d,
	const struct pluri_id *salt, uint8_t to[DESCRIPTOR_BYTES])
{
	pluri_auto(sealer) s = NULL;
	struct wire_out w = {to, DESCRIPTOR_PLAIN, false};
	uint8_t secret[DESCRIPTOR_SECRET];
	int r;

	r = sealer_new(keys, salt, &s, NULL);
	if (r < 0)
		return r;
	wire_give(&w, DESCRIPTOR_MAGIC, 8);
	wire_put(&w, DESCRIPTOR_VERSION, 2);
	wire_put(&w, 0, 6);
	wire_give(&w, keys_volume(keys)->b, PLURI_ID_BYTES);
	wire_give(&w, salt->b, PLURI_ID_BYTES);
	descriptor_secret(d, secret);
	r = sealer_seal(s, SEAL_VOLUME, 0,
		(struct pluri_span){to, DESCRIPTOR_PLAIN},
		(struct pluri_span){secret, sizeof(secret)},
		to + DESCRIPTOR_PLAIN);
	if (r < 0)
		return r;
	w = (struct wire_out){to + DESCRIPTOR_SUM, 8, false};
	wire_put(&w, descriptor_sum(to), 8);
	return 0;
}

/* The part that anyone can read. */
static int descriptor_plain(struct pluri_span bytes, struct pluri_id *volume,
	struct pluri_id *salt, struct pluri_err *err)
{
	struct wire_in w = {bytes.data, bytes.len, false};
	char magic[8];
	unsigned version;
	unsigned flags;

	wire_take(&w, magic, sizeof(magic));
	version = wire_u16(&w);
	flags = wire_u16(&w);
	if (bytes.len != DESCRIPTOR_BYTES ||
		memcmp(magic, DESCRIPTOR_MAGIC, sizeof(magic)) != 0)
		return pluri_fail(err, EBADMSG,
			DESCRIPTOR_NAME ": not a volume descriptor (%zu "
					"bytes)",
			bytes.len);
	if (version != DESCRIPTOR_VERSION || flags)
		return pluri_fail(err, EBADMSG,
			DESCRIPTOR_NAME ": version %u with flags %#x, this "
					"program knows %u and none; a newer "
					"plurifs may have written it",
			version, flags, DESCRIPTOR_VERSION);
	wire_zero(&w, 4);
	wire_take(&w, volume->b, PLURI_ID_BYTES);
	wire_take(&w, salt->b, PLURI_ID_BYTES);
	w = (struct wire_in){w.p - DESCRIPTOR_PLAIN + DESCRIPTOR_SUM, 8, w.bad};
	if (wire_u64(&w) != descriptor_sum(bytes.data) || !wire_ok(&w))
		return pluri_fail(err, EBADMSG,
			DESCRIPTOR_NAME ": damaged, its checksum is wrong");
	return 0;
}

/* A name of at most PLURI_NAME_MAX bytes, padded with zeros. */
static void descriptor_name(struct wire_in *w, char to[PLURI_NAME_MAX + 1])
{
	wire_take(w, to, PLURI_NAME_MAX);
	to[PLURI_NAME_MAX] = 0;
	for (size_t i = strlen(to); i < PLURI_NAME_MAX; i++)
		if (to[i])
			w->bad = true;
}

static int descriptor_open(const struct keys *keys, const struct pluri_id *salt,
	const uint8_t *bytes, struct descriptor *ret, struct pluri_err *err)
{
	pluri_auto(sealer) s = NULL;
	uint8_t secret[DESCRIPTOR_SECRET];
	struct wire_in w = {secret, sizeof(secret), false};
	int r;

	r = sealer_new(keys, salt, &s, err);
	if (r < 0)
		return r;
	r = sealer_open(s, SEAL_VOLUME, 0,
		(struct pluri_span){bytes, DESCRIPTOR_PLAIN},
		(struct pluri_span){
			bytes + DESCRIPTOR_PLAIN, DESCRIPTOR_SECRET + SEAL_TAG},
		secret);
	if (r == -EBADMSG)
		return pluri_fail(err, EACCES,
			DESCRIPTOR_NAME ": this volume, but under another "
					"key; is it the right key file?");
	if (r < 0)
		return pluri_fail(err, -r,
			DESCRIPTOR_NAME ": libcrypto failed to open it");
	ret->created_ns = (int64_t)wire_u64(&w);
	descriptor_name(&w, ret->volume);
	descriptor_name(&w, ret->store);
	wire_zero(&w, DESCRIPTOR_SECRET - DESCRIPTOR_SECRET_USED);
	if (!wire_ok(&w))
		return pluri_fail(
			err, EBADMSG, DESCRIPTOR_NAME ": reserved bytes set");
	return 0;
}

int descriptor_decode(const struct keys *keys, struct pluri_span bytes,
	struct descriptor *ret, struct pluri_id *ret_volume,
	struct pluri_err *err)
{
	char hex[2 * PLURI_ID_BYTES + 1];
	struct pluri_id volume;
	struct pluri_id salt;
	struct descriptor d;
	int r;

	r = descriptor_plain(bytes, &volume, &salt, err);
	if (r < 0)
		return r;
	if (ret_volume)
		*ret_volume = volume;
	if (memcmp(volume.b, keys_volume(keys)->b, PLURI_ID_BYTES) != 0)
		return pluri_fail(err, EEXIST,
			DESCRIPTOR_NAME ": another volume, %s, lives here",
			text_hex(volume.b, PLURI_ID_BYTES, hex));
	r = descriptor_open(keys, &salt, bytes.data, &d, err);
	if (r < 0)
		return r;
	if (ret)
		*ret = d;
	return 0;
}
