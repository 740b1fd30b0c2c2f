/*
 * Listen sockets, on ports that the kernel chooses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "master/listen.h"

static char error[CONFIG_ERROR_MAX];

static struct listen_address address(const char *url)
{
	struct listen_address a;

	if (config_address_read(&a, url, error) < 0)
		fail_msg("%s", error);
	return a;
}

/* Connects to a URL; 0 or -1. */
static int dial(const char *url)
{
	struct listen_address a = address(url);
	int fd = socket(a.addr.ss_family, SOCK_STREAM, 0);
	int rc = fd < 0 ? -1 : connect(fd, (struct sockaddr *)&a.addr, a.addr_len);

	close(fd);
	return rc;
}

static int port_of(int fd)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	return ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
						: ((struct sockaddr_in *)&addr)->sin_port);
}

static void ipv4(void **state)
{
	struct listen_address a = address("flash://localhost:0");
	char url[128], expected[200];
	int fd = listen_open(&a, error), on;
	socklen_t len = sizeof(on);

	(void)state;
	assert_true(fd >= 0);
	assert_int_not_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(fcntl(fd, F_GETFD), 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, &len), 0);
	assert_int_equal(on, 1);
	listen_url(fd, &a, url, sizeof(url));
	assert_int_not_equal(port_of(fd), 0);
	snprintf(expected, sizeof(expected), "flash://127.0.0.1:%d", port_of(fd));
	assert_string_equal(url, expected);
	assert_int_equal(dial(url), 0);

	/* taken: says so, with the address as the configuration has it */
	a = address(url);
	assert_int_equal(listen_open(&a, error), -1);
	snprintf(expected, sizeof(expected), "listen %s: bind: Address already in use", url);
	assert_string_equal(error, expected);
	close(fd);
}

static bool have_ipv6(void)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	bool have = fd >= 0 && bind(fd, (struct sockaddr *)&in6, sizeof(in6)) == 0;

	close(fd);
	return have;
}

static void ipv6_only(void **state)
{
	struct listen_address a = address("flash://[::]:0");
	char url[128];
	int fd;

	(void)state;
	if (!have_ipv6())
		skip();
	fd = listen_open(&a, error);
	assert_true(fd >= 0);
	snprintf(url, sizeof(url), "flash://[::1]:%d", port_of(fd));
	assert_int_equal(dial(url), 0);
	snprintf(url, sizeof(url), "flash://127.0.0.1:%d", port_of(fd));
	assert_int_equal(dial(url), -1);
	listen_url(fd, &a, url, sizeof(url));
	assert_memory_equal(url, "flash://[::]:", 13);
	close(fd);
}

static void all(void **state)
{
	struct listen_address a = address("flash://*:0");
	char url[128], expected[128];
	int fd = listen_open(&a, error);

	(void)state;
	assert_true(fd >= 0);
	snprintf(url, sizeof(url), "flash://127.0.0.1:%d", port_of(fd));
	assert_int_equal(dial(url), 0);
	snprintf(url, sizeof(url), "flash://[::1]:%d", port_of(fd));
	assert_int_equal(dial(url), have_ipv6() ? 0 : -1);
	listen_url(fd, &a, url, sizeof(url));
	snprintf(expected, sizeof(expected), "flash://*:%d", port_of(fd));
	assert_string_equal(url, expected);
	close(fd);
}

static void not_ours(void **state)
{
	struct listen_address a = address("flash://192.0.2.1:0");

	(void)state;
	assert_int_equal(listen_open(&a, error), -1);
	assert_string_equal(error, "listen flash://192.0.2.1:0: bind: Cannot assign requested address");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipv4),
		cmocka_unit_test(ipv6_only),
		cmocka_unit_test(all),
		cmocka_unit_test(not_ours),
	};

	return cmocka_run_group_tests_name("listen", tests, NULL, NULL);
}
