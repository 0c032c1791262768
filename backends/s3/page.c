#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backends/key.h"

#include "backends/s3/page.h"
#include "backends/s3/xml.h"

#define ANSWER_BYTES_MAX (8u << 20)

/* What the keys of an answer go through. */
struct sieve {
	const char *want; /* what every key must begin with */
	size_t strip; /* bytes of the store's own prefix */
	struct pluri_page *page; /* NULL while the answer is judged */
	bool stray; /* a key outside of what was asked for */
};

static int sift(void *arg, const char *key, uint64_t size)
{
	struct sieve *v = arg;

	v->stray = strncmp(key, v->want, strlen(v->want)) != 0;
	if (v->stray)
		return -EBADMSG;
	if (!v->page || !key_lawful(key + v->strip))
		return 0;
	return v->page->each(v->page->arg, key + v->strip, size);
}

/* The query, its names in order: the signature wants them so. */
static int query_of(const struct target *t, const char *want, const char *token,
	struct buf *to)
{
	const bool v2 = t->list_version == 2;
	int bad = 0;

	if (token[0]) {
		bad |= buf_str(to, v2 ? "continuation-token=" : "marker=") < 0;
		bad |= http_encode(to, token, false) < 0;
		bad |= buf_str(to, "&") < 0;
	}
	bad |= buf_fmt(to, "%smax-keys=%u", v2 ? "list-type=2&" : "",
		       PAGE_KEYS_MAX) < 0;
	bad |= buf_str(to, "&prefix=") < 0;
	bad |= http_encode(to, want, false) < 0;
	return bad ? -ENOMEM : 0;
}

/* Where the next page begins. It must lie behind this one, or a server that
 * turns in circles would be listed for ever. */
static int next_of(const struct target *t, const char *token,
	const struct xml_page *x, char to[PLURI_TOKEN_MAX],
	struct pluri_err *err)
{
	const bool v2 = t->list_version == 2;
	const char *next = x->next[0] || v2 ? x->next : x->last;
	const int order = strcmp(next, token);

	if (!x->truncated) {
		to[0] = 0;
		return 0;
	}
	if (!next[0] || strlen(next) >= PLURI_TOKEN_MAX)
		return pluri_fail(err, EBADMSG,
			"list: truncated, without saying where to go on");
	if (v2 ? order == 0 : order <= 0)
		return pluri_fail(err, EBADMSG,
			"list: the next page would not lie behind this one");
	memcpy(to, next, strlen(next) + 1);
	return 0;
}

static int judge(const struct target *t, const struct buf *text,
	struct sieve *v, struct pluri_page *page, struct pluri_err *err)
{
	const struct pluri_span doc = {text->data, text->len};
	char next[PLURI_TOKEN_MAX];
	struct xml_page x = {.keys = 0};
	int r = xml_list(doc, sift, v, &x, err);

	if (v->stray)
		r = pluri_fail(err, EBADMSG,
			"list: a key without the prefix asked for");
	if (r == 0 && x.keys > PAGE_KEYS_MAX)
		r = pluri_fail(err, EBADMSG, "list: more keys than asked for");
	if (r == 0)
		r = next_of(t, page->token, &x, next, err);
	if (r < 0)
		return r;
	v->page = page;
	r = xml_list(doc, sift, v, &x, NULL);
	if (r != 0)
		return r;
	memcpy(page->token, next, sizeof(next));
	return 0;
}

static int ask(struct send *s, struct pluri_call *call, const char *query,
	struct buf *text, struct pluri_err *err)
{
	const struct send_request q = {
		.what = "list", .method = "GET", .query = query, .text = text};
	struct http_answer a;
	struct reply reply;
	int r = send_run(s, call, &q, &a, &reply, err);

	if (r < 0)
		return r;
	if (a.status > 299 ||
		reply_read_ok((struct pluri_span){text->data, text->len},
			&reply) == 0)
		r = send_fail(s, &q, a.status, &reply, err);
	else if (a.status != 200)
		r = pluri_fail(err, EBADMSG, "list: odd status %u", a.status);
	http_answer_free(&a);
	return r;
}

int page_list(struct send *s, const struct target *target,
	struct pluri_call *call, const char *prefix, struct pluri_page *page,
	struct pluri_err *err)
{
	char want[TARGET_URL_MAX + PLURI_OBJECT_KEY_MAX];
	struct sieve v = {.want = want, .strip = strlen(target->prefix)};
	struct buf query;
	struct buf text;
	int r;

	(void)snprintf(want, sizeof(want), "%s%s", target->prefix, prefix);
	buf_init(&query, 16384);
	buf_init(&text, ANSWER_BYTES_MAX);
	r = query_of(target, want, page->token, &query);
	if (r < 0)
		r = pluri_fail(err, ENOMEM, "no memory for a listing");
	if (r == 0)
		r = ask(s, call, buf_text(&query), &text, err);
	if (r == 0)
		r = judge(target, &text, &v, page, err);
	buf_free(&query);
	buf_free(&text);
	return r;
}
