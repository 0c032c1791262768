#include <errno.h>
#include <stdlib.h>

#include "chunker/encode.h"
#include "fs/cache.h"
#include "fs/load.h"

#define LOAD_NEIGHBOURS 2048u /* frames brought along by one request */
#define LOAD_REST (1u << 20) /* bytes of a pack that a stream takes along */
#define LOAD_ROWS 256u /* chunks looked at in one bracket */

/* A frame to load, and of which chunk it is. */
struct load_part {
	const struct chunk_row *chunk;
	struct fetch_piece piece;
};

/* Frames of one pack that go in one request; arg of a piece is its frame in the
 * cache. */
struct load_span {
	struct load *l;
	struct fetch_place place;
	struct fetch_piece *piece;
	unsigned n, cap;
	struct nearby_range range;
	uint64_t next; /* where neighbours are looked for, in the pack */
	unsigned rows; /* in this bracket */
};

/* --- neighbours ----------------------------------------------------------- */

/* May it bring some along? Only from a cloud, and only for little. */
static bool load_alone(const struct load_span *s)
{
	const struct fetch_piece *last = &s->piece[s->n - 1];

	if (!s->l->nearby || s->l->ahead || s->place.pack.local ||
		s->place.pack.state != PACK_CLOSED ||
		last->off + last->bytes - s->piece->off >= NEARBY_CHUNK)
		return true;
	for (unsigned i = 0; i < s->n; i++)
		if (s->piece[i].id.chunk_bytes >= NEARBY_CHUNK)
			return true;
	return false;
}

static int load_more(struct load_span *s)
{
	struct fetch_piece *more;

	if (s->n < s->cap)
		return 0;
	more = realloc(s->piece, 2 * s->cap * sizeof(*more));
	if (!more)
		return -ENOMEM;
	s->piece = more;
	s->cap *= 2;
	return 0;
}

/* 1: it comes along; 0: it is there or under way, or out of range. */
static int load_extra(struct load_span *s, const struct chunk_row *c,
	uint32_t frame, bool neighbour)
{
	struct cache_frame *pin = NULL;
	struct fetch_piece p;
	int r = fetch_piece(c, frame, &p, NULL);

	if (r < 0 || p.off + p.bytes > s->range.upto)
		return r;
	r = load_more(s);
	if (r >= 0)
		r = cache_claim(s->l->v->cache, c->num, frame, p.plain, NULL,
			neighbour, &pin);
	if (r <= 0)
		return r;
	p.to = cache_room(pin);
	p.arg = pin;
	p.extra = true;
	s->piece[s->n++] = p;
	return 1;
}

/* A stream that is quicker than its prefetch takes what it wants next along, or
 * each of the kernel's requests would become one to a cloud. */
static void load_rest(struct load_span *s, const struct chunk_row *c)
{
	const struct fetch_piece *last = &s->piece[s->n - 1];
	uint32_t frame = last->id.index + 1;

	s->range.upto = last->off + last->bytes + LOAD_REST;
	while (frame < c->frames && load_extra(s, c, frame, false) > 0)
		frame++;
}

static int load_neighbour(void *arg, const struct chunk_row *c, uint64_t refs)
{
	struct load_span *s = arg;

	s->next = c->off + 1;
	if (c->off >= s->range.upto || s->n >= LOAD_NEIGHBOURS) {
		s->next = s->range.upto;
		return 1;
	}
	for (uint32_t i = 0; refs > 0 && i < c->frames; i++)
		if (load_extra(s, c, i, true) < 0)
			break;
	return ++s->rows >= LOAD_ROWS;
}

