#include <errno.h>
#include <stdlib.h>

#include "fs/lookups.h"

#define LOOKUPS_MIN 1024u /* slots; a power of two */

static size_t lookups_home(const struct lookups *l, uint64_t ino)
{
	return (size_t)(ino * UINT64_C(0x9e3779b97f4a7c15) >> 20) &
	       (l->cap - 1);
}

/* Its slot, or the free one where it would be; cap > 0. */
static size_t lookups_find(const struct lookups *l, uint64_t ino)
{
	size_t i = lookups_home(l, ino);

	while (l->slot[i].ino != 0 && l->slot[i].ino != ino)
		i = (i + 1) & (l->cap - 1);
	return i;
}

static struct lookups_entry *lookups_entry(
	const struct lookups *l, uint64_t ino)
{
	struct lookups_entry *e;

	if (l->cap == 0)
		return NULL;
	e = &l->slot[lookups_find(l, ino)];
	return e->ino ? e : NULL;
}

static int lookups_resize(struct lookups *l, size_t cap)
{
	struct lookups to = {.cap = cap, .used = l->used};

	to.slot = calloc(cap, sizeof(*to.slot));
	if (!to.slot)
		return -ENOMEM;
	for (size_t i = 0; i < l->cap; i++)
		if (l->slot[i].ino)
			to.slot[lookups_find(&to, l->slot[i].ino)] = l->slot[i];
	free(l->slot);
	*l = to;
	return 0;
}

void lookups_free(struct lookups *l)
{
	free(l->slot);
	*l = (struct lookups){0};
}

int lookups_add(struct lookups *l, uint64_t ino)
{
	struct lookups_entry *e;

	if (l->used + l->used / 3 >= l->cap) { /* three quarters are full */
		const int r =
			lookups_resize(l, l->cap ? 2 * l->cap : LOOKUPS_MIN);

		if (r < 0)
			return r;
	}
	e = &l->slot[lookups_find(l, ino)];
	if (e->ino == 0) {
		*e = (struct lookups_entry){.ino = ino};
		l->used++;
	}
	if (e->count < UINT32_MAX)
		e->count++;
	return 0;
}

/* Close the gap: what was pushed past slot i moves up. */
static void lookups_remove(struct lookups *l, size_t i)
{
	size_t j = i;

	for (;;) {
		size_t home;

		j = (j + 1) & (l->cap - 1);
		if (l->slot[j].ino == 0)
			break;
		home = lookups_home(l, l->slot[j].ino);
		if (((j - home) & (l->cap - 1)) < ((j - i) & (l->cap - 1)))
			continue; /* it may not come before its home */
		l->slot[i] = l->slot[j];
		i = j;
	}
	l->slot[i] = (struct lookups_entry){0};
	l->used--;
	/* A smaller table is a wish: without memory the larger one does. */
	if (l->cap > LOOKUPS_MIN && l->used < l->cap / 8)
		(void)lookups_resize(l, l->cap / 2);
}

bool lookups_sub(
	struct lookups *l, uint64_t ino, uint64_t count, bool *ret_gone)
{
	struct lookups_entry *e = lookups_entry(l, ino);

	if (!e || e->count == UINT32_MAX)
		return false;
	if (count < e->count) {
		e->count -= (uint32_t)count;
		return false;
	}
	*ret_gone = e->gone != 0;
	lookups_remove(l, (size_t)(e - l->slot));
	return true;
}

bool lookups_has(const struct lookups *l, uint64_t ino)
{
	return lookups_entry(l, ino) != NULL;
}

bool lookups_gone(const struct lookups *l, uint64_t ino)
{
	const struct lookups_entry *e = lookups_entry(l, ino);

	return e && e->gone;
}

void lookups_set_gone(struct lookups *l, uint64_t ino, bool gone)
{
	struct lookups_entry *e = lookups_entry(l, ino);

	if (e)
		e->gone = gone;
}
