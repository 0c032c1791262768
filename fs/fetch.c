#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "backends/retry.h"
#include "base/log.h"
#include "base/text.h"
#include "chunker/frame.h"
#include "chunker/stripe.h"
#include "fs/fetch_int.h"
#include "fs/kits.h"
#include "fs/staging.h"
#include "fs/stats.h"

#define FETCH_HEDGE_MS 500u
#define FETCH_HEDGE_RATE 2048u /* bytes a ms: a longer read may take longer */
#define FETCH_AGAIN_MS 100u /* first pause before asking again */
#define FETCH_STOP_MS 100u /* between two questions whether to go on */

struct fetch { /* one call of fetch_frames */
	struct volume *v;
	const struct fetch_want *w;
	struct fetch_place at; /* as last looked up */
	uint64_t off, len; /* of the pack, asked for now */
	uint32_t liars; /* a bit for each shard with wrong bytes, this time */
};

_Static_assert(PLURI_SHARDS_MAX <= 32, "a bit for each shard");

int fetch_piece(const struct chunk_row *c, uint32_t frame,
	struct fetch_piece *ret, struct pluri_err *err)
{
	const uint32_t left = c->plain - frame * FRAME_PLAIN;
	uint64_t off = c->off;

	if (c->frames != (c->plain + FRAME_PLAIN - 1) / FRAME_PLAIN ||
		frame >= c->frames)
		return pluri_fail(err, EIO,
			"database: chunk %llu of %u bytes has %u frames; it "
			"is damaged",
			(unsigned long long)c->num, c->plain, c->frames);
	for (uint32_t i = 0; i < frame; i++)
		off += c->frame[i];
	*ret = (struct fetch_piece){
		.id = {.chunk = c->id,
			.chunk_bytes = c->plain,
			.index = frame,
			.count = c->frames},
		.off = off,
		.bytes = c->frame[frame],
		.plain = left < FRAME_PLAIN ? left : FRAME_PLAIN,
	};
	return 0;
}

static int fetch_open_one(const struct fetch *f, struct frame_opener *o,
	struct fetch_piece *p, struct pluri_span bytes, struct pluri_err *err)
{
	struct pluri_room room = {.data = p->to, .cap = p->plain};
	int r = frame_opener_open(o, p->off,
		(struct pluri_span){
			(const uint8_t *)bytes.data + (p->off - f->off),
			p->bytes},
		&p->id, &room, err);

	if (r >= 0 && room.len != p->plain)
		r = pluri_fail(err, EBADMSG, "a frame is too short");
	p->got = r >= 0;
	return r;
}

/*
 * Open what is missing of the range. 0: all was right. -EBADMSG, the first
 * wrong frame's story, when some were wrong; *ret_good counts the others.
 */
static int fetch_open_each(const struct fetch *f, struct frame_opener *o,
	struct pluri_span bytes, unsigned *ret_good, struct pluri_err *err)
{
	int wrong = 0;

	for (unsigned i = 0; i < f->w->n; i++) {
		struct fetch_piece *p = &f->w->piece[i];
		int r;

		if (p->got || p->off < f->off ||
			p->off + p->bytes > f->off + f->len)
			continue;
		r = fetch_open_one(f, o, p, bytes, wrong ? NULL : err);
		if (r < 0 && r != -EBADMSG)
			return r;
		if (r < 0)
			wrong = r;
		else
			++*ret_good;
	}
	return wrong;
}

static int fetch_open(const struct fetch *f, struct pluri_span bytes,
	unsigned *ret_good, struct pluri_err *err)
{
	struct encode_kit *kit = kits_take(f->v->kits, KITS_UP);
	struct frame_opener *o = NULL;
	int r = frame_opener_new(f->v->keys, &f->at.pack.id, kit, &o, err);

	if (r >= 0)
		r = fetch_open_each(f, o, bytes, ret_good, err);
	frame_opener_free(o);
	kits_give(f->v->kits, KITS_UP, kit);
	return r;
}

/* Aim at what is still missing, extras too the first time. False: nothing. */
static bool fetch_aim(struct fetch *f, bool extras)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < f->w->n; i++) {
		const struct fetch_piece *p = &f->w->piece[i];

		if (p->got || (p->extra && !extras))
			continue;
		if (end == 0)
			f->off = p->off;
		if (p->off + p->bytes > end) /* rows may be damaged */
			end = p->off + p->bytes;
	}
	f->len = end ? end - f->off : 0;
	return end > 0;
}

