#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/buf.h"
#include "base/text.h"

#include "backends/s3/sigv4.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define CANONICAL_MAX 65536u

/* One link of the chain; to may be key. */
static int mac(const void *key, size_t len, const char *text, uint8_t to[32])
{
	uint8_t out[32];
	unsigned n = 0;

	if (!HMAC(EVP_sha256(), key, (int)len, (const unsigned char *)text,
		    strlen(text), out, &n) ||
		n != sizeof(out))
		return -EINVAL;
	memcpy(to, out, sizeof(out));
	OPENSSL_cleanse(out, sizeof(out));
	return 0;
}

static void day_of(time_t now, char to[9])
{
	char date[SIGV4_DATE_BYTES];

	sigv4_date(now, date);
	memcpy(to, date, 8);
	to[8] = 0;
}

void sigv4_date(time_t now, char to[SIGV4_DATE_BYTES])
{
	struct tm tm = {0};

	(void)gmtime_r(&now, &tm);
	if (strftime(to, SIGV4_DATE_BYTES, "%Y%m%dT%H%M%SZ", &tm) == 0)
		memcpy(to, "19700101T000000Z", SIGV4_DATE_BYTES);
}

int sigv4_key(const char *id, const char *secret, const char *region,
	time_t now, struct sigv4_key *ret, struct pluri_err *err)
{
	char first[4 + SIGV4_SECRET_MAX];
	struct sigv4_key k = {0};
	int bad;

	if (strlen(id) >= sizeof(k.id) || strlen(secret) >= SIGV4_SECRET_MAX ||
		strlen(region) >= sizeof(k.region))
		return pluri_fail(
			err, EINVAL, "credentials or region are too long");
	(void)snprintf(k.id, sizeof(k.id), "%s", id);
	(void)snprintf(k.region, sizeof(k.region), "%s", region);
	day_of(now, k.day);
	(void)snprintf(first, sizeof(first), "AWS4%s", secret);
	bad = mac(first, strlen(first), k.day, k.key) < 0 ||
	      mac(k.key, sizeof(k.key), region, k.key) < 0 ||
	      mac(k.key, sizeof(k.key), "s3", k.key) < 0 ||
	      mac(k.key, sizeof(k.key), "aws4_request", k.key) < 0;
	OPENSSL_cleanse(first, sizeof(first));
	if (bad)
		return pluri_fail(err, EINVAL, "HMAC-SHA256 is not to be had");
	*ret = k;
	OPENSSL_cleanse(&k, sizeof(k));
	return 0;
}

int sigv4_fresh(const struct sigv4_key *k, time_t now)
{
	char day[9];

	day_of(now, day);
	return strcmp(day, k->day) == 0;
}

/* "host;range;x-amz-date" */
static int add_names(struct buf *b, const struct sigv4_request *q)
{
	int bad = 0;

	for (size_t i = 0; i < q->n; i++)
		bad |= buf_fmt(b, "%s%s", i ? ";" : "", q->headers[i].name) < 0;
	return bad ? -EINVAL : 0;
}

static int canonical(struct buf *b, const struct sigv4_request *q)
{
	int bad = buf_fmt(b, "%s\n%s\n%s\n", q->method, q->path, q->query) < 0;

	for (size_t i = 0; i < q->n; i++)
		bad |= buf_fmt(b, "%s:%s\n", q->headers[i].name,
			       q->headers[i].value) < 0;
	bad |= buf_str(b, "\n") < 0;
	bad |= add_names(b, q) < 0;
	bad |= buf_fmt(b, "\n%s", q->hash) < 0;
	return bad ? -EINVAL : 0;
}

static int sha256_hex(const struct buf *b, char to[SIGV4_HASH_BYTES])
{
	uint8_t d[32];
	unsigned n = 0;

	if (EVP_Digest(b->data, b->len, d, &n, EVP_sha256(), NULL) != 1)
		return -EINVAL;
	(void)text_hex(d, sizeof(d), to);
	return 0;
}

static int sign(const struct sigv4_key *k, const char *date,
	const struct sigv4_request *q, struct buf *work,
	char to[SIGV4_AUTH_MAX])
{
	char hash[SIGV4_HASH_BYTES];
	char scope[SIGV4_REGION_MAX + 64];
	uint8_t d[32];
	int n;

	if (canonical(work, q) < 0 || sha256_hex(work, hash) < 0)
		return -EINVAL;
	(void)snprintf(scope, sizeof(scope), "%s/%s/s3/aws4_request", k->day,
		k->region);
	buf_clear(work);
	if (buf_fmt(work, ALGORITHM "\n%s\n%s\n%s", date, scope, hash) < 0 ||
		mac(k->key, sizeof(k->key), buf_text(work), d) < 0)
		return -EINVAL;
	(void)text_hex(d, sizeof(d), hash);
	buf_clear(work);
	if (add_names(work, q) < 0)
		return -EINVAL;
	n = snprintf(to, SIGV4_AUTH_MAX,
		ALGORITHM " Credential=%s/%s,SignedHeaders=%s,Signature=%s",
		k->id, scope, buf_text(work), hash);
	return n < (int)SIGV4_AUTH_MAX ? 0 : -EINVAL;
}

int sigv4_sign(const struct sigv4_key *k, const char *date,
	const struct sigv4_request *q, char to[SIGV4_AUTH_MAX],
	struct pluri_err *err)
{
	struct buf work;
	int r;

	buf_init(&work, CANONICAL_MAX);
	r = sign(k, date, q, &work, to);
	buf_free(&work);
	if (r < 0)
		return pluri_fail(err, EINVAL, "request cannot be signed");
	return 0;
}
