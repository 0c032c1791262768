#include <errno.h>
#include <stdlib.h>

#include "base/own.h"

#include "backends/conformance_case.h"

/* What a listing told. */
struct conformance_seen {
	char last[CONFORMANCE_KEY_ROOM];
	unsigned n;
	unsigned disorder; /* keys that did not follow the one before */
	unsigned sizes; /* that were wrong, by want_size */
	uint64_t want_size;
	unsigned *count; /* of "k-NUMBER" keys; may be NULL */
	unsigned numbers;
};

static int conformance_see(void *arg, const char *key, uint64_t size)
{
	struct conformance_seen *v = arg;
	const char *digits = strstr(key, "/k-");

	v->disorder += v->n > 0 && strcmp(key, v->last) <= 0;
	v->sizes += size != v->want_size;
	(void)snprintf(v->last, sizeof(v->last), "%s", key);
	v->n++;
	if (v->count && digits) {
		const unsigned long i = strtoul(digits + 3, NULL, 10);

		if (i < v->numbers)
			v->count[i]++;
	}
	return 0;
}

static int conformance_expect(struct conformance_suite *s, const char *prefix,
	unsigned keys, uint64_t size, struct pluri_err *err)
{
	struct conformance_seen v = {.want_size = size};
	int r;

	r = conformance_list(s, prefix, 1000, conformance_see, &v, err);
	if (r < 0)
		return r;
	if (v.n != keys)
		return pluri_fail(err, EBADMSG,
			"list of \"%.100s\": %u keys instead of %u", prefix,
			v.n, keys);
	if (v.sizes)
		return pluri_fail(err, EBADMSG,
			"list of \"%.100s\": %u sizes are wrong", prefix,
			v.sizes);
	if (s->limits.caps & PLURI_CAP_SORTED && v.disorder)
		return pluri_fail(err, EBADMSG,
			"list of \"%.100s\": %u keys out of order", prefix,
			v.disorder);
	return 0;
}

static int conformance_nothing(
	struct conformance_suite *s, struct pluri_err *err)
{
	char key[CONFORMANCE_KEY_ROOM];

	return conformance_expect(
		s, conformance_key(s, "nothing/", key), 0, 0, err);
}

static int conformance_prefixes(
	struct conformance_suite *s, struct pluri_err *err)
{
	/* '-' and '.' sort before '/', '0' behind it */
	static const char *const names[] = {"pre/a-x", "pre/a.x", "pre/a/x",
		"pre/a/y/z", "pre/a0", "pre/ab", "pre/b/x", "prf"};
	static const struct {
		const char *prefix;
		unsigned keys;
	} want[] = {{"pre/", 7}, {"pre/a", 6}, {"pre/a/", 2}, {"pre/ab", 1},
		{"pre/a/y/z", 1}, {"pre/c", 0}, {"pre", 7}, {"pr", 8},
		{"pre/a/x/", 0}};
	char key[CONFORMANCE_KEY_ROOM];
	int r = 0;

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (r == 0)
			r = conformance_put(s,
				conformance_key(s, names[i], key), 30, 17,
				PLURI_PUT_NEW, 0, err);
	for (unsigned i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		if (r == 0)
			r = conformance_expect(s,
				conformance_key(s, want[i].prefix, key),
				want[i].keys, 17, err);
	return r;
}

static int conformance_halt(void *arg, const char *key, uint64_t size)
{
	unsigned *n = arg;

	(void)key;
	(void)size;
	return ++*n == 3 ? -EINTR : 0;
}

static int conformance_stop(struct conformance_suite *s, struct pluri_err *err)
{
	struct pluri_call call = conformance_call(s);
	unsigned n = 0;
	struct pluri_page page = {.each = conformance_halt, .arg = &n};
	struct pluri_err story = {0};
	char key[CONFORMANCE_KEY_ROOM];
	int r;

	/* of the case before */
	(void)conformance_key(s, "pre/", key);
	r = s->c->ops->list(s->b, &call, key, &page, &story);
	r = conformance_want(
		r, -EINTR, "list stopped by its reader", &story, err);
	if (r == 0 && n != 3)
		r = pluri_fail(err, EBADMSG,
			"list went on for %u keys after it was stopped", n - 3);
	return r;
}

static int conformance_bad_prefix(
	struct conformance_suite *s, struct pluri_err *err)
{
	struct pluri_call call = conformance_call(s);
	struct conformance_seen v = {0};
	struct pluri_page page = {.each = conformance_see, .arg = &v};
	struct pluri_err story = {0};
	int r;

