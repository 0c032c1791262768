/*
 * base/log.h - lines for the administrator.
 *
 * Only fs/ and tools/ log; everything below returns its story. Shared. One
 * line is one write(2) to standard error, "LEVEL: text", so lines never mix;
 * control characters are printed as '?'. The level is the one process-wide
 * setting: it belongs to the process's standard error, not to a module.
 */
#ifndef PLURI_BASE_LOG_H
#define PLURI_BASE_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Lines above this level are dropped. Start: LOG_INFO. */
void log_limit(enum log_level most);

void log_line(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
