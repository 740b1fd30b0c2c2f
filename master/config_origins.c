/*
 * The `origins` setting: which pages may use the server from a browser (RFC 6454).
 */
#include "master/config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define DIVIDERS " ,"

static bool is_scheme(const char *text, size_t len)
{
	return len > 0 && strspn(text, LETTERS) > 0 && strspn(text, LETTERS DIGITS "+-.") == len;
}

/* A name, as browsers send it (ASCII; an international one in its xn-- form); an IPv4 address; an IPv6 address in []. */
static bool is_host(const char *text, size_t len)
{
	char address[INET6_ADDRSTRLEN + 1];
	struct in6_addr in6;

	if (len == 0 || text[0] != '[')
		return len > 0 && strspn(text, LETTERS DIGITS "-._") == len;
	return text[len - 1] == ']' && len - 2 < sizeof(address) &&
	       snprintf(address, sizeof(address), "%.*s", (int)len - 2, text + 1) > 0 && inet_pton(AF_INET6, address, &in6) == 1;
}

static bool is_port(const char *text)
{
	size_t len = strspn(text, DIGITS);
	unsigned n = 0;

	if (len == 0 || len > 5 || text[len])
		return false;
	for (; *text; text++)
		n = n * 10 + (unsigned)(*text - '0');
	return n >= 1 && n <= 65535;
}

/* NULL, or what is wrong with it. */
static const char *wrong(const char *origin)
{
	const char *host = strstr(origin, "://"), *end;
	size_t bracket;

	if (strcmp(origin, "*") == 0)
		return NULL;
	if (!host || !is_scheme(origin, (size_t)(host - origin)))
		return "is neither `*` nor of the form scheme://host or scheme://host:port";
	host += 3;
	if (strpbrk(host, "/?#"))
		return "has a path: an origin ends with host or port";
	bracket = host[0] == '[' ? strcspn(host, "]") : 0;
	end = host + bracket + strcspn(host + bracket, ":");
	if (!is_host(host, (size_t)(end - host)))
		return "has no host name or address behind ://";
	if (*end && !is_port(end + 1))
		return "has no port (1 to 65535) behind the :";
	return NULL;
}

int config_origins_check(const char *list, char why[CONFIG_ERROR_MAX])
{
	char origin[SETTINGS_TEXT_MAX];

	for (list += strspn(list, DIVIDERS); *list; list += strspn(list, DIVIDERS)) {
		size_t len = strcspn(list, DIVIDERS);
		const char *what;

		snprintf(origin, sizeof(origin), "%.*s", (int)len, list);
		what = wrong(origin);
		if (what) {
			snprintf(why, CONFIG_ERROR_MAX, "`%s` %s", origin, what);
			return -1;
		}
		list += len;
	}
	return 0;
}