	r = conformance_put(s, s->prefix, 0, 0, PLURI_PUT_NEW, -EINVAL, err);
	if (r < 0)
		return r;
	r = s->c->ops->list(s->b, &call, "a//", &page, &story);
	return conformance_want(
		r, -EINVAL, "list of an unlawful prefix", &story, err);
}

static int conformance_fill(struct conformance_suite *s, void *arg, unsigned i,
	struct pluri_err *err)
{
	const char *letter = arg;
	char name[64];
	char key[CONFORMANCE_KEY_ROOM];

	(void)snprintf(
		name, sizeof(name), "many/%02x/%s-%u", i % 16, letter, i);
	return conformance_put(
		s, conformance_key(s, name, key), i, 3, PLURI_PUT_NEW, 0, err);
}

/* Every one of the keys told exactly once? */
static int conformance_once(
	const unsigned *count, unsigned n, struct pluri_err *err)
{
	for (unsigned i = 0; i < n; i++)
		if (count[i] != 1)
			return pluri_fail(err, EBADMSG,
				"list of %u keys: number %u was told %u times",
				n, i, count[i]);
	return 0;
}

static int conformance_pages(struct conformance_suite *s, struct pluri_err *err)
{
	pluri_auto_mem unsigned *count = calloc(s->keys, sizeof(*count));
	struct conformance_seen v = {.count = count, .numbers = s->keys};
	const unsigned pages = s->keys * 4 + 10;
	char key[CONFORMANCE_KEY_ROOM];
	char letter[] = "k";
	int r;

	if (!count)
		return pluri_fail(err, ENOMEM, "out of memory");
	r = conformance_crowd(s, s->keys, letter, conformance_fill, err);
	if (r == 0)
		r = conformance_list(s, conformance_key(s, "many/", key), pages,
			conformance_see, &v, err);
	if (r == 0)
		r = conformance_once(count, s->keys, err);
	if (r == 0 && s->limits.caps & PLURI_CAP_SORTED && v.disorder)
		r = pluri_fail(
			err, EBADMSG, "list: %u keys out of order", v.disorder);
	return r;
}

static int conformance_page_size(
	struct conformance_suite *s, struct pluri_err *err)
{
	struct conformance_seen v = {0};
	struct pluri_page page = {.each = conformance_see, .arg = &v};
	struct pluri_call call = conformance_call(s);
	struct pluri_err story = {0};
	char key[CONFORMANCE_KEY_ROOM];
	int r;

	(void)conformance_key(s, "many/", key);
	r = s->c->ops->list(s->b, &call, key, &page, &story);
	r = conformance_want(r, 0, "list", &story, err);
	if (r == 0 && v.n > s->limits.list_page)
		r = pluri_fail(err, EBADMSG,
			"a page of %u keys, limits() says %u", v.n,
			s->limits.list_page);
	return r;
}

#define BUSY_LISTS 4u

struct conformance_busy {
	unsigned *count; /* BUSY_LISTS times keys */
};

/* The first of the crowd's tasks list, the others put. */
static int conformance_mix(struct conformance_suite *s, void *arg, unsigned i,
	struct pluri_err *err)
{
	const struct conformance_busy *busy = arg;
	char letter[] = "n";
	char key[CONFORMANCE_KEY_ROOM];

	if (i < BUSY_LISTS) {
		struct conformance_seen v = {.numbers = s->keys,
			.count = busy->count + (size_t)i * s->keys};

		return conformance_list(s, conformance_key(s, "many/", key),
			s->keys * 4 + 10, conformance_see, &v, err);
	}
	return conformance_fill(s, letter, i, err);
}

static int conformance_during(
	struct conformance_suite *s, struct pluri_err *err)
{
	struct conformance_busy busy;
	pluri_auto_mem unsigned *count =
		calloc(BUSY_LISTS * s->keys, sizeof(*count));
	int r;

	if (!count)
		return pluri_fail(err, ENOMEM, "out of memory");
	busy.count = count;
	r = conformance_crowd(
		s, s->keys / 4 + BUSY_LISTS, &busy, conformance_mix, err);
	for (unsigned i = 0; i < BUSY_LISTS && r == 0; i++)
		r = conformance_once(count + (size_t)i * s->keys, s->keys, err);
	return r;
}

const struct conformance_case conformance_lists[] = {
	{"list__nothing_there__is_empty", conformance_nothing},
	{"list__prefixes__exactly_theirs", conformance_prefixes},
	{"list__reader_stops__its_code", conformance_stop},
	{"list__unlawful_prefix__refused", conformance_bad_prefix},
	{"list__many_pages__every_key_once", conformance_pages},
	{"list__one_page__not_above_its_limit", conformance_page_size},
	{"list__during_puts__old_keys_all_there", conformance_during},
	{NULL, NULL},
};
