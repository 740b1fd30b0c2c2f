/*
 * Listen addresses: URLs to sockaddrs and back.
 */
#include "master/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#define INTERNET "://"
#define LOCAL "+unix:"
#define OPTION " slow="
#define PROXY " proxy"

void config_address_text(const struct sockaddr *addr, char *dst, size_t size)
{
	char host[128], port[16];
	socklen_t len = addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

	if (getnameinfo(addr, len, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		snprintf(dst, size, "?");
	else
		snprintf(dst, size, addr->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

const char *config_address_path(const struct listen_address *address)
{
	return address->addr.ss_family == AF_UNIX ? ((const struct sockaddr_un *)&address->addr)->sun_path : NULL;
}

bool config_address_same(const struct listen_address *a, const struct listen_address *b)
{
	/* (The port stands at the same place for IPv4 and IPv6.) */
	if (a->addr.ss_family != AF_UNIX && ((const struct sockaddr_in *)&a->addr)->sin_port == 0)
		return strcmp(a->url, b->url) == 0;
	return a->dual == b->dual && a->addr_len == b->addr_len && memcmp(&a->addr, &b->addr, a->addr_len) == 0;
}

/* ---- Internet addresses ---- */

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

/* ADDR:PORT */
static int read_internet(struct listen_address *a, const char *at, char why[CONFIG_ERROR_MAX])
{
	char host[sizeof(a->url)];
	const char *colon = strrchr(at, ':');
	in_port_t port;

	if (!colon || strchr(colon, ']')) {
		snprintf(why, CONFIG_ERROR_MAX, "`%s` lacks its :PORT", a->url);
		return -1;
	}
	if (read_port(colon + 1, &port) < 0) {
		snprintf(why, CONFIG_ERROR_MAX, "`%s` is not a port (0 to 65535)", colon + 1);
		return -1;
	}
	snprintf(host, sizeof(host), "%.*s", (int)(colon - at), at);
	if (read_host(a, host, port) < 0) {
		snprintf(why, CONFIG_ERROR_MAX,
			 "`%.*s` is not a numeric IPv4 address, a numeric IPv6 address in [], `localhost` or `*`",
			 (int)(colon - at), at);
		return -1;
	}
	return 0;
}

/* ---- Unix sockets ---- */

/* PATH */
static int read_local(struct listen_address *a, const char *path, char why[CONFIG_ERROR_MAX])
{
	struct sockaddr_un *un = (struct sockaddr_un *)&a->addr;
	size_t len = strlen(path);

	_Static_assert(sizeof(a->url) > sizeof("packet" LOCAL) - 1 + sizeof(un->sun_path) - 1, "a URL has room for any path");

	if (*path != '/') {
		snprintf(why, CONFIG_ERROR_MAX, "`%.150s` is not an absolute path", path);
		return -1;
	}
	if (len >= sizeof(un->sun_path)) {
		snprintf(why, CONFIG_ERROR_MAX, "the path `%.150s` has %zu bytes; that of a Unix socket may have %zu", path, len,
			 sizeof(un->sun_path) - 1);
		return -1;
	}
	for (const char *p = path; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f) {
			snprintf(why, CONFIG_ERROR_MAX, "the path `%s` has a control character in it", path);
			return -1;
		}
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, len);
	a->addr_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	return 0;
}

/* ---- the whole ---- */

/* What follows `separator` if the text is scheme, separator, something; else NULL. */
static const char *behind(const char *text, const char *scheme, const char *separator)
{
	size_t a = strlen(scheme), b = strlen(separator);

	return strncmp(text, scheme, a) == 0 && strncmp(text + a, separator, b) == 0 ? text + a + b : NULL;
}

/* The address alone. */
static int read_url(struct listen_address *address, const char *text, char why[CONFIG_ERROR_MAX])
{
	struct listen_address a;
	const char *internet = NULL, *local = NULL;

	memset(&a, 0, sizeof(a));
	for (int proto = 0; proto < PROTOCOLS && !internet && !local; proto++) {
		a.proto = proto;
		internet = behind(text, protocol_scheme(proto, false), INTERNET);
		local = behind(text, protocol_scheme(proto, false), LOCAL);
		if (!internet && (internet = behind(text, protocol_scheme(proto, true), INTERNET)) != NULL)
			a.tls = true;
	}
	snprintf(a.url, sizeof(a.url), "%.*s", (int)sizeof(a.url) - 1, text);
	if (local && read_local(&a, local, why) < 0)
		return -1;
	if (strlen(text) >= sizeof(a.url)) {
		snprintf(why, CONFIG_ERROR_MAX, "is longer than %zu bytes", sizeof(a.url) - 1);
		return -1;
	}
	if (!internet && !local) {
		snprintf(why, CONFIG_ERROR_MAX, "`%s` is neither SCHEME://ADDR:PORT nor SCHEME+unix:/PATH, SCHEME being flash, http, packet or admin, and with TLS flash+tls, https, packet+tls or admin+tls",
			 text);
		return -1;
	}
	if (internet && read_internet(&a, internet, why) < 0)
		return -1;
	*address = a;
	return 0;
}

int config_address_own(struct listen_address *address, const char *runtime_dir)
{
	char url[CONFIG_ERROR_MAX], why[CONFIG_ERROR_MAX];

	snprintf(url, sizeof(url), "%s%s%s/admin", protocol_scheme(PROTO_ADMIN, false), LOCAL, runtime_dir);
	if (read_url(address, url, why) == 0)
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

/* Takes the word off the end of text[0..len), and blanks ahead of it. */
static bool take_proxy(const char *text, size_t *len)
{
	size_t n = *len;

	while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\t'))
		n--;
	if (n <= sizeof(PROXY) - 1 || memcmp(text + n - (sizeof(PROXY) - 1), PROXY, sizeof(PROXY) - 1) != 0)
		return false;
	for (n -= sizeof(PROXY) - 1; n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\t'); n--)
		;
	*len = n;
	return true;
}

/* What begins with the first ` slow=` are options, and ` proxy` at the end or ahead of that: so a path can't have these in it. */
int config_address_read(struct listen_address *address, const char *text, char why[CONFIG_ERROR_MAX])
{
	size_t len = strlen(text), url_len;
	bool proxy = take_proxy(text, &len);
	const char *option = memmem(text, len, OPTION, sizeof(OPTION) - 1), *word = option ? option + strlen(OPTION) : NULL;
	char url[CONFIG_ERROR_MAX];
	struct text_piece piece;
	enum slow_policy slow = SLOW_UNSAID;

	url_len = option ? (size_t)(option - text) : len;
	proxy |= take_proxy(text, &url_len);
	piece = text_piece(text, url_len);
	snprintf(url, sizeof(url), "%.*s", (int)piece.len, piece.p);
	if (read_url(address, url, why) < 0)
		return -1;
	if (option) {
		size_t word_len = len - (size_t)(word - text);

		piece = text_piece(word, word_len);
		slow = slow_policy_read(piece);
		if (slow == SLOW_UNSAID) {
			snprintf(why, CONFIG_ERROR_MAX, "slow=%.*s is not one of: slow=skip slow=latest slow=disconnect", word_len < 100 ? (int)word_len : 100, word);
			return -1;
		}
	}
	address->slow = slow;
	address->proxy = proxy;
	return 0;
}

void config_address_options(const struct listen_address *address, char text[CONFIG_OPTIONS_MAX])
{
	snprintf(text, CONFIG_OPTIONS_MAX, "%s%s%s", address->proxy ? PROXY : "", address->slow ? OPTION : "", slow_policy_word(address->slow));
}
