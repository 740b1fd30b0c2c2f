/*
 * Authorities and origins. What a list holds was checked when the configuration was read; what a peer sends is checked here.
 */
#include "proto/http_origin.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define DIVIDERS " ,"

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A byte of a registered name (RFC 3986, 3.2.2), but for the comma, which no name has and lists of hosts do. */
static bool is_name_byte(char c)
{
	return is_letter(c) || is_digit(c) || (c != '\0' && strchr("-._~%!$&'()*+;=", c) != NULL);
}

/* Of an address; false: it is none. `bytes` has room for 16. */
static bool read_address(struct http_text host, bool *v6, void *bytes)
{
	char text[INET6_ADDRSTRLEN + 1];

	*v6 = host.len > 2 && host.p[0] == '[' && host.p[host.len - 1] == ']';
	if (*v6)
		host = (struct http_text){ host.p + 1, host.len - 2 };
	if (host.len == 0 || host.len >= sizeof(text) || memchr(host.p, '\0', host.len) != NULL)
		return false;
	memcpy(text, host.p, host.len);
	text[host.len] = '\0';
	return inet_pton(*v6 ? AF_INET6 : AF_INET, text, bytes) == 1;
}

static bool is_host(struct http_text host)
{
	uint8_t bytes[16];
	bool v6;

	if (host.len > 0 && host.p[0] == '[')
		return read_address(host, &v6, bytes);
	for (size_t i = 0; i < host.len; i++)
		if (!is_name_byte(host.p[i]))
			return false;
	return true;
}

/* Behind the colon. An empty one is as none. */
static bool read_port(struct http_text text, unsigned *port)
{
	*port = 0;
	for (size_t i = 0; i < text.len; i++) {
		if (!is_digit(text.p[i]) || i == 5)
			return false;
		*port = *port * 10 + (unsigned)(text.p[i] - '0');
	}
	return text.len == 0 || (*port > 0 && *port <= 65535);
}

bool http_authority(struct http_text text, struct http_authority *out)
{
	const char *bracket = text.len > 0 && text.p[0] == '[' ? memchr(text.p, ']', text.len) : NULL;
	const char *from = bracket != NULL ? bracket : text.p, *end = text.p + text.len;
	const char *colon = text.len > 0 ? memchr(from, ':', (size_t)(end - from)) : NULL;

	out->host = (struct http_text){ text.p, (size_t)((colon != NULL ? colon : end) - text.p) };
	out->port = 0;
	return is_host(out->host) && (colon == NULL || read_port((struct http_text){ colon + 1, (size_t)(end - colon) - 1 }, &out->port));
}

/* scheme:// off the front; what is left is the authority. */
static bool split_scheme(struct http_text *text, struct http_text *scheme)
{
	size_t i = 0;

	while (i < text->len && (is_letter(text->p[i]) || (i > 0 && (is_digit(text->p[i]) || (text->p[i] != '\0' && strchr("+-.", text->p[i]))))))
		i++;
	if (i == 0 || text->len - i < 3 || memcmp(text->p + i, "://", 3) != 0)
		return false;
	*scheme = (struct http_text){ text->p, i };
	*text = (struct http_text){ text->p + i + 3, text->len - i - 3 };
	return true;
}

bool http_origin(struct http_text text, struct http_origin *out)
{
	return text.p != NULL && split_scheme(&text, &out->scheme) && http_authority(text, &out->at) && out->at.host.len > 0;
}

/* ---- what is the same ---- */

static bool same_letters(struct http_text a, struct http_text b)
{
	return a.len == b.len && strncasecmp(a.p, b.p, a.len) == 0;
}

/* A name's last dot says that it is whole, and is not part of it. */
static struct http_text without_dot(struct http_text host)
{
	if (host.len > 1 && host.p[host.len - 1] == '.')
		host.len--;
	return host;
}

static bool same_host(struct http_text a, struct http_text b)
{
	uint8_t one[16] = { 0 }, other[16] = { 0 };
	bool a6, b6;

	if (same_letters(without_dot(a), without_dot(b)))
		return true;
	return a.len > 0 && b.len > 0 && a.p[0] == '[' && b.p[0] == '[' && read_address(a, &a6, one) && read_address(b, &b6, other) &&
	       memcmp(one, other, sizeof(one)) == 0;
}

/* Whether the host is a name below the domain. */
static bool is_below(struct http_text host, struct http_text domain)
{
	host = without_dot(host);
	domain = without_dot(domain);
	return host.len > domain.len + 1 && host.p[host.len - domain.len - 1] == '.' &&
	       same_letters((struct http_text){ host.p + host.len - domain.len, domain.len }, domain);
}

/* *.domain, or the host itself. */
static bool host_fits(struct http_text pattern, struct http_text host)
{
	if (pattern.len > 2 && pattern.p[0] == '*' && pattern.p[1] == '.')
		return is_below(host, (struct http_text){ pattern.p + 2, pattern.len - 2 });
	return same_host(pattern, host);
}

static bool is_secure(struct http_text scheme)
{
	return http_is(scheme, "https") || http_is(scheme, "wss");
}

