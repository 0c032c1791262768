#include <stdio.h>
#include <string.h>

#include "fs/stats.h"

#include "tools/rates.h"
#include "tools/show.h"

static json_int_t rates_since(const json_t *answer)
{
	return json_integer_value(
		json_object_get(json_object_get(answer, "daemon"), "since_us"));
}

static uint64_t rates_uptime(const json_t *answer)
{
	return show_uint(json_object_get(answer, "daemon"), "uptime_us");
}

const json_t *rates_base(const json_t *before, const json_t *now)
{
	if (!before || rates_since(before) != rates_since(now) ||
		rates_uptime(before) > rates_uptime(now))
		return NULL;
	return before;
}

double rates_seconds(const json_t *before, const json_t *now)
{
	const uint64_t from = before ? rates_uptime(before) : 0;
	const uint64_t upto = rates_uptime(now);

	/* the clock may not have moved: a millisecond is its step */
	return upto > from ? (double)(upto - from) / 1e6 : 1e-3;
}

static uint64_t rates_grown(uint64_t before, uint64_t now)
{
	return now < before ? now : now - before;
}

uint64_t rates_more(const json_t *before, const json_t *now, const char *key)
{
	return rates_grown(show_uint(before, key), show_uint(now, key));
}

/* Of {"end of a step in us": how many...}. */
static uint64_t rates_step(const json_t *histogram, unsigned step)
{
	char end[24];

	(void)snprintf(end, sizeof(end), "%llu",
		(unsigned long long)stats_step_end(step));
	return show_uint(histogram, end);
}

uint64_t rates_quantile(
	const json_t *before, const json_t *now, unsigned permille)
{
	uint64_t step[STATS_STEPS];

	for (unsigned i = 0; i < STATS_STEPS; i++)
		step[i] =
			rates_grown(rates_step(before, i), rates_step(now, i));
	return stats_quantile(step, permille);
}

const json_t *rates_named(const json_t *array, const char *name)
{
	const json_t *one;
	size_t i;

	json_array_foreach(array, i, one)
	{
		if (strcmp(show_text(one, "name"), name) == 0)
			return one;
	}
	return NULL;
}
