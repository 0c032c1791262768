#include <errno.h>

#include "chunker/cdc.h"
#include "chunker/gear.h"

#define CDC_MIN 64u

const struct cdc cdc_default = {256u << 10, 1u << 20, 4u << 20};
const struct cdc cdc_fixed = {1u << 20, 1u << 20, 1u << 20};

int cdc_check(const struct cdc *c, struct pluri_err *err)
{
	if (c->min < CDC_MIN || c->max > PLURI_CHUNK_MAX)
		return pluri_fail(err, EINVAL,
			"chunks of %u to %u bytes: the limits are %u to %u",
			c->min, c->max, CDC_MIN, PLURI_CHUNK_MAX);
	if (c->min > c->avg || c->avg > c->max)
		return pluri_fail(err, EINVAL,
			"chunks of %u, %u, %u bytes: give minimum, average "
			"and maximum in this order",
			c->min, c->avg, c->max);
	if (c->avg & (c->avg - 1))
		return pluri_fail(err, EINVAL,
			"an average chunk of %u bytes: take a power of two",
			c->avg);
	return 0;
}

/*
 * bits of 62..32, spread evenly. Only the upper half: there a bit has heard
 * of at least the last 32 bytes.
 */
static uint64_t cdc_mask(unsigned bits)
{
	uint64_t mask = 0;

	for (unsigned i = 0; i < bits; i++)
		mask |= 1ull << (62 - i * 31 / bits);
	return mask;
}

/* The next i at which a cut falls right after buf[i - 1], or 0 if none. */
static size_t cdc_scan(
	const uint8_t *buf, size_t i, size_t end, uint64_t mask, uint64_t *hash)
{
	uint64_t h = *hash;

	for (; i + 4 <= end; i += 4) {
		h = (h << 1) + gear[buf[i]];
		if (!(h & mask))
			return i + 1;
		h = (h << 1) + gear[buf[i + 1]];
		if (!(h & mask))
			return i + 2;
		h = (h << 1) + gear[buf[i + 2]];
		if (!(h & mask))
			return i + 3;
		h = (h << 1) + gear[buf[i + 3]];
		if (!(h & mask))
			return i + 4;
	}
	for (; i < end; i++) {
		h = (h << 1) + gear[buf[i]];
		if (!(h & mask))
			return i + 1;
	}
	*hash = h;
	return 0;
}

size_t cdc_cut(const struct cdc *c, const uint8_t *buf, size_t len)
{
	const unsigned bits = (unsigned)__builtin_ctz(c->avg);
	const size_t end = len < c->max ? len : c->max;
	const size_t mid = end < c->avg ? end : c->avg;
	uint64_t hash = 0;
	size_t cut;

	if (len < c->min)
		return 0;
	if (c->min == c->max)
		return c->max;
	cut = cdc_scan(buf, c->min - 1, mid, cdc_mask(bits + 2), &hash);
	if (!cut && end > mid)
		cut = cdc_scan(buf, mid, end, cdc_mask(bits - 2), &hash);
	if (!cut && len >= c->max)
		cut = c->max;
	return cut;
}
