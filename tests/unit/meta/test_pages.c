#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "meta/db_sqlite_int.h"
#include "tests/unit/meta/bed.h"

#define PAGE 4360 /* bytes that SQLite wants for one */
#define SLOT 4416 /* what it gets */
#define MANY 31000u /* more than there is room for */
#define THREADS 4u

static int prepare(void **state)
{
	(void)state;
	db_sqlite_pages_prepare();
	return sqlite3_initialize();
}

static void pages__given_back__given_again(void **state)
{
	void *const a = sqlite3_malloc(PAGE);
	void *const b = sqlite3_malloc(PAGE);

	(void)state;
	assert_int_equal(sqlite3_msize(a), SLOT);
	sqlite3_free(a);
	sqlite3_free(b);
	assert_ptr_equal(sqlite3_malloc(PAGE), b);
	assert_ptr_equal(sqlite3_malloc(PAGE), a);
	sqlite3_free(a);
	sqlite3_free(b);
}

static void pages__other_sizes__as_ever(void **state)
{
	static const int sizes[] = {1, 100, 4096, SLOT + 1, 87200};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		void *const p = sqlite3_malloc(sizes[i]);

		assert_non_null(p);
		assert_true(sqlite3_msize(p) >= (sqlite3_uint64)sizes[i]);
		assert_int_not_equal(sqlite3_msize(p), SLOT);
		memset(p, 0xa5, (size_t)sizes[i]);
		sqlite3_free(p);
	}
}

static void pages__size_changed__bytes_kept(void **state)
{
	uint8_t *p = sqlite3_malloc(100);
	uint8_t want[SLOT];

	(void)state;
	memset(want, 0x5a, sizeof(want));
	memset(p, 0x5a, 100);
	p = sqlite3_realloc(p, PAGE); /* it may become a page, or not */
	assert_memory_equal(p, want, 100);
	sqlite3_free(p);
	p = sqlite3_malloc(PAGE);
	memset(p, 0x5a, PAGE);
	assert_ptr_equal(sqlite3_realloc(p, 50), p);
	p = sqlite3_realloc(p, 100000);
	assert_memory_equal(p, want, PAGE);
	p = sqlite3_realloc(p, PAGE);
	assert_memory_equal(p, want, PAGE);
	sqlite3_free(p);
}

/* Each filled with its number, and looked at when all have been. */
static void pages__more_than_the_room__still_memory(void **state)
{
	uint8_t **all = calloc(MANY, sizeof(*all));
	unsigned wrong = 0;

	(void)state;
	assert_non_null(all);
	for (unsigned i = 0; i < MANY; i++) {
		all[i] = sqlite3_malloc(PAGE);
		assert_non_null(all[i]);
		memset(all[i], (int)(i & 0xff), PAGE);
	}
	for (unsigned i = 0; i < MANY; i++) {
		wrong += all[i][0] != (i & 0xff);
		wrong += memcmp(all[i], all[i] + 1, PAGE - 1) != 0;
		sqlite3_free(all[i]);
	}
	assert_int_equal(wrong, 0);
	free(all);
}

static void *take_turns(void *arg)
{
	uint8_t *held[8] = {NULL};
	size_t *wrong = arg;

	for (unsigned i = 0; i < 20000; i++) {
		uint8_t **const p = &held[i % 8];
		uintptr_t mine = (uintptr_t)p ^ i;

		if (*p)
			*wrong += memcmp(*p + 8, &p, sizeof(p)) != 0;
		sqlite3_free(*p);
		*p = sqlite3_malloc(PAGE);
		memcpy(*p, &mine, sizeof(mine));
		memcpy(*p + 8, &p, sizeof(p));
	}
	for (unsigned i = 0; i < 8; i++)
		sqlite3_free(held[i]);
	return NULL;
}

static void pages__many_threads__each_its_own(void **state)
{
	size_t wrong[THREADS] = {0};
	pthread_t t[THREADS];

	(void)state;
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&t[i], NULL, take_turns, &wrong[i]), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(t[i], NULL), 0);
		assert_int_equal(wrong[i], 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages__given_back__given_again),
		cmocka_unit_test(pages__other_sizes__as_ever),
		cmocka_unit_test(pages__size_changed__bytes_kept),
		cmocka_unit_test(pages__more_than_the_room__still_memory),
		cmocka_unit_test(pages__many_threads__each_its_own),
	};

	return cmocka_run_group_tests_name("pages", tests, prepare, NULL);
}
