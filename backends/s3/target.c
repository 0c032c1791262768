#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "backends/s3/target.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			      "abcdefghijklmnopqrstuvwxyz0123456789";

/* An option that is one of two or three words: its index, or -EINVAL. */
static int choice(const struct pluri_host *host, const char *name,
	const char *const *words, struct pluri_err *err)
{
	const char *v = host->option(host->ctx, name);

	if (!v)
		return 0;
	for (int i = 0; words[i]; i++)
		if (strcmp(words[i], v) == 0)
			return i;
	return pluri_fail(err, EINVAL, "%s = %.40s: not one of %s, %s%s%s",
		name, v, words[0], words[1], words[2] ? ", " : "",
		words[2] ? words[2] : "");
}

static bool loopback(const char *host, size_t n)
{
	return (n == 9 && strncasecmp(host, "localhost", n) == 0) ||
	       (n > 4 && strncmp(host, "127.", 4) == 0 &&
		       strspn(host, "0123456789.") >= n) ||
	       (n == 5 && strncmp(host, "[::1]", n) == 0);
}

/* host[:port], n bytes: is it one? *ret_name: bytes of the host alone. */
static bool lawful_host(const char *s, size_t n, size_t *ret_name)
{
	size_t name = 0;
	size_t port;

	if (n > 0 && s[0] == '[') {
		name = 1 + strspn(s + 1, "0123456789abcdefABCDEF:.");
		if (name >= n || s[name] != ']')
			return false;
		name++;
	} else {
		while (name < n && s[name] &&
			(strchr(letters, s[name]) || strchr(".-_", s[name])))
			name++;
	}
	*ret_name = name;
	if (name == 0 || name == n)
		return name > 0;
	port = n - name - 1;
	return s[name] == ':' && port >= 1 && port <= 5 &&
	       strspn(s + name + 1, "0123456789") >= port;
}

/* Slashes apart, only what is never percent-encoded; no "." or ".." parts. */
static bool lawful_path(const char *s)
{
	for (const char *part = s; *s; s++) {
		if (*s == '/') {
			part = s + 1;
			continue;
		}
		if (!strchr(letters, *s) && !strchr("-_.~", *s))
			return false;
		if (*part == '.' && (s[1] == '/' || s[1] == 0) &&
			(s == part || (s == part + 1 && *s == '.')))
			return false;
	}
	return true;
}

static int judge_scheme(const char *url, const struct pluri_host *host,
	struct target *t, struct pluri_err *err)
{
	static const char *const words[] = {"no", "yes", NULL};
	const bool tls = strncmp(url, "https://", 8) == 0;
	const char *at;
	size_t n;
	const int plain = choice(host, "allow_plain_http", words, err);
	size_t name = 0;

	if (plain < 0)
		return plain;
	if (!tls && strncmp(url, "http://", 7) != 0)
		return pluri_fail(err, EINVAL,
			"url of an s3 store begins with https:// or http://");
	at = url + (tls ? 8 : 7);
	n = strcspn(at, "/");
	if (memchr(at, '@', n))
		return pluri_fail(err, EINVAL,
			"url holds a user name or password; credentials belong "
			"into the place that `credentials` names");
	if (!lawful_host(at, n, &name))
		return pluri_fail(err, EINVAL, "url has no lawful host: %.*s",
			(int)(n < 100 ? n : 100), at);
	if (!tls && !plain && !loopback(at, name))
		return pluri_fail(err, EINVAL,
			"http://%.*s would send everything unprotected; use "
			"https://, or say allow_plain_http = yes",
			(int)name, at);
	(void)snprintf(t->origin, sizeof(t->origin), "%.*s",
		(int)(at - url + (ptrdiff_t)n), url);
	t->host = t->origin + (at - url);
	t->sign_payload = !tls;
	return 0;
}

/* The next part of a path, without its slashes; "" at the end. */
static size_t part(const char **p)
{
	*p += strspn(*p, "/");
	return strcspn(*p, "/");
}

