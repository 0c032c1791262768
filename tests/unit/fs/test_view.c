/* Reads that are answered from where the bytes lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "fs/cache.h"
#include "fs/read.h"
#include "fs/write.h"
#include "tests/unit/fs/house.h"

/* What a view of len bytes from off on shows is what the file should have. */
static unsigned view_same(struct house *h, struct node *n, uint64_t off,
	size_t len, const uint8_t *want)
{
	const struct read_ask ask = {.ahead = true};
	pluri_auto(read_view) w = NULL;
	const struct iovec *part;
	unsigned parts = 0;
	size_t at = 0;

	assert_int_equal(read_view(h->v, n, &ask,
				 (struct extent_span){off, len}, &w, NULL),
		0);
	part = read_view_parts(w, &parts);
	cache_drop_all(h->v->cache); /* it stays all the same */
	for (unsigned i = 0; i < parts; i++) {
		assert_true(part[i].iov_len <= len - at);
		assert_memory_equal(
			part[i].iov_base, want + at, part[i].iov_len);
		at += part[i].iov_len;
	}
	assert_int_equal(at, len);
	return parts;
}

static void view__lent_or_copied__same_bytes(void **state)
{
	const size_t mib = 1u << 20;
	uint8_t *want = calloc(5, mib);
	struct house h;
	struct node *n;

	(void)state;
	house_new(&h, "", "");
	n = house_file(&h, "f");
	house_noise(3, want, 4 * mib);
	house_write(&h, n, 0, want, 4 * mib);
	assert_int_equal(view_same(&h, n, 0, mib, want), 1); /* not recorded */
	house_clouds(&h);
	assert_true(view_same(&h, n, 0, mib / 2, want) >= 4);
	assert_true(view_same(&h, n, 12345, mib, want + 12345) >= 8);
	house_noise(4, want + mib, 100);
	house_write(&h, n, mib, want + mib, 100);
	assert_int_equal(
		view_same(&h, n, mib - 50, 100000, want + mib - 50), 1);
	house_truncate(&h, n, 5 * mib);
	assert_int_equal(
		view_same(&h, n, 4 * mib - 9, 70000, want + 4 * mib - 9), 1);
	house_clouds(&h);
	assert_int_equal(view_same(&h, n, 4 * mib, 70000, want + 4 * mib), 1);
	assert_int_equal(view_same(&h, n, 5 * mib, 0, want), 0);
	house_truncate(&h, n, 300000);
	house_shatter(&h, n); /* more pieces than are held at once */
	assert_int_equal(view_same(&h, n, 0, 300000, want), 1);
	assert_true(view_same(&h, n, 0, 4096, want) > 1);
	node_unpin(h.v->nodes, n);
	house_free(&h);
	free(want);
}

/* Each piece keeps a frame of 128 KiB: so many are not held for one reader. */
static void view__pieces_of_many_frames__copied(void **state)
{
	enum { PIECE = 4096, PIECES = 40 };
	const size_t len = (PIECES + 80) * PIECE;
	uint8_t *want = malloc(len);
	struct house h;
	struct node *n;

	(void)state;
	assert_non_null(want);
	house_new(&h, "", "");
	n = house_file(&h, "f");
	for (unsigned i = 0; i < PIECES; i++) {
		const size_t off = (size_t)i * PIECE;

		house_noise(50 + i, want + off, len - off);
		house_write(&h, n, off, want + off, len - off);
		assert_int_equal(write_flush(h.v, n, NULL), 0);
	}
	assert_int_equal(view_same(&h, n, 0, PIECES * PIECE, want), 1);
	assert_int_equal(view_same(&h, n, 0, 20 * PIECE, want), 20);
	node_unpin(h.v->nodes, n);
	house_free(&h);
	free(want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(view__lent_or_copied__same_bytes),
		cmocka_unit_test(view__pieces_of_many_frames__copied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
