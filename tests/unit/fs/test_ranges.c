/* Files of very many extents, changed at random, against a model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/clone.h"
#include "fs/commit.h"
#include "fs/seek.h"
#include "fs/staging.h"
#include "fs/trim.h"
#include "fs/write.h"
#include "meta/extent.h"
#include "meta/packs.h"
#include "tests/unit/fs/house.h"

#define FILES 2u
#define FILE_MAX (2u << 20)

struct file {
	struct node *n;
	uint64_t size;
	uint8_t *now; /* FILE_MAX; zeros behind the size */
	uint8_t *data; /* is it no hole? */
};

struct world {
	struct house h;
	struct file file[FILES];
	struct file was; /* of the one that a crash is about to meet */
	uint8_t *buf;
	uint64_t rnd;
	uint64_t refs; /* seen */
};

static uint64_t draw(struct world *w, uint64_t below)
{
	w->rnd = w->rnd * UINT64_C(6364136223846793005) +
		 UINT64_C(1442695040888963407);
	return (w->rnd >> 33) % below;
}

static struct file *pick(struct world *w)
{
	return &w->file[draw(w, FILES)];
}

/* --- operations, with the model ------------------------------------------- */

static void op_write(struct world *w, struct file *f)
{
	const uint64_t off = draw(w, FILE_MAX - 1);
	uint64_t len = 1 + draw(w, draw(w, 4) ? 5000 : 400000);

	len = len < FILE_MAX - off ? len : FILE_MAX - off;
	house_noise(draw(w, 1u << 20), f->now + off, len);
	memset(f->data + off, 1, len);
	f->size = off + len > f->size ? off + len : f->size;
	house_write(&w->h, f->n, off, f->now + off, len);
}

static void op_cut(struct world *w, struct file *f)
{
	const uint64_t size = draw(w, 4) ? draw(w, FILE_MAX) : 0;

	memset(f->now + size, 0, FILE_MAX - size);
	memset(f->data + size, 0, FILE_MAX - size);
	f->size = size;
	house_truncate(&w->h, f->n, size);
}

static void op_punch(struct world *w, struct file *f)
{
	const uint64_t off = draw(w, FILE_MAX);
	uint64_t len = 1 + draw(w, FILE_MAX);

	if (draw(w, 4) == 0)
		len = UINT64_MAX;
	assert_int_equal(write_punch(w->h.v, f->n, off, len, NULL), 0);
	len = len < FILE_MAX - off ? len : FILE_MAX - off;
	memset(f->now + off, 0, len);
	memset(f->data + off, 0, len);
}

static void model_copy(const struct file *from, uint64_t a, struct file *to,
	uint64_t b, uint64_t len)
{
	if (len == 0)
		return;
	memmove(to->now + b, from->now + a, len);
	memmove(to->data + b, from->data + a, len);
	to->size = b + len > to->size ? b + len : to->size;
}

static void op_clone(struct world *w, struct file *to)
{
	struct file *from = pick(w);
	struct clone_ask ask = {from->n, to->n, draw(w, FILE_MAX),
		draw(w, FILE_MAX), 1 + draw(w, FILE_MAX)};
	const uint64_t room = FILE_MAX - ask.to_off;
	struct pluri_err err = {0};
	uint64_t left;

	if (from == to && ask.to_off < ask.from_off + ask.len &&
		ask.from_off < ask.to_off + ask.len)
		return;
	ask.len = ask.len < room ? ask.len : room;
	left = from->size > ask.from_off ? from->size - ask.from_off : 0;
	left = left < ask.len ? left : ask.len;
	if (from == to) /* its end may move while it is copied */
		ask.len = left;
	model_copy(from, ask.from_off, to, ask.to_off, left);
	while (ask.len > 0) {
		uint64_t done = UINT64_MAX;

		if (clone_range(w->h.v, &ask, &done, &err) < 0)
			fail_msg("%s", err.text);
		if (done == 0)
			break;
		ask.from_off += done;
		ask.to_off += done;
		ask.len -= done;
		left -= done;
	}
	assert_int_equal(left, 0);
}

/* --- checks --------------------------------------------------------------- */

