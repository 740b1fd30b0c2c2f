/*
 * The log: one line an event to stderr, `janus[PID] worker 0: text`, with a timestamp (UTC) unless systemd's journal takes
 * it (JOURNAL_STREAM names stderr) and then with its <N> priority prefix. A line is one write(), so processes' lines do not
 * mix. Control characters become '?', and what is beyond 1,000 bytes is cut.
 */
#ifndef SHM_LOG_H
#define SHM_LOG_H

#include <errno.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* `who`: "master", "keeper 0", "worker 0"; copied. Events above `level` are left out. Keeps errno. */
void log_init(const char *who, enum log_level level);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
