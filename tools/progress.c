#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

#include "tools/progress.h"

#define PROGRESS_BAR 24u
#define PROGRESS_LINE_MS 5000u

void progress_start(struct progress *p, const char *what, bool silent)
{
	*p = (struct progress){.what = what,
		.silent = silent,
		.terminal = isatty(STDERR_FILENO) == 1,
		.nap_ms = 100};
	p->next_ms = clock_mono_ms(clock_system()) + PROGRESS_LINE_MS;
}

static void progress_bar(
	const struct progress *p, unsigned percent, const char *text)
{
	char bar[PROGRESS_BAR + 1];

	for (unsigned i = 0; i < PROGRESS_BAR; i++)
		bar[i] = i * 100 < percent * PROGRESS_BAR ? '#' : '.';
	bar[PROGRESS_BAR] = 0;
	(void)fprintf(stderr, "\r%s [%s] %3u%%  %s\033[K", p->what, bar,
		percent, text);
}

void progress_part(struct progress *p, unsigned percent, const char *note)
{
	const uint64_t now = clock_mono_ms(clock_system());

	if (p->silent || (!p->terminal && now < p->next_ms))
		return;
	percent = percent > 100 ? 100 : percent;
	if (p->terminal)
		progress_bar(p, percent, note);
	else
		(void)fprintf(stderr, "%s: %u%%, %s\n", p->what, percent, note);
	p->drawn = p->terminal;
	p->next_ms = now + PROGRESS_LINE_MS;
}

void progress_show(struct progress *p, uint64_t done_bytes,
	uint64_t total_bytes, const char *note)
{
	const double part =
		total_bytes ? (double)done_bytes / (double)total_bytes : 0;
	char text[160];
	char done[TEXT_SIZE_MAX];
	char total[TEXT_SIZE_MAX];

	(void)snprintf(text, sizeof(text), "%s of %s%s%.80s",
		text_bytes(done_bytes, done), text_bytes(total_bytes, total),
		note[0] ? ", " : "", note);
	progress_part(p, part >= 1 ? 100 : (unsigned)(part * 100), text);
}

void progress_nap(struct progress *p)
{
	const struct timespec t = {0, (long)p->nap_ms * 1000000};

	(void)nanosleep(&t, NULL);
	p->nap_ms = p->nap_ms >= 400 ? 500 : p->nap_ms + 50;
}

void progress_end(struct progress *p)
{
	if (p->drawn)
		(void)fputs("\r\033[K", stderr);
	p->drawn = false;
}
