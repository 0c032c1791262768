#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "meta/extent.h"
#include "meta/packs.h"
#include "tests/unit/meta/bed.h"

#define CHUNKS 12u
#define PLAIN 400u /* bytes of each chunk */
#define SPAN 3000u /* bytes of the file that are played with */
#define ROWS 1024u

/* What each byte of the file is: byte `at` of chunk `chunk`, or a hole. */
struct cell {
	uint64_t chunk;
	uint32_t at;
};

struct model {
	struct bed *bed;
	uint64_t ino, pack;
	uint64_t chunk[CHUNKS];
	struct cell cell[SPAN + PLAIN];
	struct extent_row row[ROWS];
	uint64_t seed;
	bool cut; /* a trim is pending */
	uint64_t dead; /* from where on */
	uint64_t refs[CHUNKS]; /* extents seen */
	unsigned checked;
};

static unsigned draw(struct model *m, unsigned below)
{
	m->seed = m->seed * UINT64_C(6364136223846793005) + 1;
	return (unsigned)((m->seed >> 33) % below);
}

static struct model *model_new(struct bed *b)
{
	struct model *m = calloc(1, sizeof(*m));
	struct pack_row p = {.kind = 0, .k = 1, .created_ns = BED_NOW};

	assert_non_null(m);
	m->bed = b;
	m->seed = 42;
	bed_begin(b);
	m->ino = bed_make(b, TREE_ROOT, "f", S_IFREG | 0644);
	assert_int_equal(packs_add(b->tx, &p, &b->err), 0);
	m->pack = p.num;
	for (unsigned i = 0; i < CHUNKS; i++) {
		struct chunk_row c = {.pack = p.num,
			.off = i * 1000,
			.bytes = 1000,
			.plain = PLAIN,
			.frames = 1,
			.frame = {1000}};

		c.id.b[0] = (uint8_t)i;
		assert_int_equal(chunks_add(b->tx, &c, &b->err), 0);
		m->chunk[i] = c.num;
	}
	bed_end(b);
	return m;
}

static void model_clear(struct model *m, uint64_t off, uint64_t len)
{
	for (uint64_t i = off; i < off + len && i < SPAN + PLAIN; i++)
		m->cell[i] = (struct cell){0};
}

static void model_trim(struct model *m, bool whole)
{
	struct bed *b = m->bed;
	bool more = m->cut;

	while (more) {
		assert_int_equal(extent_trim(b->tx, draw(m, 2) ? m->ino : 0,
					 1 + draw(m, 3), &more, &b->err),
			0);
		m->cut = more;
		if (!whole)
			break;
	}
}

/* Nothing is recorded where the dead still lie. */
static void model_alive(struct model *m, uint64_t end)
{
	const struct extent e = {end - 1, 1, 0, m->chunk[0]};
	const struct extent_copy c = {m->ino, 0, m->ino, end - 1, 1};
	struct bed *b = m->bed;
	uint64_t done = 7;

	if (!m->cut || end <= m->dead)
		return;
	assert_int_equal(extent_write(b->tx, m->ino, &e, 1, &b->err), -EBUSY);
	assert_int_equal(extent_clone(b->tx, &c, 1, &done, &b->err), -EBUSY);
	assert_int_equal(done, 7);
	model_trim(m, true);
}

static void model_cut(struct model *m)
{
	const uint64_t off = draw(m, SPAN);
	struct bed *b = m->bed;
	bool more = false;

	assert_int_equal(
		extent_cut(b->tx, m->ino, off, 1 + draw(m, 3), &more, &b->err),
		0);
	if (!m->cut || off < m->dead)
		m->dead = off;
	else
		assert_true(more);
	m->cut = more;
	model_clear(m, off, SPAN + PLAIN);
}

