#include "tests/bench/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/tlsc.h"

#define DEFAULT_PORT 8081
#define SOURCES 250u		/* 127.0.0.2 to .251 are subscribers', .252 the churn's, .253 the publishers' */

/* Those within TLS, by descriptor. */
static struct tlsc **within;
static int within_room;

static struct tlsc *tls_of(int fd)
{
	return fd < within_room ? within[fd] : NULL;
}

static int start_tls(int fd)
{
	if (fd >= within_room) {
		int room = 2 * (fd + 1);
		struct tlsc **more = realloc(within, (size_t)room * sizeof(*more));

		if (!more)
			return -1;
		memset(more + within_room, 0, (size_t)(room - within_room) * sizeof(*more));
		within = more;
		within_room = room;
	}
	within[fd] = tlsc_open(fd);
	return within[fd] ? 0 : -1;
}

static int parse_port(const char *text, uint16_t *port)
{
	char *end;
	long v = strtol(text, &end, 10);

	if (end == text || *end || v < 1 || v > 65535)
		return -1;
	*port = (uint16_t)v;
	return 0;
}

/* Splits HOST:PORT, [HOST]:PORT, HOST, [HOST]. */
static int split(const char *text, char *host, size_t size, uint16_t *port)
{
	const char *end, *colon;

	if (*text == '[') {
		text++;
		end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -1;
		colon = end[1] ? end + 1 : NULL;
	} else {
		colon = strchr(text, ':');
		end = colon ? colon : text + strlen(text);
	}
	if (end == text || (size_t)(end - text) >= size)
		return -1;
	memcpy(host, text, (size_t)(end - text));
	host[end - text] = 0;
	*port = DEFAULT_PORT;
	return colon ? parse_port(colon + 1, port) : 0;
}

int net_parse(const char *text, struct sockaddr_storage *address, socklen_t *len, const char **error)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
	char host[64];
	uint16_t port;

	memset(address, 0, sizeof(*address));
	*error = "not HOST:PORT, such as 127.0.0.1:8081 or [::1]:8081";
	if (split(text, host, sizeof(host), &port))
		return -1;
	if (!strcmp(host, "localhost"))
		strcpy(host, "127.0.0.1");
	*error = "refused: janusbench loads this machine only, so the host must be a loopback address (127.0.0.0/8 or ::1)";
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		*len = sizeof(*v4);
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127 ? 0 : -1;
	}
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		*len = sizeof(*v6);
		return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) ? 0 : -1;
	}
	return -1;
}

/* ::1 is the only IPv6 loopback address there is, so with it all share one source. */
static int choose_source(int fd, uint32_t who)
{
	struct sockaddr_in source = { .sin_family = AF_INET };
	uint32_t last = who == NET_PUBLISHER ? 253 : who == NET_CHURN ? 252 : 2 + who / NET_PER_SOURCE % SOURCES;
	int on = 1;

	source.sin_addr.s_addr = htonl(0x7f000000u | last);
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)))
		return -1;
	return bind(fd, (struct sockaddr *)&source, sizeof(source));
}

int net_connect(const struct sockaddr_storage *address, socklen_t len, bool tls, uint32_t who, int rcvbuf)
{
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, error;

	if (fd < 0)
		return -1;
	if (address->ss_family == AF_INET && choose_source(fd, who))
		goto err;
	if (rcvbuf && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf)))
		goto err;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		goto err;
	if (connect(fd, (const struct sockaddr *)address, len) && errno != EINPROGRESS)
		goto err;
	if (tls && start_tls(fd))
		goto err;
	return fd;
err:
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

int net_ready(int fd)
{
	struct tlsc *t = tls_of(fd);
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len))
		return errno;
	return error || !t ? error : tlsc_shake(t);
}

bool net_resume(int fd)
{
	struct tlsc *t = tls_of(fd);

	if (!t || !tlsc_has_ticket(t))
		return false;
	tlsc_resume(t);
	return true;
}

bool net_is_resumed(int fd)
{
	struct tlsc *t = tls_of(fd);

	return t && tlsc_is_resumed(t);
}

ssize_t net_recv(int fd, void *dst, size_t size)
{
	struct tlsc *t = tls_of(fd);

	return t ? tlsc_recv(t, dst, size) : recv(fd, dst, size, 0);
}

ssize_t net_send(int fd, const void *bytes, size_t len)
{
	struct tlsc *t = tls_of(fd);

	return t ? tlsc_send(t, bytes, len) : send(fd, bytes, len, MSG_NOSIGNAL);
}

void net_close(int fd)
{
	struct tlsc *t = tls_of(fd);

	if (t) {
		within[fd] = NULL;
		tlsc_close(t);
	}
	close(fd);
}

void net_abort(int fd)
{
	struct linger rst = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &rst, sizeof(rst));
	net_close(fd);
}
