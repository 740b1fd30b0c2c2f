/*
 * The log's stderr on a bad day: whatever it is, a line is never waited for and nobody dies of one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shm/log.h"

static int real_stderr;
static char got[65536];

static int setup(void **state)
{
	(void)state;
	alarm(20);			/* a line that is waited for fails here */
	log_guard();
	real_stderr = dup(STDERR_FILENO);
	return real_stderr < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	return 0;
}

/* Becomes stderr. */
static void use(int fd)
{
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	close(fd);
	log_init("test", LOG_LEVEL_INFO);
}

/* Until nothing more fits. stderr's open file stays one that blocks. */
static void fill(void)
{
	int flags = fcntl(STDERR_FILENO, F_GETFL);
	char rubbish[256];

	memset(rubbish, 'x', sizeof(rubbish));
	fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK);
	while (write(STDERR_FILENO, rubbish, sizeof(rubbish)) > 0)
		;
	while (write(STDERR_FILENO, rubbish, 1) > 0)
		;
	fcntl(STDERR_FILENO, F_SETFL, flags);
}

/* All that is there, as a string. */
static const char *drain(int fd)
{
	size_t n = 0;
	ssize_t r;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while ((r = read(fd, got + n, sizeof(got) - 1 - n)) > 0)
		n = n + (size_t)r < sizeof(got) - 1 ? n + (size_t)r : 0;
	got[n] = '\0';
	return got;
}

static unsigned count(const char *text, const char *part)
{
	unsigned n = 0;

	while ((text = strstr(text, part)) != NULL) {
		text += strlen(part);
		n++;
	}
	return n;
}

static void lose_and_tell(int reader)
{
	const char *text;

	fill();
	log_warning("one");
	log_warning("two");
	assert_int_equal(log_lost(), 2);
	drain(reader);
	log_warning("three");
	assert_int_equal(log_lost(), 2);
	text = drain(reader);
	assert_non_null(strstr(text, "2 lines could not be logged\n"));
	assert_non_null(strstr(text, "test: three\n"));
	assert_null(strstr(text, "test: two"));
	log_warning("four");
	text = drain(reader);
	assert_non_null(strstr(text, "four\n"));
	assert_null(strstr(text, "could not"));
}

/* A counter that others share: what was lost before it was named, and what a child loses, too. */
static void test_counter(void **state)
{
	static _Atomic uint64_t counter;
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	use(p[1]);
	fill();
	log_warning("one");
	log_count_lost(&counter);
	assert_int_equal(atomic_load(&counter), 1);
	log_init("child", LOG_LEVEL_INFO);
	log_warning("two");
	assert_int_equal(log_lost(), 1);
	assert_int_equal(atomic_load(&counter), 2);
	close(p[0]);
}

static void test_full_pipe(void **state)
{
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	use(p[1]);
	lose_and_tell(p[0]);
	close(p[0]);
}

