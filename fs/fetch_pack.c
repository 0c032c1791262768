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

/* One pack on its way from one shard. */
struct fetch_copy {
	struct volume *v;
	const struct pack_row *pack;
	const struct fleet_source *src;
	const struct fetch_pace *how;
	int fd;
	struct digest_run *sum;
};

static int fetch_part(const struct fetch_copy *c, uint64_t off, uint32_t len,
	struct pluri_err *err)
{
	const struct fetch_pace *how = c->how;
	struct pluri_room room = {.data = malloc(len), .cap = len};
	int r = 0;

	if (!room.data)
		return pluri_fail(err, ENOMEM, "no memory to copy a pack");
	if (how->turn && how->turn(how->arg, len))
		r = pluri_fail(err, ECANCELED, "stopped");
	if (r >= 0)
		r = fleet_get(c->v->fleet,
			&(struct fleet_at){.store = c->src->store,
				.key = c->src->key,
				.deadline_ms =
					clock_mono_ms(clock_system()) +
					3 * (uint64_t)c->v->config->timeout_ms,
				.flags = FLEET_RETRY | FLEET_BACKGROUND,
				.stop = how->stop,
				.stop_arg = how->arg},
			SHARD_HEAD + off, &room, NULL, err);
	if (r >= 0 && room.len != len)
		r = pluri_fail(
			err, EBADMSG, "shard %s ends early", c->src->key);
	if (r >= 0) {
		digest_run_add(c->sum, (struct pluri_span){room.data, len});
		if (pwrite(c->fd, room.data, len, (off_t)off) != (ssize_t)len)
			r = pluri_fail(err, errno ? errno : ENOSPC,
				"temporary copy of a pack: %s",
				strerror(errno));
	}
	free(room.data);
	return r;
}

/* mirror: a shard's body is the pack. */
static int fetch_copy(struct fetch_copy *c, struct pluri_err *err)
{
	const struct pack_row *p = c->pack;
	pluri_auto(digest_run) sum = digest_run_new();
	int r = sum ? 0 : pluri_fail(err, ENOMEM, "no memory to copy a pack");

	c->sum = sum;
	for (uint64_t off = 0; off < p->bytes && r >= 0; off += FETCH_PIECE) {
		const uint64_t left = p->bytes - off;

		r = fetch_part(c, off,
			left < FETCH_PIECE ? (uint32_t)left : FETCH_PIECE, err);
	}
	if (r >= 0 && digest_run_sum(sum) != p->sum)
		r = pluri_fail(err, EBADMSG,
			"shard %s is corrupt: its sum "
			"differs",
			c->src->key);
	if (r >= 0)
		r = pack_verify(c->v->keys, &p->id, c->fd, p->bytes, err);
	return r;
}

/* 0: well; 1: in trouble; 2: down. */
static unsigned fetch_rank(struct volume *v, const struct fleet_source *src)
{
	struct fleet_health h = {0};

	if (fleet_health(v->fleet, src->store, &h) < 0 || !h.up)
		return 2;
	return h.class == FLEET_OK || h.class == FLEET_FULL ? 0 : 1;
}

/* Each piece of a store in trouble may take all of its deadline: those that are
 * well come first. */
static void fetch_order(struct volume *v, struct fetch_place *at)
{
	struct fleet_source src[PLURI_SHARDS_MAX];
	unsigned rank[PLURI_SHARDS_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < at->n; i++) {
		src[i] = at->src[i];
		rank[i] = fetch_rank(v, &src[i]);
	}
	for (unsigned want = 0; want <= 2; want++)
		for (unsigned i = 0; i < at->n; i++)
			if (rank[i] == want)
				at->src[n++] = src[i];
}

int fetch_pack(struct volume *v, const struct pack_row *p, int fd,
	const struct fetch_pace *how, struct pluri_err *err)
{
	struct fetch_place at = {.pack = *p};
	struct fetch_copy c = {.v = v, .pack = p, .how = how, .fd = fd};
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
	fetch_order(v, &at);
	r = pluri_fail(err, EIO, "no shard of the pack is in the clouds");
	for (unsigned i = 0; i < at.n; i++) {
		c.src = &at.src[i];
		r = fetch_copy(&c, err);
		if (r >= 0 || r == -ECANCELED)
			return r < 0 ? r : 0;
		fetch_accuse(v, p, &at.src[i], &r, 1);
	}
	return r;
}
