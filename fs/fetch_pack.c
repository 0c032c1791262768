#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "chunker/digest.h"
#include "chunker/pack.h"
#include "fs/fetch_int.h"
#include "fs/roster.h"

#define FETCH_PIECE (4u << 20)

int fetch_sources(
	struct meta_tx *tx, struct fetch_place *p, struct pluri_err *err)
{
	struct shard_row shard[PLURI_SHARDS_MAX];
	unsigned n = 0;
	const int r =
		packs_shards(tx, p->pack.num, shard, PLURI_SHARDS_MAX, &n, err);

	p->n = 0;
	for (unsigned i = 0; i < n && r >= 0; i++) {
		struct fleet_source *src = &p->src[p->n];

		if (shard[i].state != SHARD_STORED)
			continue;
		src->store = shard[i].store;
		src->index = shard[i].index;
		shard_name(&p->pack.id, shard[i].index, src->key);
		p->n++;
	}
	return r;
}

void fetch_accuse(struct volume *v, const struct pack_row *p,
	const struct fleet_source *src, const int *bad, unsigned n)
{
	char hex[2 * PLURI_ID_BYTES + 1];

	for (unsigned i = 0; i < n; i++) {
		struct store_row store = {0};

		if (bad[i] != -EBADMSG && bad[i] != -ENOENT)
			continue;
		(void)roster_store(v->roster, src[i].store, &store);
		log_line(LOG_WARN, "store %s: shard %u of pack %s is %s (%s)",
			store.name, src[i].index,
			text_hex(p->id.b, sizeof(p->id.b), hex),
			bad[i] == -ENOENT ? "said to be missing" : "corrupt",
			src[i].key);
	}
}

static int fetch_part(struct volume *v, const struct fleet_source *src,
	uint64_t off, size_t len, int fd, struct digest_run *sum,
	struct pluri_err *err)
{
	const uint64_t deadline = clock_mono_ms(clock_system()) +
				  3 * (uint64_t)v->config->timeout_ms;
	struct pluri_room room = {.data = malloc(len), .cap = len};
	int r;

	if (!room.data)
		return pluri_fail(err, ENOMEM, "no memory to copy a pack");
	r = fleet_get(v->fleet,
		&(struct fleet_at){src->store, src->key, deadline, FLEET_RETRY},
		SHARD_HEAD + off, &room, NULL, err);
	if (r >= 0 && room.len != len)
		r = pluri_fail(err, EBADMSG, "shard %s ends early", src->key);
	if (r >= 0) {
		digest_run_add(sum, (struct pluri_span){room.data, len});
		if (pwrite(fd, room.data, len, (off_t)off) != (ssize_t)len)
			r = pluri_fail(err, errno ? errno : ENOSPC,
				"temporary copy of a pack: %s",
				strerror(errno));
	}
	free(room.data);
	return r;
}

/* mirror: a shard's body is the pack. */
static int fetch_copy(struct volume *v, const struct pack_row *p,
	const struct fleet_source *src, int fd, struct pluri_err *err)
{
	pluri_auto(digest_run) sum = digest_run_new();
	int r = sum ? 0 : pluri_fail(err, ENOMEM, "no memory to copy a pack");

	for (uint64_t off = 0; off < p->bytes && r >= 0; off += FETCH_PIECE) {
		const uint64_t left = p->bytes - off;

		r = fetch_part(v, src, off,
			left < FETCH_PIECE ? left : FETCH_PIECE, fd, sum, err);
	}
	if (r >= 0 && digest_run_sum(sum) != p->sum)
		r = pluri_fail(err, EBADMSG,
			"shard %s is corrupt: its sum "
			"differs",
			src->key);
	if (r >= 0)
		r = pack_verify(v->keys, &p->id, fd, p->bytes, err);
	return r;
}

int fetch_pack(struct volume *v, const struct pack_row *p, int fd,
	struct pluri_err *err)
{
	struct fetch_place at = {.pack = *p};
	const struct layout l = fetch_layout(p);
	struct meta_tx *tx = NULL;
	int r;

	if (l.kind != STRIPE_MIRROR)
		return pluri_fail(err, ENOTSUP,
			"only mirrored packs can be "
			"copied");
	r = meta_begin(v->meta, &tx, err);
	if (r >= 0)
		r = meta_end(tx, fetch_sources(tx, &at, err), err);
	if (r < 0)
		return r;
	r = pluri_fail(err, EIO, "no shard of the pack is in the clouds");
	for (unsigned i = 0; i < at.n; i++) {
		r = fetch_copy(v, p, &at.src[i], fd, err);
		if (r >= 0)
			return 0;
		fetch_accuse(v, p, &at.src[i], &r, 1);
	}
	return r;
}
