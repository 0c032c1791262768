#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "chunker/keys.h"

#define KEYS_BLOCK 64u /* input block of SHA-256 */

struct keys {
	struct pluri_id volume;
	uint8_t chunk_id[PLURI_KEY_BYTES];
	uint8_t seal[PLURI_KEY_BYTES];
	uint8_t check[32];
	/* looked up once: the library searches each time */
	EVP_MD *sha256;
	EVP_CIPHER *gcm;
};

/* One pass of SHA-256 over a pad block and up to two parts. */
static bool keys_hash(EVP_MD_CTX *ctx, const EVP_MD *md,
	const uint8_t pad[KEYS_BLOCK], struct pluri_span a, struct pluri_span b,
	uint8_t ret[32])
{
	return EVP_DigestInit_ex(ctx, md, NULL) == 1 &&
	       EVP_DigestUpdate(ctx, pad, KEYS_BLOCK) == 1 &&
	       EVP_DigestUpdate(ctx, a.data, a.len) == 1 &&
	       EVP_DigestUpdate(ctx, b.data, b.len) == 1 &&
	       EVP_DigestFinal_ex(ctx, ret, NULL) == 1;
}

/*
 * HMAC-SHA-256 of a || b, key at most one block long. By hand, so that no key
 * stays behind in the library's heap; the two pad blocks cost 0.1 us.
 */
static int keys_mac(const EVP_MD *md, struct pluri_span key,
	struct pluri_span a, struct pluri_span b, uint8_t ret[32])
{
	const struct pluri_span none = {"", 0};
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t pad[KEYS_BLOCK] = {0};
	uint8_t inner[32];
	bool ok;

	memcpy(pad, key.data, key.len);
	for (unsigned i = 0; i < KEYS_BLOCK; i++)
		pad[i] ^= 0x36;
	ok = ctx && keys_hash(ctx, md, pad, a, b, inner);
	for (unsigned i = 0; i < KEYS_BLOCK; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	ok = ok &&
	     keys_hash(ctx, md, pad, (struct pluri_span){inner, 32}, none, ret);
	OPENSSL_cleanse(pad, sizeof(pad));
	OPENSSL_cleanse(inner, sizeof(inner));
	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -EIO;
}

/* HKDF-Expand to one block: the only length that is ever needed here. */
static int keys_expand(const EVP_MD *md, const uint8_t prk[PLURI_KEY_BYTES],
	struct pluri_span info, uint8_t ret[PLURI_KEY_BYTES])
{
	static const uint8_t first = 1;

	return keys_mac(md, (struct pluri_span){prk, PLURI_KEY_BYTES}, info,
		(struct pluri_span){&first, 1}, ret);
}

static int keys_label(const EVP_MD *md, const uint8_t prk[PLURI_KEY_BYTES],
	const char *label, uint8_t ret[PLURI_KEY_BYTES])
{
	return keys_expand(
		md, prk, (struct pluri_span){label, strlen(label)}, ret);
}

static int keys_derive(struct keys *k, const uint8_t master[PLURI_KEY_BYTES])
{
	const struct pluri_span none = {"", 0};
	uint8_t prk[PLURI_KEY_BYTES];
	int r;

	r = keys_mac(k->sha256,
		(struct pluri_span){k->volume.b, PLURI_ID_BYTES},
		(struct pluri_span){master, PLURI_KEY_BYTES}, none, prk);
	if (r == 0)
		r = keys_label(k->sha256, prk, "plurifs chunk id", k->chunk_id);
	if (r == 0)
		r = keys_label(k->sha256, prk, "plurifs seal", k->seal);
	if (r == 0)
		r = keys_label(k->sha256, prk, "plurifs check", k->check);
	OPENSSL_cleanse(prk, sizeof(prk));
	return r;
}

/* A page of its own, which core dumps leave out. */
static struct keys *keys_alloc(void)
{
	void *p = mmap(NULL, sizeof(struct keys), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (madvise(p, sizeof(struct keys), MADV_DONTDUMP) < 0) {
		(void)munmap(p, sizeof(struct keys));
		return NULL;
	}
	return p;
}

int keys_new(const uint8_t master[PLURI_KEY_BYTES],
	const struct pluri_id *volume, struct keys **ret, struct pluri_err *err)
{
	pluri_auto(keys) k = keys_alloc();

	if (!k)
		return pluri_fail(err, ENOMEM,
			"keys: no memory that stays out of core dumps");
	k->volume = *volume;
	k->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!k->sha256)
		return pluri_fail(err, EIO,
			"keys: libcrypto offers no SHA-256; is its "
			"configuration sound?");
	k->gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	if (!k->gcm)
		return pluri_fail(err, EIO,
			"keys: libcrypto offers no AES-256-GCM; is its "
			"configuration sound?");
	if (keys_derive(k, master) < 0)
		return pluri_fail(
			err, EIO, "keys: libcrypto failed to derive them");
	*ret = pluri_steal(k);
	return 0;
}

void keys_free(struct keys *k)
{
	if (!k)
		return;
	EVP_MD_free(k->sha256);
	EVP_CIPHER_free(k->gcm);
	OPENSSL_cleanse(k, sizeof(*k));
	(void)munmap(k, sizeof(*k));
}

const struct pluri_id *keys_volume(const struct keys *k)
{
	return &k->volume;
}

void keys_check(const struct keys *k, uint8_t ret[32])
{
	memcpy(ret, k->check, sizeof(k->check));
}

const uint8_t *keys_chunk_id(const struct keys *k)
{
	return k->chunk_id;
}

const EVP_CIPHER *keys_gcm(const struct keys *k)
{
	return k->gcm;
}

int keys_hmac(const struct keys *k, const uint8_t key[PLURI_KEY_BYTES],
	struct pluri_span bytes, uint8_t ret[32])
{
	return keys_mac(k->sha256, (struct pluri_span){key, PLURI_KEY_BYTES},
		bytes, (struct pluri_span){"", 0}, ret);
}

int keys_seal(const struct keys *k, const struct pluri_id *pack,
	uint8_t ret[PLURI_KEY_BYTES])
{
	static const char label[] = "plurifs pack";
	uint8_t info[sizeof(label) - 1 + PLURI_ID_BYTES];

	if (!pack)
		return keys_label(k->sha256, k->seal, "plurifs volume", ret);
	memcpy(info, label, sizeof(label) - 1);
	memcpy(info + sizeof(label) - 1, pack->b, PLURI_ID_BYTES);
	return keys_expand(k->sha256, k->seal,
		(struct pluri_span){info, sizeof(info)}, ret);
}
