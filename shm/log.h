/*
 * The log: one line an event to stderr, `janus[PID] worker 0: text`, with a timestamp (UTC) unless systemd's journal takes
 * it (JOURNAL_STREAM names stderr) and then with its <N> priority prefix. A line is one write(), so processes' lines do not
 * mix. Control characters become '?', and what is beyond 1,000 bytes is cut. Or as pairs or JSON, and to syslog or the journal: log_output().
 *
 * Nobody waits for a line or dies of it, whatever stderr is: a pipe that is full or has no reader, a disk that is full; or a daemon that reads nothing.
 * One that can't be written is lost; the next that can is preceded by how many were.
 */
#ifndef SHM_LOG_H
#define SHM_LOG_H

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* error, warning, info, debug; and back, -1: it is none of them. */
const char *log_level_name(enum log_level level);
int log_level_find(const char *name);

/* `who`: "master", "keeper 0", "worker 0"; copied. Events above `level` are left out. Keeps errno. */
void log_init(const char *who, enum log_level level);

enum log_format { LOG_TEXT, LOG_LOGFMT, LOG_JSON };
enum log_to { LOG_TO_STDERR, LOG_TO_SYSLOG, LOG_TO_JOURNAL };

/*
 * How lines are written from now on, and where to; stays over log_init(). LOGFMT and JSON have the keys time, level, pid, process, message, and those of
 * log_field(). To syslog goes a datagram a line, to the journal one with fields (its native protocol), in which the format does not matter; with nobody
 * at that socket a line goes to stderr. The socket is /dev/log, or the journal's, or $JANUS_LOG_SOCKET.
 */
void log_output(enum log_format format, enum log_to to);

/*
 * Something known of the next event that this process logs, beside its text: a key (lower case letters and _) and up to 63 bytes of value. If that event is
 * left out, so is this. Up to four.
 */
void log_field(const char *key, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Called first in main(). From then on a line that can't be written is an error and no more: signals that would end or stop the process for it are
 * ignored. Opens descriptors 0 to 2 if they are closed.
 */
void log_guard(void);

/* Lines that this process could not write since log_init(). */
uint64_t log_lost(void);

/*
 * Adds the lines lost since log_init() to a counter, and from then on each one as it is lost. Others may add to the counter at the same time, and
 * so does a child of this process, if the counter is in shared memory. It must be there as long as the process logs.
 */
void log_count_lost(_Atomic uint64_t *counter);

/*
 * A word in shared memory that says which events are left out: 1 + a level, or 0: as log_init() was told. It is as log_count_lost()'s counter. All
 * processes look at the same one, so whoever stores a level there sets all of theirs at once.
 */
void log_follow_level(const _Atomic uint32_t *level);

void log_any(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * For what can happen often, as a peer brings it about: a process logs at most one line a minute from each place in the sources, with the
 * number of those that it has left out since the last.
 */
#define LOG_LIMIT_SECONDS 60
struct log_limit {
	uint64_t last;			/* when a line was logged, seconds; 0 none was */
	uint64_t held;			/* lines left out since */
};
void log_limited(struct log_limit *limit, enum log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));
#define log_warning_limited(...)							\
	do {										\
		static struct log_limit log_limit_here;					\
											\
		log_limited(&log_limit_here, LOG_LEVEL_WARNING, __VA_ARGS__);		\
	} while (0)

#endif
