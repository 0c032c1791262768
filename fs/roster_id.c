#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "fs/roster.h"

void roster_store_id(
	const struct pluri_id *volume, const char *name, struct pluri_id *ret)
{
	uint8_t both[PLURI_ID_BYTES + PLURI_NAME_MAX];
	const size_t n = strnlen(name, PLURI_NAME_MAX);
	XXH128_canonical_t sum;

	memcpy(both, volume->b, PLURI_ID_BYTES);
	memcpy(both + PLURI_ID_BYTES, name, n);
	XXH128_canonicalFromHash(&sum, XXH3_128bits(both, PLURI_ID_BYTES + n));
	memcpy(ret->b, sum.digest, PLURI_ID_BYTES);
}

/* What snprintf's twin config_*_text() says of a text that does not fit. */
static int roster_text_fail(
	const char *what, const char *name, int r, struct pluri_err *err)
{
	return pluri_fail(err, r < 0 ? -r : EINVAL,
		"%s %s: its section is longer than %u bytes", what, name,
		STORES_TEXT_MAX - 1);
}

int roster_store_row(const struct pluri_id *volume,
	const struct config_store *s, struct store_row *ret,
	struct pluri_err *err)
{
	const int r = config_store_text(s, ret->text, sizeof(ret->text));

	if (r < 0)
		return roster_text_fail("store", s->name, r, err);
	roster_store_id(volume, s->name, &ret->id);
	(void)snprintf(ret->name, sizeof(ret->name), "%s", s->name);
	(void)snprintf(ret->provider, sizeof(ret->provider), "%s", s->provider);
	ret->weight = s->weight;
	return 0;
}

int roster_policy_row(const struct config_policy *p, struct policy_row *ret,
	struct pluri_err *err)
{
	const int r = config_policy_text(p, ret->text, sizeof(ret->text));

	if (r < 0)
		return roster_text_fail("policy", p->name, r, err);
	(void)snprintf(ret->name, sizeof(ret->name), "%s", p->name);
	return 0;
}
