#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "chunker/stripe.h"

static const char *const layout_words[] = {
	[STRIPE_MIRROR] = "mirror",
	[STRIPE_ERASURE] = "erasure",
	[STRIPE_DISPERSE] = "disperse",
};

/* One or two digits without leading zero; what follows them, or NULL. */
static const char *layout_number(const char *s, unsigned *ret)
{
	unsigned v = 0;
	unsigned n = 0;

	for (; *s >= '0' && *s <= '9' && n < 3; s++, n++)
		v = v * 10 + (unsigned)(*s - '0');
	if (n == 0 || n > 2 || v == 0 || (n == 2 && v < 10))
		return NULL;
	*ret = v;
	return s;
}

/* What follows "word:", and which word; or NULL. */
static const char *layout_word(const char *s, enum stripe_kind *ret)
{
	for (unsigned i = STRIPE_MIRROR; i <= STRIPE_DISPERSE; i++) {
		const size_t n = strlen(layout_words[i]);

		if (strncmp(s, layout_words[i], n) == 0 && s[n] == ':') {
			*ret = (enum stripe_kind)i;
			return s + n + 1;
		}
	}
	return NULL;
}

int layout_parse(const char *s, struct layout *ret, struct pluri_err *err)
{
	enum stripe_kind kind = STRIPE_MIRROR;
	const char *p = layout_word(s, &kind);
	unsigned k = 1;
	unsigned m = 0;

	if (p && kind != STRIPE_MIRROR) {
		p = layout_number(p, &k);
		if (p)
			p = *p == '+' ? layout_number(p + 1, &m) : NULL;
	} else if (p) {
		p = layout_number(p, &m);
		m -= p != NULL;
	}
	if (!p || *p)
		return pluri_fail(err, EINVAL,
			"\"%.40s\" is not a layout: write mirror:N, "
			"erasure:K+M or disperse:K+M",
			s);
	if (k + m > PLURI_SHARDS_MAX)
		return pluri_fail(err, EINVAL,
			"layout %s: %u shards, the limit is %u", s, k + m,
			PLURI_SHARDS_MAX);
	if (kind != STRIPE_MIRROR)
		return pluri_fail(err, ENOTSUP,
			"layout %s: this version of plurifs can only mirror; "
			"take mirror:N",
			s);
	*ret = (struct layout){kind, (uint8_t)k, (uint8_t)m};
	return 0;
}

const char *layout_text(const struct layout *l, char to[LAYOUT_TEXT])
{
	const char *word = layout_words[l->kind];

	if (l->kind == STRIPE_MIRROR)
		(void)snprintf(
			to, LAYOUT_TEXT, "%s:%u", word, layout_shards(l));
	else
		(void)snprintf(to, LAYOUT_TEXT, "%s:%u+%u", word, l->k, l->m);
	return to;
}

unsigned layout_shards(const struct layout *l)
{
	return (unsigned)l->k + l->m;
}

unsigned layout_quorum(const struct layout *l)
{
	const unsigned most = layout_shards(l) - 1;

	return most > l->k ? most : l->k;
}
