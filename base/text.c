#include <ctype.h>
#include <errno.h>

#include "base/text.h"

static int text_unit(const char *s, unsigned *ret_shift)
{
	static const char units[] = "KMGTP";
	const char *u;

	*ret_shift = 0;
	if (*s == 0 || (s[0] == 'B' && s[1] == 0))
		return 0;
	u = strchr(units, toupper((unsigned char)*s));
	if (!u || *u == 0)
		return -EINVAL;
	s++;
	if (*s == 'i')
		s++;
	if (*s == 'B')
		s++;
	*ret_shift = 10u * (unsigned)(u - units + 1);
	return *s ? -EINVAL : 0;
}

int text_size(const char *s, uint64_t *ret_bytes, struct pluri_err *err)
{
	const char *p = s;
	uint64_t whole = 0;
	uint64_t part = 0; /* thousandths */
	uint64_t scale = 1000;
	unsigned shift;

	if (!isdigit((unsigned char)*p))
		return pluri_fail(err, EINVAL,
			"\"%s\" is not a size: write "
			"digits and K, M, G, T or P",
			s);
	for (; isdigit((unsigned char)*p); p++) {
		if (whole > (UINT64_MAX >> 4) / 10)
			return pluri_fail(
				err, EINVAL, "\"%s\" is too large", s);
		whole = whole * 10 + (uint64_t)(*p - '0');
	}
	if (*p == '.' && isdigit((unsigned char)p[1]))
		for (p++; isdigit((unsigned char)*p); p++) {
			scale /= 10;
			part += scale * (uint64_t)(*p - '0');
		}
	while (*p == ' ')
		p++;
	/* Parts of a byte are a unit forgotten */
	if (text_unit(p, &shift) < 0 || (scale < 1000 && shift == 0))
		return pluri_fail(err, EINVAL,
			"\"%s\" is not a size: write "
			"digits and K, M, G, T or P",
			s);
	if (shift && whole >> (62 - shift))
		return pluri_fail(err, EINVAL, "\"%s\" is too large", s);
	*ret_bytes = (whole << shift) + ((part << shift) / 1000);
	return 0;
}

int text_uint(const char *s, uint64_t max, uint64_t *ret, struct pluri_err *err)
{
	uint64_t v = 0;

	if (*s == 0)
		return pluri_fail(err, EINVAL, "a number is missing");
	for (const char *p = s; *p; p++) {
		const uint64_t d = (uint64_t)(*p - '0');

		if (!isdigit((unsigned char)*p))
			return pluri_fail(
				err, EINVAL, "\"%s\" is not a number", s);
		if (d > max || v > (max - d) / 10)
			return pluri_fail(err, EINVAL,
				"%s is above the limit of %llu", s,
				(unsigned long long)max);
		v = v * 10 + d;
	}
	*ret = v;
	return 0;
}

const char *text_bytes(uint64_t bytes, char to[TEXT_SIZE_MAX])
{
	static const char *const units[] = {
		"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double v = (double)bytes;
	unsigned u = 0;

	/* From 1023.95 on a unit would be rounded to 1024.0 of it */
	while (v >= (u ? 1023.95 : 1024) && u < 6) {
		v /= 1024;
		u++;
	}
	(void)snprintf(
		to, TEXT_SIZE_MAX, u ? "%.1f %s" : "%.0f %s", v, units[u]);
	return to;
}

const char *text_hex(const void *data, size_t len, char *to)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++) {
		to[2 * i] = digits[p[i] >> 4];
		to[2 * i + 1] = digits[p[i] & 15];
	}
	to[2 * len] = 0;
	return to;
}

static int text_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int text_unhex(const char *s, void *to, size_t len)
{
	uint8_t *p = to;

	if (strlen(s) != 2 * len)
		return -EINVAL;
	for (size_t i = 0; i < 2 * len; i++)
		if (text_digit(s[i]) < 0)
			return -EINVAL;
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(text_digit(s[2 * i]) << 4 |
				 text_digit(s[2 * i + 1]));
	return 0;
}

#define TEXT_FAR 64u

/* Levenshtein distance of words below TEXT_FAR bytes; longer ones are far. */
static unsigned text_distance(const char *a, const char *b)
{
	unsigned row[TEXT_FAR];
	const size_t n = strlen(b);

	if (n >= TEXT_FAR || strlen(a) >= TEXT_FAR)
		return TEXT_FAR;
	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1]; i++) {
		unsigned diag = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= n; j++) {
			const unsigned up = row[j];
			unsigned best = diag + (a[i - 1] != b[j - 1]);

			if (up + 1 < best)
				best = up + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diag = up;
			row[j] = best;
		}
	}
	return row[n];
}

const char *text_nearest(const char *word, const char *const *list)
{
	const char *best = NULL;
	unsigned least = (unsigned)strlen(word) / 3 + 2;

	for (; *list; list++) {
		const unsigned d = text_distance(word, *list);

		if (d < least && d < TEXT_FAR) {
			least = d;
			best = *list;
		}
	}
	return best;
}
