/*
 * What a request of HTTP shows: a token, or an API key, besides the certificate of its connection. It stands in one of these places; if in several, the first of them counts:
 *
 *   Authorization: Bearer TOKEN                   RFC 6750
 *   Sec-WebSocket-Protocol: janus, bearer.TOKEN   for WebSockets of browsers, which can send no field of their own. Answered is `janus`
 *   ?access_token=TOKEN or ?token=TOKEN           with the setting token_query. (`token` without a dot is a session's, proto/token.h)
 *   Cookie: NAME=TOKEN                            with the setting token_cookie, of pages that may use the server
 */
#include <string.h>

#include "proto/http_text.h"
#include "proto/websocket_handshake.h"
#include "worker/protocol/http_routes.h"
#include "worker/service/access.h"
#include "worker/service/poll.h"

#define SCHEME "bearer "
#define ACCESS_TOKEN "access_token"
#define COOKIE_OF_PAGE "a token is needed for this: the cookie does not count, as this page may not use the server (origins)"
#define INVALID_TOKEN "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n"

static bool is(struct http_text text, const char *value)
{
	return text.len == strlen(value) && memcmp(text.p, value, text.len) == 0;
}

bool exchange_looks_like_bearer(struct http_text name, struct http_text value)
{
	return is(name, ACCESS_TOKEN) || (is(name, member_names[MEMBER_TOKEN]) && value.len > 0 && memchr(value.p, '.', value.len));
}

bool exchange_is_bearer(const struct exchange *x, struct http_text name, struct http_text value)
{
	return x->protocols->base->settings->token_query != TOKEN_QUERY_OFF && exchange_looks_like_bearer(name, value);
}

/* (Another scheme may be a proxy's affair.) */
static struct http_text of_authorization(const struct http_request *req)
{
	struct http_text value = req->field[HTTP_AUTHORIZATION];

	if (value.len < sizeof(SCHEME) || strncasecmp(value.p, SCHEME, sizeof(SCHEME) - 1) != 0)
		return (struct http_text){ 0 };
	return http_trim((struct http_text){ value.p + sizeof(SCHEME) - 1, value.len - (sizeof(SCHEME) - 1) });
}

static struct http_text of_query(const struct exchange *x)
{
	struct http_text query = x->req->query, name, value;

	while (query.p && http_query_next(&query, &name, &value))
		if (exchange_is_bearer(x, name, value))
			return value;
	return (struct http_text){ 0 };
}

/* (What a page of another site has a browser send comes with its cookies: it counts only if that page may use the server.) */
static struct http_text of_cookie(const struct exchange *x)
{
	struct http_text left = x->req->field[HTTP_COOKIE], item;
	const char *name = x->protocols->base->settings->token_cookie;
	size_t len = strlen(name);

	while (len > 0 && left.p && http_list_next(&left, ';', &item)) {
		item = http_trim(item);
		if (item.len <= len || item.p[len] != '=' || memcmp(item.p, name, len) != 0)
			continue;
		if (exchange_origin_allowed(x))
			return http_trim((struct http_text){ item.p + len + 1, item.len - len - 1 });
		access_passed_over(x->protocols->service, COOKIE_OF_PAGE);
		break;
	}
	return (struct http_text){ 0 };
}

/* (It may have waited for a message, and is dealt with again.) */
static void refuse(const struct exchange *x, unsigned status, const char *fields, const char *error)
{
	poll_end(x->protocols->service, x->c->sid);
	exchange_error(x, status, fields, error);
}

bool exchange_bearer(const struct exchange *x)
{
	struct http_text shown;
	const char *error;

	access_begin(x->protocols->service, x->c->sid);
	if (!access_is_on(x->protocols->service, x->c->sid))
		return true;
	/* (A page of another site has a browser use its certificate as it has it send cookies.) */
	if (session_rights(x->protocols->base, x->c->sid) && exchange_origin_allowed(x))
		access_certified(x->protocols->service, x->c->sid);
	shown = of_authorization(x->req);
	if (!shown.p && x->req->websocket)
		shown = websocket_bearer(x->req);
	if (!shown.p)
		shown = of_query(x);
	if (!shown.p)
		shown = of_cookie(x);
	if (!shown.p || access_show(x->protocols->service, x->c->sid, shown.p, shown.len, x->req->path.p, x->req->path.len, &error))
		return true;
	refuse(x, 401, INVALID_TOKEN, error);
	return false;
}

bool exchange_may(const struct exchange *x, unsigned rights, const struct topic_name *name)
{
	const char *error;
	unsigned status = access_refuses(x->protocols->service, x->c->sid, rights, name, &error);

	if (status)
		refuse(x, status, NULL, error);
	return status == 0;
}
