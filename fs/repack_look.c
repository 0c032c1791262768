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

#define LOOK_AGAIN_MS 10000u /* at what a store did not answer, or lacked */
#define LOOK_HOLD_MS 600000u /* then nothing is copied, doubling... */
#define LOOK_HOLD_MAX_MS 86400000u /* ...to a day */
#define LOOK_DOUBT 2

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

/*
 * 1: as it should be; 0: not known; -EBADMSG: it is not. Some bytes, asked for
 * as a program would: behind uploads and moves they could wait for hours, and
 * until they are there nothing that was copied makes room.
 */
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

/* As look_one, of all its objects; 0 also while one is not stored yet. -ESTALE:
 * the pack is gone. */
static int look_pack(struct repack *r, uint64_t pack, struct fetch_place *at,
	struct pluri_err *err)
{
	int e = look_place(r, pack, at, err);

	if (e < 0 || at->n < at->pack.k + at->pack.m)
		return e < 0 ? e : 0;
	for (unsigned i = 0; i < at->n; i++) {
		e = look_one(r, at, i, err);
		if (e == 0)
			r->look_next_ms =
				clock_mono_ms(clock_system()) + LOOK_AGAIN_MS;
		if (e <= 0)
			return e;
	}
	return 1;
}

bool repack_look_held(const struct repack *r, uint32_t policy)
{
	return policy < PLURI_POLICIES_MAX &&
	       clock_mono_ms(clock_system()) < r->hold[policy].until_ms;
}

/* What such stores take would be copied again and again. */
static void look_hold(struct repack *r, uint32_t policy)
{
	struct repack_hold *h = &r->hold[policy % PLURI_POLICIES_MAX];

	if (repack_look_held(r, policy))
		return;
	h->wait_ms = h->wait_ms ? 2 * h->wait_ms : LOOK_HOLD_MS;
	if (h->wait_ms > LOOK_HOLD_MAX_MS)
		h->wait_ms = LOOK_HOLD_MAX_MS;
	h->until_ms = clock_mono_ms(clock_system()) + h->wait_ms;
}

/* As look_pack of c's; LOOK_DOUBT before -EBADMSG: what is said once, of an
 * object put just now, is not believed. */
static int look_judge(
	struct repack *r, const struct repack_copy *c, struct pluri_err *err)
{
	struct fetch_place at = {0};
	const int e = look_pack(r, c->to.pack, &at, err);
	struct repack_hold *h = &r->hold[at.pack.policy % PLURI_POLICIES_MAX];

	if (e > 0)
		h->wait_ms = 0;
	if (e != -EBADMSG)
		return e;
	if (!c->doubted) {
		r->look_next_ms = clock_mono_ms(clock_system()) + LOOK_AGAIN_MS;
		return LOOK_DOUBT;
	}
	look_hold(r, at.pack.policy);
	log_line(LOG_ERROR,
		"pack number %llu: %s; what was copied there stays where it "
		"was, and its policy's packs are not repacked for %llu minutes",
		(unsigned long long)c->to.pack, err->text,
		(unsigned long long)h->wait_ms / 60000);
	return e;
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
			e = look_judge(r, c, &why);
		last = c->to.pack;
		if (e == -EBADMSG || e == -ESTALE)
			continue;
		if (e < 0 && err)
			*err = why;
		if (e < 0)
			return e;
		c->seen = e == 1;
		c->doubted |= e == LOOK_DOUBT;
		r->copy[keep++] = *c;
	}
	r->copies = keep;
	return 0;
}
