#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

#include "fs/claim.h"

#define CLAIM_FLAGS (FLEET_BARE | FLEET_RETRY)

struct claim_stores {
	struct fleet *fleet;
	struct roster_host *host[PLURI_STORES_MAX];
};

void claim_stores_free(struct claim_stores *s)
{
	if (!s)
		return;
	/* closes the plugins, which still use their hosts */
	fleet_free(s->fleet);
	for (unsigned i = 0; i < PLURI_STORES_MAX; i++)
		roster_host_free(s->host[i]);
	free(s);
}

struct fleet *claim_fleet(struct claim_stores *s)
{
	return s->fleet;
}

static int claim_add(struct claim_stores *s, unsigned num,
	const struct config_store *c, struct pluri_err *err)
{
	const struct pluri_backend_ops *ops = NULL;
	struct pluri_backend *b = NULL;
	int r;

	r = roster_instance(c, &ops, &b, &s->host[num], err);
	if (r < 0)
		return r;
	r = fleet_add(s->fleet, num, c->name, ops, b, err);
	if (r < 0)
		ops->close(b);
	return r;
}

int claim_open(const struct config *c, uint64_t pick, struct claim_stores **ret,
	struct pluri_err *err)
{
	const struct fleet_options o = {
		.clock = clock_system(),
		.timeout_ms = c->timeout_ms,
	};
	pluri_auto(claim_stores) s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return pluri_fail(err, ENOMEM, "opening stores: no memory");
	r = fleet_new(&o, &s->fleet, err);
	for (unsigned i = 0; r == 0 && i < c->stores; i++)
		if (pick >> i & 1)
			r = claim_add(s, i, &c->store[i], err);
	if (r < 0)
		return r;
	*ret = pluri_steal(s);
	return 0;
}

/* Ours, but claimed for a store of another name: two stores, one place. */
static int claim_twice(
	const struct claim *at, const char *other, struct pluri_err *err)
{
	return pluri_fail(err, EEXIST,
		"store %s: this place is store %s of the same volume; two "
		"stores must not share one place: change its url",
		at->name, other);
}

/* 1: *d, with its bytes; 0: there is none. */
static int claim_get(const struct claim *at, const struct keys *keys,
	struct pluri_room *room, struct descriptor *d, struct pluri_err *err)
{
	int r;

	r = fleet_get(at->fleet,
		&(struct fleet_at){.store = at->store,
			.key = DESCRIPTOR_NAME,
			.deadline_ms = at->deadline_ms,
			.flags = CLAIM_FLAGS},
		0, room, NULL, err);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	r = descriptor_decode(
		keys, (struct pluri_span){room->data, room->len}, d, NULL, err);
	if (r < 0) {
		(void)pluri_where(
			err, "store %s: object %s", at->name, DESCRIPTOR_NAME);
		return r;
	}
	return 1;
}

int claim_look(const struct claim *at, const struct keys *keys, char *ret_store,
	struct pluri_err *err)
{
	uint8_t got[DESCRIPTOR_BYTES + 1]; /* one more: longer is not ours */
	struct pluri_room room = {.data = got, .cap = sizeof(got)};
	struct descriptor d = {0};
	const int r = claim_get(at, keys, &room, &d, err);

	if (r == 1 && ret_store)
		(void)snprintf(ret_store, PLURI_NAME_MAX + 1, "%s", d.store);
	return r;
}

int claim_repeat(
	const struct claim *at, const struct keys *keys, struct pluri_err *err)
{
	uint8_t got[DESCRIPTOR_BYTES + 1];
	struct pluri_room room = {.data = got, .cap = sizeof(got)};
	struct descriptor d = {0};
	int r = claim_get(at, keys, &room, &d, err);

	if (r == 0)
		return pluri_fail(err, ENODEV, "store %s: object %s is gone",
			at->name, DESCRIPTOR_NAME);
	if (r < 0)
		return r;
	if (strcmp(d.store, at->name) != 0)
		return claim_twice(at, d.store, err);
	r = fleet_put_one(at->fleet, at->store, DESCRIPTOR_NAME,
		(struct pluri_span){got, room.len}, at->deadline_ms,
		CLAIM_FLAGS, err);
	return r == -EEXIST ? 0 : r;
}

static int claim_put(const struct claim *at, const struct keys *keys,
	const char *volume, const struct clock *clock, struct pluri_err *err)
{
	uint8_t bytes[DESCRIPTOR_BYTES];
	struct descriptor d = {.created_ns = clock_real_ns(clock)};
	struct pluri_id salt;
	int r;

	(void)snprintf(d.volume, sizeof(d.volume), "%s", volume);
	(void)snprintf(d.store, sizeof(d.store), "%s", at->name);
	clock_random(clock, &salt, sizeof(salt));
	r = descriptor_encode(keys, &d, &salt, bytes);
	if (r < 0)
		return pluri_fail(err, -r,
			"store %s: the volume descriptor cannot be sealed",
			at->name);
	return fleet_put_one(at->fleet, at->store, DESCRIPTOR_NAME,
		(struct pluri_span){bytes, sizeof(bytes)}, at->deadline_ms,
		CLAIM_FLAGS, err);
}

int claim_make(const struct claim *at, const struct keys *keys,
	const char *volume, const struct clock *clock, bool *ret_made,
	struct pluri_err *err)
{
	char other[PLURI_NAME_MAX + 1] = "";
	struct pluri_err put = {0};
	int r;

	r = claim_put(at, keys, volume, clock, &put);
	if (r == 0) {
		*ret_made = true;
		return 0;
	}
	if (r != -EEXIST) {
		if (err)
			*err = put;
		return r;
	}
	/* perhaps our own put, whose answer was lost: read it back */
	r = claim_look(at, keys, other, err);
	if (r < 0)
		return r;
	if (r == 0)
		return pluri_fail(err, EAGAIN,
			"store %s: says that %s is there, and that it is not: "
			"try again",
			at->name, DESCRIPTOR_NAME);
	if (strcmp(other, at->name) != 0)
		return claim_twice(at, other, err);
	*ret_made = false;
	return 0;
}

int claim_remove(
	const struct claim *at, const struct keys *keys, struct pluri_err *err)
{
	char said[PLURI_NAME_MAX + 1] = "";
	int r;

	r = claim_look(at, keys, said, err);
	if (r <= 0)
		return r;
	if (strcmp(said, at->name) != 0)
		return pluri_fail(err, EEXIST,
			"store %s: its descriptor is store %s's and stays",
			at->name, said);
	return fleet_del(at->fleet, at->store, DESCRIPTOR_NAME, at->deadline_ms,
		CLAIM_FLAGS, err);
}
