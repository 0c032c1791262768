#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/clock.h"
#include "base/text.h"
#include "backends/call.h"

#include "backends/s3/send.h"
#include "backends/s3/sigv4.h"

#define TOKEN_MAX 8192u /* a session token with its NUL */
#define SKEW_S 300 /* beyond this, servers refuse sooner or later */
#define HASH_PIECE (256u << 10)
#define SECRET_LINES 3u

/* What host->secret() tells, in this order. */
struct secrets {
	char id[SIGV4_ID_MAX];
	char secret[SIGV4_SECRET_MAX];
	char token[TOKEN_MAX]; /* "" when there is none */
};

struct send {
	const struct target *target;
	const struct pluri_host *host;
	struct http *http;
	int64_t skew_s; /* server's clock minus ours; atomic */
	pthread_mutex_t lock; /* guards all below */
	struct secrets secrets;
	struct sigv4_key key; /* of secrets and some day */
	uint64_t generation; /* of secrets: counts their changes */
};

/* What one attempt is signed with. */
struct pass {
	struct sigv4_key key;
	char token[TOKEN_MAX];
	uint64_t generation;
	int64_t skew_s;
	time_t now;
};

/* --- credentials --------------------------------------------------------- */

static int read_secrets(const struct pluri_host *host, int fresh,
	struct secrets *to, struct pluri_err *err)
{
	const struct {
		const char *name;
		char *to;
		size_t cap;
		bool must;
	} lines[SECRET_LINES] = {
		{"access_key_id", to->id, sizeof(to->id), true},
		{"secret_access_key", to->secret, sizeof(to->secret), true},
		{"session_token", to->token, sizeof(to->token), false},
	};

	for (unsigned i = 0; i < SECRET_LINES; i++) {
		const char *p = lines[i].to;
		const int r = host->secret(host->ctx, lines[i].name,
			fresh && i == 0, lines[i].to, lines[i].cap, err);

		if (r == -ENOENT && !lines[i].must) {
			lines[i].to[0] = 0;
			continue;
		}
		if (r == -ENOENT)
			return pluri_fail(err, EINVAL,
				"the credentials have no line %s",
				lines[i].name);
		if (r == -ERANGE)
			return pluri_fail(err, EINVAL,
				"%s in the credentials is too long",
				lines[i].name);
		if (r < 0)
			return r;
		for (; *p > ' ' && *p <= '~'; p++)
			;
		if (*p || (lines[i].must && p == lines[i].to))
			return pluri_fail(err, EINVAL,
				"%s in the credentials is empty or holds "
				"spaces or control characters",
				lines[i].name);
	}
	return 0;
}

/* After a refusal: 1 when the source now says something else, 0, or -errno.
 * Another thread's renewal since the pass was made counts as ours. */
static int renew(struct send *s, const struct pass *pass)
{
	struct secrets *fresh = calloc(1, sizeof(*fresh));
	int changed = 0;

	if (!fresh)
		return -ENOMEM;
	pthread_mutex_lock(&s->lock);
	if (s->generation != pass->generation) {
		changed = 1;
	} else if (read_secrets(s->host, 1, fresh, NULL) == 0 &&
		   (strcmp(fresh->id, s->secrets.id) ||
			   strcmp(fresh->secret, s->secrets.secret) ||
			   strcmp(fresh->token, s->secrets.token))) {
		s->secrets = *fresh;
		s->generation++;
		memset(&s->key, 0, sizeof(s->key));
		changed = 1;
	}
	pthread_mutex_unlock(&s->lock);
	OPENSSL_cleanse(fresh, sizeof(*fresh));
	free(fresh);
	return changed;
}

