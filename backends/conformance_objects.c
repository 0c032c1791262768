#include <errno.h>

#include "backends/conformance_case.h"

#define OBJECT_BYTES 1000u
#define LARGE_BYTES (5u << 20)

static int conformance_limits(
	struct conformance_suite *s, struct pluri_err *err)
{
	if (s->limits.object_max < LARGE_BYTES)
		return pluri_fail(err, EBADMSG,
			"limits: objects of %llu bytes at most",
			(unsigned long long)s->limits.object_max);
	if (s->limits.concurrency == 0 || s->limits.list_page == 0)
		return pluri_fail(err, EBADMSG,
			"limits: concurrency %u, list_page %u",
			s->limits.concurrency, s->limits.list_page);
	return 0;
}

static int conformance_boundaries(
	struct conformance_suite *s, struct pluri_err *err)
{
	static const uint64_t offs[] = {
		0, 1, 499, 998, 999, 1000, 1001, UINT64_C(1) << 40};
	static const size_t caps[] = {1, 2, 500, 999, 1000, 1001, 4096};
	char key[CONFORMANCE_KEY_ROOM];
	int r;

	(void)conformance_key(s, "object/boundaries", key);
	r = conformance_put(s, key, 1, OBJECT_BYTES, PLURI_PUT_NEW, 0, err);
	for (unsigned i = 0; i < sizeof(offs) / sizeof(offs[0]); i++)
		for (unsigned j = 0; j < sizeof(caps) / sizeof(caps[0]); j++) {
			const struct conformance_range g = {
				1, OBJECT_BYTES, offs[i], caps[j]};

			if (r == 0)
				r = conformance_get(s, key, &g, err);
		}
	return r;
}

static int conformance_size(struct conformance_suite *s, struct pluri_err *err)
{
	struct pluri_call call = conformance_call(s);
	struct pluri_room room = {.len = 99};
	struct pluri_err story = {0};
	char key[CONFORMANCE_KEY_ROOM];
	uint64_t size = 0;
	int r;

	(void)conformance_key(s, "object/size", key);
	r = conformance_put(s, key, 2, OBJECT_BYTES, PLURI_PUT_NEW, 0, err);
	if (r < 0)
		return r;
	r = s->c->ops->get(s->b, &call, key, 0, &room, &size, &story);
	r = conformance_want(r, 0, "get without room", &story, err);
	if (r == 0 && (size != OBJECT_BYTES || room.len != 0))
		r = pluri_fail(err, EBADMSG,
			"get without room: size %llu, %zu bytes",
			(unsigned long long)size, room.len);
	return r;
}

static int conformance_empty(struct conformance_suite *s, struct pluri_err *err)
{
	const struct conformance_range none = {3, 0, 0, 0};
	const struct conformance_range some = {3, 0, 0, 10};
	const struct conformance_range behind = {3, 0, 5, 10};
	char key[CONFORMANCE_KEY_ROOM];
	int r;

	(void)conformance_key(s, "object/empty", key);
	r = conformance_put(s, key, 3, 0, PLURI_PUT_NEW, 0, err);
	if (r == 0)
		r = conformance_get(s, key, &none, err);
	if (r == 0)
		r = conformance_get(s, key, &some, err);
	return r < 0 ? r : conformance_get(s, key, &behind, err);
}

static int conformance_large(struct conformance_suite *s, struct pluri_err *err)
{
	static const struct conformance_range ranges[] = {
		{4, LARGE_BYTES, 0, LARGE_BYTES},
		{4, LARGE_BYTES, LARGE_BYTES - 1, 100},
		{4, LARGE_BYTES, (1 << 20) - 7, 65536},
		{4, LARGE_BYTES, 1 << 20, 3 << 20},
	};
	char key[CONFORMANCE_KEY_ROOM];
	int r;

	(void)conformance_key(s, "object/large", key);
	r = conformance_put(s, key, 4, LARGE_BYTES, PLURI_PUT_NEW, 0, err);
	for (unsigned i = 0; i < 4 && r == 0; i++)
		r = conformance_get(s, key, &ranges[i], err);
	return r;
}

