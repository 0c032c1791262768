#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#include "tools/show.h"

#define SHOW_COLUMNS_MAX 16u

void show_table_start(struct show_table *t, const char *const *heads)
{
	*t = (struct show_table){.heads = heads};
}

void show_table_cell(struct show_table *t, const char *fmt, ...)
{
	char **more = realloc(t->cells, (t->count + 1) * sizeof(*more));
	char *cell = NULL;
	va_list ap;

	if (more)
		t->cells = more;
	va_start(ap, fmt);
	if (!more || vasprintf(&cell, fmt, ap) < 0)
		t->failed = -ENOMEM;
	else
		t->cells[t->count++] = show_clean(cell);
	va_end(ap);
}

void show_table_member(struct show_table *t, const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	if (json_is_string(v))
		show_table_cell(t, "%s", json_string_value(v));
	else if (json_is_integer(v))
		show_table_cell(t, "%lld", (long long)json_integer_value(v));
	else if (json_is_real(v))
		show_table_cell(t, "%.1f", json_real_value(v));
	else if (json_is_boolean(v))
		show_table_cell(t, "%s", json_is_true(v) ? "yes" : "no");
	else
		show_table_cell(t, "-");
}

void show_table_bytes(struct show_table *t, uint64_t bytes)
{
	char text[TEXT_SIZE_MAX];

	show_table_cell(t, "%s", text_bytes(bytes, text));
}

/* Characters, not bytes: a continuation byte takes no room. */
static int show_width(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void show_cell(const char *s, int width, int right, int last)
{
	const int pad = width - show_width(s);

	if (right)
		(void)printf("%*s%s", pad, "", s);
	else
		(void)printf("%s%*s", s, last ? 0 : pad, "");
	(void)fputs(last ? "\n" : "  ", stdout);
}

static void show_rows(const struct show_table *t, unsigned cols)
{
	int width[SHOW_COLUMNS_MAX] = {0};

	for (unsigned c = 0; c < cols; c++) {
		width[c] = show_width(t->heads[c] + (t->heads[c][0] == '>'));
		for (size_t i = c; i < t->count; i += cols)
			if (show_width(t->cells[i]) > width[c])
				width[c] = show_width(t->cells[i]);
	}
	for (unsigned c = 0; c < cols; c++)
		show_cell(t->heads[c] + (t->heads[c][0] == '>'), width[c],
			t->heads[c][0] == '>', c + 1 == cols);
	for (size_t i = 0; i < t->count; i++)
		show_cell(t->cells[i], width[i % cols],
			t->heads[i % cols][0] == '>', (i + 1) % cols == 0);
}

int show_table_end(struct show_table *t)
{
	unsigned cols = 0;
	const int failed = t->failed;

	while (t->heads[cols] && cols < SHOW_COLUMNS_MAX)
		cols++;
	if (!failed && t->count)
		show_rows(t, cols);
	for (size_t i = 0; i < t->count; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct show_table){.heads = t->heads};
	if (failed)
		(void)fprintf(stderr, "pluri: no memory for a table\n");
	return failed ? 1 : 0;
}
