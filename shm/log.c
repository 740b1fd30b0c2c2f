/*
 * A line is put together in one buffer on the stack and written at once: no stdio, whose buffers and locks a child made by a
 * raw clone() would share in an unknown state. The process's number is asked for each line, for the same reason.
 *
 * Nothing waits for a reader, as who waits here holds up connections: a line that the kernel does not take at once is lost, and counted.
 * stderr is shared with whoever started us, so its open file is left as it is (no O_NONBLOCK), and a second one of our own would be
 * a descriptor that a starting worker does not know. Each write is asked not to wait instead, which sockets always could and pipes can
 * since Linux 6.4. What can't (older pipes, terminals) is polled for room first: there, a process can still wait if another one takes
 * that room in between, or if a terminal that nobody reads has room for only a part of the line. Files are written to as they are.
 */
#include "shm/log.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proto/sink.h"

#define LINE_MAX_BYTES 1000
#define ENCODED_MAX 4096		/* the same with keys, quotes and fields */
#define FIELDS_MAX 4
#define FIELD_BYTES 64

static struct {
	char who[32];
	enum log_level level;
	int journal;
	uint64_t lost;			/* lines, since log_init() */
	uint64_t lost_told;		/* of these, those that the log itself has told of */
	const _Atomic uint32_t *followed;	/* a level that goes before `level`, or NULL; stays over log_init() */
	_Atomic uint64_t *counter;	/* of lost lines, or NULL; stays over log_init() */
	enum log_format format;		/* stay over log_init(), as the next */
	enum log_to to;
	struct {
		const char *key;
		char value[FIELD_BYTES];
	} field[FIELDS_MAX];		/* of the next event */
	unsigned fields;
	bool torn;			/* only a part of the last line was written: it has no end */
} log_state = { .level = LOG_LEVEL_INFO };

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
	log_state.lost = log_state.lost_told = 0;	/* a worker has its keeper's memory */
	log_state.torn = false;
	errno = error;
}

static const char *const level_names[] = { [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_INFO] = "info", [LOG_LEVEL_DEBUG] = "debug" };

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

int log_level_find(const char *name)
{
	for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++)
		if (strcmp(level_names[i], name) == 0)
			return i;
	return -1;
}

/* Text may hold what a peer sent: it must not be able to forge a line or steer a terminal. */
static void clean(char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
}

void log_output(enum log_format format, enum log_to to)
{
	log_state.format = format;
	log_state.to = to;
}

void log_field(const char *key, const char *format, ...)
{
	va_list args;

	if (log_state.fields == FIELDS_MAX)
		return;
	log_state.field[log_state.fields].key = key;
	va_start(args, format);
	vsnprintf(log_state.field[log_state.fields].value, FIELD_BYTES, format, args);
	va_end(args);
	clean(log_state.field[log_state.fields].value, strlen(log_state.field[log_state.fields].value));
	log_state.fields++;
}

void log_follow_level(const _Atomic uint32_t *level)
{
	log_state.followed = level;
}

static bool left_out(enum log_level level)
{
	uint32_t followed = log_state.followed ? atomic_load_explicit(log_state.followed, memory_order_relaxed) : 0;

	return level > (followed ? (enum log_level)(followed - 1) : log_state.level);
}

void log_guard(void)
{
	int fd;

	/* A pipe's reader is gone; a file has reached its limit; a terminal stops who writes from the background: write() fails instead. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	/* If stderr were closed, a connection could get its number, and the log's lines. */
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

uint64_t log_lost(void)
{
	return log_state.lost;
}

void log_count_lost(_Atomic uint64_t *counter)
{
	log_state.counter = counter;
	atomic_fetch_add_explicit(counter, log_state.lost, memory_order_relaxed);
}

static void lose(void)
{
	log_state.lost++;
	if (log_state.counter)
		atomic_fetch_add_explicit(log_state.counter, 1, memory_order_relaxed);
}

/* ---- writing ---- */

/*
 * A datagram to a daemon. The socket is made for each, as one that stayed open would be a descriptor that a starting worker does not know, and would lead to
 * a daemon that may have been replaced. 1: it is there; 0: lost, as it takes nothing at the moment; -1: there is nobody.
 */
static int to_daemon(const char *otherwise, const char *bytes, size_t len)
{
	const char *path = secure_getenv("JANUS_LOG_SOCKET");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, error;
	ssize_t n;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path && *path ? path : otherwise);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	n = sendto(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&addr, sizeof(addr));
	error = errno;
	close(fd);
	return n >= 0 ? 1 : error == EAGAIN || error == ENOBUFS ? 0 : -1;
}

static ssize_t write_if_room(const char *bytes, size_t len)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (poll(&p, 1, 0) == 0) {
		errno = EAGAIN;
		return -1;
	}
	return write(STDERR_FILENO, bytes, len);
}