static int conformance_new_twice(
	struct conformance_suite *s, struct pluri_err *err)
{
	const struct conformance_range first = {5, 300, 0, 4096};
	char key[CONFORMANCE_KEY_ROOM];
	int r;

	(void)conformance_key(s, "object/new", key);
	r = conformance_put(s, key, 5, 300, PLURI_PUT_NEW, 0, err);
	if (r == 0)
		r = conformance_put(
			s, key, 6, 500, PLURI_PUT_NEW, -EEXIST, err);
	return r < 0 ? r : conformance_get(s, key, &first, err);
}

static int conformance_again(struct conformance_suite *s, struct pluri_err *err)
{
	const struct conformance_range same = {7, 300, 0, 4096};
	char key[CONFORMANCE_KEY_ROOM];
	int r;

	(void)conformance_key(s, "object/again", key);
	r = conformance_put(s, key, 7, 300, 0, 0, err);
	if (r == 0)
		r = conformance_put(s, key, 7, 300, 0, 0, err);
	return r < 0 ? r : conformance_get(s, key, &same, err);
}

static int conformance_rival(struct conformance_suite *s, void *arg, unsigned i,
	struct pluri_err *err)
{
	struct pluri_call call = conformance_call(s);
	struct pluri_err story = {0};
	struct conformance_body b;
	char key[CONFORMANCE_KEY_ROOM];
	int *winner = arg;
	int r;

	conformance_body(&b, 100 + i, OBJECT_BYTES + i);
	r = s->c->ops->put(s->b, &call, conformance_key(s, "object/race", key),
		&b.body, PLURI_PUT_NEW, &story);
	if (r == -EEXIST)
		return 0;
	r = conformance_want(r, 0, "put in a race", &story, err);
	if (r == 0 &&
		__atomic_exchange_n(winner, (int)i, __ATOMIC_ACQ_REL) >= 0)
		return pluri_fail(err, EBADMSG,
			"two of %u puts of one new key succeeded",
			CONFORMANCE_CROWD);
	return r;
}

static int conformance_race(struct conformance_suite *s, struct pluri_err *err)
{
	struct conformance_range g = {.cap = 4096};
	char key[CONFORMANCE_KEY_ROOM];
	int winner = -1;
	int r;

	if (!(s->limits.caps & PLURI_CAP_NEW))
		return pluri_fail(err, ENOSYS, "no PLURI_CAP_NEW");
	r = conformance_crowd(
		s, CONFORMANCE_CROWD, &winner, conformance_rival, err);
	if (r < 0)
		return r;
	if (winner < 0)
		return pluri_fail(
			err, EBADMSG, "nobody won a race for a new key");
	g.seed = 100 + (unsigned)winner;
	g.size = OBJECT_BYTES + (unsigned)winner;
	return conformance_get(
		s, conformance_key(s, "object/race", key), &g, err);
}

static int conformance_del_twice(
	struct conformance_suite *s, struct pluri_err *err)
{
	char key[CONFORMANCE_KEY_ROOM];
	int r;

	(void)conformance_key(s, "object/del", key);
	r = conformance_put(s, key, 8, 10, PLURI_PUT_NEW, 0, err);
	if (r == 0)
		r = conformance_del(s, key, 0, err);
	if (r == 0)
		r = conformance_absent(s, key, err);
	return r < 0 ? r : conformance_del(s, key, 0, err);
}

static int conformance_missing(
	struct conformance_suite *s, struct pluri_err *err)
{
	char key[CONFORMANCE_KEY_ROOM];
	int r;

	r = conformance_absent(
		s, conformance_key(s, "no/such/object", key), err);
	if (r == 0)
		r = conformance_absent(s, conformance_key(s, "no", key), err);
	return r;
}

