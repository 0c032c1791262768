#include "backends/fleet_window.h"

#define WINDOW_PARTS 256u /* of one call */
#define WINDOW_START 4u

void fleet_window_init(struct fleet_window *w, uint32_t max)
{
	*w = (struct fleet_window){.max = max ? max : 1};
	w->parts =
		WINDOW_PARTS * (w->max < WINDOW_START ? w->max : WINDOW_START);
}

void fleet_window_bound(struct fleet_window *w, uint32_t max)
{
	w->max = max ? max : 1;
	if (w->parts > w->max * WINDOW_PARTS)
		w->parts = w->max * WINDOW_PARTS;
}

uint32_t fleet_window_calls(const struct fleet_window *w)
{
	return w->parts / WINDOW_PARTS;
}

void fleet_window_good(struct fleet_window *w, bool full)
{
	const uint32_t calls = fleet_window_calls(w);

	if (!full && calls >= WINDOW_START)
		return;
	w->parts += w->cut ? WINDOW_PARTS / calls : WINDOW_PARTS;
	if (w->parts > w->max * WINDOW_PARTS)
		w->parts = w->max * WINDOW_PARTS;
}

void fleet_window_bad(
	struct fleet_window *w, uint64_t began_us, uint64_t now_us)
{
	if (w->cut && began_us <= w->cut_us)
		return;
	w->cut = true;
	w->cut_us = now_us;
	w->parts /= 2;
	if (w->parts < WINDOW_PARTS)
		w->parts = WINDOW_PARTS;
}