/* A part of the file over another, in steps of few extents. */
static void model_clone(struct model *m)
{
	struct extent_copy c = {
		m->ino, draw(m, SPAN), m->ino, draw(m, SPAN), 1 + draw(m, 600)};
	const uint64_t apart = c.from_off < c.to_off ? c.to_off - c.from_off
						     : c.from_off - c.to_off;
	struct bed *b = m->bed;
	uint64_t done = 0;

	if (c.len > apart) {
		assert_int_equal(
			extent_clone(b->tx, &c, 1, &done, &b->err), -EINVAL);
		return;
	}
	if (c.to_off + c.len > SPAN || c.from_off + c.len > SPAN)
		return;
	model_alive(m, c.to_off + c.len);
	memmove(&m->cell[c.to_off], &m->cell[c.from_off],
		c.len * sizeof(m->cell[0]));
	while (c.len > 0) {
		assert_int_equal(
			extent_clone(b->tx, &c, 1 + draw(m, 4), &done, &b->err),
			0);
		assert_true(done > 0 && done <= c.len);
		c.from_off += done;
		c.to_off += done;
		c.len -= done;
	}
}

/* One to three extents, sometimes touching, sometimes apart. */
static void model_write(struct model *m)
{
	const unsigned n = 1 + draw(m, 3);
	struct extent e[3];
	uint64_t at = draw(m, SPAN);
	unsigned done = 0;

	while (done < n && at < SPAN) {
		struct extent *x = &e[done++];

		x->off = at;
		x->len = 1 + draw(m, PLAIN);
		x->skip = draw(m, PLAIN - x->len + 1);
		x->chunk = m->chunk[draw(m, CHUNKS)];
		for (unsigned i = 0; i < x->len; i++)
			m->cell[at + i] = (struct cell){x->chunk, x->skip + i};
		at += x->len + (draw(m, 2) ? draw(m, 50) : 0);
	}
	model_alive(m, e[done - 1].off + e[done - 1].len);
	assert_int_equal(
		extent_write(m->bed->tx, m->ino, e, done, &m->bed->err), 0);
}

static void model_punch(struct model *m)
{
	const uint64_t off = draw(m, SPAN);
	const uint64_t len = draw(m, 4) ? draw(m, 600) : UINT64_MAX;
	bool more = true;

	while (more)
		assert_int_equal(extent_punch(m->bed->tx, m->ino, off, len, 3,
					 &more, &m->bed->err),
			0);
	model_clear(m, off, len > SPAN + PLAIN ? SPAN + PLAIN : len);
	if (len == UINT64_MAX && off <= m->dead)
		m->cut = false; /* the dead went with it */
}

/* A row says of every one of its bytes what the model says. */
static void model_row(struct model *m, const struct extent_row *r)
{
	assert_true(r->e.off + r->e.len <= SPAN + PLAIN);
	assert_int_equal(r->chunk.num, r->e.chunk);
	assert_int_equal(r->chunk.pack, m->pack);
	assert_int_equal(r->chunk.plain, PLAIN);
	for (unsigned i = 0; i < r->e.len; i++) {
		const struct cell *c = &m->cell[r->e.off + i];

		if (c->chunk != r->e.chunk || c->at != r->e.skip + i)
			fail_msg("byte %u differs", (unsigned)r->e.off + i);
	}
	for (unsigned i = 0; i < CHUNKS; i++)
		m->refs[i] += m->chunk[i] == r->e.chunk;
}

static int model_refs(void *arg, const struct chunk_row *c, uint64_t refs)
{
	struct model *m = arg;

	for (unsigned i = 0; i < CHUNKS; i++) {
		if (m->chunk[i] != c->num)
			continue;
		assert_int_equal(refs, m->refs[i]);
		m->checked++;
	}
	return 0;
}

static void model_check(struct model *m)
{
	struct bed *b = m->bed;
	uint64_t bytes = 0, end = 0, held = 0;
	unsigned n = 0;

	model_trim(m, true);
	memset(m->refs, 0, sizeof(m->refs));
	m->checked = 0;
	assert_int_equal(
		extent_read(b->tx, m->ino, (struct extent_span){0, UINT64_MAX},
			m->row, ROWS, &n, &b->err),
		0);
	for (unsigned i = 0; i < n; i++) {
		assert_true(m->row[i].e.off >= end);
		end = m->row[i].e.off + m->row[i].e.len;
		held += m->row[i].e.len;
		model_row(m, &m->row[i]);
	}
	for (unsigned i = 0; i < SPAN + PLAIN; i++)
		bytes += m->cell[i].chunk != 0;
	assert_int_equal(held, bytes);
	assert_int_equal(bed_get(b, m->ino).bytes, bytes);
	assert_int_equal(
		chunks_of_pack(b->tx, m->pack, model_refs, m, &b->err), 0);
	assert_int_equal(m->checked, CHUNKS);
}