static void check_bytes(struct world *w, struct file *f)
{
	assert_int_equal(house_size(&w->h, f->n), f->size);
	house_read(&w->h, f->n, 0, w->buf, f->size);
	for (uint64_t i = 0; i < f->size; i++)
		if (w->buf[i] != f->now[i])
			fail_msg("file %u at %u of %u: %02x, not %02x",
				(unsigned)(f - w->file), (unsigned)i,
				(unsigned)f->size, w->buf[i], f->now[i]);
}

/* Holes are where the model has them, to the byte. */
static void check_holes(struct world *w, struct file *f)
{
	uint64_t at = draw(w, FILE_MAX);

	for (unsigned i = 0; i < 30; i++) {
		const bool hole = draw(w, 2);
		uint64_t want = at;
		uint64_t got = 0;
		int r;

		while (want < f->size && (f->data[want] != 0) == hole)
			want++;
		r = seek_next(w->h.v, f->n, hole, at, &got, NULL);
		if (at >= f->size || (!hole && want == f->size)) {
			assert_int_equal(r, -ENXIO);
			at = draw(w, FILE_MAX);
			continue;
		}
		if (r < 0 || got != want)
			fail_msg("%s from %u of %u: %d, %u, not %u",
				hole ? "hole" : "data", (unsigned)at,
				(unsigned)f->size, r, (unsigned)got,
				(unsigned)want);
		at = got;
	}
}

static int count_refs(void *arg, const struct chunk_row *c, uint64_t refs)
{
	struct world *w = arg;

	(void)c;
	w->refs += refs;
	return 0;
}

static uint64_t count_extents(struct meta_tx *tx, struct file *f)
{
	struct extent e[128];
	struct extent_span at = {0, UINT64_MAX};
	uint64_t all = 0;
	unsigned n = 128;

	while (n == 128) {
		assert_int_equal(
			extent_list(tx, f->n->ino, at, e, 128, &n, NULL), 0);
		all += n;
		if (n > 0)
			at.off = e[n - 1].off + e[n - 1].len;
	}
	return all;
}

/* Bytes held and references are exact when nothing is under way. */
static void check_books(struct world *w)
{
	struct meta_tx *tx = NULL;
	struct tree_attr a = {0};
	uint64_t extents = 0;

	for (unsigned i = 0; i < FILES; i++) {
		assert_int_equal(write_flush(w->h.v, w->file[i].n, NULL), 0);
		assert_int_equal(
			trim_finish(w->h.v, w->file[i].n->ino, NULL), 0);
	}
	w->refs = 0;
	assert_int_equal(meta_begin(w->h.v->meta, &tx, NULL), 0);
	for (unsigned i = 0; i < FILES; i++) {
		struct file *f = &w->file[i];
		uint64_t held = 0;

		for (uint64_t j = 0; j < f->size; j++)
			held += f->data[j];
		assert_int_equal(tree_get(tx, f->n->ino, &a, NULL), 0);
		assert_int_equal(a.bytes, held);
		assert_int_equal(a.size, f->size);
		extents += count_extents(tx, f);
	}
	for (uint64_t p = 1; p <= staging_last(w->h.v->staging); p++)
		assert_int_equal(chunks_of_pack(tx, p, count_refs, w, NULL), 0);
	assert_int_equal(meta_end(tx, 0, NULL), 0);
	assert_int_equal(w->refs, extents);
}

/* --- crashes -------------------------------------------------------------- */

static void change(struct world *w, struct file *f)
{
	switch (draw(w, 4)) {
	case 0:
		op_cut(w, f);
		break;
	case 1:
		op_punch(w, f);
		break;
	case 2:
		op_clone(w, f);
		break;
	default:
		op_write(w, f);
		break;
	}
}

static void reopen(struct world *w, bool crash)
{
	for (unsigned i = 0; i < FILES; i++)
		node_unpin(w->h.v->nodes, w->file[i].n);
	if (crash)
		house_crash(&w->h);
	else
		house_close(&w->h);
	house_open(&w->h);
	for (unsigned i = 0; i < FILES; i++)
		w->file[i].n = house_file(&w->h, i ? "g" : "f");
}

