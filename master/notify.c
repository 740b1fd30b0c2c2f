/*
 * The service manager's socket. See notify.h. A descriptor that stayed open would have to be handed on and be known to each starting process; so
 * there is one for each datagram, of which there is one a second at most.
 */
#include "master/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

bool notify_wanted(void)
{
	const char *name = getenv("NOTIFY_SOCKET");

	return name && *name;
}

uint64_t notify_watchdog_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

	if (!notify_wanted() || !usec || (pid && strtoll(pid, NULL, 10) != getpid()))
		return 0;
	return strtoull(usec, NULL, 10) / 1000;
}

/* A socket that leads there, which whoever calls closes; or -1 with errno. */
static int open_socket(void)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	size_t len = name ? strlen(name) : 0;
	int fd, error;

	if (len < 2 || len > sizeof(addr.sun_path) || (name[0] != '/' && name[0] != '@') || (name[0] == '/' && len == sizeof(addr.sun_path))) {
		errno = EINVAL;
		return -1;
	}
	memcpy(addr.sun_path, name, len);
	if (name[0] == '@')
		addr.sun_path[0] = '\0';
	else
		len++;		/* its end belongs to a path, and not to an abstract name */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

bool notify_reachable(void)
{
	int fd = open_socket();

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int notify_send(const char *text)
{
	int fd = open_socket(), error;
	ssize_t n;

	if (fd < 0)
		return -1;
	n = send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
	error = errno;
	close(fd);
	errno = error;
	return n < 0 ? -1 : 0;
}

void notify_disinherit(void)
{
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}
