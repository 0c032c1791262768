#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "backends/retry.h"
#include "base/log.h"
#include "base/text.h"
#include "chunker/digest.h"
#include "chunker/frame.h"
#include "chunker/pack.h"
#include "chunker/stripe.h"
#include "fs/fetch.h"
#include "fs/roster.h"
#include "fs/staging.h"

#define FETCH_HEDGE_MS 500u
#define FETCH_HEDGE_RATE 2048u /* bytes a ms: a longer read may take longer */
#define FETCH_PIECE (4u << 20)
#define FETCH_AGAIN_MS 100u /* first pause before asking again */
#define FETCH_STOP_MS 100u /* between two questions whether to go on */

struct fetch { /* one call of fetch_frames */
	struct volume *v;
	const struct fetch_want *w;
	uint64_t off; /* in the pack */
	uint64_t len;
	struct pack_row pack;
};

/* Open every frame of the range; they land where the caller wants them. */
static int fetch_open(
	const struct fetch *f, struct pluri_span bytes, struct pluri_err *err)
{
	const struct fetch_want *w = f->w;
	const struct chunk_row *c = w->chunk;
	struct frame_at at = {
		.keys = f->v->keys, .pack = f->pack.id, .off = f->off};
	struct frame_id id = {
		.chunk = c->id, .chunk_bytes = c->plain, .count = c->frames};
	const uint8_t *p = bytes.data;
	int r;

	for (uint32_t i = 0; i < w->count; i++) {
		const uint32_t n = c->frame[w->first + i];
		const uint32_t left = c->plain - (w->first + i) * FRAME_PLAIN;
		struct pluri_room room = {.data = w->to[i],
			.cap = left < FRAME_PLAIN ? left : FRAME_PLAIN};

		id.index = w->first + i;
		r = frame_open(&at, (struct pluri_span){p, n}, &id, &room, err);
		if (r < 0)
			return r;
		w->ret_len[i] = (uint32_t)room.len;
		p += n;
		at.off += n;
	}
	return 0;
}

/* 0, -ENOENT (no local file), or why the local file is no use. */
static int fetch_local(const struct fetch *f, struct pluri_err *err)
{
	const int fd = staging_file(f->v->staging, &f->pack.id);
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
		r = fetch_open(f, (struct pluri_span){bytes, f->len}, err);
	else
		r = pluri_fail(err, EBADMSG, "ends early");
	free(bytes);
	return r;
}

/* The stored shards of a pack as sources. */
static int fetch_sources(struct volume *v, const struct pack_row *p,
	struct fleet_source *src, unsigned *ret_n, struct pluri_err *err)
{
	struct shard_row shard[PLURI_SHARDS_MAX];
	struct meta_tx *tx = NULL;
	unsigned n = 0;
	unsigned kept = 0;
	int r = meta_begin(v->meta, &tx, err);

	if (r < 0)
		return r;
	r = packs_shards(tx, p->num, shard, PLURI_SHARDS_MAX, &n, err);
	r = meta_end(tx, r, err);
	for (unsigned i = 0; i < n && r >= 0; i++) {
		if (shard[i].state != SHARD_STORED)
			continue;
		src[kept].store = shard[i].store;
		src[kept].index = shard[i].index;
		shard_name(&p->id, shard[i].index, src[kept].key);
		kept++;
	}
	*ret_n = kept;
	return r;
}