/* Where the file says that there is something, for the model to go on. */
static void adopt_holes(struct world *w, struct file *f)
{
	uint64_t from = 0, to = 0;

	memset(f->data, 0, FILE_MAX);
	while (seek_next(w->h.v, f->n, false, to, &from, NULL) == 0) {
		assert_int_equal(
			seek_next(w->h.v, f->n, true, from, &to, NULL), 0);
		memset(f->data + from, 1, to - from);
	}
	for (uint64_t i = 0; i < f->size; i++)
		assert_true(f->data[i] || f->now[i] == 0);
}

/* One change, seen or not, whole or in part. */
static void op_crash(struct world *w, struct file *f)
{
	uint64_t size;

	for (unsigned i = 0; i < FILES; i++)
		assert_int_equal(
			write_sync(w->h.v, w->file[i].n, NULL, NULL, NULL), 0);
	memcpy(w->was.now, f->now, FILE_MAX);
	w->was.size = f->size;
	change(w, f);
	if (draw(w, 2))
		assert_int_equal(write_flush(w->h.v, f->n, NULL), 0);
	if (draw(w, 4))
		assert_int_equal(commit_now(w->h.v->commit, false, NULL), 0);
	reopen(w, true);
	size = house_size(&w->h, f->n);
	assert_true(size == f->size || size == w->was.size ||
		    (size > w->was.size && size < f->size));
	house_read(&w->h, f->n, 0, w->buf, size);
	for (uint64_t i = 0; i < size; i++)
		if (w->buf[i] != f->now[i] && w->buf[i] != w->was.now[i])
			fail_msg("at %u: %02x, not %02x or %02x", (unsigned)i,
				w->buf[i], w->was.now[i], f->now[i]);
	memcpy(f->now, w->buf, size);
	memset(f->now + size, 0, FILE_MAX - size);
	f->size = size;
	adopt_holes(w, f);
}

/* A trim is pending for certain, and something comes to lie where it works. */
static void op_meet_trim(struct world *w, struct file *f)
{
	house_shatter(&w->h, f->n);
	op_cut(w, f);
	change(w, f);
	if (draw(w, 2))
		check_bytes(w, f);
	else
		check_holes(w, f);
	if (draw(w, 2))
		assert_int_equal(write_flush(w->h.v, f->n, NULL), 0);
	else
		op_clone(w, f);
}

static void step(struct world *w)
{
	struct file *f = pick(w);
	const uint64_t n = draw(w, 100);

	if (n < 50)
		change(w, f);
	else if (n < 62)
		check_bytes(w, f);
	else if (n < 74)
		check_holes(w, f);
	else if (n < 84)
		assert_int_equal(write_flush(w->h.v, f->n, NULL), 0);
	else if (n < 88)
		house_shatter(&w->h, f->n);
	else if (n < 93)
		op_meet_trim(w, f);
	else if (n < 95)
		check_books(w);
	else if (n < 97)
		reopen(w, false);
	else
		op_crash(w, f);
}

static void file_free(struct file *f)
{
	free(f->now);
	free(f->data);
}

static void file_new(struct file *f)
{
	f->now = calloc(1, FILE_MAX);
	f->data = calloc(1, FILE_MAX);
	assert_true(f->now && f->data);
}

static void ranges__random_changes__as_the_model(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	const char *more = getenv("RANGES_SEED");
	const char *steps = getenv("RANGES_STEPS");

	(void)state;
	assert_non_null(w);
	w->rnd = more ? strtoull(more, NULL, 10) : 1;
	print_message("# seed %llu\n", (unsigned long long)w->rnd);
	w->buf = malloc(FILE_MAX);
	house_new(&w->h, "timeout = 2s\ndirty = 4M", "");
	for (unsigned i = 0; i < FILES; i++) {
		file_new(&w->file[i]);
		w->file[i].n = house_file(&w->h, i ? "g" : "f");
	}
	file_new(&w->was);
	assert_int_equal(commit_now(w->h.v->commit, true, NULL), 0);
	for (int i = 0; i < (steps ? atoi(steps) : 500); i++)
		step(w);
	check_books(w);
	for (unsigned i = 0; i < FILES; i++) {
		check_bytes(w, &w->file[i]);
		node_unpin(w->h.v->nodes, w->file[i].n);
		file_free(&w->file[i]);
	}
	file_free(&w->was);
	house_free(&w->h);
	free(w->buf);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges__random_changes__as_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
