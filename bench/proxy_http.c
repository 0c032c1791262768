#include <string.h>
#include <strings.h>

#include "bench/proxy_http.h"

static const char *const http_names[HTTP_KINDS] = {
	"GET",
	"LIST",
	"HEAD",
	"PUT",
	"POST",
	"DELETE",
	"OTHER",
};

const char *http_name(enum http_kind kind)
{
	return http_names[kind];
}

/* "/bucket", "/bucket/", "/bucket?list-type=2": no object is named. */
static bool http_is_bucket(const char *target)
{
	const size_t bucket = strcspn(target + 1, "/? ");
	const char *rest = target + 1 + bucket;

	return rest[0] != '/' || rest[1] == '?' || rest[1] == ' ';
}

/* METHOD SP /TARGET SP HTTP/1.1 */
static int http_request(struct http *h)
{
	const size_t method = strcspn(h->line, " ");
	const char *target = h->line + method + 1;
	const char *version = strrchr(h->line, ' ');

	if (method == 0 || h->line[method] != ' ' || target[0] != '/' ||
		version <= target || strcmp(version, " HTTP/1.1") != 0)
		return -1;
	h->kind = HTTP_OTHER;
	for (int i = 0; i < HTTP_OTHER; i++)
		if (strlen(http_names[i]) == method &&
			memcmp(h->line, http_names[i], method) == 0)
			h->kind = (enum http_kind)i;
	if (h->kind == HTTP_LIST)
		h->kind = HTTP_OTHER;
	if (h->kind == HTTP_GET && http_is_bucket(target))
		h->kind = HTTP_LIST;
	h->chunked = h->sized = false;
	h->left = 0;
	h->lines = 0;
	h->state = HTTP_AT_HEAD;
	return 0;
}

static int http_digits(const char *s, unsigned int base, uint64_t *ret)
{
	static const char all[] = "0123456789abcdef";
	uint64_t n = 0;
	size_t i = 0;

	for (; s[i]; i++) {
		const char lower = s[i] >= 'A' && s[i] <= 'F'
					   ? (char)(s[i] + 'a' - 'A')
					   : s[i];
		const char *at = memchr(all, lower, base);

		if (!at || i >= 15)
			return -1;
		n = n * base + (uint64_t)(at - all);
	}
	if (i == 0)
		return -1;
	*ret = n;
	return 0;
}

/* The value of a header of that name, or NULL. */
static const char *http_value(const char *line, const char *name)
{
	const size_t len = strlen(name);

	if (strncasecmp(line, name, len) != 0 || line[len] != ':')
		return NULL;
	line += len + 1;
	return line + strspn(line, " \t");
}

static int http_header(struct http *h)
{
	const char *value = http_value(h->line, "content-length");
	uint64_t was = h->left;

	if (value) {
		if (http_digits(value, 10, &h->left) < 0 ||
			(h->sized && was != h->left))
			return -1;
		h->sized = true;
	}
	value = http_value(h->line, "transfer-encoding");
	if (value) {
		if (strcasecmp(value, "chunked") != 0)
			return -1;
		h->chunked = true;
	}
	/* what comes after such a head is not HTTP/1.1 */
	return http_value(h->line, "upgrade") ? -1 : 0;
}

/* The blank line. Both lengths at once are how requests are smuggled. */
static int http_head_ends(struct http *h, uint64_t *counts)
{
	if (h->chunked && h->sized)
		return -1;
	counts[h->kind]++;
	h->state = h->chunked ? HTTP_AT_SIZE
		   : h->left  ? HTTP_AT_BODY
			      : HTTP_AT_LINE;
	return 1;
}

static int http_size(struct http *h)
{
	h->line[strcspn(h->line, "; ")] = '\0';
	if (http_digits(h->line, 16, &h->left) < 0)
		return -1;
	h->lines = 0;
	h->state = h->left ? HTTP_AT_CHUNK : HTTP_AT_TRAILER;
	h->left += 2;
	return 0;
}

/* A line is whole, without its end: 1 when it ended a head. */
static int http_line(struct http *h, uint64_t *counts)
{
	const bool blank = h->line[0] == '\0';

	if (++h->lines > HTTP_LINES_MAX)
		return -1;
	if (h->state == HTTP_AT_LINE)
		return blank ? 0 : http_request(h);
	if (h->state == HTTP_AT_HEAD)
		return blank ? http_head_ends(h, counts) : http_header(h);
	if (h->state == HTTP_AT_SIZE)
		return http_size(h);
	if (blank) {
		h->state = HTTP_AT_LINE;
		h->lines = 0;
	}
	return 0;
}

/* Bytes of a body: how many of n belong to it. */
static size_t http_skip(struct http *h, size_t n)
{
	const size_t take = n < h->left ? n : (size_t)h->left;

	h->left -= take;
	if (h->left == 0) {
		h->state =
			h->state == HTTP_AT_CHUNK ? HTTP_AT_SIZE : HTTP_AT_LINE;
		h->lines = 0;
	}
	return take;
}

/* Bytes of a line: how many of n were taken; *ret_what as http_line. */
static size_t http_gather(struct http *h, const uint8_t *p, size_t n,
	uint64_t *counts, int *ret_what)
{
	const uint8_t *end = memchr(p, '\n', n);
	const size_t take = end ? (size_t)(end - p) : n;

	*ret_what = 0;
	if (take >= sizeof(h->line) - h->used || memchr(p, '\0', take)) {
		*ret_what = -1;
		return n;
	}
	memcpy(h->line + h->used, p, take);
	h->used += take;
	if (!end)
		return n;
	if (h->used > 0 && h->line[h->used - 1] == '\r')
		h->used--;
	h->line[h->used] = '\0';
	h->used = 0;
	*ret_what = http_line(h, counts);
	return take + 1;
}

int http_feed(struct http *h, const uint8_t *p, size_t n, uint64_t *counts)
{
	int seen = 0;

	while (n > 0 && h->state != HTTP_LOST) {
		const bool body =
			h->state == HTTP_AT_BODY || h->state == HTTP_AT_CHUNK;
		int what = 0;
		const size_t took = body ? http_skip(h, n)
					 : http_gather(h, p, n, counts, &what);

		if (what < 0) {
			h->state = HTTP_LOST;
			return -1;
		}
		seen += what;
		p += took;
		n -= took;
	}
	return seen;
}
