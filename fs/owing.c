#include <stdbool.h>

#include "fs/owing.h"

static bool owing_has(const struct owing *o, uint64_t pack)
{
	for (unsigned i = 0; i < o->n; i++)
		if (o->pack[i] == pack)
			return true;
	return pack <= o->upto;
}

void owing_upto(struct owing *o, uint64_t upto)
{
	if (upto > o->upto)
		o->upto = upto;
}

void owing_add(struct owing *o, uint64_t pack)
{
	if (owing_has(o, pack))
		return;
	if (o->n < OWING_MAX) {
		o->pack[o->n++] = pack;
		return;
	}
	owing_upto(o, pack);
	for (unsigned i = 0; i < o->n; i++)
		owing_upto(o, o->pack[i]);
	o->n = 0;
}

void owing_settle(struct owing *o, const struct owing *seen)
{
	unsigned kept = 0;

	if (o->upto <= seen->upto)
		o->upto = 0;
	for (unsigned i = 0; i < o->n; i++)
		if (!owing_has(seen, o->pack[i]))
			o->pack[kept++] = o->pack[i];
	o->n = kept;
}