static void test_full_socket(void **state)
{
	int s[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	use(s[1]);
	lose_and_tell(s[0]);
	close(s[0]);
}

/* One that is stopped (^S) and takes nothing. */
static void test_terminal(void **state)
{
	int reader, terminal;

	(void)state;
	assert_int_equal(openpty(&reader, &terminal, NULL, NULL, NULL), 0);
	use(terminal);
	log_warning("one");
	assert_int_equal(tcflow(STDERR_FILENO, TCOOFF), 0);
	log_warning("two");
	assert_int_equal(log_lost(), 1);
	assert_int_equal(tcflow(STDERR_FILENO, TCOON), 0);
	log_warning("three");
	assert_int_equal(log_lost(), 1);
	assert_non_null(strstr(drain(reader), "1 line could not be logged"));
	assert_non_null(strstr(got, "three"));
	close(reader);
}

static void test_closed_pipe(void **state)
{
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	use(p[1]);
	close(p[0]);
	log_warning("one");
	log_error("two");
	assert_int_equal(log_lost(), 2);
}

static void test_closed_socket(void **state)
{
	int s[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	use(s[1]);
	close(s[0]);
	log_warning("one");
	assert_int_equal(log_lost(), 1);
}

/* A line that is cut by the limit gets an end before the next one. */
static void test_file_limit(void **state)
{
	char path[] = "/tmp/janus-test-log-XXXXXX";
	struct rlimit old, limit;
	int fd = mkstemp(path), flags;

	(void)state;
	assert_true(fd >= 0);
	unlink(path);
	getrlimit(RLIMIT_FSIZE, &old);
	limit = (struct rlimit){ 100, old.rlim_max };
	flags = fcntl(fd, F_GETFL);
	fcntl(fd, F_SETFL, flags | O_APPEND);
	use(dup(fd));
	setrlimit(RLIMIT_FSIZE, &limit);
	log_warning("one");
	log_warning("two, which has more than what is left of the hundred bytes that the file may have by that limit");
	log_warning("three");
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(log_lost(), 2);
	log_warning("four");
	assert_int_equal(log_lost(), 2);
	assert_true(pread(fd, got, sizeof(got) - 1, 0) > 0);
	close(fd);
	assert_non_null(strstr(got, "test: one\n"));
	assert_null(strstr(got, "three"));
	assert_non_null(strstr(got, "test: 2 lines could not be logged\n"));
	assert_non_null(strstr(got, "test: four\n"));
	assert_int_equal(count(got, "\n"), 4);
}

/* What is opened next must not become stderr. */
static void test_closed_stderr(void **state)
{
	int fd;

	(void)state;
	close(STDERR_FILENO);
	log_guard();
	fd = open("/dev/zero", O_RDONLY);
	assert_true(fd > STDERR_FILENO);
	close(fd);
	log_init("test", LOG_LEVEL_INFO);
	log_warning("one");
	assert_int_equal(log_lost(), 0);
}

static void warn(int i)
{
	log_warning_limited("number %d", i);
}

static void test_limited(void **state)
{
	static struct log_limit limit;
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	use(p[1]);
	for (int i = 0; i < 1000; i++)
		warn(i);
	log_warning_limited("another place");
	drain(p[0]);
	assert_int_equal(count(got, "\n"), 2);
	assert_non_null(strstr(got, "number 0\n"));
	assert_non_null(strstr(got, "another place\n"));
	/* A minute later. */
	log_limited(&limit, LOG_LEVEL_WARNING, "number %d", 0);
	log_limited(&limit, LOG_LEVEL_WARNING, "number %d", 1);
	log_limited(&limit, LOG_LEVEL_WARNING, "number %d", 2);
	limit.last -= LOG_LIMIT_SECONDS;
	drain(p[0]);
	log_limited(&limit, LOG_LEVEL_WARNING, "number %d", 3);
	log_limited(&limit, LOG_LEVEL_WARNING, "number %d", 4);
	drain(p[0]);
	assert_non_null(strstr(got, "number 3 (and 2 more in the last 6"));
	assert_int_equal(count(got, "\n"), 1);
	assert_int_equal(log_lost(), 0);
	close(p[0]);
}

/* errno is the caller's, and %m its text. */
static void test_errno(void **state)
{
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	use(p[1]);
	errno = ENOSPC;
	log_warning("%m");
	log_warning_limited("%m");
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(count(drain(p[0]), strerror(ENOSPC)), 2);
	close(p[0]);
	errno = ENOSPC;
	log_warning("%m");
	assert_int_equal(errno, ENOSPC);
}

/* ---- formats, and daemons ---- */

static const char *logged(enum log_format format, const char *text)
{
	int p[2];

	assert_int_equal(pipe(p), 0);
	use(p[1]);
	log_init("worker 3", LOG_LEVEL_INFO);
	log_output(format, LOG_TO_STDERR);
	log_warning("%s", text);
	log_output(LOG_TEXT, LOG_TO_STDERR);
	drain(p[0]);
	close(p[0]);
	return got;
}

/* What is behind the time, which begins the line. */
static __attribute__((format(printf, 2, 3))) void expect_behind(const char *before, const char *format, ...)
{
	char whole[600];
	va_list args;

	va_start(args, format);
	vsnprintf(whole, sizeof(whole), format, args);
	va_end(args);
	assert_memory_equal(got, before, strlen(before));
	assert_string_equal(got + strlen(before) + strlen("2026-11-27T17:38:13.123Z"), whole);
}

static void test_logfmt(void **state)
{
	(void)state;
	log_field("connection", "%d", 17);
	log_field("address", "%s", "a b");
	logged(LOG_LOGFMT, "what a \"peer\" said: \\ \n\x7f");
	expect_behind("time=", " level=warning pid=%d process=\"worker 3\" message=\"what a \\\"peer\\\" said: \\\\ ??\" connection=17 address=\"a b\"\n", (int)getpid());
	logged(LOG_LOGFMT, "one");
	expect_behind("time=", " level=warning pid=%d process=\"worker 3\" message=one\n", (int)getpid());
	logged(LOG_LOGFMT, "");
	expect_behind("time=", " level=warning pid=%d process=\"worker 3\" message=\"\"\n", (int)getpid());
}

static void test_json(void **state)
{
	char longest[2000];

	(void)state;
	log_field("connection", "%d", 17);
	logged(LOG_JSON, "what a \"peer\" said: \xff\xc3\xa4\t");
	expect_behind("{\"time\":\"", "\",\"level\":\"warning\",\"pid\":%d,\"process\":\"worker 3\",\"message\":\"what a \\\"peer\\\" said: ?\xc3\xa4?\",\"connection\":\"17\"}\n", (int)getpid());
	/* As long as it gets: whole nevertheless. */
	memset(longest, '"', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	for (int i = 0; i < 6; i++)
		log_field("key", "%s", longest);
	logged(LOG_JSON, longest);
	assert_string_equal(got + strlen(got) - 3, "\"}\n");
	assert_int_equal(count(got, "\"key\":"), 4);
	assert_true(strlen(got) < 4096 && strlen(got) > 2000);
}

/* Fields are of one event, whether it is logged or left out. */
static void test_fields_of_what_is_left_out(void **state)
{
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	use(p[1]);
	log_output(LOG_JSON, LOG_TO_STDERR);
	log_field("connection", "%d", 1);
	log_debug("no");
	log_info("a");
	for (int i = 0; i < 3; i++) {
		log_field("connection", "%d", i);
		log_warning_limited("b");
	}
	log_info("c");
	log_output(LOG_TEXT, LOG_TO_STDERR);
	assert_int_equal(count(drain(p[0]), "connection"), 1);
	assert_int_equal(count(got, "\n"), 3);
	close(p[0]);
}

static int daemon_at(char path[100])
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	snprintf(path, 100, "/tmp/janus-test-log-%d", (int)getpid());
	strcpy(addr.sun_path, path);
	unlink(path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	setenv("JANUS_LOG_SOCKET", path, 1);
	return fd;
}

static const char *hear(int fd)
{
	ssize_t n = recv(fd, got, sizeof(got) - 1, 0);

	assert_true(n > 0);
	got[n] = '\0';
	return got;
}

static void test_syslog(void **state)
{
	char path[100], wanted[300];
	int p[2], fd = daemon_at(path);
	unsigned sent = 0;

	(void)state;
	assert_int_equal(pipe(p), 0);
	use(p[1]);
	log_init("worker 3", LOG_LEVEL_DEBUG);
	log_output(LOG_TEXT, LOG_TO_SYSLOG);
	errno = ENOSPC;
	log_error("a\nb: %m");
	snprintf(wanted, sizeof(wanted), "<27>janus[%d]: worker 3: a?b: %s", (int)getpid(), strerror(ENOSPC));
	assert_string_equal(hear(fd), wanted);
	log_debug("c");
	assert_memory_equal(hear(fd), "<31>janus[", 10);
	log_output(LOG_JSON, LOG_TO_SYSLOG);
	log_info("d");
	assert_non_null(strstr(hear(fd), "]: {\"time\":"));
	/* A daemon that reads nothing: lines are lost, counted, and told of when there is room. */
	log_output(LOG_TEXT, LOG_TO_SYSLOG);
	while (log_lost() == 0 && sent++ < 100000)
		log_warning("e");
	assert_true(log_lost() > 0);
	log_warning("e");
	assert_int_equal(log_lost(), 2);
	while (recv(fd, got, sizeof(got), 0) > 0)
		;
	log_warning("f");
	assert_non_null(strstr(hear(fd), "2 lines could not be logged"));
	assert_non_null(strstr(hear(fd), "worker 3: f"));
	/* Nobody there: to stderr. */
	assert_string_equal(drain(p[0]), "");
	close(fd);
	log_warning("g");
	assert_non_null(strstr(drain(p[0]), "worker 3: g\n"));
	unlink(path);
	log_warning("h");
	assert_non_null(strstr(drain(p[0]), "worker 3: h\n"));
	assert_int_equal(log_lost(), 2);
	log_output(LOG_TEXT, LOG_TO_STDERR);
	unsetenv("JANUS_LOG_SOCKET");
	close(p[0]);
}

static void test_native_journal(void **state)
{
	char path[100];
	int p[2], fd = daemon_at(path);

	(void)state;
	assert_int_equal(pipe(p), 0);
	use(p[1]);
	log_init("worker 3", LOG_LEVEL_INFO);
	log_output(LOG_JSON, LOG_TO_JOURNAL);
	log_field("connection", "%d", 17);
	log_warning("a \"b\"\nPRIORITY=0");
	assert_string_equal(hear(fd), "PRIORITY=4\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=janus\nMESSAGE=a \"b\"?PRIORITY=0\nJANUS_PROCESS=worker 3\nJANUS_CONNECTION=17\n");
	log_output(LOG_TEXT, LOG_TO_STDERR);
	unsetenv("JANUS_LOG_SOCKET");
	close(fd);
	unlink(path);
	close(p[0]);
}

/* A word that all processes look at goes before a process's own level. */
static void test_followed_level(void **state)
{
	static _Atomic uint32_t word;
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	use(p[1]);
	log_follow_level(&word);
	log_debug("a");
	atomic_store(&word, 1 + LOG_LEVEL_DEBUG);
	log_debug("b");
	log_init("child", LOG_LEVEL_INFO);
	log_debug("c");
	atomic_store(&word, 1 + LOG_LEVEL_ERROR);
	log_warning("d");
	log_error("e");
	atomic_store(&word, 0);
	log_debug("f");
	log_info("g");
	drain(p[0]);
	assert_int_equal(count(got, "\n"), 4);
	assert_non_null(strstr(got, "b\n"));
	assert_non_null(strstr(got, "child: c\n"));
	assert_non_null(strstr(got, "e\n"));
	assert_non_null(strstr(got, "g\n"));
	assert_int_equal(log_level_find("debug"), LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_find("loud"), -1);
	close(p[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_counter, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_pipe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_socket, setup, teardown),
		cmocka_unit_test_setup_teardown(test_terminal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed_pipe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed_socket, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed_stderr, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limited, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errno, setup, teardown),
		cmocka_unit_test_setup_teardown(test_logfmt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_json, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fields_of_what_is_left_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_syslog, setup, teardown),
		cmocka_unit_test_setup_teardown(test_native_journal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_followed_level, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
