/*
 * Listen sockets.
 */
#include "master/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 65535		/* the kernel takes net.core.somaxconn when that is less */

/* The socket for the address; *addr is changed to IPv4 where `*` has to do without IPv6. */
static int make_socket(const struct listen_address *address, struct sockaddr_storage *addr, socklen_t *len)
{
	struct sockaddr_in *in = (struct sockaddr_in *)addr;
	in_port_t port;
	int fd;

	fd = socket(addr->ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (fd >= 0 || !address->dual || errno != EAFNOSUPPORT)
		return fd;
	port = ((struct sockaddr_in6 *)addr)->sin6_port;
	memset(addr, 0, sizeof(*addr));
	in->sin_family = AF_INET;
	in->sin_port = port;
	*len = sizeof(*in);
	return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
}

int listen_open(const struct listen_address *address, char error[CONFIG_ERROR_MAX])
{
	struct sockaddr_storage addr = address->addr;
	socklen_t len = address->addr_len;
	int on = 1, only = !address->dual, fd;
	const char *step = "socket";

	fd = make_socket(address, &addr, &len);
	if (fd < 0)
		goto err;
	step = "setsockopt";
	/* Urgent data inline, for connections inherit it: out of line it is counted as received and never is. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 || setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)) < 0)
		goto err;
	if (addr.ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)) < 0)
		goto err;
	step = "bind";
	if (bind(fd, (struct sockaddr *)&addr, len) < 0)
		goto err;
	step = "listen";
	if (listen(fd, BACKLOG) < 0)
		goto err;
	return fd;
err:
	snprintf(error, CONFIG_ERROR_MAX, "listen %s: %s: %s", address->url, step, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

void listen_url(int fd, const struct listen_address *address, char *dst, size_t size)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	char text[128];

	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0) {
		snprintf(dst, size, "%s", address->url);
		return;
	}
	config_address_text((struct sockaddr *)&addr, text, sizeof(text));
	snprintf(dst, size, "%s://%s%s", config_address_scheme(address->proto), address->dual ? "*" : "",
		 address->dual ? strrchr(text, ':') : text);
}

int listen_begin(struct heritage_listener *listener, const struct listen_address *address, char error[CONFIG_ERROR_MAX])
{
	_Static_assert(sizeof(listener->url) == sizeof(address->url), "the same text");

	memset(listener, 0, sizeof(*listener));
	listener->fd = listen_open(address, error);
	if (listener->fd < 0)
		return -1;
	listener->proto = address->proto;
	memcpy(listener->url, address->url, sizeof(listener->url));
	listen_url(listener->fd, address, listener->bound, sizeof(listener->bound));
	return 0;
}
