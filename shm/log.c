/*
 * A line is put together in one buffer on the stack and written at once: no stdio, whose buffers and locks a child made by a
 * raw clone() would share in an unknown state. The process's number is asked for each line, for the same reason.
 */
#include "shm/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1000

static struct {
	char who[32];
	enum log_level level;
	int journal;
} log_state = { "", LOG_LEVEL_INFO, 0 };

/* systemd sets JOURNAL_STREAM to the stream's device and inode; a process further down may have been given another stderr. */
static int is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &dev, &ino) != 2 || fstat(STDERR_FILENO, &st) < 0)
		return 0;
	return st.st_dev == dev && st.st_ino == ino;
}

void log_init(const char *who, enum log_level level)
{
	int error = errno;

	snprintf(log_state.who, sizeof log_state.who, "%s", who);
	log_state.level = level;
	log_state.journal = is_journal();
	errno = error;
}

static size_t prefix(char *line, size_t room, enum log_level level)
{
	static const char priority[] = { [LOG_LEVEL_ERROR] = '3', [LOG_LEVEL_WARNING] = '4', [LOG_LEVEL_INFO] = '6',
					 [LOG_LEVEL_DEBUG] = '7' };
	struct timespec now;
	struct tm tm;
	size_t n;

	if (log_state.journal) {
		n = (size_t)snprintf(line, room, "<%c>", priority[level]);
	} else {
		clock_gettime(CLOCK_REALTIME, &now);
		gmtime_r(&now.tv_sec, &tm);
		n = strftime(line, room, "%Y-%m-%dT%H:%M:%S", &tm);
		n += (size_t)snprintf(line + n, room - n, ".%03ldZ ", now.tv_nsec / 1000000);
	}
	return n + (size_t)snprintf(line + n, room - n, "janus[%d] %s%s", (int)getpid(), log_state.who,
				    log_state.who[0] ? ": " : "");
}

/* Text may hold what a peer sent: it must not be able to forge a line or steer a terminal. */
static void clean(char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
}

static void event(enum log_level level, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

static void event(enum log_level level, const char *format, va_list args)
{
	char line[LINE_MAX_BYTES];
	int error = errno, text;
	size_t n;

	if (level > log_state.level)
		return;
	n = prefix(line, sizeof line - 1, level);
	errno = error;			/* for %m */
	text = vsnprintf(line + n, sizeof line - n, format, args);
	if (text > 0) {
		size_t len = (size_t)text < sizeof line - n ? (size_t)text : sizeof line - n - 1;

		clean(line + n, len);
		n += len;
	}
	line[n++] = '\n';		/* over vsnprintf's terminator at the latest */
	while (write(STDERR_FILENO, line, n) < 0 && errno == EINTR)
		;
	errno = error;
}

#define LOG_FUNCTION(name, level)			\
	void name(const char *format, ...)		\
	{						\
		va_list args;				\
							\
		va_start(args, format);			\
		event(level, format, args);		\
		va_end(args);				\
	}

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warning, LOG_LEVEL_WARNING)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)
