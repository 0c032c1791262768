/* Dirty ranges against a byte map: what a byte is, and whether it is one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/dirty.h"

#define SPACE 6000u /* bytes of the byte map */
#define STEPS 20000u
#define BIG (3u << 20)

struct map {
	bool has[SPACE];
	uint8_t byte[SPACE];
};

struct world {
	struct dirty d, under;
	struct map map, low;
	uint64_t rnd, base; /* base: where the map begins in the file */
};

static uint64_t draw(struct world *w, uint64_t below)
{
	w->rnd = w->rnd * UINT64_C(6364136223846793005) +
		 UINT64_C(1442695040888963407);
	return (w->rnd >> 33) % below;
}

static void range(struct world *w, size_t *ret_off, size_t *ret_len)
{
	const size_t max = draw(w, 4) == 0 ? SPACE : 200;

	*ret_off = draw(w, SPACE);
	*ret_len = draw(w, max);
	if (*ret_len > SPACE - *ret_off)
		*ret_len = SPACE - *ret_off;
}

static void put(struct world *w, struct dirty *d, struct map *m)
{
	const bool over = draw(w, 3) != 0;
	uint8_t data[SPACE] = {0};
	size_t off;
	size_t len;

	range(w, &off, &len);
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)draw(w, 256);
	assert_int_equal(dirty_write(d, w->base + off, data, len, over), 0);
	for (size_t i = 0; i < len; i++) {
		if (m->has[off + i] && !over)
			continue;
		m->has[off + i] = true;
		m->byte[off + i] = data[i];
	}
}

static void punch(struct world *w, struct dirty *d, struct map *m)
{
	size_t off;
	size_t len;

	range(w, &off, &len);
	assert_int_equal(dirty_punch(d, w->base + off, len), 0);
	memset(&m->has[off], 0, len);
}

/* Everything behind off, as truncation asks for it. */
static void cut(struct world *w, struct dirty *d, struct map *m)
{
	const size_t off = draw(w, SPACE);
	const uint64_t at = w->base + off;

	assert_int_equal(dirty_punch(d, at, UINT64_MAX - at), 0);
	memset(&m->has[off], 0, SPACE - off);
}

static void merge(struct world *w)
{
	assert_int_equal(dirty_under(&w->d, &w->under), 0);
	assert_int_equal(w->under.bytes, 0);
	assert_int_equal(w->under.n, 0);
	for (size_t i = 0; i < SPACE; i++) {
		if (!w->map.has[i] && w->low.has[i]) {
			w->map.has[i] = true;
			w->map.byte[i] = w->low.byte[i];
		}
	}
	memset(w->low.has, 0, sizeof(w->low.has));
}

/* The walk meets exactly the map's bytes, in order. */
static void check_walk(struct world *w, size_t off, size_t len)
{
	const uint64_t end = w->base + off + len;
	uint64_t pos = w->base + off;
	const uint8_t *data;
	uint64_t at;
	size_t n;

	while (dirty_next(&w->d, pos, end - pos, &at, &n, &data)) {
		assert_true(at >= pos && n > 0 && at + n <= end);
		for (; pos < at; pos++)
			assert_false(w->map.has[pos - w->base]);
		for (size_t i = 0; i < n; i++) {
			assert_true(w->map.has[at - w->base + i]);
			assert_int_equal(
				data[i], w->map.byte[at - w->base + i]);
		}
		pos = at + n;
	}
	for (; pos < end; pos++)
		assert_false(w->map.has[pos - w->base]);
}

static void check_runs(struct world *w)
{
	static uint8_t got[SPACE];
	uint64_t pos = w->base;
	uint64_t sum = 0;
	uint64_t at;
	uint64_t n;

	while ((n = dirty_run(&w->d, pos, &at)) > 0) {
		const size_t i = (size_t)(at - w->base);

		assert_true(i == 0 || at == pos || !w->map.has[i - 1]);
		assert_true(i + n == SPACE || !w->map.has[i + n]);
		assert_int_equal(dirty_copy(&w->d, at, n, got), 0);
		assert_memory_equal(got, &w->map.byte[i], n);
		pos = at + n;
		sum += n;
	}
	assert_int_equal(sum, w->d.bytes);
}

