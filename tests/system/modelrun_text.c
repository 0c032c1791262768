/*
 * modelrun_text.c - paths, link targets and operations as text.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/system/modelrun.h"

static void text_component(uint32_t c, char to[MODEL_PATH])
{
	static const char *const odd[] = {"\xff\x01\n\\\"", "..", ".",
		" name of (several) words; $x.txt "};

	if (c <= 6)
		(void)snprintf(to, MODEL_PATH, "%c", (char)('a' + c - 1));
	else if (c >= 9)
		(void)snprintf(to, MODEL_PATH, "%s", odd[(c - 9) % 4]);
	else
		memset(to, c == 7 ? 'n' : 'm', c == 7 ? 255 : 256);
	if (c == 7 || c == 8)
		to[c == 7 ? 255 : 256] = 0;
}

const char *model_path(uint32_t code, char to[MODEL_PATH])
{
	char part[MODEL_PATH];
	size_t len = 0;

	(void)strcpy(to, ".");
	for (unsigned i = 0; i < 3; i++) {
		const uint32_t c = code >> 8 * i & 0xff;

		if (c == 0)
			break;
		text_component(c, part);
		len += (size_t)snprintf(
			to + len, MODEL_PATH - len, "%s%s", i ? "/" : "", part);
	}
	return to;
}

uint32_t model_path_parent(uint32_t code)
{
	if (code & 0xff0000)
		return code & 0xffff;
	return code & 0xff00 ? code & 0xff : 0;
}

/*
 * Each target leads to strictly below the link's own directory, or nowhere:
 * by induction no path that has ".." behind a name leaves the subtree.
 */
void model_target(const struct model_op *op, char to[MODEL_PATH * 4])
{
	const uint32_t first = op->q & 0xff;
	const uint32_t last = op->q >> 8 & 0xff;
	const uint32_t n = op->flags % 64;
	char a[MODEL_PATH];
	char b[MODEL_PATH];

	memset(to, 'l', MODEL_PATH * 4 - 1);
	if (n == 0)
		to[4000 + op->flags / 64 % 98] = 0; /* 4095 is the longest */
	else if (n == 1)
		to[0] = 0;
	else if (n == 2)
		to[op->flags / 64 % 300] = 0;
	else if (n == 3)
		(void)strcpy(to, "/nothing/of/this/name");
	else if (n < 20 && first && last && last != 10)
		(void)snprintf(to, MODEL_PATH * 4, "%s/../%s",
			model_path(first, a), model_path(last, b));
	else
		(void)snprintf(to, MODEL_PATH * 4, "%s",
			model_path(
				last == 10 || !first ? 1 : op->q & 0xffff, a));
}

bool model_wrong(char to[MODEL_TEXT], const char *fmt, ...)
{
	va_list ap;

	if (to[0])
		return false;
	va_start(ap, fmt);
	(void)vsnprintf(to, MODEL_TEXT, fmt, ap);
	va_end(ap);
	return false;
}

static const char *text_short(uint32_t code, char to[MODEL_PATH])
{
	(void)model_path(code, to);
	for (char *s = to; *s; s++) {
		const size_t run = strspn(s, *s == 'm' ? "m" : "n");

		if (run > 3)
			memmove(s + 3, s + run, strlen(s + run) + 1);
		if ((unsigned char)*s < 32 || (unsigned char)*s > 126)
			*s = '?';
	}
	return to;
}

void model_tell(const struct model_op *op, char to[MODEL_TEXT])
{
	char p[MODEL_PATH];
	char q[MODEL_PATH];

	(void)snprintf(to, MODEL_TEXT,
		"%-15s actor %u user %u slot %u/%u p %.200s q %.200s flags %#x "
		"mode %#o off %" PRIu64 " off2 %" PRIu64 " len %" PRIu64
		" tag %" PRIu64 "%s -> %d",
		model_kind_name(op->kind), op->actor, op->who, op->slot,
		op->slot2, text_short(op->p, p), text_short(op->q, q),
		op->flags, op->mode, op->off, op->off2, op->len, op->tag,
		op->quiet ? " quiet" : "", op->ret);
}
