#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"

static void size__lawful__bytes(void **state)
{
	static const struct {
		const char *s;
		uint64_t want;
	} rows[] = {
		{"0", 0},
		{"512", 512},
		{"7B", 7},
		{"1k", 1024},
		{"1K", 1024},
		{"1KiB", 1024},
		{"1KB", 1024},
		{"10G", UINT64_C(10) << 30},
		{"10 G", UINT64_C(10) << 30},
		{"1.5T", UINT64_C(3) << 39},
		{"0.25M", 262144},
		{"0.0001P", 0},
		{"1P", UINT64_C(1) << 50},
		{"4095P", UINT64_C(4095) << 50},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pluri_err err = {0};
		uint64_t got = 0;

		assert_int_equal(text_size(rows[i].s, &got, &err), 0);
		assert_int_equal(got, rows[i].want);
	}
}

static void size__unlawful__story_and_untouched(void **state)
{
	static const char *const rows[] = {"", "G", "-1", "+1", " 1", "1x",
		"1GG", "1Gx", "1.5.5G", ".5G", "1,5G", "0x10", "1e3",
		"99999999999999999999", "18446744073709551616", "4096P",
		"9999999999G", "1.5", "1.G", "1iB", "1\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pluri_err err = {0};
		uint64_t got = 77;

		assert_int_equal(text_size(rows[i], &got, &err), -EINVAL);
		assert_int_equal(err.code, EINVAL);
		assert_non_null(strstr(err.text, rows[i]));
		assert_int_equal(got, 77);
	}
}

static void uint__up_to_its_limit__taken(void **state)
{
	uint64_t got = 0;

	(void)state;
	assert_int_equal(text_uint("0", 0, &got, NULL), 0);
	assert_int_equal(got, 0);
	assert_int_equal(text_uint("255", 255, &got, NULL), 0);
	assert_int_equal(got, 255);
	assert_int_equal(text_uint("007", 9, &got, NULL), 0);
	assert_int_equal(got, 7);
	assert_int_equal(
		text_uint("18446744073709551615", UINT64_MAX, &got, NULL), 0);
	assert_true(got == UINT64_MAX);
}

static void uint__beyond_or_no_number__refused(void **state)
{
	static const struct {
		const char *s;
		uint64_t max;
	} rows[] = {
		{"", 9},
		{"-1", 9},
		{"+1", 9},
		{" 1", 9},
		{"1 ", 9},
		{"1a", 99},
		{"10", 9},
		{"256", 255},
		{"9", 8},
		{"1", 0},
		{"18446744073709551616", UINT64_MAX},
		{"99999999999999999999999", UINT64_MAX},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pluri_err err = {0};
		uint64_t got = 77;

		assert_int_equal(
			text_uint(rows[i].s, rows[i].max, &got, &err), -EINVAL);
		assert_true(err.text[0] != 0);
		assert_int_equal(got, 77);
	}
}

static void bytes__any_size__fits_and_reads_well(void **state)
{
	static const struct {
		uint64_t v;
		const char *want;
	} rows[] = {
		{0, "0 B"},
		{1023, "1023 B"},
		{1024, "1.0 KiB"},
		{1536, "1.5 KiB"},
		{(1 << 20) - 1, "1.0 MiB"},
		{16 << 20, "16.0 MiB"},
		{(UINT64_C(1) << 40) - 1, "1.0 TiB"},
		{UINT64_MAX, "16.0 EiB"},
	};
	char to[TEXT_SIZE_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(text_bytes(rows[i].v, to), rows[i].want);
}

static void hex__every_byte__there_and_back(void **state)
{
	uint8_t all[256];
	uint8_t again[256];
	char text[513];

	(void)state;
	for (unsigned i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	assert_ptr_equal(text_hex(all, sizeof(all), text), text);
	assert_int_equal(strlen(text), 512);
	assert_memory_equal(text, "000102", 6);
	assert_string_equal(text + 506, "fdfeff");
	assert_int_equal(text_unhex(text, again, sizeof(again)), 0);
	assert_memory_equal(all, again, sizeof(all));
	assert_string_equal(text_hex(NULL, 0, text), "");
}

static void unhex__unlawful__refused_and_untouched(void **state)
{
	static const char *const rows[] = {"", "a", "ab", "abc", "abcde",
		"abcdef", "abcg", "AB12", " abc", "ab:c"};
	uint8_t to[2] = {7, 7};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(text_unhex(rows[i], to, 2), -EINVAL);
		assert_int_equal(to[0], 7);
		assert_int_equal(to[1], 7);
	}
	assert_int_equal(text_unhex("", to, 0), 0);
}

static void nearest__misspelt__the_word_meant(void **state)
{
	static const char *const list[] = {
		"status", "stats", "mount", "rebalance", "gc", NULL};
	static const char *const none[] = {NULL};
	char longish[200];

	(void)state;
	assert_string_equal(text_nearest("statuss", list), "status");
	assert_string_equal(text_nearest("stauts", list), "stats");
	assert_string_equal(text_nearest("mount", list), "mount");
	assert_string_equal(text_nearest("rebelance", list), "rebalance");
	assert_string_equal(text_nearest("gcc", list), "gc");
	assert_null(text_nearest("wombat", list));
	assert_null(text_nearest("xy", list));
	assert_null(text_nearest("mount", none));
	memset(longish, 'a', sizeof(longish) - 1);
	longish[sizeof(longish) - 1] = 0;
	assert_null(text_nearest(longish, list));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(size__lawful__bytes),
		cmocka_unit_test(size__unlawful__story_and_untouched),
		cmocka_unit_test(uint__up_to_its_limit__taken),
		cmocka_unit_test(uint__beyond_or_no_number__refused),
		cmocka_unit_test(bytes__any_size__fits_and_reads_well),
		cmocka_unit_test(hex__every_byte__there_and_back),
		cmocka_unit_test(unhex__unlawful__refused_and_untouched),
		cmocka_unit_test(nearest__misspelt__the_word_meant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
