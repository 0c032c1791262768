#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/text.h"
#include "chunker/digest.h"
#include "fs/dedup.h"
#include "fs/load.h"

#define DEDUP_REST_MS 30000u
#define DEDUP_TRIES 3u /* while the chunk is on its way to another pack */

/* Reading back what was found for one batch. */
struct dedup_look {
	struct dedup *d;
	struct load load;
	uint8_t *got; /* room for all that was found */
	unsigned n;
	struct dedup_item *it[DEDUP_MAX];
	struct chunk_row row[DEDUP_MAX];
};

static void dedup_chance(const struct dedup *d, struct dedup_item *it)
{
	clock_random(d->v->clock, it->id.b, sizeof(it->id.b));
	it->chunk = 0;
}

int dedup_name(
	const struct dedup *d, struct pluri_span data, struct pluri_digest *ret)
{
	if (d->mode != DEDUP_OFF)
		return digest_chunk(d->v->keys, data, ret);
	clock_random(d->v->clock, ret->b, sizeof(ret->b));
	return 0;
}

/* --- telling -------------------------------------------------------------- */

static void dedup_pack(
	const struct dedup *d, uint64_t num, char to[2 * PLURI_ID_BYTES + 1])
{
	struct meta_tx *tx = NULL;
	struct pack_row p = {0};
	int r = meta_begin(d->v->meta, &tx, NULL);

	if (r >= 0)
		r = meta_end(tx, packs_get(tx, num, &p, NULL), NULL);
	if (r >= 0)
		(void)text_hex(p.id.b, sizeof(p.id.b), to);
	else
		(void)snprintf(to, 2 * PLURI_ID_BYTES + 1, "number %llu",
			(unsigned long long)num);
}

static void dedup_tell(const struct dedup *d, const struct dedup_item *it,
	const struct chunk_row *c, const char *what)
{
	char chunk[2 * PLURI_DIGEST_BYTES + 1];
	char pack[2 * PLURI_ID_BYTES + 1];

	dedup_pack(d, c->pack, pack);
	log_line(LOG_WARN,
		"chunk %s in pack %s is not taken for what is written: %s; "
		"%zu bytes are stored anew",
		text_hex(it->id.b, sizeof(it->id.b), chunk), pack, what,
		it->data.len);
}

/* --- reading back --------------------------------------------------------- */

static int dedup_late(void *arg)
{
	const struct dedup *d = arg;

	return clock_mono_ms(clock_system()) >= d->until_ms;
}

static int dedup_row(struct dedup *d, const struct dedup_item *it,
	struct chunk_row *ret, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	const int r = meta_begin(d->v->meta, &tx, err);

	if (r < 0)
		return r;
	return meta_end(tx, chunks_get(tx, it->chunk, ret, err), err);
}

static bool dedup_equal(const struct dedup_item *it, const uint8_t *got)
{
	return memcmp(it->data.data, got, it->data.len) == 0;
}

/* 1: the stored bytes are these; 0: they are others; else why that is not
 * known. -ENOENT: forgotten meanwhile. */
static int dedup_same(struct dedup_look *l, unsigned at, struct pluri_err *err)
{
	const struct dedup_item *it = l->it[at];
	struct chunk_row *row = &l->row[at];
	int r = -ESTALE;

	for (unsigned i = 0; i < DEDUP_TRIES && r == -ESTALE; i++) {
		r = dedup_row(l->d, it, row, err);
		if (r >= 0 && row->plain != it->data.len)
			return 0;
		if (r >= 0)
			r = load_add(&l->load, row, 0, row->plain, l->got, err);
		if (r >= 0)
			r = load_end(&l->load, err);
	}
	return r < 0 ? r : dedup_equal(it, l->got);
}

/* By itself: what became of it decides its name. */
static void dedup_judge(struct dedup_look *l, unsigned at)
{
	struct dedup_item *it = l->it[at];
	struct dedup *d = l->d;
	struct pluri_err err = {0};
	int r;

	if (d->over) {
		dedup_chance(d, it);
		return;
	}
	r = dedup_same(l, at, &err);
	if (r > 0)
		return;
	if (r == -ENOENT) {
		it->chunk = 0;
		return;
	}
	dedup_tell(d, it, &l->row[at], r == 0 ? "it differs" : err.text);
	dedup_chance(d, it);
	if (r == 0)
		return;
	d->over = dedup_late(d) || ++d->unread >= DEDUP_UNREAD;
	if (d->over) /* nor would others find out anything else just now */
		atomic_store(&d->v->doubt_ms,
			clock_mono_ms(clock_system()) + DEDUP_REST_MS);
	if (d->over)
		log_line(LOG_WARN,
			"stored chunks cannot be read back: nothing is taken "
			"for the rest of this flush");
}

