/*
 * Listen addresses: URLs to sockaddrs and back.
 */
#include "master/config.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *scheme;
	int proto;
} schemes[] = {
	{"flash", PROTO_FLASH},
};
#define SCHEMES (sizeof(schemes) / sizeof(schemes[0]))

const char *config_address_scheme(int proto)
{
	for (size_t i = 0; i < SCHEMES; i++)
		if (schemes[i].proto == proto)
			return schemes[i].scheme;
	assert(!"no such transport");
	return "";
}

void config_address_text(const struct sockaddr *addr, char *dst, size_t size)
{
	char host[128], port[16];
	socklen_t len = addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

	if (getnameinfo(addr, len, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		snprintf(dst, size, "?");
	else
		snprintf(dst, size, addr->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

static int read_port(const char *text, in_port_t *port)
{
	unsigned n = 0;

	if (!*text || strspn(text, "0123456789") != strlen(text) || strlen(text) > 5)
		return -1;
	for (; *text; text++)
		n = n * 10 + (unsigned)(*text - '0');
	if (n > 65535)
		return -1;
	*port = htons((in_port_t)n);
	return 0;
}

static int read_ipv4(struct listen_address *a, const char *host, in_port_t port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&a->addr;

	if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &in->sin_addr) != 1)
		return -1;
	in->sin_family = AF_INET;
	in->sin_port = port;
	a->addr_len = sizeof(*in);
	return 0;
}

/* getaddrinfo() rather than inet_pton(): it knows the zone of a link-local address, fe80::1%eth0. */
static int read_ipv6(struct listen_address *a, const char *host, in_port_t port)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a->addr;
	struct addrinfo hints = {.ai_family = AF_INET6, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *found;

	if (getaddrinfo(host, NULL, &hints, &found) != 0)
		return -1;
	memcpy(in6, found->ai_addr, sizeof(*in6));
	freeaddrinfo(found);
	in6->sin6_port = port;
	a->addr_len = sizeof(*in6);
	return 0;
}

static int read_host(struct listen_address *a, char *host, in_port_t port)
{
	size_t len = strlen(host);

	if (strcmp(host, "*") == 0) {
		a->dual = true;
		return read_ipv6(a, "::", port);
	}
	if (host[0] != '[')
		return read_ipv4(a, host, port);
	if (host[len - 1] != ']')
		return -1;
	host[len - 1] = '\0';
	return read_ipv6(a, host + 1, port);
}

int config_address_read(struct listen_address *address, const char *text, char why[CONFIG_ERROR_MAX])
{
	struct listen_address a;
	char host[sizeof(a.url)];
	const char *at = NULL, *colon;
	in_port_t port;

	memset(&a, 0, sizeof(a));
	if (strlen(text) >= sizeof(a.url)) {
		snprintf(why, CONFIG_ERROR_MAX, "is longer than %zu bytes", sizeof(a.url) - 1);
		return -1;
	}
	memcpy(a.url, text, strlen(text));
	for (size_t i = 0; i < SCHEMES; i++) {
		size_t n = strlen(schemes[i].scheme);

		if (strncmp(text, schemes[i].scheme, n) == 0 && strncmp(text + n, "://", 3) == 0) {
			a.proto = schemes[i].proto;
			at = text + n + 3;
		}
	}
	if (!at) {
		snprintf(why, CONFIG_ERROR_MAX, "`%s` is not of the form flash://ADDR:PORT", text);
		return -1;
	}
	colon = strrchr(at, ':');
	if (!colon || strchr(colon, ']')) {
		snprintf(why, CONFIG_ERROR_MAX, "`%s` lacks its :PORT", text);
		return -1;
	}
	if (read_port(colon + 1, &port) < 0) {
		snprintf(why, CONFIG_ERROR_MAX, "`%s` is not a port (0 to 65535)", colon + 1);
		return -1;
	}
	snprintf(host, sizeof(host), "%.*s", (int)(colon - at), at);
	if (read_host(&a, host, port) < 0) {
		snprintf(why, CONFIG_ERROR_MAX,
			 "`%.*s` is not a numeric IPv4 address, a numeric IPv6 address in [], `localhost` or `*`",
			 (int)(colon - at), at);
		return -1;
	}
	*address = a;
	return 0;
}