/* Which shard of which pack on which store was wrong: for the log. */
static void fetch_accuse(struct volume *v, const struct pack_row *p,
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

static int fetch_judge(void *arg, unsigned index, struct pluri_span bytes,
	struct pluri_err *err)
{
	(void)index;
	return fetch_open(arg, bytes, err);
}

static struct layout fetch_layout(const struct pack_row *p)
{
	return (struct layout){
		.kind = (enum stripe_kind)p->kind, .k = p->k, .m = p->m};
}

/* Of a store's answers these say nothing of what it has. */
static bool fetch_unknown(int code)
{
	const enum fleet_class c = fleet_class_of(code);

	return c == FLEET_DOWN || c == FLEET_THROTTLED;
}

/* May enough sources be good when they are asked again? */
static bool fetch_hope(const struct fleet_read *rd, const int *bad)
{
	unsigned may = 0;

	for (unsigned i = 0; i < rd->n; i++)
		may += bad[i] == 0 || fetch_unknown(bad[i]);
	return may >= rd->need;
}

/* *ret_hope: it failed, but might not when tried again. */
static int fetch_try(struct fetch *f, bool *ret_hope, struct pluri_err *err)
{
	const struct fetch_patience *p = &f->w->patience;
	const struct layout l = fetch_layout(&f->pack);
	struct fleet_source src[PLURI_SHARDS_MAX];
	struct fleet_answer got[PLURI_SHARDS_MAX] = {0};
	int bad[PLURI_SHARDS_MAX] = {0};
	struct fleet_read rd = {.sources = src,
		.judge = fetch_judge,
		.arg = f,
		.stop = p->stop,
		.stop_arg = p->arg};
	uint64_t len = 0;
	int r = fetch_sources(f->v, &f->pack, src, &rd.n, err);

	*ret_hope = false;
	if (r < 0)
		return r;
	stripe_range(
		&l, f->pack.bytes, f->off, f->len, &rd.off, &len, &rd.need);
	if (rd.n < rd.need)
		return pluri_fail(err, EIO,
			"no local file, and %u of %u "
			"needed shards are in the clouds",
			rd.n, rd.need);
	rd.len = len;
	rd.hedge_ms = FETCH_HEDGE_MS + (uint32_t)(len / FETCH_HEDGE_RATE);
	rd.deadline_ms = p->began_ms + 3 * (uint64_t)f->v->config->timeout_ms;
	r = fleet_read(f->v->fleet, &rd, got, bad, err);
	fetch_accuse(f->v, &f->pack, src, bad, rd.n);
	for (unsigned i = 0; i < rd.need; i++)
		free(got[i].bytes);
	*ret_hope = r < 0 && r != -ECANCELED && fetch_hope(&rd, bad);
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
	}
}

static int fetch_pack_row(struct fetch *f, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int r = meta_begin(f->v->meta, &tx, err);

	if (r < 0)
		return r;
	return meta_end(
		tx, packs_get(tx, f->w->chunk->pack, &f->pack, err), err);
}

static int fetch_fail(const struct fetch *f, int r, const char *hex,
	const struct pluri_err *why, struct pluri_err *err)
{
	if (r == -ECANCELED) /* nobody is there to be told */
		return pluri_fail(err, ECANCELED, "%.400s", why->text);
	log_line(LOG_ERROR, "pack %s bytes %llu+%llu cannot be read: %s", hex,
		(unsigned long long)f->off, (unsigned long long)f->len,
		why->text);
	return pluri_fail(err, r == -ETIMEDOUT ? ETIMEDOUT : EIO,
		"pack %s: %.400s", hex, why->text);
}

int fetch_frames(
	struct volume *v, const struct fetch_want *w, struct pluri_err *err)
{
	const struct chunk_row *c = w->chunk;
	struct fetch f = {.v = v, .w = w, .off = c->off};
	char hex[2 * PLURI_ID_BYTES + 1];
	struct pluri_err why = {0};
	int r;

	if (c->frames != (c->plain + FRAME_PLAIN - 1) / FRAME_PLAIN ||
		w->first >= c->frames || w->count > c->frames - w->first)
		return pluri_fail(err, EIO,
			"database: chunk %llu of %u bytes has %u frames; it "
			"is damaged",
			(unsigned long long)c->num, c->plain, c->frames);
	for (uint32_t i = 0; i < w->first + w->count; i++)
		if (i < w->first)
			f.off += c->frame[i];
		else
			f.len += c->frame[i];
	r = fetch_pack_row(&f, err);
	if (r < 0)
		return r;
	(void)text_hex(f.pack.id.b, sizeof(f.pack.id.b), hex);
	r = fetch_local(&f, &why);
	if (r == 0)
		return 0;
	if (r != -ENOENT)
		log_line(LOG_WARN, "local pack %s at %llu: %s", hex,
			(unsigned long long)f.off, why.text);
	r = fetch_cloud(&f, &why);
	return r == 0 ? 0 : fetch_fail(&f, r, hex, &why, err);
}

/* --- whole packs ---------------------------------------------------------- */

static int fetch_piece(struct volume *v, const struct fleet_source *src,
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

		r = fetch_piece(v, src, off,
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
	struct fleet_source src[PLURI_SHARDS_MAX];
	const struct layout l = fetch_layout(p);
	unsigned n = 0;
	int r;

	if (l.kind != STRIPE_MIRROR)
		return pluri_fail(err, ENOTSUP,
			"only mirrored packs can be "
			"copied");
	r = fetch_sources(v, p, src, &n, err);
	if (r < 0)
		return r;
	r = pluri_fail(err, EIO, "no shard of the pack is in the clouds");
	for (unsigned i = 0; i < n; i++) {
		r = fetch_copy(v, p, &src[i], fd, err);
		if (r >= 0)
			return 0;
		fetch_accuse(v, p, &src[i], &r, 1);
	}
	return r;
}
