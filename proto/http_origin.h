/*
 * Who a request is for and which page it comes from: the authority of Host or of an absolute target (RFC 9110, 7.2), and origins (RFC 6454), as
 * what they mean and not as texts: letters of either case, default ports, a name's last dot. The lists that settings hold of both.
 */
#ifndef PROTO_HTTP_ORIGIN_H
#define PROTO_HTTP_ORIGIN_H

#include "proto/http.h"

/* scheme://host[:port]. A WebSocket's scheme is that of the page that may open it: ws is http, wss is https. */
struct http_origin {
	struct http_text scheme;
	struct http_authority at;
};

/* host[:port], host being a name or IPv4 address, or an IPv6 address in []. The host may be empty. False: it is none. */
bool http_authority(struct http_text text, struct http_authority *out);

/* False: it is none, as "null" is not. */
bool http_origin(struct http_text text, struct http_origin *out);

/* Whether a page of this origin comes from the server at that authority. */
bool http_origin_is(const struct http_origin *origin, const struct http_authority *at);

/* Whether it is localhost, a name below it, or an address: what no stranger's name server can have mean another machine. */
bool http_host_is_safe(struct http_text host);

/* ---- lists, divided by spaces or commas ---- */

enum http_listed { HTTP_NOT_LISTED, HTTP_LISTED, HTTP_ANY };

/* Origins: scheme://host[:port], where the host may be *.domain (all names below it), null, * (any). An Origin that is none is null's equal only if
 * it says so. */
enum http_listed http_origins_have(const char *list, struct http_text origin);

/* Names: host, *.domain, * (any). */
enum http_listed http_hosts_have(const char *list, struct http_text host);

/* Checks such a list. NULL; or what is wrong with one of them, which *wrong is. */
const char *http_origins_error(const char *list, struct http_text *wrong);
const char *http_hosts_error(const char *list, struct http_text *wrong);

#endif