/* All of them in few requests. False: some need a look by themselves. */
static bool dedup_bulk(struct dedup_look *l)
{
	uint8_t *to = l->got;
	int r = 0;

	for (unsigned i = 0; i < l->n && r >= 0; i++) {
		r = dedup_row(l->d, l->it[i], &l->row[i], NULL);
		if (r >= 0 && l->row[i].plain != l->it[i]->data.len)
			r = -EBADMSG;
		if (r >= 0)
			r = load_add(&l->load, &l->row[i], 0, l->row[i].plain,
				to, NULL);
		to += l->it[i]->data.len;
	}
	if (load_end(&l->load, NULL) < 0 || r < 0)
		return false;
	to = l->got;
	for (unsigned i = 0; i < l->n; i++) {
		if (!dedup_equal(l->it[i], to))
			return false;
		to += l->it[i]->data.len;
	}
	return true;
}

/* Of what was found, only that stays found which has these bytes. */
static int dedup_verify(struct dedup *d, struct dedup_item *it, unsigned n,
	struct pluri_err *err)
{
	pluri_auto_mem struct dedup_look *l = calloc(1, sizeof(*l));
	pluri_auto_mem uint8_t *got = NULL;
	size_t bytes = 0;

	if (!l)
		return pluri_fail(err, ENOMEM, "dedup: no memory");
	for (unsigned i = 0; i < n; i++)
		if (it[i].chunk) {
			l->it[l->n++] = &it[i];
			bytes += it[i].data.len;
		}
	if (l->n == 0)
		return 0;
	got = malloc(bytes);
	if (!got)
		return pluri_fail(err, ENOMEM, "dedup: no memory");
	if (d->until_ms == 0)
		d->until_ms = clock_mono_ms(clock_system()) +
			      d->v->config->timeout_ms;
	d->over |= clock_mono_ms(clock_system()) < atomic_load(&d->v->doubt_ms);
	l->d = d;
	l->got = got;
	l->load = (struct load){
		.v = d->v, .patience = {.stop = dedup_late, .arg = d}};
	if (d->over || !dedup_bulk(l))
		for (unsigned i = 0; i < l->n; i++)
			dedup_judge(l, i);
	return 0;
}

/* The same name twice in a batch, that is to be stored once. */
static void dedup_twins(
	const struct dedup *d, struct dedup_item *it, unsigned n)
{
	for (unsigned i = 1; i < n; i++)
		for (unsigned j = 0; j < i; j++)
			if (memcmp(&it[i].id, &it[j].id, sizeof(it[i].id)) ==
					0 &&
				(it[i].data.len != it[j].data.len ||
					!dedup_equal(&it[i], it[j].data.data)))
				dedup_chance(d, &it[i]);
}

int dedup_find(struct dedup *d, struct dedup_item *it, unsigned n,
	struct pluri_err *err)
{
	struct pluri_digest id[DEDUP_MAX];
	uint64_t num[DEDUP_MAX] = {0};
	struct meta_tx *tx = NULL;
	int r = 0;

	for (unsigned i = 0; i < n; i++)
		id[i] = it[i].id;
	if (d->mode != DEDUP_OFF)
		r = meta_begin(d->v->meta, &tx, err);
	if (r >= 0 && tx)
		r = meta_end(tx, chunks_find(tx, id, n, num, err), err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < n; i++)
		it[i].chunk = num[i];
	if (d->mode != DEDUP_VERIFY)
		return 0;
	dedup_twins(d, it, n);
	return dedup_verify(d, it, n, err);
}

int dedup_add(const struct dedup *d, struct meta_tx *tx, struct chunk_row *c,
	struct pluri_err *err)
{
	const uint64_t pack = c->pack;
	const uint64_t off = c->off;
	const int r = chunks_add(tx, c, err);

	if (r < 0 || d->mode != DEDUP_VERIFY ||
		(c->pack == pack && c->off == off))
		return r;
	return pluri_fail(err, ESTALE,
		"a chunk of that name came meanwhile and is not compared");
}