static void fetch_tally(
	const struct fetch *f, enum stats_count fetches, enum stats_count bytes)
{
	stats_add(f->v->stats, fetches, 1);
	stats_add(f->v->stats, bytes, f->len);
}

/* 0, -ENOENT (no local file), or why the local file is no use. */
static int fetch_local(const struct fetch *f, struct pluri_err *err)
{
	const int fd = staging_file(f->v->staging, &f->at.pack.id);
	unsigned good = 0;
	uint8_t *bytes;
	ssize_t n;
	int r;

	if (fd < 0)
		return fd;
	bytes = malloc(f->len);
	if (!bytes) {
		(void)close(fd);
		return pluri_fail(err, ENOMEM, "no memory to read a pack");
	}
	n = pread(fd, bytes, f->len, (off_t)f->off);
	(void)close(fd);
	if (n == (ssize_t)f->len)
		r = fetch_open(
			f, (struct pluri_span){bytes, f->len}, &good, err);
	else
		r = pluri_fail(err, EBADMSG, "ends early");
	free(bytes);
	return r;
}

int fetch_place(struct meta_tx *tx, uint64_t pack, struct fetch_place *ret,
	struct pluri_err *err)
{
	int r = packs_get(tx, pack, &ret->pack, err);

	ret->n = 0;
	if (r == -ENOENT)
		return pluri_fail(err, ESTALE, "pack %llu is not there",
			(unsigned long long)pack);
	return r < 0 ? r : fetch_sources(tx, ret, err);
}

static int fetch_look(struct fetch *f, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	const int r = meta_begin(f->v->meta, &tx, err);

	if (r < 0)
		return r;
	return meta_end(
		tx, fetch_place(tx, f->w->place->pack.num, &f->at, err), err);
}

/* Good frames are kept; with some, wrong ones are no reason to ask for all of
 * them again. */
static int fetch_judge(void *arg, unsigned index, struct pluri_span bytes,
	struct pluri_err *err)
{
	struct fetch *f = arg;
	unsigned good = 0;
	const int r = fetch_open(f, bytes, &good, err);

	if (r == -EBADMSG)
		f->liars |= UINT32_C(1) << index;
	return r == -EBADMSG && good > 0 ? 1 : r;
}

/* Of a store's answers these say nothing of what it has. */
static bool fetch_unknown(int code)
{
	const enum fleet_class c = fleet_class_of(code);

	return c == FLEET_DOWN || c == FLEET_THROTTLED;
}

/* Sources whose bytes were not wrong just now. */
static unsigned fetch_honest(const struct fetch *f, struct fleet_source *src)
{
	unsigned n = 0;

	for (unsigned i = 0; i < f->at.n; i++)
		if (!(f->liars >> f->at.src[i].index & 1))
			src[n++] = f->at.src[i];
	return n;
}

/*
 * One request, or more where stores are slow or in trouble. *ret_hope: it
 * failed, but might not when tried again.
 */
static int fetch_ask(struct fetch *f, bool *ret_hope, struct pluri_err *err)
{
	const struct fetch_patience *p = &f->w->patience;
	const struct layout l = fetch_layout(&f->at.pack);
	struct fleet_source src[PLURI_SHARDS_MAX];
	struct fleet_answer got[PLURI_SHARDS_MAX] = {0};
	int bad[PLURI_SHARDS_MAX] = {0};
	struct fleet_read rd = {.sources = src,
		.judge = fetch_judge,
		.arg = f,
		.stop = p->stop,
		.stop_arg = p->arg,
		.background = p->background,
		.ahead = p->ahead};
	uint64_t len = 0;
	unsigned may = 0;
	int r;

	rd.n = fetch_honest(f, src);
	stripe_range(
		&l, f->at.pack.bytes, f->off, f->len, &rd.off, &len, &rd.need);
	if (rd.n < rd.need)
		return pluri_fail(err, EIO,
			"no local file, and %u of %u "
			"needed shards are in the clouds%s",
			rd.n, rd.need, f->liars ? "; another is corrupt" : "");
	rd.len = len;
	rd.hedge_ms = FETCH_HEDGE_MS + (uint32_t)(len / FETCH_HEDGE_RATE);
	rd.deadline_ms = p->began_ms + 3 * (uint64_t)f->v->config->timeout_ms;
	r = fleet_read(f->v->fleet, &rd, got, bad, err);
	if (r >= 0)
		fetch_tally(f, STATS_CLOUD, STATS_CLOUD_BYTES);
	for (unsigned i = 0; i < rd.n; i++) {
		if (f->liars >> src[i].index & 1)
			bad[i] = -EBADMSG;
		may += bad[i] == 0 || fetch_unknown(bad[i]);
	}
	fetch_accuse(f->v, &f->at.pack, src, bad, rd.n);
	for (unsigned i = 0; i < rd.need; i++)
		free(got[i].bytes);
	*ret_hope |= r < 0 && r != -ECANCELED && may >= rd.need;
	return r;
}

