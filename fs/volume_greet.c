#include <errno.h>
#include <string.h>

#include "fs/claim.h"
#include "fs/roster.h"
#include "fs/volume.h"

static int volume_greet_mark(
	struct volume *v, uint32_t store, int r, struct pluri_err *err)
{
	struct fleet_health h;

	switch (r) {
	case 1:
		fleet_mark(v->fleet, store, FLEET_OK, NULL);
		return 0;
	case 0:
		r = pluri_fail(err, ENODEV,
			"there is no volume descriptor: "
			"was the bucket or directory emptied or replaced?");
		fleet_mark(v->fleet, store, FLEET_MISSING,
			"there is no volume descriptor: was the bucket or "
			"directory emptied or replaced?");
		return r;
	case -EEXIST:
		fleet_mark(v->fleet, store, FLEET_FOREIGN,
			"another volume's descriptor lies there");
		return r;
	case -EBADMSG:
		fleet_mark(v->fleet, store, FLEET_CORRUPT,
			"what lies in the place of the volume descriptor is "
			"none");
		return r;
	case -EACCES: /* another key, unless it was the credentials */
		if (fleet_health(v->fleet, store, &h) < 0 ||
			h.class != FLEET_AUTH)
			fleet_mark(v->fleet, store, FLEET_FOREIGN,
				"the volume descriptor is under another key");
		return r;
	default:
		return r; /* the fleet knows the class */
	}
}

/* Two disks or exports that were swapped: ours, but another store's place. */
static int volume_greet_other(struct volume *v, const struct store_row *row,
	const char *said, struct pluri_err *err)
{
	const int r = pluri_fail(err, EEXIST,
		"store %s: this is the place of store %s: were two disks or "
		"shares exchanged?",
		row->name, said);

	fleet_mark(v->fleet, row->num, FLEET_FOREIGN,
		"this is the place of another store of the volume: were two "
		"disks or shares exchanged?");
	return r;
}

int volume_greet(struct volume *v, uint32_t store, struct pluri_err *err)
{
	char said[PLURI_NAME_MAX + 1] = "";
	struct store_row row;
	struct claim at = {.fleet = v->fleet, .store = store};
	struct pluri_err why = {0};
	int r = roster_store(v->roster, store, &row);

	if (r < 0)
		return pluri_fail(
			err, ENOENT, "store %u is not registered", store);
	at.name = row.name;
	at.deadline_ms = clock_mono_ms(clock_system()) + v->config->timeout_ms;
	r = claim_look(&at, v->keys, said, &why);
	if (r == 1 && strcmp(said, row.name) != 0)
		r = volume_greet_other(v, &row, said, &why);
	else
		r = volume_greet_mark(v, store, r, &why);
	if (r < 0 && err)
		*err = why;
	return r;
}

static bool volume_bounded(const struct volume *v, const char *store)
{
	for (unsigned i = 0; i < v->config->stores; i++)
		if (strcmp(v->config->store[i].name, store) == 0)
			return v->config->store[i].bandwidth > 0;
	return false;
}

int volume_rehearse(struct volume *v, uint32_t store, struct pluri_err *err)
{
	struct store_row row;
	struct claim at = {.fleet = v->fleet, .store = store};
	struct fleet_health h;

	if (roster_store(v->roster, store, &row) < 0 ||
		row.state != STORE_ACTIVE || volume_bounded(v, row.name) ||
		fleet_health(v->fleet, store, &h) < 0 ||
		(h.caps & PLURI_CAP_NEW))
		return 0;
	at.name = row.name;
	at.deadline_ms = clock_mono_ms(clock_system()) + v->config->timeout_ms;
	return claim_repeat(&at, v->keys, err);
}

int volume_claim(struct volume *v, uint32_t store, struct pluri_err *err)
{
	struct store_row row;
	struct claim at = {.fleet = v->fleet, .store = store};
	bool made = false;

	if (roster_store(v->roster, store, &row) < 0)
		return pluri_fail(
			err, ENOENT, "store %u is not registered", store);
	at.name = row.name;
	at.deadline_ms = clock_mono_ms(clock_system()) +
			 2 * (uint64_t)v->config->timeout_ms;
	return claim_make(&at, v->keys, v->info.name, v->clock, &made, err);
}
