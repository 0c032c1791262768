#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "base/text.h"
#include "chunker/keys.h"

#include "tests/unit/chunker/sample.h"

/* The library's HKDF-SHA-256: another hand than the one under test. */
static void hkdf(int mode, struct pluri_span salt, struct pluri_span key,
	struct pluri_span info, struct pluri_room *to)
{
	char sha[] = "SHA256";
	OSSL_PARAM p[6];
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	size_t n = 0;

	p[n++] = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode);
	p[n++] =
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, sha, 0);
	p[n++] = OSSL_PARAM_construct_octet_string(
		OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)key.data, key.len);
	p[n++] = OSSL_PARAM_construct_octet_string(
		OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info.data, info.len);
	if (salt.len)
		p[n++] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT,
			(void *)(uintptr_t)salt.data, salt.len);
	p[n] = OSSL_PARAM_construct_end();
	assert_int_equal(EVP_KDF_derive(ctx, to->data, to->cap, p), 1);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

static void expand(const void *prk, struct pluri_span info, uint8_t to[32])
{
	struct pluri_room room = {to, 32, 0};

	hkdf(EVP_KDF_HKDF_MODE_EXPAND_ONLY, (struct pluri_span){"", 0},
		(struct pluri_span){prk, 32}, info, &room);
}

/* The expected key under a label, for sample_keys(7, 3). */
static void labelled(const char *label, uint8_t to[32])
{
	const struct pluri_id volume = sample_id(3);
	uint8_t master[32];
	struct pluri_room room = {to, 32, 0};

	memset(master, 7, sizeof(master));
	hkdf(EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND,
		(struct pluri_span){volume.b, PLURI_ID_BYTES},
		(struct pluri_span){master, 32},
		(struct pluri_span){label, strlen(label)}, &room);
}

static void reference__rfc5869_case_1__right(void **state)
{
	static const char want[] = "3cb25f25faacd57a90434f64d0362f2a"
				   "2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
				   "34007208d5b887185865";
	uint8_t key[22];
	uint8_t salt[13];
	uint8_t info[10];
	uint8_t out[42];
	struct pluri_room room = {out, sizeof(out), 0};
	char hex[2 * sizeof(out) + 1];

	(void)state;
	memset(key, 0x0b, sizeof(key));
	for (unsigned i = 0; i < sizeof(salt); i++)
		salt[i] = (uint8_t)i;
	for (unsigned i = 0; i < sizeof(info); i++)
		info[i] = (uint8_t)(0xf0 + i);
	hkdf(EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND,
		(struct pluri_span){salt, sizeof(salt)},
		(struct pluri_span){key, sizeof(key)},
		(struct pluri_span){info, sizeof(info)}, &room);
	assert_string_equal(text_hex(out, sizeof(out), hex), want);
}

static void keys__derived__as_the_library_does(void **state)
{
	const struct pluri_id pack = sample_id(40);
	struct keys *k = sample_keys(7, 3);
	uint8_t want[32];
	uint8_t seal[32];
	uint8_t got[32];
	uint8_t info[12 + PLURI_ID_BYTES] = "plurifs pack";

	(void)state;
	labelled("plurifs chunk id", want);
	assert_memory_equal(keys_chunk_id(k), want, 32);
	labelled("plurifs check", want);
	keys_check(k, got);
	assert_memory_equal(got, want, 32);
	labelled("plurifs seal", seal);
	memcpy(info + 12, pack.b, PLURI_ID_BYTES);
	expand(seal, (struct pluri_span){info, sizeof(info)}, want);
	assert_int_equal(keys_seal(k, &pack, got), 0);
	assert_memory_equal(got, want, 32);
	expand(seal, (struct pluri_span){"plurifs volume", 14}, want);
	assert_int_equal(keys_seal(k, NULL, got), 0);
	assert_memory_equal(got, want, 32);
	keys_free(k);
}

static void hmac__many_lengths__as_the_library_does(void **state)
{
	static uint8_t text[100000];
	struct keys *k = sample_keys(7, 3);
	uint8_t key[32];
	uint8_t want[32];
	uint8_t got[32];

	(void)state;
	memset(key, 0xaa, sizeof(key));
	sample_noise(text, sizeof(text), 1);
	for (size_t n = 0; n <= sizeof(text); n = 3 * n + 1) {
		size_t len = 0;

		assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL,
			key, 32, text, n, want, 32, &len));
		assert_int_equal(
			keys_hmac(k, key, (struct pluri_span){text, n}, got),
			0);
		assert_memory_equal(got, want, 32);
	}
	keys_free(k);
}

static void keys__other_master_or_volume__all_differ(void **state)
{
	struct keys *k[3] = {
		sample_keys(7, 3), sample_keys(8, 3), sample_keys(7, 4)};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		const unsigned j = (i + 1) % 3;
		uint8_t a[32];
		uint8_t b[32];

		keys_check(k[i], a);
		keys_check(k[j], b);
		assert_memory_not_equal(a, b, 32);
		assert_memory_not_equal(
			keys_chunk_id(k[i]), keys_chunk_id(k[j]), 32);
		assert_int_equal(keys_seal(k[i], NULL, a), 0);
		assert_int_equal(keys_seal(k[j], NULL, b), 0);
		assert_memory_not_equal(a, b, 32);
	}
	for (unsigned i = 0; i < 3; i++)
		keys_free(k[i]);
	keys_free(NULL);
}

/* "VmFlags: rd wr ... dd ..." of the mapping that holds p. */
static bool left_out_of_dumps(const void *p)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	const uintptr_t at = (uintptr_t)p;
	bool inside = false;
	bool out = false;
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long from;
		unsigned long to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = at >= from && at < to;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			out = strstr(line, " dd") != NULL;
	}
	(void)fclose(f);
	return out;
}

static void keys__in_memory__left_out_of_core_dumps(void **state)
{
	struct keys *k = sample_keys(7, 3);
	int here = 0;

	(void)state;
	if (access("/proc/self/smaps", R_OK) < 0)
		skip();
	assert_true(left_out_of_dumps(keys_chunk_id(k)));
	assert_false(left_out_of_dumps(&here));
	keys_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reference__rfc5869_case_1__right),
		cmocka_unit_test(keys__derived__as_the_library_does),
		cmocka_unit_test(hmac__many_lengths__as_the_library_does),
		cmocka_unit_test(keys__other_master_or_volume__all_differ),
		cmocka_unit_test(keys__in_memory__left_out_of_core_dumps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
