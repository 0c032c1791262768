#include <errno.h>
#include <stdbool.h>

#include "backends/key.h"

static bool key_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

/* A whole part between slashes; n may be 0. */
static bool key_part(const char *p, size_t n)
{
	if (n == 0 || (n == 1 && p[0] == '.'))
		return false;
	return !(n == 2 && p[0] == '.' && p[1] == '.');
}

/* Bytes of s when every part that a slash ends is lawful, else SIZE_MAX. */
static size_t key_scan(const char *s, size_t *ret_last)
{
	size_t part = 0;
	size_t n;

	for (n = 0; s[n]; n++) {
		if (n >= PLURI_OBJECT_KEY_MAX)
			return SIZE_MAX;
		if (s[n] == '/') {
			if (!key_part(s + part, n - part))
				return SIZE_MAX;
			part = n + 1;
		} else if (!key_letter(s[n])) {
			return SIZE_MAX;
		}
	}
	*ret_last = part;
	return n;
}

bool key_lawful(const char *key)
{
	size_t last = 0;
	const size_t n = key_scan(key, &last);

	return n != SIZE_MAX && key_part(key + last, n - last);
}

int key_check(const char *key, struct pluri_err *err)
{
	if (key_lawful(key))
		return 0;
	return pluri_fail(err, EINVAL,
		"\"%.64s\" is not an object key: 1 to %u of [A-Za-z0-9._/-], "
		"no empty, \".\" or \"..\" part",
		key, PLURI_OBJECT_KEY_MAX);
}

int key_check_prefix(const char *prefix, struct pluri_err *err)
{
	size_t last = 0;

	if (key_scan(prefix, &last) != SIZE_MAX)
		return 0;
	return pluri_fail(err, EINVAL,
		"\"%.64s\" is not the beginning of an object key", prefix);
}
