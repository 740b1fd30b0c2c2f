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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