/* A part is read as the whole has it. */
static void model_part(struct model *m)
{
	const uint64_t off = draw(m, SPAN);
	const uint64_t len = 1 + draw(m, 700);
	struct extent_row *r = m->row;
	struct bed *b = m->bed;
	struct extent e[64];
	unsigned n = 0, i = 0;

	assert_int_equal(
		extent_list(b->tx, m->ino, (struct extent_span){off, len}, e,
			64, &i, &b->err),
		0);
	assert_int_equal(
		extent_read(b->tx, m->ino, (struct extent_span){off, len}, r,
			ROWS, &n, &b->err),
		0);
	assert_int_equal(i, n < 64 ? n : 64);
	while (i-- > 0)
		assert_memory_equal(&e[i], &r[i].e, sizeof(e[i]));
	i = 0;
	for (uint64_t at = off; at < off + len && at < SPAN + PLAIN; at++) {
		while (i < n && r[i].e.off + r[i].e.len <= at)
			i++;
		if (i < n && r[i].e.off <= at)
			assert_int_equal(m->cell[at].chunk, r[i].e.chunk);
		else
			assert_int_equal(m->cell[at].chunk, 0);
	}
	assert_true(n == 0 || (r[0].e.off + r[0].e.len > off &&
				      r[n - 1].e.off < off + len));
}

static void model_change(struct model *m)
{
	switch (draw(m, 10)) {
	case 0:
	case 1:
		model_punch(m);
		break;
	case 2:
		model_cut(m);
		break;
	case 3:
		model_trim(m, false);
		break;
	case 4:
	case 5:
		model_clone(m);
		break;
	default:
		model_write(m);
		break;
	}
}

static void model_step(struct model *m, struct cell *saved)
{
	const bool undo = draw(m, 10) == 0;
	const uint64_t dead = m->dead;
	const bool cut = m->cut;

	memcpy(saved, m->cell, sizeof(m->cell));
	bed_begin(m->bed);
	model_change(m);
	model_part(m);
	if (draw(m, 16) == 0)
		model_check(m);
	if (undo) {
		bed_undo(m->bed);
		memcpy(m->cell, saved, sizeof(m->cell));
		m->cut = cut;
		m->dead = dead;
	} else {
		bed_end(m->bed);
	}
}

static void extents__random_changes__as_the_model(void **state)
{
	struct model *m = model_new(*state);
	struct cell *saved = malloc(sizeof(m->cell));

	assert_non_null(saved);
	for (unsigned i = 0; i < 10000; i++)
		model_step(m, saved);
	assert_int_equal(meta_commit(m->bed->m, &m->bed->err), 0);
	bed_reopen(m->bed);
	bed_begin(m->bed);
	model_check(m);
	bed_end(m->bed);
	free(saved);
	free(m);
}

static void read__fewer_rows_than_there_are__goes_on(void **state)
{
	struct model *m = model_new(*state);
	struct bed *b = m->bed;
	struct extent e[5] = {0};
	unsigned n = 0;

	for (unsigned i = 0; i < 5; i++)
		e[i] = (struct extent){i * 10, 10, 0, m->chunk[i]};
	bed_begin(b);
	assert_int_equal(extent_write(b->tx, m->ino, e, 5, &b->err), 0);
	assert_int_equal(
		extent_read(b->tx, m->ino, (struct extent_span){15, 100},
			m->row, 2, &n, &b->err),
		0);
	assert_int_equal(n, 2);
	assert_int_equal(m->row[0].e.off, 10);
	assert_int_equal(
		extent_read(b->tx, m->ino, (struct extent_span){30, 100},
			m->row, 9, &n, &b->err),
		0);
	assert_int_equal(n, 2);
	assert_int_equal(m->row[0].e.off, 30);
	bed_end(b);
	free(m);
}