static ssize_t write_at_once(const char *bytes, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)bytes, len };
	struct stat st;
	ssize_t n;

	if (fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode))
		return write(STDERR_FILENO, bytes, len);
	if (S_ISSOCK(st.st_mode))
		return send(STDERR_FILENO, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	n = pwritev2(STDERR_FILENO, &iov, 1, -1, RWF_NOWAIT);
	if (n >= 0 || errno == EAGAIN || errno == EPIPE || errno == EINTR)
		return n;
	return write_if_room(bytes, len);
}

/* True if all of it was written. If only a part was, the next line begins with the line's end that is missing. */
static bool put(const char *bytes, size_t len)
{
	ssize_t n;

	do
		n = write_at_once(bytes, len);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		log_state.torn = (size_t)n < len;
	return n == (ssize_t)len;
}

/* As syslog has it. */
static const int priority[] = { [LOG_LEVEL_ERROR] = 3, [LOG_LEVEL_WARNING] = 4, [LOG_LEVEL_INFO] = 6, [LOG_LEVEL_DEBUG] = 7 };
#define FACILITY_DAEMON (3 << 3)

static size_t write_time(char *dst, size_t room, const char *behind)
{
	struct timespec now;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(dst, room, "%Y-%m-%dT%H:%M:%S", &tm);
	return n + (size_t)snprintf(dst + n, room - n, ".%03ldZ%s", now.tv_nsec / 1000000, behind);
}

static size_t prefix(char *line, size_t room, enum log_level level)
{
	size_t n;

	if (log_state.journal)
		n = (size_t)snprintf(line, room, "<%d>", priority[level]);
	else
		n = write_time(line, room, " ");
	return n + (size_t)snprintf(line + n, room - n, "janus[%d] %s%s", (int)getpid(), log_state.who,
				    log_state.who[0] ? ": " : "");
}

static size_t compose(char *line, enum log_level level, const char *format, va_list args) __attribute__((format(printf, 3, 0)));

/* Of at most LINE_MAX_BYTES, with its end. */
static size_t compose(char *line, enum log_level level, const char *format, va_list args)
{
	int error = errno, text;
	size_t n = 0;

	if (log_state.torn)
		line[n++] = '\n';
	n += prefix(line + n, LINE_MAX_BYTES - 1 - n, level);
	errno = error;			/* for %m */
	text = vsnprintf(line + n, LINE_MAX_BYTES - n, format, args);
	if (text > 0) {
		size_t len = (size_t)text < LINE_MAX_BYTES - n ? (size_t)text : LINE_MAX_BYTES - n - 1;

		clean(line + n, len);
		n += len;
	}
	line[n++] = '\n';		/* at most where vsnprintf() put its NUL */
	return n;
}

static bool say(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- with keys ---- */

static void put_value(struct sink *s, const char *text, bool number)
{
	if (number) {
		sink_text(s, text);
		return;
	}
	sink_byte(s, '"');
	sink_json(s, text, strlen(text));		/* (as logfmt's readers take it, too) */
	sink_byte(s, '"');
}

static void put_pair(struct sink *s, const char *key, const char *value, bool number, bool first)
{
	bool json = log_state.format == LOG_JSON;

	if (!first)
		sink_byte(s, json ? ',' : ' ');
	if (json)
		sink_byte(s, '"');
	sink_text(s, key);
	sink_text(s, json ? "\":" : "=");
	put_value(s, value, number || (!json && value[0] && !value[strcspn(value, " =\"\\")]));
}

/* All of an event as pairs, without an end. */
static void put_pairs(struct sink *s, enum log_level level, const char *text)
{
	char time[40], pid[16];

	write_time(time, sizeof(time), "");
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (log_state.format == LOG_JSON)
		sink_byte(s, '{');
	put_pair(s, "time", time, false, true);
	put_pair(s, "level", level_names[level], false, false);
	put_pair(s, "pid", pid, true, false);
	put_pair(s, "process", log_state.who, false, false);
	put_pair(s, "message", text, false, false);
	for (unsigned i = 0; i < log_state.fields; i++)
		put_pair(s, log_state.field[i].key, log_state.field[i].value, false, false);
	if (log_state.format == LOG_JSON)
		sink_byte(s, '}');
}

static void put_journal_field(struct sink *s, const char *before, const char *key, const char *value)
{
	sink_text(s, before);
	for (; *key; key++)
		sink_byte(s, (char)(*key >= 'a' && *key <= 'z' ? *key - 'a' + 'A' : *key));
	sink_byte(s, '=');
	sink_text(s, value);		/* there is no line's end in it */
	sink_byte(s, '\n');
}

/* systemd's native protocol: a NAME=VALUE line a field. */
static void put_journal(struct sink *s, enum log_level level, const char *text)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", priority[level]);
	put_journal_field(s, "", "PRIORITY", number);
	put_journal_field(s, "", "SYSLOG_FACILITY", "3");
	put_journal_field(s, "", "SYSLOG_IDENTIFIER", "janus");
	put_journal_field(s, "", "MESSAGE", text);
	put_journal_field(s, "JANUS_", "PROCESS", log_state.who);
	for (unsigned i = 0; i < log_state.fields; i++)
		put_journal_field(s, "JANUS_", log_state.field[i].key, log_state.field[i].value);
}

