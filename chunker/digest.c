#include <errno.h>

#include <xxhash.h>

#include "chunker/digest.h"

/* The XXH3 state is opaque to us, and wants an alignment only it knows. */
struct digest_run {
	XXH3_state_t *state;
};

int digest_chunk(const struct keys *keys, struct pluri_span plain,
	struct pluri_digest *ret)
{
	return keys_hmac(keys, keys_chunk_id(keys), plain, ret->b);
}

uint64_t digest_sum(struct pluri_span bytes)
{
	return XXH3_64bits(bytes.data, bytes.len);
}

struct digest_run *digest_run_new(void)
{
	struct digest_run *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->state = XXH3_createState();
	if (!d->state) {
		digest_run_free(d);
		return NULL;
	}
	(void)XXH3_64bits_reset(d->state);
	return d;
}

void digest_run_add(struct digest_run *d, struct pluri_span bytes)
{
	(void)XXH3_64bits_update(d->state, bytes.data, bytes.len);
}

uint64_t digest_run_sum(const struct digest_run *d)
{
	return XXH3_64bits_digest(d->state);
}

void digest_run_free(struct digest_run *d)
{
	if (!d)
		return;
	(void)XXH3_freeState(d->state);
	free(d);
}