/* Walk *path past the endpoint's own part. */
static int skip_base(const char *base, const char **path, struct pluri_err *err)
{
	const char *want = base;
	size_t n;

	while ((n = part(&want)) > 0) {
		if (part(path) != n || strncmp(*path, want, n) != 0)
			return pluri_fail(err, EINVAL,
				"the url's path does not begin with base_path "
				"= %.100s",
				base);
		want += n;
		*path += n;
	}
	return 0;
}

static void add_part(char *to, const char *before, const char *p, size_t n,
	const char *after)
{
	const size_t at = strlen(to);

	(void)snprintf(to + at, TARGET_URL_MAX - at, "%s%.*s%s", before, (int)n,
		p, after);
}

static int judge_path(const char *path, const struct pluri_host *host,
	struct target *t, struct pluri_err *err)
{
	static const char *const words[] = {"path", "virtual", NULL};
	const int virt = choice(host, "addressing", words, err);
	const char *base = host->option(host->ctx, "base_path");
	const char *p = path;
	size_t n;

	if (virt < 0)
		return virt;
	if (!lawful_path(path) || (base && !lawful_path(base)))
		return pluri_fail(err, EINVAL,
			"the path of url or base_path holds other letters than "
			"A-Z a-z 0-9 - _ . ~ /");
	if (base && skip_base(base, &p, err) < 0)
		return -EINVAL;
	for (const char *q = path; q < p && (n = part(&q)) > 0 && q < p; q += n)
		add_part(t->root, "/", q, n, "");
	n = part(&p);
	if (!virt && n == 0)
		return pluri_fail(err, EINVAL,
			"url names no bucket; say %s/BUCKET, or addressing = "
			"virtual when the host does",
			t->origin);
	if (!virt) {
		add_part(t->root, "/", p, n, "");
		p += n;
	}
	while ((n = part(&p)) > 0) {
		add_part(t->prefix, "", p, n, "/");
		p += n;
	}
	if (strlen(t->prefix) > TARGET_PREFIX_MAX)
		return pluri_fail(err, EINVAL,
			"the prefix in url is longer than %u bytes",
			TARGET_PREFIX_MAX);
	return 0;
}

static int judge_region(
	const char *region, struct target *t, struct pluri_err *err)
{
	if (!region)
		region = "us-east-1";
	if (!*region || strlen(region) >= sizeof(t->region))
		return pluri_fail(err, EINVAL, "region is empty or too long");
	for (const char *p = region; *p; p++)
		if (!strchr(letters, *p) && !strchr("-_", *p))
			return pluri_fail(err, EINVAL,
				"region = %s: only letters, digits, - and _",
				region);
	(void)snprintf(t->region, sizeof(t->region), "%s", region);
	return 0;
}

int target_parse(const char *url, const struct pluri_host *host,
	struct target *ret, struct pluri_err *err)
{
	static const char *const lists[] = {"auto", "1", "2", NULL};
	static const char *const payloads[] = {
		"auto", "signed", "unsigned", NULL};
	struct target t = {.list_version = 1};
	const int list = choice(host, "list_version", lists, err);
	const int payload = choice(host, "payload", payloads, err);
	int r;

	if (list < 0 || payload < 0)
		return -EINVAL;
	/* So bounded, no part of it can overflow the parts of struct target. */
	if (strlen(url) + 8 > TARGET_URL_MAX)
		return pluri_fail(err, EINVAL, "url is too long");
	if (strcspn(url, "?#") != strlen(url))
		return pluri_fail(
			err, EINVAL, "url has a query or fragment; drop it");
	r = judge_scheme(url, host, &t, err);
	if (r == 0)
		r = judge_path(
			strchr(url, '/') + 2 + strlen(t.host), host, &t, err);
	if (r == 0)
		r = judge_region(host->option(host->ctx, "region"), &t, err);
	if (r < 0)
		return r;
	t.list_version = list == 2 ? 2 : 1;
	t.sign_payload = payload == 1 || (payload == 0 && t.sign_payload);
	t.ca_file = host->option(host->ctx, "ca_file");
	t.proxy = host->option(host->ctx, "proxy");
	*ret = t;
	ret->host = ret->origin + (t.host - t.origin);
	return 0;
}