static int conformance_flags(struct conformance_suite *s, struct pluri_err *err)
{
	char key[CONFORMANCE_KEY_ROOM];
	int r;

	(void)conformance_key(s, "object/flags", key);
	r = conformance_put(s, key, 9, 10, 0x40000000u, -ENOTSUP, err);
	return r < 0 ? r : conformance_absent(s, key, err);
}

static int conformance_letters(
	struct conformance_suite *s, struct pluri_err *err)
{
	static const char name[] =
		"keys/abcdefghijklmnopqrstuvwxyz/"
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ/0123456789._-/-_./...";
	const struct conformance_range g = {10, 10, 0, 4096};
	char key[CONFORMANCE_KEY_ROOM];
	int r;

	(void)conformance_key(s, name, key);
	r = conformance_put(s, key, 10, 10, PLURI_PUT_NEW, 0, err);
	return r < 0 ? r : conformance_get(s, key, &g, err);
}

static int conformance_longest(
	struct conformance_suite *s, struct pluri_err *err)
{
	const struct conformance_range g = {11, 10, 0, 4096};
	char key[CONFORMANCE_KEY_ROOM];
	int r;

	(void)conformance_key(s, "keys/", key);
	for (size_t i = strlen(key); i < PLURI_OBJECT_KEY_MAX; i++)
		key[i] = i % 100 == 99 && i != PLURI_OBJECT_KEY_MAX - 1 ? '/'
									: 'k';
	key[PLURI_OBJECT_KEY_MAX] = 0;
	r = conformance_put(s, key, 11, 10, PLURI_PUT_NEW, 0, err);
	if (r == 0)
		r = conformance_get(s, key, &g, err);
	return r < 0 ? r : conformance_del(s, key, 0, err);
}

/* As put, get, del and list see an unlawful key. */
static int conformance_refuse(
	struct conformance_suite *s, const char *key, struct pluri_err *err)
{
	struct pluri_call call = conformance_call(s);
	struct pluri_err story = {0};
	uint8_t byte;
	struct pluri_room room = {.data = &byte, .cap = 1};
	char what[64];
	int r;

	(void)snprintf(what, sizeof(what), "get of \"%.40s\"", key);
	r = s->c->ops->get(s->b, &call, key, 0, &room, NULL, &story);
	r = conformance_want(r, -EINVAL, what, &story, err);
	if (r == 0)
		r = conformance_put(s, key, 12, 1, PLURI_PUT_NEW, -EINVAL, err);
	return r < 0 ? r : conformance_del(s, key, -EINVAL, err);
}

static int conformance_unlawful(
	struct conformance_suite *s, struct pluri_err *err)
{
	static const char *const keys[] = {"", "/", "/a", "a/", "a//b", "..",
		".", "a/../b", "./a", "a b", "a?b", "a%2fb", "a\\b", "a\nb",
		"\xc3\xa9"};
	char key[PLURI_OBJECT_KEY_MAX + 2];
	int r = 0;

	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]) && r == 0; i++)
		r = conformance_refuse(s, keys[i], err);
	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = 0;
	return r < 0 ? r : conformance_refuse(s, key, err);
}

const struct conformance_case conformance_objects[] = {
	{"limits__asked__make_sense", conformance_limits},
	{"get__every_boundary__right_bytes", conformance_boundaries},
	{"get__without_room__tells_size", conformance_size},
	{"put__zero_bytes__is_an_object", conformance_empty},
	{"put__5_mib__right_bytes", conformance_large},
	{"put_new__twice__second_refused_first_kept", conformance_new_twice},
	{"put__same_bytes_again__fine", conformance_again},
	{"put_new__8_at_once__exactly_one_wins", conformance_race},
	{"del__twice__fine_and_gone", conformance_del_twice},
	{"get__missing__enoent", conformance_missing},
	{"put__unknown_flags__refused", conformance_flags},
	{"key__every_lawful_letter__taken", conformance_letters},
	{"key__432_bytes__taken", conformance_longest},
	{"key__unlawful__refused_by_all", conformance_unlawful},
	{NULL, NULL},
};