static void put_syslog(struct sink *s, enum log_level level, const char *text)
{
	char head[64];

	snprintf(head, sizeof(head), "<%d>janus[%d]: ", FACILITY_DAEMON | priority[level], (int)getpid());
	sink_text(s, head);
	if (log_state.format != LOG_TEXT) {
		put_pairs(s, level, text);
		return;
	}
	sink_text(s, log_state.who);
	sink_text(s, log_state.who[0] ? ": " : "");
	sink_text(s, text);
}

/* True if it was written, or went to whom it was meant for. The text is clean. */
static bool put_encoded(enum log_level level, const char *text)
{
	char bytes[ENCODED_MAX];
	struct sink s = { .dst = bytes, .room = sizeof(bytes) };

	if (log_state.torn)
		sink_byte(&s, '\n');
	if (log_state.journal) {
		sink_byte(&s, '<');
		sink_number(&s, (uint64_t)priority[level]);
		sink_byte(&s, '>');
	}
	put_pairs(&s, level, text);
	sink_byte(&s, '\n');
	return put(bytes, sink_end(&s));
}

/* As to_daemon(). */
static int put_daemon(enum log_level level, const char *text)
{
	char bytes[ENCODED_MAX];
	struct sink s = { .dst = bytes, .room = sizeof(bytes) };

	if (log_state.to == LOG_TO_JOURNAL)
		put_journal(&s, level, text);
	else
		put_syslog(&s, level, text);
	return to_daemon(log_state.to == LOG_TO_JOURNAL ? "/run/systemd/journal/socket" : "/dev/log", bytes, sink_end(&s));
}

static bool write_event(enum log_level level, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

static bool write_event(enum log_level level, const char *format, va_list args)
{
	char line[LINE_MAX_BYTES];
	int sent = -1, error = errno;
	va_list again;

	va_copy(again, args);
	vsnprintf(line, sizeof(line), format, again);
	va_end(again);
	clean(line, strlen(line));
	if (log_state.to != LOG_TO_STDERR)
		sent = put_daemon(level, line);
	if (sent >= 0)
		return sent > 0;
	if (log_state.format != LOG_TEXT)
		return put_encoded(level, line);
	errno = error;			/* for %m */
	return put(line, compose(line, level, format, args));
}

static bool say(enum log_level level, const char *format, ...)
{
	va_list args;
	bool said;

	va_start(args, format);
	said = write_event(level, format, args);
	va_end(args);
	return said;
}

/* How many lines were lost is written ahead of the next line. If even that can't be written, the next line is lost, too. */
static bool tell_lost(void)
{
	uint64_t lost = log_state.lost - log_state.lost_told;

	if (lost && !say(LOG_LEVEL_WARNING, "%llu line%s could not be logged", (unsigned long long)lost, lost == 1 ? "" : "s"))
		return false;
	log_state.lost_told += lost;
	return true;
}

static void event(enum log_level level, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

static void event(enum log_level level, const char *format, va_list args)
{
	unsigned fields = log_state.fields;
	int error = errno;

	log_state.fields = 0;
	if (left_out(level))
		return;
	if (!tell_lost()) {
		lose();
	} else {
		errno = error;
		log_state.fields = fields;
		if (!write_event(level, format, args))
			lose();
	}
	log_state.fields = 0;
	errno = error;
}

static uint64_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec + 1;	/* never 0 */
}

void log_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
{
	char text[LINE_MAX_BYTES];
	int error = errno;
	uint64_t now = seconds();
	va_list args;

	if (left_out(level)) {
		log_state.fields = 0;
		return;
	}
	if (limit->last && now - limit->last < LOG_LIMIT_SECONDS) {
		limit->held++;
		log_state.fields = 0;
		return;
	}
	errno = error;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (limit->held)
		log_any(level, "%s (and %llu more in the last %llu s)", text, (unsigned long long)limit->held,
			(unsigned long long)(now - limit->last));
	else
		log_any(level, "%s", text);
	limit->last = now;
	limit->held = 0;
	errno = error;
}

void log_any(enum log_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	event(level, format, args);
	va_end(args);
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