static void write__what_cannot_be__refused(void **state)
{
	struct model *m = model_new(*state);
	struct bed *b = m->bed;
	const struct extent bad[][2] = {
		{{0, 0, 0, m->chunk[0]}, {1, 1, 0, m->chunk[0]}},
		{{5, 10, 0, m->chunk[0]}, {14, 1, 0, m->chunk[0]}},
		{{INT64_MAX, 1, 0, m->chunk[0]}, {0, 1, 0, 0}},
		{{0, PLURI_CHUNK_MAX, 1, m->chunk[0]}, {0, 1, 0, 0}},
	};
	const struct extent good = {0, 1, 0, m->chunk[0]};

	for (unsigned i = 0; i < 4; i++) {
		bed_begin(b);
		assert_int_equal(
			extent_write(b->tx, m->ino, bad[i], 2, &b->err),
			-EINVAL);
		bed_undo(b);
	}
	bed_begin(b);
	assert_int_equal(extent_write(b->tx, 99, &good, 1, &b->err), -ENOENT);
	bed_undo(b);
	free(m);
}

static void drop__orphan_with_extents__busy(void **state)
{
	struct model *m = model_new(*state);
	struct bed *b = m->bed;
	const struct extent e = {0, 10, 0, m->chunk[0]};
	struct tree_attr a = {0};
	bool more = true;

	bed_begin(b);
	assert_int_equal(extent_write(b->tx, m->ino, &e, 1, &b->err), 0);
	/* not busy: nobody may think of emptying it */
	assert_int_equal(tree_drop(b->tx, m->ino, &b->err), -EINVAL);
	assert_int_equal(tree_unlink(b->tx, TREE_ROOT, bed_name("f"), false,
				 BED_NOW, &a, &b->err),
		0);
	assert_int_equal(tree_drop(b->tx, m->ino, &b->err), -EBUSY);
	assert_int_equal(
		extent_punch(b->tx, m->ino, 0, UINT64_MAX, 5, &more, &b->err),
		0);
	assert_false(more);
	assert_int_equal(tree_drop(b->tx, m->ino, &b->err), 0);
	bed_end(b);
	free(m);
}

/* Three at a time, of several files, each once and in order. */
static void walk__some_at_a_time__all_of_all_files(void **state)
{
	struct model *m = model_new(*state);
	struct bed *b = m->bed;
	struct extent_of got[3] = {{.ino = 0}};
	uint64_t ino[3] = {m->ino, 0, 0};
	unsigned seen = 0;
	unsigned n = 3;

	bed_begin(b);
	ino[1] = bed_make(b, TREE_ROOT, "g", S_IFREG | 0644);
	ino[2] = bed_make(b, TREE_ROOT, "h", S_IFREG | 0644);
	for (unsigned i = 0; i < 30; i++) {
		const struct extent e = {
			i / 3 * 50, 10 + i, 0, m->chunk[i % CHUNKS]};

		assert_int_equal(
			extent_write(b->tx, ino[i % 3], &e, 1, &b->err), 0);
	}
	while (n == 3) {
		assert_int_equal(extent_walk(b->tx, got[2].ino, got[2].e.off,
					 got, 3, &n, &b->err),
			0);
		for (unsigned i = 0; i < n; i++, seen++) {
			assert_int_equal(got[i].ino, ino[seen / 10]);
			assert_int_equal(got[i].e.off, seen % 10 * 50);
			assert_int_equal(
				got[i].e.len, 10 + seen % 10 * 3 + seen / 10);
		}
	}
	assert_int_equal(seen, 30);
	bed_end(b);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)
		T(extents__random_changes__as_the_model),
		T(read__fewer_rows_than_there_are__goes_on),
		T(write__what_cannot_be__refused),
		T(drop__orphan_with_extents__busy),
		T(walk__some_at_a_time__all_of_all_files),
#undef T
	};

	return cmocka_run_group_tests_name("extent", tests, NULL, NULL);
}
