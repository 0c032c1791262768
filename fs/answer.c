#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"

#include "fs/answer.h"

/* Bytes of the well-formed character at s (RFC 3629), 0 when there is none. */
static size_t answer_char(const uint8_t *s)
{
	uint8_t low = 0x80;
	uint8_t high = 0xbf;
	size_t n;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		low = 0xa0; /* shorter form exists */
	if (s[0] == 0xed)
		high = 0x9f; /* surrogates */
	if (s[0] == 0xf0)
		low = 0x90;
	if (s[0] == 0xf4)
		high = 0x8f; /* beyond U+10FFFF */
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

json_t *answer_text(const char *s)
{
	pluri_auto_mem char *copy = strdup(s);
	uint8_t *p = (uint8_t *)copy;

	if (!p)
		return NULL;
	while (*p) {
		const size_t n = answer_char(p);

		if (n == 0)
			*p = '?';
		p += n ? n : 1;
	}
	return json_string(copy);
}