static int make_pass(struct send *s, struct pass *to, struct pluri_err *err)
{
	int r = 0;

	to->skew_s = __atomic_load_n(&s->skew_s, __ATOMIC_RELAXED);
	to->now = (time_t)(clock_real_ns(clock_system()) / 1000000000 +
			   to->skew_s);
	pthread_mutex_lock(&s->lock);
	if (!sigv4_fresh(&s->key, to->now))
		r = sigv4_key(s->secrets.id, s->secrets.secret,
			s->target->region, to->now, &s->key, err);
	to->key = s->key;
	to->generation = s->generation;
	memcpy(to->token, s->secrets.token, sizeof(to->token));
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* --- life ---------------------------------------------------------------- */

int send_new(const struct target *target, const struct pluri_host *host,
	struct send **ret, struct pluri_err *err)
{
	const struct http_options o = {
		.ca_file = target->ca_file, .proxy = target->proxy};
	pluri_auto(send) s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return pluri_fail(err, ENOMEM, "no memory for a store");
	pthread_mutex_init(&s->lock, NULL);
	s->target = target;
	s->host = host;
	r = read_secrets(host, 0, &s->secrets, err);
	if (r < 0)
		return r;
	r = http_new(&o, &s->http, err);
	if (r < 0)
		return r;
	*ret = pluri_steal(s);
	return 0;
}

void send_free(struct send *s)
{
	if (!s)
		return;
	http_free(s->http);
	pthread_mutex_destroy(&s->lock);
	OPENSSL_cleanse(s, sizeof(*s));
	free(s);
}

/* --- one attempt --------------------------------------------------------- */

static int hash_body(const struct pluri_call *call,
	const struct pluri_body *body, char to[SIGV4_HASH_BYTES],
	struct pluri_err *err)
{
	pluri_auto_mem uint8_t *piece = malloc(HASH_PIECE);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t d[32];
	int r = 0;

	if (!piece || !md || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
		r = pluri_fail(err, ENOMEM, "no memory to hash a body");
	for (uint64_t off = 0; r == 0 && off < body->size;) {
		const uint64_t left = body->size - off;
		const size_t n = left < HASH_PIECE ? (size_t)left : HASH_PIECE;

		r = call_check(call, err);
		if (r == 0)
			r = call_body(body, off, piece, n, err);
		if (r == 0)
			(void)EVP_DigestUpdate(md, piece, n);
		off += n;
	}
	if (r == 0) {
		(void)EVP_DigestFinal_ex(md, d, NULL);
		(void)text_hex(d, sizeof(d), to);
	}
	EVP_MD_CTX_free(md);
	return r;
}

/* The signed headers, sorted by name as the signature wants them. */
static size_t headers_of(const struct send *s, const struct send_request *q,
	const struct pass *pass, const char *hash, const char *date,
	struct sigv4_header to[SIGV4_HEADERS_MAX])
{
	size_t n = 0;

	to[n++] = (struct sigv4_header){"host", s->target->host};
	if (q->if_none_match)
		to[n++] = (struct sigv4_header){"if-none-match", "*"};
	if (q->range)
		to[n++] = (struct sigv4_header){"range", q->range};
	to[n++] = (struct sigv4_header){"x-amz-content-sha256", hash};
	to[n++] = (struct sigv4_header){"x-amz-date", date};
	if (pass->token[0])
		to[n++] = (struct sigv4_header){
			"x-amz-security-token", pass->token};
	return n;
}

/* Lines for http: all signed headers and the signature, NUL between them. */
static int lines_of(const struct sigv4_header *h, size_t n, const char *auth,
	struct buf *store, const char *lines[SIGV4_HEADERS_MAX + 2])
{
	size_t at[SIGV4_HEADERS_MAX + 1];

	for (size_t i = 0; i <= n; i++) {
		at[i] = store->len;
		if (buf_fmt(store, "%s: %s",
			    i < n ? h[i].name : "authorization",
			    i < n ? h[i].value : auth) < 0 ||
			buf_add(store, "", 1) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i <= n; i++)
		lines[i] = (const char *)store->data + at[i];
	lines[n + 1] = NULL;
	return 0;
}

static int attempt(struct send *s, struct pluri_call *call,
	const struct send_request *q, const struct pass *pass, const char *hash,
	struct http_answer *ret, struct pluri_err *err)
{
	const char *lines[SIGV4_HEADERS_MAX + 2];
	struct sigv4_header headers[SIGV4_HEADERS_MAX];
	char date[SIGV4_DATE_BYTES];
	char auth[SIGV4_AUTH_MAX];
	char path[2 * TARGET_URL_MAX + PLURI_OBJECT_KEY_MAX];
	struct buf store;
	struct buf url;
	struct sigv4_request sq;
	struct http_request hq;
	int r;

	buf_init(&store, 65536);
	buf_init(&url, 65536);
	sigv4_date(pass->now, date);
	(void)snprintf(path, sizeof(path), "%s/%s", s->target->root,
		q->key ? q->key : "");
	sq = (struct sigv4_request){.method = q->method,
		.path = path,
		.query = q->query ? q->query : "",
		.headers = headers,
		.hash = hash};
	sq.n = headers_of(s, q, pass, hash, date, headers);
	hq = (struct http_request){.method = q->method,
		.headers = lines,
		.body = q->body,
		.into = q->into,
		.skip = q->skip,
		.text = q->text};
	r = sigv4_sign(&pass->key, date, &sq, auth, err);
	if (r == 0 && (lines_of(headers, sq.n, auth, &store, lines) < 0 ||
			      buf_fmt(&url, "%s%s%s%s", s->target->origin, path,
				      q->query ? "?" : "", sq.query) < 0))
		r = pluri_fail(err, ENOMEM, "no memory for a request");
	hq.url = buf_text(&url);
	if (r == 0)
		r = http_run(s->http, call, &hq, ret, err);
	buf_free(&store);
	buf_free(&url);
	return r;
}

/* --- the exchange -------------------------------------------------------- */

/* The refusal may be our clock's fault: 1 when it was, and is mended now. */
static int learn_clock(
	struct send *s, const struct pass *pass, const struct http_answer *a)
{
	const int64_t there = http_date(a);
	const int64_t off = there - (int64_t)pass->now;
	char line[128];

	if (there < 0 || (off >= -SKEW_S && off <= SKEW_S))
		return 0;
	__atomic_store_n(&s->skew_s, pass->skew_s + off, __ATOMIC_RELAXED);
	(void)snprintf(line, sizeof(line),
		"s3: the clock of %.60s is %lld s off ours; signing by it",
		s->target->host, (long long)(pass->skew_s + off));
	if (s->host->debug)
		s->host->debug(s->host->ctx, line);
	return 1;
}

/* Is another try worth it? tried[] remembers what was done already. */
static bool mend(struct send *s, const struct pass *pass,
	const struct http_answer *a, const struct reply *r, bool tried[2])
{
	if (r->code != EACCES || a->status < 400)
		return false;
	if (!tried[0] && learn_clock(s, pass, a)) {
		tried[0] = true;
		return true;
	}
	if (!tried[1] && renew(s, pass) == 1) {
		tried[1] = true;
		return true;
	}
	return false;
}

static int run(struct send *s, struct pluri_call *call,
	const struct send_request *q, struct pass *pass,
	struct http_answer *ret, struct reply *ret_reply, struct pluri_err *err)
{
	char hash[SIGV4_HASH_BYTES] = SIGV4_EMPTY;
	bool tried[2] = {false, false};
	int r = 0;

	if (q->body && !s->target->sign_payload)
		memcpy(hash, SIGV4_UNSIGNED, sizeof(SIGV4_UNSIGNED));
	else if (q->body)
		r = hash_body(call, q->body, hash, err);
	while (r == 0) {
		r = make_pass(s, pass, err);
		if (r == 0)
			r = attempt(s, call, q, pass, hash, ret, err);
		if (r < 0 || (ret->status >= 200 && ret->status <= 299))
			break;
		reply_read(
			ret, strcmp(q->method, "HEAD") == 0, call, ret_reply);
		if (!mend(s, pass, ret, ret_reply, tried))
			break;
		http_answer_free(ret);
	}
	return r;
}

int send_run(struct send *s, struct pluri_call *call,
	const struct send_request *q, struct http_answer *ret,
	struct reply *ret_reply, struct pluri_err *err)
{
	struct pass *pass = calloc(1, sizeof(*pass));
	int r;

	if (!pass)
		return pluri_fail(err, ENOMEM, "no memory for a request");
	r = run(s, call, q, pass, ret, ret_reply, err);
	OPENSSL_cleanse(pass, sizeof(*pass));
	free(pass);
	return r;
}

int send_fail(const struct send *s, const struct send_request *q,
	unsigned status, const struct reply *r, struct pluri_err *err)
{
	return reply_fail(
		r, status, q->what, s->target->host, s->target->region, err);
}
