#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#include "tools/show.h"

char *show_clean(char *s)
{
	for (unsigned char *p = (unsigned char *)s; *p; p++)
		if (*p < ' ' || *p == 0x7f)
			*p = '?';
	return s;
}

void show_line(FILE *to, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	(void)fprintf(to, "%s\n", n < 0 ? "no memory" : show_clean(text));
	if (n >= 0)
		free(text);
}

int show_fail(const struct pluri_err *err)
{
	show_line(stderr, "pluri: %s", err->text);
	return 1;
}

int show_json(const json_t *o)
{
	if (json_dumpf(o, stdout, JSON_INDENT(2) | JSON_SORT_KEYS) != 0 ||
		putchar('\n') == EOF || fflush(stdout) != 0) {
		(void)fprintf(stderr, "pluri: the answer cannot be written\n");
		return 1;
	}
	return 0;
}

const char *show_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

uint64_t show_uint(const json_t *o, const char *key)
{
	const json_int_t n = json_integer_value(json_object_get(o, key));

	return n > 0 ? (uint64_t)n : 0;
}

const char *show_size(const json_t *o, const char *key, char *to)
{
	return text_bytes(show_uint(o, key), to);
}