static bool is_plain(struct http_text scheme)
{
	return http_is(scheme, "http") || http_is(scheme, "ws");
}

static bool same_scheme(struct http_text a, struct http_text b)
{
	return (is_secure(a) && is_secure(b)) || (is_plain(a) && is_plain(b)) || same_letters(a, b);
}

static unsigned port_of(struct http_text scheme, unsigned port)
{
	return port != 0 ? port : is_secure(scheme) ? 443 : is_plain(scheme) ? 80 : 0;
}

/* (Which scheme the server is reached by it does not know: a proxy may speak TLS for it. So the page's says what port is meant by none.) */
bool http_origin_is(const struct http_origin *origin, const struct http_authority *at)
{
	return (is_plain(origin->scheme) || is_secure(origin->scheme)) && at->host.len > 0 && same_host(origin->at.host, at->host) &&
	       port_of(origin->scheme, origin->at.port) == port_of(origin->scheme, at->port);
}

bool http_host_is_safe(struct http_text host)
{
	static const struct http_text local = { "localhost", 9 };
	uint8_t bytes[16];
	bool v6;

	return same_host(host, local) || is_below(host, local) || read_address(host, &v6, bytes);
}

/* ---- lists ---- */

static bool next(const char **list, struct http_text *item)
{
	*list += strspn(*list, DIVIDERS);
	*item = (struct http_text){ *list, strcspn(*list, DIVIDERS) };
	*list += item->len;
	return item->len > 0;
}

static bool origin_fits(struct http_text listed, struct http_text text, const struct http_origin *origin)
{
	struct http_origin pattern;

	if (origin == NULL || !http_origin(listed, &pattern))
		return same_letters(listed, text);
	return same_scheme(pattern.scheme, origin->scheme) && host_fits(pattern.at.host, origin->at.host) &&
	       port_of(pattern.scheme, pattern.at.port) == port_of(origin->scheme, origin->at.port);
}

enum http_listed http_origins_have(const char *list, struct http_text text)
{
	struct http_origin origin;
	bool is_one = http_origin(text, &origin);
	struct http_text item;

	while (next(&list, &item)) {
		if (http_is(item, "*"))
			return HTTP_ANY;
		if (origin_fits(item, text, is_one ? &origin : NULL))
			return HTTP_LISTED;
	}
	return HTTP_NOT_LISTED;
}

enum http_listed http_hosts_have(const char *list, struct http_text host)
{
	struct http_text item;

	while (next(&list, &item)) {
		if (http_is(item, "*"))
			return HTTP_ANY;
		if (host_fits(item, host))
			return HTTP_LISTED;
	}
	return HTTP_NOT_LISTED;
}

/* As a browser sends it: letters, digits, - . _ (an international one in its xn-- form); an address. `*.` may stand in front. */
static bool is_pattern(struct http_text host)
{
	if (host.len > 2 && host.p[0] == '*' && host.p[1] == '.')
		host = (struct http_text){ host.p + 2, host.len - 2 };
	if (host.len > 0 && host.p[0] == '[')
		return is_host(host);
	for (size_t i = 0; i < host.len; i++)
		if (!is_letter(host.p[i]) && !is_digit(host.p[i]) && strchr("-._", host.p[i]) == NULL)
			return false;
	return host.len > 0;
}

static const char *origin_error(struct http_text text)
{
	struct http_text scheme, host;
	struct http_authority at;
	const char *bracket, *colon;

	if (http_is(text, "*") || http_is(text, "null"))
		return NULL;
	if (!split_scheme(&text, &scheme))
		return "is neither `*` nor `null` nor of the form scheme://host or scheme://host:port";
	for (size_t i = 0; i < text.len; i++)
		if (strchr("/?#", text.p[i]) != NULL)
			return "has a path: an origin ends with host or port";
	bracket = text.len > 0 && text.p[0] == '[' ? memchr(text.p, ']', text.len) : NULL;
	colon = memchr(bracket != NULL ? bracket : text.p, ':', text.len - (size_t)((bracket != NULL ? bracket : text.p) - text.p));
	host = (struct http_text){ text.p, colon != NULL ? (size_t)(colon - text.p) : text.len };
	if (!is_pattern(host))
		return "has no host name or address behind ://";
	if (!http_authority(text, &at) || (colon != NULL && at.port == 0))
		return "has no port (1 to 65535) behind the :";
	return NULL;
}

static const char *host_error(struct http_text text)
{
	return http_is(text, "*") || is_pattern(text) ? NULL : "is neither `*` nor a host name, without port, nor of the form *.domain";
}

static const char *list_error(const char *list, struct http_text *wrong, const char *(*check)(struct http_text text))
{
	const char *error = NULL;

	while (error == NULL && next(&list, wrong))
		error = check(*wrong);
	return error;
}

const char *http_origins_error(const char *list, struct http_text *wrong)
{
	return list_error(list, wrong, origin_error);
}

const char *http_hosts_error(const char *list, struct http_text *wrong)
{
	return list_error(list, wrong, host_error);
}