static void check_count(const struct world *w)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < SPACE; i++)
		bytes += w->map.has[i];
	assert_int_equal(bytes, w->d.bytes);
}

static void step(struct world *w)
{
	size_t off;
	size_t len;

	switch (draw(w, 12)) {
	case 0:
		punch(w, &w->d, &w->map);
		break;
	case 1:
		cut(w, &w->d, &w->map);
		break;
	case 2:
		punch(w, &w->under, &w->low);
		break;
	case 3:
	case 4:
	case 5:
		put(w, &w->under, &w->low);
		break;
	case 6:
		merge(w);
		break;
	default:
		put(w, &w->d, &w->map);
	}
	range(w, &off, &len);
	check_walk(w, off, len);
	check_count(w);
}

static void run(uint64_t seed, uint64_t base)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	print_message("# seed %llu\n", (unsigned long long)seed);
	w->rnd = seed;
	w->base = base;
	for (unsigned i = 0; i < STEPS; i++) {
		step(w);
		if (i % 16 == 0)
			check_runs(w);
	}
	dirty_free(&w->d);
	assert_int_equal(w->d.bytes, 0);
	dirty_free(&w->under);
	free(w);
}

static void dirty__random_steps__as_a_byte_map(void **state)
{
	(void)state;
	run(1, 0);
	run(20260214, 0);
}

static void dirty__far_behind_in_the_file__as_a_byte_map(void **state)
{
	(void)state;
	run(3, (uint64_t)INT64_MAX - SPACE);
	run(4, (UINT64_C(1) << 32) - SPACE / 2);
}

/* Pieces have a ceiling; what is longer lies in several of them. */
static void dirty__longer_than_a_piece__cut_anywhere(void **state)
{
	uint8_t *data = malloc(BIG);
	uint8_t *got = malloc(BIG);
	struct dirty d = {0};
	uint64_t at = 0;

	(void)state;
	for (size_t i = 0; i < BIG; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	for (size_t cutting = DIRTY_PIECE - 2; cutting < DIRTY_PIECE + 3;
		cutting++) {
		assert_int_equal(dirty_write(&d, 7, data, BIG, true), 0);
		assert_int_equal(dirty_run(&d, 0, &at), BIG);
		assert_int_equal(at, 7);
		assert_int_equal(dirty_copy(&d, 7, BIG, got), 0);
		assert_memory_equal(got, data, BIG);
		assert_int_equal(dirty_punch(&d, 7, cutting), 0);
		assert_int_equal(d.bytes, BIG - cutting);
		assert_int_equal(dirty_run(&d, 0, &at), BIG - cutting);
		assert_int_equal(at, 7 + cutting);
		assert_int_equal(dirty_copy(&d, at, BIG - cutting, got), 0);
		assert_memory_equal(got, data + cutting, BIG - cutting);
	}
	dirty_free(&d);
	free(data);
	free(got);
}

/* What sequential writers do: small pieces grow into large ones. */
static void dirty__many_small_appends__few_pieces(void **state)
{
	uint8_t data[100];
	struct dirty d = {0};
	uint64_t off = 0;

	(void)state;
	memset(data, 'x', sizeof(data));
	for (; off < BIG; off += sizeof(data))
		assert_int_equal(
			dirty_write(&d, off, data, sizeof(data), true), 0);
	assert_int_equal(d.bytes, off);
	assert_true(d.n <= BIG / DIRTY_PIECE + 1);
	dirty_free(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dirty__random_steps__as_a_byte_map),
		cmocka_unit_test(dirty__far_behind_in_the_file__as_a_byte_map),
		cmocka_unit_test(dirty__longer_than_a_piece__cut_anywhere),
		cmocka_unit_test(dirty__many_small_appends__few_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