static int load_order_pieces(const void *a, const void *b)
{
	const struct fetch_piece *x = a;
	const struct fetch_piece *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

/* Whatever keeps them from being found keeps no read from its own. */
static void load_neighbours(struct load_span *s)
{
	const struct fetch_piece *last = &s->piece[s->n - 1];
	struct volume *v = s->l->v;
	const struct nearby_range miss = {
		s->piece->off, last->off + last->bytes};
	struct cache_stats stats;
	const unsigned mine = s->n;
	int r = 0;

	cache_stats(v->cache, &stats);
	nearby_ask(s->l->nearby, s->place.pack.num, s->place.pack.bytes, miss,
		stats.used, &s->range);
	s->next = s->range.from;
	while (s->next < s->range.upto && r >= 0) {
		struct meta_tx *tx = NULL;

		s->rows = 0;
		r = meta_begin(v->meta, &tx, NULL);
		if (r < 0)
			break;
		r = chunks_from(tx, s->place.pack.num, s->next, load_neighbour,
			s, NULL);
		if (s->rows < LOAD_ROWS)
			s->next = s->range.upto;
		r = meta_end(tx, r, NULL);
	}
	if (s->n > mine)
		qsort(s->piece, s->n, sizeof(*s->piece), load_order_pieces);
	last = &s->piece[s->n - 1];
	nearby_brought(s->l->nearby, last->off + last->bytes - s->piece->off -
					     (miss.upto - miss.from));
}

/* --- one request ---------------------------------------------------------- */

/* What nobody waits for says nothing of its bytes when it failed. */
static void load_tell(struct load_span *s, const struct pluri_err *why)
{
	struct cache *c = s->l->v->cache;
	struct pluri_err extra = {0};

	(void)pluri_fail(&extra, ECANCELED, "brought along, in vain");
	for (unsigned i = 0; i < s->n; i++) {
		struct fetch_piece *p = &s->piece[i];

		if (p->got)
			cache_ready(c, p->arg, p->plain);
		else
			cache_failed(c, p->arg, p->extra ? &extra : why);
		if (p->extra)
			cache_unpin(c, p->arg);
	}
}

static int load_place(struct load_span *s, uint64_t pack, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	const int r = meta_begin(s->l->v->meta, &tx, err);

	if (r < 0)
		return r;
	return meta_end(tx, fetch_place(tx, pack, &s->place, err), err);
}

/* Ends the loads of parts that lie near each other; how it went is in the
 * frames, but for -ECANCELED, which is the caller's alone. */
static int load_near(struct load *l, const struct load_part *part, unsigned n)
{
	struct load_span s = {.l = l, .cap = n};
	struct pluri_err err = {0};
	int r = 0;

	s.piece = malloc(n * sizeof(*s.piece));
	if (!s.piece) {
		(void)pluri_fail(&err, ENOMEM, "no memory to read");
		for (unsigned i = 0; i < n; i++)
			cache_failed(l->v->cache, part[i].piece.arg, &err);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < n; i++)
		s.piece[s.n++] = part[i].piece;
	r = load_place(&s, part->chunk->pack, &err);
	if (r >= 0 && l->stream && !s.place.pack.local)
		load_rest(&s, part[n - 1].chunk);
	else if (r >= 0 && !load_alone(&s))
		load_neighbours(&s);
	if (r >= 0)
		r = fetch_frames(l->v,
			&(struct fetch_want){.place = &s.place,
				.piece = s.piece,
				.n = s.n,
				.patience = l->patience},
			&err);
	load_tell(&s, &err);
	free(s.piece);
	return r;
}

static uint64_t load_end_of(const struct load_part *p)
{
	return p->piece.off + p->piece.bytes;
}

static int load_order_parts(const void *a, const void *b)
{
	const struct load_part *x = a;
	const struct load_part *y = b;

	if (x->chunk->pack != y->chunk->pack)
		return x->chunk->pack < y->chunk->pack ? -1 : 1;
	return x->piece.off < y->piece.off ? -1 : x->piece.off > y->piece.off;
}

/* How many of n ordered parts go together. */
static unsigned load_together(const struct load_part *p, unsigned n)
{
	unsigned i = 1;

	while (i < n && p[i].chunk->pack == p->chunk->pack &&
		p[i].piece.off >= load_end_of(&p[i - 1]) &&
		p[i].piece.off - load_end_of(&p[i - 1]) <= FETCH_GAP_MAX &&
		load_end_of(&p[i]) - p->piece.off <= FETCH_SPAN_MAX)
		i++;
	return i;
}

/* Ends all loads that are ours. */
static int load_fetch(struct load *l)
{
	struct load_part part[LOAD_FRAMES];
	unsigned n = 0;
	int r = 0;

	for (unsigned i = 0; i < l->n; i++) {
		const struct load_bit *b = &l->bit[i];
		struct load_part *p = &part[n];
		struct pluri_err err = {0};

		if (!b->owner)
			continue;
		p->chunk = b->chunk;
		if (fetch_piece(b->chunk, b->frame, &p->piece, &err) < 0) {
			cache_failed(l->v->cache, b->pin, &err);
			continue;
		}
		p->piece.to = cache_room(b->pin);
		p->piece.arg = b->pin;
		n++;
	}
	qsort(part, n, sizeof(*part), load_order_parts);
	for (unsigned i = 0; i < n;) {
		const unsigned run = load_together(part + i, n - i);

		if (load_near(l, part + i, run) == -ECANCELED)
			r = -ECANCELED;
		i += run;
	}
	return r;
}

/* --- pins ----------------------------------------------------------------- */

static uint32_t load_plain(const struct load_bit *b)
{
	const uint32_t left = b->chunk->plain - b->frame * FRAME_PLAIN;

	return left < FRAME_PLAIN ? left : FRAME_PLAIN;
}

static int load_pin(struct load *l, struct load_bit *b)
{
	struct cache *c = l->v->cache;
	int r;

	if (!l->ahead)
		return cache_pin(c, b->chunk->num, b->frame, load_plain(b),
			&b->pin, &b->owner);
	r = cache_claim(c, b->chunk->num, b->frame, load_plain(b),
		l->patience.ahead, false, &b->pin);
	b->owner = r > 0;
	return r < 0 ? r : 0;
}

static void load_unpin(struct load *l)
{
	for (unsigned i = 0; i < l->n; i++)
		if (l->bit[i].pin)
			cache_unpin(l->v->cache, l->bit[i].pin);
	l->n = 0;
	l->held = 0;
}

/* A pin that fails half-way leaves owned frames that others wait for. */
static int load_pin_all(struct load *l, struct pluri_err *err)
{
	int r = 0;

	for (unsigned i = 0; i < l->n && r >= 0; i++)
		r = load_pin(l, &l->bit[i]);
	if (r >= 0)
		return 0;
	r = pluri_fail(err, ENOMEM, "no memory to read");
	for (unsigned i = 0; i < l->n; i++) {
		const struct pluri_err why = {
			.code = ENOMEM, .text = "no memory to read"};

		if (l->bit[i].pin && l->bit[i].owner)
			cache_failed(l->v->cache, l->bit[i].pin, &why);
	}
	return r;
}

/* What is wanted of a frame, once it is there. */
static int load_take(
	struct load *l, const struct load_bit *b, struct pluri_err *err)
{
	uint32_t have = 0;
	const uint8_t *bytes;
	const int r = cache_wait(
		l->v->cache, b->pin, l->patience.stop, l->patience.arg, err);

	if (r < 0)
		return r;
	bytes = cache_bytes(b->pin, &have);
	if (b->from + b->len > have)
		return pluri_fail(err, EIO, "a frame is shorter than recorded");
	if (b->to)
		memcpy(b->to, bytes + b->from, b->len);
	return 0;
}

/* Whoever pins a frame of what is read ahead waits for all of it. */
static int load_begin(struct load *l, struct pluri_err *err)
{
	struct wish wish;
	int r;

	wish_init(&wish);
	l->patience.ahead = l->ahead ? &wish : NULL;
	r = load_pin_all(l, err);
	if (r >= 0 && load_fetch(l) == -ECANCELED)
		r = pluri_fail(err, ECANCELED, "the read was interrupted");
	l->patience.ahead = NULL;
	wish_fini(&wish);
	return r;
}

static int load_once(struct load *l, struct pluri_err *err)
{
	int r;

	if (l->bit->pin)
		cache_unpin(l->v->cache, l->bit->pin);
	l->bit->pin = NULL;
	r = load_begin(l, err);
	return r < 0 ? r : load_take(l, l->bit, err);
}

/*
 * A load that began long ago may fail for what has healed since: who joined it
 * late, and so has time left, asks anew. And always when its loader just gave
 * up, which says nothing of the bytes (-EAGAIN, fs/cache.h).
 */
static int load_again(
	struct load *l, struct load_bit *b, int r, struct pluri_err *err)
{
	const uint64_t soon = l->patience.began_ms + l->v->config->timeout_ms;
	struct load *one;

	if (b->owner || !l->patience.again || r == -ECANCELED)
		return r;
	one = malloc(sizeof(*one));
	if (!one)
		return pluri_fail(err, ENOMEM, "no memory to read");
	*one = (struct load){
		.v = l->v, .patience = l->patience, .n = 1, .bit = {*b}};
	while (r < 0 && r != -ECANCELED && !one->bit->owner &&
		(r == -EAGAIN || clock_mono_ms(clock_system()) < soon))
		r = load_once(one, err);
	*b = *one->bit;
	free(one);
	return r;
}

int load_end(struct load *l, struct pluri_err *err)
{
	int r;

	l->patience.began_ms = clock_mono_ms(clock_system());
	r = load_begin(l, err);
	for (unsigned i = 0; i < l->n && r >= 0 && !l->ahead; i++) {
		r = load_take(l, &l->bit[i], err);
		if (r < 0)
			r = load_again(l, &l->bit[i], r, err);
	}
	if (!l->lend || r < 0)
		load_unpin(l);
	return r;
}

unsigned load_lent(const struct load *l, struct iovec *to)
{
	for (unsigned i = 0; i < l->n; i++) {
		const struct load_bit *b = &l->bit[i];

		to[i].iov_base = cache_room(b->pin) + b->from;
		to[i].iov_len = b->len;
	}
	return l->n;
}

void load_free(struct load *l)
{
	load_unpin(l);
}

bool load_apart(const struct chunk_row *a, const struct chunk_row *b)
{
	return a != b && (a->pack != b->pack || b->off < a->off + a->bytes ||
				 b->off - a->off - a->bytes > FETCH_GAP_MAX);
}

/* What a bit adds to the frames that are pinned. */
static uint32_t load_adds(const struct load *l, const struct load_bit *b)
{
	const struct load_bit *last = &l->bit[l->n ? l->n - 1 : 0];

	return l->n > 0 && last->chunk == b->chunk && last->frame == b->frame
		       ? 0
		       : load_plain(b);
}

static bool load_full(const struct load *l, const struct load_bit *b)
{
	return l->n == LOAD_FRAMES ||
	       (l->n > 0 && !l->ahead &&
		       l->held + load_adds(l, b) > LOAD_HELD_MAX);
}

int load_add(struct load *l, const struct chunk_row *c, uint32_t off,
	uint32_t len, uint8_t *to, struct pluri_err *err)
{
	/* Somebody may come who wants what is pinned for one request, and would
	 * wait for those before it: so nothing is pinned that goes in another.
	 */
	if (l->n > 0 && l->ahead && load_apart(l->bit[l->n - 1].chunk, c)) {
		const int r = load_end(l, err);

		if (r < 0)
			return r;
	}
	while (len > 0) {
		const uint32_t from = off % FRAME_PLAIN;
		const uint32_t n =
			len < FRAME_PLAIN - from ? len : FRAME_PLAIN - from;

		const struct load_bit bit = {.chunk = c,
			.frame = off / FRAME_PLAIN,
			.from = from,
			.len = n,
			.to = to};

		if (load_full(l, &bit)) {
			const int r = load_end(l, err);

			if (r < 0)
				return r;
		}
		l->held += load_adds(l, &bit);
		l->bit[l->n++] = bit;
		to = to ? to + n : NULL;
		off += n;
		len -= n;
	}
	return 0;
}
