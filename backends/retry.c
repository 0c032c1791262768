#include <errno.h>

#include "backends/retry.h"

#define RETRY_PAUSE_MAX_MS 10000u
#define RETRY_ASKED_MAX_MS 60000u

bool retry_may(int code)
{
	return code == -EAGAIN || code == -ETIMEDOUT || code == -EBUSY;
}

/* first_ms doubled attempt - 1 times, held under the ceiling on the way. */
static uint64_t retry_whole_ms(unsigned attempt, uint32_t first_ms)
{
	uint64_t whole = first_ms ? first_ms : 1;

	while (attempt-- > 1 && whole < RETRY_PAUSE_MAX_MS)
		whole *= 2;
	return whole < RETRY_PAUSE_MAX_MS ? whole : RETRY_PAUSE_MAX_MS;
}

uint64_t retry_pause_ms(const struct clock *c, unsigned attempt,
	uint32_t first_ms, uint64_t retry_after_ms)
{
	const uint64_t whole = retry_whole_ms(attempt, first_ms);
	uint64_t asked = retry_after_ms;
	uint64_t pause;
	uint32_t draw;

	if (asked > RETRY_ASKED_MAX_MS)
		asked = RETRY_ASKED_MAX_MS;
	clock_random(c, &draw, sizeof(draw));
	/* The bias of % is far below what a clock could notice */
	pause = whole / 2 + draw % (whole - whole / 2 + 1);
	return pause > asked ? pause : asked;
}
