/*
 * Before a chunk's only place is in a new pack, the objects of that pack are
 * looked at: are they there, as long as they should be, with the header that
 * holds the sums of pack and body?
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "chunker/stripe.h"
#include "fs/fetch_int.h"
#include "fs/repack_int.h"
#include "fs/roster.h"

#define LOOK_AGAIN_MS 10000u /* at what a store did not answer */

static int look_stop(void *arg)
{
	return repack_stopped(arg);
}

static int look_place(struct repack *r, uint64_t pack, struct fetch_place *ret,
	struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	const int e = meta_begin(r->v->meta, &tx, err);

	if (e < 0)
		return e;
	return meta_end(tx, fetch_place(tx, pack, ret, err), err);
}

static void look_head(struct repack *r, const struct pack_row *p,
	unsigned index, struct shard_head *ret)
{
	*ret = (struct shard_head){.volume = r->v->info.id,
		.pack = p->id,
		.layout = fetch_layout(p),
		.index = (uint8_t)index,
		.pack_bytes = p->bytes,
		.pack_sum = p->sum,
		.body_sum = p->sum}; /* mirror: the body is the pack */
	ret->body_bytes = stripe_body_bytes(&ret->layout, p->bytes);
}

/* 1: as it should be; 0: not known; -EBADMSG: it is not. */
static int look_one(struct repack *r, const struct fetch_place *at, unsigned i,
	struct pluri_err *err)
{
	uint8_t got[SHARD_HEAD];
	uint8_t want[SHARD_HEAD];
	struct pluri_room room = {.data = got, .cap = sizeof(got)};
	struct shard_head head;
	uint64_t size = 0;
	int e;

	look_head(r, &at->pack, at->src[i].index, &head);
	shard_head_encode(&head, want);
	e = fleet_get(r->v->fleet,
		&(struct fleet_at){.store = at->src[i].store,
			.key = at->src[i].key,
			.deadline_ms = clock_mono_ms(clock_system()) +
				       r->v->config->timeout_ms,
			.flags = FLEET_BACKGROUND,
			.stop = look_stop,
			.stop_arg = r},
		0, &room, &size, err);
	if (e == -ENOENT)
		return pluri_fail(err, EBADMSG,
			"%s is not there after it was put", at->src[i].key);
	if (e < 0)
		return 0;
	if (size != SHARD_HEAD + head.body_bytes || room.len != sizeof(got) ||
		memcmp(got, want, sizeof(got)) != 0)
		return pluri_fail(err, EBADMSG,
			"%s holds other bytes than were put", at->src[i].key);
	return 1;
}

/* As look_one, of all its objects; 0 also while one is not stored yet. */
static int look_pack(struct repack *r, uint64_t pack, struct pluri_err *err)
{
	struct fetch_place at;
	int e = look_place(r, pack, &at, err);

	if (e == -ESTALE)
		return pluri_fail(err, EBADMSG, "it is gone");
	if (e < 0 || at.n < at.pack.k + at.pack.m)
		return e < 0 ? e : 0;
	for (unsigned i = 0; i < at.n; i++) {
		e = look_one(r, &at, i, err);
		if (e == 0)
			r->look_next_ms =
				clock_mono_ms(clock_system()) + LOOK_AGAIN_MS;
		if (e <= 0)
			return e;
	}
	return 1;
}

int repack_look(struct repack *r, struct pluri_err *err)
{
	uint64_t last = 0;
	unsigned keep = 0;
	int e = 0;

	if (clock_mono_ms(clock_system()) < r->look_next_ms)
		return 0;
	for (unsigned i = 0; i < r->copies; i++) {
		struct pluri_err why = {0};
		struct repack_copy *c = &r->copy[i];

		if (c->to.pack != last)
			e = look_pack(r, c->to.pack, &why);
		if (e == -EBADMSG && c->to.pack != last)
			log_line(LOG_ERROR,
				"pack number %llu: %s; what was copied there "
				"stays where it was",
				(unsigned long long)c->to.pack, why.text);
		last = c->to.pack;
		if (e == -EBADMSG)
			continue;
		if (e < 0 && err)
			*err = why;
		c->seen = e > 0;
		if (e < 0)
			return e;
		r->copy[keep++] = *c;
	}
	r->copies = keep;
	return 0;
}
