#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "chunker/frame.h"
#include "fs/fetch.h"
#include "fs/repack_int.h"
#include "fs/roster.h"
#include "fs/staging.h"

#define COPY_ROWS 32u /* chunks asked for at once */
#define COPY_BATCH 64u /* rows changed in one bracket */
#define COPY_WHOLE 4u /* for more chunks, a pack is fetched as a whole */
#define COPY_AGAIN_MS 600000u /* to what could not be read */
#define COPY_FRAMES 32u /* of one request: within FETCH_SPAN_MAX */

/* One pack that is copied from. */
struct copy_job {
	struct repack *r;
	const struct garbage_use *use;
	struct pack_row pack;
	struct roster_policy pol;
	int fd; /* its bytes, or -1: chunk by chunk from the stores */
	struct chunk_row row[COPY_ROWS];
	struct fetch_place place;
	struct fetch_piece piece[COPY_FRAMES];
	uint8_t plain[PLURI_CHUNK_MAX];
};

static int copy_stop(void *arg)
{
	return repack_stopped(arg);
}

static int copy_turn(void *arg, uint32_t bytes)
{
	return !repack_pace(arg, bytes);
}

/* --- reading -------------------------------------------------------------- */

/* The local file, or all of it from the stores: some few large requests. */
static int copy_source(struct copy_job *j, struct pluri_err *err)
{
	const struct fetch_pace how = {
		.turn = copy_turn, .stop = copy_stop, .arg = j->r};
	struct volume *v = j->r->v;
	int e;

	j->fd = staging_file(v->staging, &j->pack.id);
	if (j->fd >= 0 || j->use->chunks <= COPY_WHOLE)
		return 0;
	j->fd = openat(v->state_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (j->fd < 0)
		return pluri_fail(err, errno, "temporary file in %s: %s",
			v->config->state, strerror(errno));
	e = fetch_pack(v, &j->pack, j->fd, &how, err);
	if (e < 0) { /* a range may be had all the same */
		(void)close(j->fd);
		j->fd = -1;
	}
	return e == -ENOSPC || e == -ECANCELED ? e : 0;
}

static int copy_frames(struct copy_job *j, const struct chunk_row *c,
	const uint8_t *bytes, struct pluri_err *err)
{
	struct frame_at at = {
		.keys = j->r->v->keys, .pack = j->pack.id, .off = c->off};
	struct frame_id id = {
		.chunk = c->id, .chunk_bytes = c->plain, .count = c->frames};
	int e = 0;

	for (; id.index < c->frames && e >= 0; id.index++) {
		const uint32_t left = c->plain - id.index * FRAME_PLAIN;
		struct pluri_room room = {
			.data = j->plain + id.index * FRAME_PLAIN,
			.cap = left < FRAME_PLAIN ? left : FRAME_PLAIN};
		const uint32_t n = c->frame[id.index];

		e = frame_open(
			&at, (struct pluri_span){bytes, n}, &id, &room, err);
		bytes += n;
		at.off += n;
	}
	return e;
}

static int copy_from_file(
	struct copy_job *j, const struct chunk_row *c, struct pluri_err *err)
{
	pluri_auto_mem uint8_t *bytes = malloc(c->bytes);

	if (!bytes)
		return pluri_fail(err, ENOMEM, "repack: no memory");
	if (pread(j->fd, bytes, c->bytes, (off_t)c->off) != (ssize_t)c->bytes)
		return pluri_fail(err, EBADMSG, "the pack's file ends early");
	return copy_frames(j, c, bytes, err);
}

static int copy_place(struct copy_job *j, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	const int e = meta_begin(j->r->v->meta, &tx, err);

	if (e < 0)
		return e;
	return meta_end(tx, fetch_place(tx, j->pack.num, &j->place, err), err);
}

static int copy_from_stores(
	struct copy_job *j, const struct chunk_row *c, struct pluri_err *err)
{
	const struct fetch_patience patience = {
		.began_ms = clock_mono_ms(clock_system()),
		.stop = copy_stop,
		.arg = j->r,
		.background = true};
	int e = copy_place(j, err);

	for (uint32_t at = 0; at < c->frames && e >= 0; at += COPY_FRAMES) {
		unsigned n = 0;

		for (; n < COPY_FRAMES && at + n < c->frames && e >= 0; n++) {
			struct fetch_piece *p = &j->piece[n];

			e = fetch_piece(c, at + n, p, err);
			p->to = j->plain + (at + n) * FRAME_PLAIN;
		}
		if (e >= 0)
			e = fetch_frames(j->r->v,
				&(struct fetch_want){.place = &j->place,
					.piece = j->piece,
					.n = n,
					.patience = patience},
				err);
	}
	return e;
}

static int copy_read(
	struct copy_job *j, const struct chunk_row *c, struct pluri_err *err)
{
	/* Ceilings of a row that is about to say where bytes are put. */
	if (c->frames > FRAMES_MAX ||
		c->frames != (c->plain + FRAME_PLAIN - 1) / FRAME_PLAIN)
		return pluri_fail(err, EBADMSG,
			"database: chunk %llu of %u bytes has %u frames",
			(unsigned long long)c->num, c->plain, c->frames);
	if (j->fd >= 0 && copy_from_file(j, c, err) >= 0)
		return 0;
	return copy_from_stores(j, c, err);
}

/* --- writing -------------------------------------------------------------- */

static int copy_room(struct repack *r)
{
	const unsigned cap = r->copy_cap ? 2 * r->copy_cap : 256;
	struct repack_copy *more;

	if (r->copies < r->copy_cap)
		return 0;
	more = realloc(r->copy, cap * sizeof(*more));
	if (!more)
		return -ENOMEM;
	r->copy = more;
	r->copy_cap = cap;
	return 0;
}

static int copy_chunk(
	struct copy_job *j, const struct chunk_row *c, struct pluri_err *err)
{
	pluri_auto(encoded) enc = NULL;
	struct repack *r = j->r;
	struct pack_place place;
	struct repack_copy *to;
	int e = copy_read(j, c, err);

	if (e >= 0)
		e = encode_chunk(&j->pol.encode, &c->id,
			(struct pluri_span){j->plain, c->plain}, &enc, err);
	if (e >= 0 && copy_room(r) < 0)
		e = pluri_fail(err, ENOMEM, "repack: no memory");
	if (e < 0)
		return e;
	to = &r->copy[r->copies];
	*to = (struct repack_copy){.pack = c->pack, .off = c->off, .to = *c};
	e = staging_add(r->v->staging,
		(struct staging_to){.policy = j->pol.num}, enc, &to->to.pack,
		&place, err);
	if (e < 0)
		return e;
	to->to.off = place.off;
	to->to.bytes = place.bytes;
	to->to.frames = enc->frames;
	memcpy(to->to.frame, place.frame, enc->frames * sizeof(place.frame[0]));
	r->copies++;
	(void)pthread_mutex_lock(&r->lock);
	r->stats.copied++;
	r->stats.copied_bytes += c->bytes;
	(void)pthread_mutex_unlock(&r->lock);
	return 0;
}

/* --- a pack --------------------------------------------------------------- */

static int copy_rows(struct copy_job *j, const struct chunk_row *after,
	unsigned *ret_n, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int e = meta_begin(j->r->v->meta, &tx, err);

	if (e < 0)
		return e;
	e = garbage_live(tx, j->pack.num, after, j->row, COPY_ROWS, ret_n, err);
	return meta_end(tx, e, err);
}

static int copy_pack(struct copy_job *j, struct pluri_err *err)
{
	struct chunk_row last;
	unsigned n = COPY_ROWS;
	bool first = true;
	int e = copy_source(j, err);

	while (e >= 0 && n == COPY_ROWS && j->r->copies < REPACK_COPIES) {
		e = copy_rows(j, first ? NULL : &last, &n, err);
		first = false;
		for (unsigned i = 0; i < n && e >= 0; i++) {
			if (!repack_pace(j->r, j->row[i].bytes))
				return pluri_fail(err, ECANCELED, "stopped");
			e = copy_chunk(j, &j->row[i], err);
		}
		if (n > 0)
			last = j->row[n - 1];
	}
	return e;
}

/* 1: copy it; 0: it is not what the scan saw. */
static int copy_look(struct copy_job *j, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int e = meta_begin(j->r->v->meta, &tx, err);

	if (e < 0)
		return e;
	e = garbage_fit(tx, j->use->pack, err);
	if (e > 0)
		e = packs_get(tx, j->use->pack, &j->pack, err) < 0 ? 0 : 1;
	e = meta_end(tx, e, err);
	if (e <= 0)
		return e;
	if (roster_policy(j->r->v->roster, j->pack.policy, &j->pol) < 0 &&
		roster_policy(j->r->v->roster, 0, &j->pol) < 0)
		return pluri_fail(err, EIO, "there is no default policy");
	if (repack_look_held(j->r, j->pol.num))
		return 0;
	return repack_well(j->r->v, j->pol.num);
}

/* It is tried again later: a store may have been away. */
static void copy_bad(struct repack *r, uint64_t pack)
{
	r->bad[r->bads++ % REPACK_BAD] = (struct repack_cool){
		pack, clock_mono_ms(clock_system()) + COPY_AGAIN_MS};
}

/* What cannot be read now is left alone for a while, and so is what could not
 * be stored; what ails the volume is told. */
static int copy_one(struct copy_job *j, struct pluri_err *err)
{
	struct pluri_err why = {0};
	int e = copy_look(j, &why);

	j->fd = -1;
	if (e > 0) {
		j->r->source[j->r->sources++] = j->use->pack;
		e = copy_pack(j, &why);
	}
	if (j->fd >= 0)
		(void)close(j->fd);
	if (e == -EIO || e == -EBADMSG || e == -ETIMEDOUT) {
		log_line(LOG_WARN, "pack number %llu cannot be repacked: %s",
			(unsigned long long)j->use->pack, why.text);
		copy_bad(j->r, j->use->pack);
		return 0;
	}
	if (e < 0 && err)
		*err = why;
	return e < 0 ? e : 0;
}

int repack_copy_all(struct repack *r, struct pluri_err *err)
{
	pluri_auto_mem struct copy_job *j = malloc(sizeof(*j));
	int e = 0;

	if (!j)
		return pluri_fail(err, ENOMEM, "repack: no memory");
	for (unsigned i = 0; i < r->poor && e >= 0 && !repack_stopped(r) &&
			     r->copies < REPACK_COPIES;
		i++) {
		j->r = r;
		j->use = &r->pack[i];
		e = repack_bury_settle(r, j->use->pack, err);
		if (e >= 0)
			e = copy_one(j, err);
	}
	return e;
}

/* --- the switch ----------------------------------------------------------- */

/* Of a bracket's worth from *at on; those that wait go to keep. */
static int copy_switch_some(
	struct repack *r, unsigned *at, unsigned *keep, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	uint64_t waits = 0; /* a pack that is not stored yet */
	unsigned done = 0;
	int e = meta_begin(r->v->meta, &tx, err);

	if (e < 0)
		return e;
	for (unsigned i = 0; i < COPY_BATCH && *at < r->copies; i++, (*at)++) {
		const struct repack_copy *c = &r->copy[*at];

		e = -EAGAIN;
		if (c->seen && c->to.pack != waits)
			e = garbage_switch(tx, c->pack, c->off, &c->to, err);
		if (e == -EAGAIN) {
			waits = c->to.pack;
			r->copy[(*keep)++] = *c;
		} else if (e < 0 && e != -ESTALE && e != -EBADMSG)
			break;
		done += e > 0;
		e = 0;
	}
	e = meta_end(tx, e, err);
	if (e >= 0) {
		(void)pthread_mutex_lock(&r->lock);
		r->stats.switched += done;
		(void)pthread_mutex_unlock(&r->lock);
	}
	return e;
}

/* Packs that none of the copies that wait is of: what is empty now? */
static int copy_settle(struct repack *r, struct pluri_err *err)
{
	unsigned keep = 0;
	unsigned at = 0;
	int e = 0;

	for (unsigned i = 0; i < r->sources; i++) {
		const uint64_t pack = r->source[i];

		/* Both are in the order in which they were copied */
		while (at < r->copies && r->copy[at].pack == pack)
			at++;
		if (at > 0 && r->copy[at - 1].pack == pack)
			r->source[keep++] = pack;
		else if (e >= 0)
			e = repack_bury_settle(r, pack, err);
	}
	r->sources = keep;
	return e < 0 ? e : 0;
}

int repack_copy_switch(struct repack *r, struct pluri_err *err)
{
	unsigned keep = 0;
	unsigned at = 0;
	int e = repack_look(r, err);

	while (e >= 0 && at < r->copies)
		e = copy_switch_some(r, &at, &keep, err);
	if (e < 0) { /* that bracket is undone: its copies are forgotten */
		r->copies = 0;
		r->sources = 0;
		return e;
	}
	r->copies = keep;
	return copy_settle(r, err);
}