/* Each time round one more store has turned out to be wrong. */
static int fetch_try(struct fetch *f, bool *ret_hope, struct pluri_err *err)
{
	int r;

	*ret_hope = false;
	f->liars = 0;
	do
		r = fetch_ask(f, ret_hope, err);
	while (r >= 0 && fetch_aim(f, false));
	return r;
}

static bool fetch_stopped(const struct fetch_patience *p)
{
	return p->stop && p->stop(p->arg);
}

/* False: told to stop. */
static bool fetch_pause(const struct fetch_patience *p, uint64_t until_ms)
{
	uint64_t now = clock_mono_ms(clock_system());

	while (now < until_ms && !fetch_stopped(p)) {
		const uint64_t left = until_ms - now;
		const struct timespec nap = {
			.tv_nsec = 1000000 * (long)(left < FETCH_STOP_MS
							     ? left
							     : FETCH_STOP_MS)};

		(void)nanosleep(&nap, NULL);
		now = clock_mono_ms(clock_system());
	}
	return now >= until_ms;
}

/*
 * A moment in which no store answers is no reason to fail a program's read.
 * The last try comes when the time is over, however long the pauses grew.
 */
static int fetch_cloud(struct fetch *f, struct pluri_err *err)
{
	const struct fetch_patience *p = &f->w->patience;
	const uint64_t until = p->began_ms + f->v->config->timeout_ms;
	unsigned attempt = 0;
	uint64_t now, next;
	bool hope = false;
	int r;

	for (;;) {
		r = fetch_try(f, &hope, err);
		now = clock_mono_ms(clock_system());
		if (r >= 0 || !hope || !p->again || now >= until)
			return r;
		next = now + retry_pause_ms(
				     f->v->clock, ++attempt, FETCH_AGAIN_MS, 0);
		if (!fetch_pause(p, next < until ? next : until))
			return pluri_fail(
				err, ECANCELED, "the read was interrupted");
		r = fetch_look(f, err);
		if (r < 0)
			return r;
	}
}

/* What failed because the pack went away meanwhile is no failure of it. */
static int fetch_fail(struct fetch *f, int r, const struct pluri_err *why,
	struct pluri_err *err)
{
	char hex[2 * PLURI_ID_BYTES + 1];

	if (r == -ECANCELED) /* nobody is there to be told */
		return pluri_fail(err, ECANCELED, "%.400s", why->text);
	if (r == -ESTALE || fetch_look(f, NULL) == -ESTALE)
		return pluri_fail(err, ESTALE, "the pack is gone");
	(void)text_hex(f->at.pack.id.b, sizeof(f->at.pack.id.b), hex);
	log_line(LOG_ERROR, "pack %s bytes %llu+%llu cannot be read: %s", hex,
		(unsigned long long)f->off, (unsigned long long)f->len,
		why->text);
	return pluri_fail(err, r == -ETIMEDOUT ? ETIMEDOUT : EIO,
		"pack %s: %.400s", hex, why->text);
}

int fetch_frames(
	struct volume *v, const struct fetch_want *w, struct pluri_err *err)
{
	struct fetch f = {.v = v, .w = w, .at = *w->place};
	char hex[2 * PLURI_ID_BYTES + 1];
	struct pluri_err why = {0};
	int r;

	if (!fetch_aim(&f, true))
		return 0;
	r = fetch_local(&f, &why);
	if (r == 0) {
		fetch_tally(&f, STATS_LOCAL, STATS_LOCAL_BYTES);
		return 0;
	}
	if (r != -ENOENT)
		log_line(LOG_WARN, "local pack %s at %llu: %s",
			text_hex(f.at.pack.id.b, sizeof(f.at.pack.id.b), hex),
			(unsigned long long)f.off, why.text);
	if (!fetch_aim(&f, r == -ENOENT))
		return 0; /* what was wrong is not needed */
	r = fetch_cloud(&f, &why);
	return r == 0 ? 0 : fetch_fail(&f, r, &why, err);
}
