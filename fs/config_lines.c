#include <errno.h>
#include <ini.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fs/config_int.h"

/* A key, " = " and blanks around the longest value; inih adds 3 of its own. */
#define CONFIG_LINE_MAX (CONFIG_VALUE_MAX + 512u)

/* inih sees one line at a time, so that every callback knows its number. */
struct config_reader {
	const struct config_lines *l;
	const char *p, *end;
	unsigned line;
	int failed;
	struct pluri_err *err;
};

static pthread_once_t config_once = PTHREAD_ONCE_INIT;

/* inih is set up by globals of its own; all readers want the same. */
static void config_inih(void)
{
	ini_use_stack = false;
	ini_max_line = (int)CONFIG_LINE_MAX + 3;
	ini_initial_alloc = (int)CONFIG_LINE_MAX + 3;
	ini_allow_multiline = false;
	ini_stop_on_first_error = true;
}

/* Bytes of the UTF-8 character at p, or 0 when it is not one. */
static size_t config_utf8(const unsigned char *p, size_t left)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t c = p[0];
	size_t n = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : 4;

	if (n == 1)
		return c >= ' ' || c == '\t' ? 1 : 0;
	if (n > left || (n == 4 && c >> 3 != 30))
		return 0;
	c &= 0xffu >> (n + 1);
	for (size_t i = 1; i < n; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		c = c << 6 | (p[i] & 0x3fu);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	return n;
}

static int config_bytes(const char *p, size_t len, struct pluri_err *err)
{
	const unsigned char *u = (const unsigned char *)p;
	size_t n;

	if (len > CONFIG_LINE_MAX)
		return pluri_fail(err, EINVAL,
			"the line is %zu bytes long, the limit is %u", len,
			CONFIG_LINE_MAX);
	for (size_t i = 0; i < len; i += n) {
		n = config_utf8(u + i, len - i);
		if (n == 0)
			return pluri_fail(err, EINVAL,
				"byte 0x%02x at column %zu is not text: write "
				"UTF-8 without control characters",
				u[i], i + 1);
	}
	return 0;
}

int config_lines_fits(const char *value, struct pluri_err *err)
{
	if (strstr(value, " ;") || strstr(value, " #"))
		return pluri_fail(err, EINVAL,
			"\"%.200s\" cannot be kept: ' ;' and ' #' begin a "
			"comment",
			value);
	return config_bytes(value, strlen(value), err);
}

/* Blanks and a comment may follow the bracket, nothing else. */
static int config_tail(const char *p)
{
	p += strspn(p, " \t");
	return *p == 0 || *p == ';' || *p == '#' ? 0 : -EINVAL;
}

/* [kind] or [kind "name"]; s begins at the bracket and is taken apart. */
static int config_header(struct config_reader *r, char *s)
{
	char *kind = s + 1 + strspn(s + 1, " \t");
	char *p = kind + strcspn(kind, " \t\"]");
	char *after = p + strspn(p, " \t");
	char *name = p;

	if (*after == '"') {
		name = after + 1;
		after = strchr(name, '"');
		if (!after)
			return pluri_fail(r->err, EINVAL,
				"the section's name has no closing quote: "
				"write [store \"name\"]");
		*after++ = 0;
		after += strspn(after, " \t");
	}
	if (*after != ']' || config_tail(after + 1) < 0)
		return pluri_fail(r->err, EINVAL,
			"not a section: write [volume], [store \"name\"] or "
			"[policy \"name\"] on a line of its own");
	if (name == p)
		*after = 0;
	*p = 0;
	return r->l->section(
		r->l->arg, r->line, kind, name == p ? "" : name, r->err);
}

static int config_line(
	struct config_reader *r, char *to, const char *p, size_t len)
{
	char *start = to;
	int e;

	if (len && p[len - 1] == '\r')
		len--;
	e = config_bytes(p, len, r->err);
	if (e < 0)
		return e;
	memcpy(to, p, len);
	to[len] = 0;
	start += strspn(start, " \t");
	if (*start != '[')
		return 0;
	e = config_header(r, start);
	to[0] = 0; /* inih need not look at it, only count it */
	return e;
}

static char *config_next(char *to, int cap, void *arg)
{
	struct config_reader *r = arg;
	const char *p = r->p;
	const char *nl;

	if (p >= r->end || r->failed || cap < (int)CONFIG_LINE_MAX + 3)
		return NULL;
	nl = memchr(p, '\n', (size_t)(r->end - p));
	r->p = nl ? nl + 1 : r->end;
	r->line++;
	r->failed = config_line(r, to, p, (size_t)((nl ? nl : r->end) - p));
	if (r->failed)
		return NULL;
	strcat(to, "\n");
	return to;
}

static int config_pair(
	void *arg, const char *section, const char *name, const char *value)
{
	struct config_reader *r = arg;

	(void)section; /* ours are judged by config_header() */
	if (strlen(value) > CONFIG_VALUE_MAX)
		r->failed = pluri_fail(r->err, EINVAL,
			"the value of %.64s is %zu bytes long, the limit is %u",
			name, strlen(value), CONFIG_VALUE_MAX);
	else if (value[0] == ';' || value[0] == '#')
		r->failed = pluri_fail(r->err, EINVAL,
			"%.64s: a value cannot begin with '%c'; a comment "
			"behind one is ' ;' and what follows",
			name, value[0]);
	else if ((strstr(value, " #") || strstr(value, "\t#")) &&
		 !strstr(value, "command:"))
		r->failed = pluri_fail(r->err, EINVAL,
			"a comment behind a value begins with ';', not '#'");
	else
		r->failed =
			r->l->value(r->l->arg, r->line, name, value, r->err);
	return r->failed == 0;
}

int config_lines_read(const struct config_lines *l, const char *text,
	size_t len, struct pluri_err *err)
{
	struct pluri_err own;
	struct config_reader r = {l, text, text + len, 0, 0, err ? err : &own};
	int n;

	if (len > CONFIG_FILE_MAX)
		return pluri_fail(err, EINVAL,
			"%s is larger than the limit of %u KiB", l->file,
			CONFIG_FILE_MAX >> 10);
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		r.p += 3;
	(void)pthread_once(&config_once, config_inih);
	n = ini_parse_stream(config_next, &r, config_pair, &r);
	if (n < 0)
		return pluri_fail(
			err, ENOMEM, "%s: no memory to read it", l->file);
	if (n > 0 && !r.failed)
		r.failed = pluri_fail(
			r.err, EINVAL, "neither [section] nor key = value");
	if (!r.failed && r.p < r.end)
		return pluri_fail(err, EINVAL, "%s:%u: cannot be read further",
			l->file, r.line + 1);
	if (r.failed)
		return pluri_where(r.err, "%s:%u", l->file, r.line);
	return 0;
}
