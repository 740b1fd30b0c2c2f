/*
 * The service manager's socket: paths and abstract names, names that are none, and a socket that is full.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "master/notify.h"

static char folder[] = "/tmp/janus-test-XXXXXX";

static int setup(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return rmdir(folder);
}

/* A manager that listens there. */
static int listen_at(const char *name)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	size_t len = strlen(name);

	memcpy(addr.sun_path, name, len + 1);
	if (name[0] == '@')
		addr.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (name[0] == '/'))), 0);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static void hear(int fd, const char *wanted)
{
	char text[256];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	assert_string_equal(text, wanted);
}

static void path(void **state)
{
	char name[100];
	int fd;

	(void)state;
	snprintf(name, sizeof(name), "%s/notify", folder);
	fd = listen_at(name);
	assert_true(notify_wanted());
	assert_true(notify_reachable());
	assert_int_equal(notify_send("READY=1\nMAINPID=7"), 0);
	hear(fd, "READY=1\nMAINPID=7");
	close(fd);
	assert_true(notify_wanted());
	assert_false(notify_reachable());
	assert_int_equal(notify_send("READY=1"), -1);
	assert_int_equal(errno, ECONNREFUSED);
	unlink(name);
}

static void abstract_name(void **state)
{
	char name[100];
	int fd;

	(void)state;
	snprintf(name, sizeof(name), "@janus-test-%d", (int)getpid());
	fd = listen_at(name);
	assert_int_equal(notify_send("STOPPING=1"), 0);
	hear(fd, "STOPPING=1");
	/* Full: not waited for. */
	for (int i = 0; i < 100000 && notify_send("STATUS=x") == 0; i++)
		;
	assert_int_equal(notify_send("STATUS=x"), -1);
	assert_int_equal(errno, EAGAIN);
	close(fd);
}

static void wrong_names(void **state)
{
	char name[200];

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_false(notify_wanted());
	assert_false(notify_reachable());
	assert_int_equal(notify_send("x"), -1);
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	name[0] = '/';
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify_send("x"), -1);
	assert_int_equal(errno, EINVAL);
	name[108] = '\0';
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify_send("x"), -1);
	assert_int_equal(errno, EINVAL);		/* a path of 108 bytes has no room for its end */
	name[0] = '@';
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify_send("x"), -1);
	assert_int_equal(errno, ECONNREFUSED);		/* an abstract name needs none */
	for (const char *const *bad = (const char *const[]){ "relative", "", "/", "vsock:1:2", NULL }; *bad; bad++) {
		setenv("NOTIFY_SOCKET", *bad, 1);
		assert_int_equal(notify_send("x"), -1);
		assert_int_equal(errno, EINVAL);
	}
}

static void watchdog(void **state)
{
	char pid[32];

	(void)state;
	setenv("NOTIFY_SOCKET", "/nowhere", 1);
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
	assert_int_equal(notify_watchdog_ms(), 0);
	setenv("WATCHDOG_USEC", "30000000", 1);
	assert_int_equal(notify_watchdog_ms(), 30000);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(notify_watchdog_ms(), 30000);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(notify_watchdog_ms(), 0);
	notify_disinherit();
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_null(getenv("WATCHDOG_USEC"));
	assert_null(getenv("WATCHDOG_PID"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(path),
		cmocka_unit_test(abstract_name),
		cmocka_unit_test(wrong_names),
		cmocka_unit_test(watchdog),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
