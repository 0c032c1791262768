#include <errno.h>
#include <limits.h>
#include <stdbool.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/wire.h"
#include "chunker/seal.h"

#define SEAL_NONCE 12u

struct sealer {
	EVP_CIPHER_CTX *ctx; /* holds the key schedule, for both directions */
};

int sealer_new(const struct keys *keys, const struct pluri_id *pack,
	struct sealer **ret, struct pluri_err *err)
{
	pluri_auto(sealer) s = calloc(1, sizeof(*s));
	uint8_t key[PLURI_KEY_BYTES];
	int r;

	if (!s)
		return pluri_fail(err, ENOMEM, "sealer: out of memory");
	s->ctx = EVP_CIPHER_CTX_new();
	if (!s->ctx)
		return pluri_fail(err, ENOMEM, "sealer: out of memory");
	r = keys_seal(keys, pack, key);
	if (r == 0 && EVP_EncryptInit_ex(
			      s->ctx, keys_gcm(keys), NULL, key, NULL) != 1)
		r = -EIO;
	OPENSSL_cleanse(key, sizeof(key));
	if (r < 0)
		return pluri_fail(err, EIO,
			"sealer: libcrypto failed to set up AES-256-GCM");
	*ret = pluri_steal(s);
	return 0;
}

void sealer_free(struct sealer *s)
{
	if (!s)
		return;
	EVP_CIPHER_CTX_free(s->ctx); /* wipes the schedule */
	free(s);
}

/* Start one string: only the nonce is new, the key schedule stays. */
static bool sealer_start(struct sealer *s, bool enc, enum seal_domain domain,
	uint64_t offset, struct pluri_span aad)
{
	uint8_t nonce[SEAL_NONCE];
	struct wire_out w = {nonce, sizeof(nonce), false};
	int n;

	wire_put(&w, domain, 4);
	wire_put(&w, offset, 8);
	if (EVP_CipherInit_ex(s->ctx, NULL, NULL, NULL, nonce, enc) != 1)
		return false;
	return aad.len == 0 ||
	       EVP_CipherUpdate(s->ctx, NULL, &n, aad.data, (int)aad.len) == 1;
}

static bool sealer_body(
	struct sealer *s, const void *from, size_t len, uint8_t *to)
{
	int n;

	return len == 0 ||
	       EVP_CipherUpdate(s->ctx, to, &n, from, (int)len) == 1;
}

int sealer_seal(struct sealer *s, enum seal_domain domain, uint64_t offset,
	struct pluri_span aad, struct pluri_span plain, uint8_t *to)
{
	uint8_t none[1];
	int n;

	if (plain.len > INT_MAX - SEAL_TAG || aad.len > INT_MAX)
		return -EIO;
	if (!sealer_start(s, true, domain, offset, aad) ||
		!sealer_body(s, plain.data, plain.len, to) ||
		EVP_CipherFinal_ex(s->ctx, none, &n) != 1 ||
		EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG,
			to + plain.len) != 1)
		return -EIO;
	return 0;
}

int sealer_open(struct sealer *s, enum seal_domain domain, uint64_t offset,
	struct pluri_span aad, struct pluri_span sealed, uint8_t *to)
{
	uint8_t tag[SEAL_TAG];
	uint8_t none[1];
	size_t len;
	int n;

	if (sealed.len < SEAL_TAG || sealed.len > INT_MAX || aad.len > INT_MAX)
		return -EBADMSG;
	len = sealed.len - SEAL_TAG;
	memcpy(tag, (const uint8_t *)sealed.data + len, sizeof(tag));
	if (!sealer_start(s, false, domain, offset, aad) ||
		EVP_CIPHER_CTX_ctrl(
			s->ctx, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG, tag) != 1 ||
		!sealer_body(s, sealed.data, len, to))
		return -EIO;
	if (EVP_CipherFinal_ex(s->ctx, none, &n) == 1)
		return 0;
	/* Bytes that nobody vouches for must not be mistaken for an answer. */
	OPENSSL_cleanse(to, len);
	return -EBADMSG;
}
