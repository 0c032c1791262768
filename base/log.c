#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"

static _Atomic(int) log_most = LOG_INFO;

void log_limit(enum log_level most)
{
	atomic_store(&log_most, (int)most);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	static const char *const words[] = {
		"error", "warning", "info", "debug"};
	char line[1200];
	size_t n;
	va_list ap;

	if ((int)level > atomic_load(&log_most))
		return;
	(void)snprintf(line, sizeof(line) - 1, "pluri: %s: ", words[level]);
	for (n = 0; line[n]; n++)
		;
	va_start(ap, fmt);
	(void)vsnprintf(line + n, sizeof(line) - 1 - n, fmt, ap);
	va_end(ap);
	for (n = 0; line[n]; n++)
		if ((unsigned char)line[n] < 0x20 || line[n] == 0x7f)
			line[n] = '?';
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		return; /* nowhere left to say so */
}
