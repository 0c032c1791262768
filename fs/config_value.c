#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/text.h"

#include "fs/config_int.h"

/* Names become parts of paths and object keys. */
int config_value_name(
	const char *v, char to[PLURI_NAME_MAX + 1], struct pluri_err *err)
{
	const size_t n = strlen(v);

	if (n == 0 || n > PLURI_NAME_MAX)
		return pluri_fail(err, EINVAL,
			"\"%.80s\" is not a name: write 1 to %u characters", v,
			PLURI_NAME_MAX);
	if (strspn(v, "abcdefghijklmnopqrstuvwxyz0123456789._-") != n ||
		v[0] == '.' || v[0] == '-')
		return pluri_fail(err, EINVAL,
			"\"%s\" is not a name: use a-z, 0-9, '.', '_' and '-', "
			"and begin with a letter or digit",
			v);
	memcpy(to, v, n + 1);
	return 0;
}

/* Labels are only compared and shown. */
int config_value_label(
	const char *v, char to[PLURI_NAME_MAX + 1], struct pluri_err *err)
{
	if (*v == 0)
		return pluri_fail(err, EINVAL, "a value is missing");
	return config_value_copy(v, to, PLURI_NAME_MAX + 1, err);
}

int config_value_copy(
	const char *v, char *to, size_t cap, struct pluri_err *err)
{
	const size_t n = strlen(v);

	if (n >= cap)
		return pluri_fail(err, EINVAL,
			"\"%.40s...\" is %zu bytes long, the limit is %zu", v,
			n, cap - 1);
	memcpy(to, v, n + 1);
	return 0;
}

int config_value_ref(
	const char *v, char to[CONFIG_VALUE_MAX + 1], struct pluri_err *err)
{
	static const char *const kinds[] = {"file:", "env:", "command:"};

	for (unsigned i = 0; i < 3; i++) {
		const size_t n = strlen(kinds[i]);

		if (strncmp(v, kinds[i], n) == 0 && v[n] != 0)
			return config_value_copy(
				v, to, CONFIG_VALUE_MAX + 1, err);
	}
	/* The value is not shown: it may be the secret itself. */
	return pluri_fail(err, EINVAL,
		"secrets are never in this file: refer to one by file:PATH, "
		"env:NAME or command:CMD");
}

int config_value_size(const char *v, uint64_t least, uint64_t most,
	uint64_t *ret, struct pluri_err *err)
{
	char a[TEXT_SIZE_MAX];
	char b[TEXT_SIZE_MAX];
	uint64_t n = 0;
	int r;

	r = text_size(v, &n, err);
	if (r < 0)
		return r;
	if (n < least || n > most)
		return pluri_fail(err, EINVAL,
			"\"%s\" is out of bounds: %s to %s", v,
			text_bytes(least, a), text_bytes(most, b));
	*ret = n;
	return 0;
}

static uint64_t config_unit_ms(const char *unit)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};

	for (unsigned i = 0; i < 4; i++)
		if (strcmp(unit, units[i].name) == 0)
			return units[i].ms;
	return 0;
}

int config_value_ms(const char *v, uint32_t least, uint32_t most, uint32_t *ret,
	struct pluri_err *err)
{
	uint64_t n = 0;
	uint64_t unit;
	const char *p = v;

	for (; isdigit((unsigned char)*p) && n <= UINT32_MAX; p++)
		n = n * 10 + (uint64_t)(*p - '0');
	unit = config_unit_ms(p + strspn(p, " "));
	if (p == v || unit == 0)
		return pluri_fail(err, EINVAL,
			"\"%.80s\" is not a duration: write digits and ms, s, "
			"m or h",
			v);
	if (n * unit < least || n * unit > most)
		return pluri_fail(err, EINVAL,
			"\"%.80s\" is out of bounds: %u ms to %u s", v, least,
			most / 1000);
	*ret = (uint32_t)(n * unit);
	return 0;
}

int config_value_word(
	const char *v, const char *const *words, struct pluri_err *err)
{
	const char *near = text_nearest(v, words);
	char all[256] = "";
	size_t n = 0;

	for (unsigned i = 0; words[i]; i++)
		if (strcmp(v, words[i]) == 0)
			return (int)i;
	for (unsigned i = 0; words[i] && n < sizeof(all); i++)
		n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s",
			i ? ", " : "", words[i]);
	return pluri_fail(err, EINVAL, "\"%.80s\" is not one of %s%s%s%s", v,
		all, near ? "; did you mean \"" : "", near ? near : "",
		near ? "\"?" : "");
}

bool config_value_typo(const char *a, const char *b)
{
	size_t n = strlen(a);
	size_t m = strlen(b);

	for (; n && m && *a == *b; a++, b++, n--, m--)
		;
	for (; n && m && a[n - 1] == b[m - 1]; n--, m--)
		;
	if (n == 2 && m == 2)
		return a[0] == b[1] && a[1] == b[0];
	return n <= 1 && m <= 1 && n + m > 0;
}
