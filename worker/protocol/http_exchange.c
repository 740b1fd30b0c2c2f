/*
 * A request and its answer: whether its page may ask, and the answer's way into the session's output.
 */
#include "worker/protocol/http.h"

#include <stdio.h>
#include <string.h>

#include "proto/http_origin.h"
#include "worker/service/access.h"
#include "worker/service/flood.h"
#include "worker/service/publish_batch.h"
#include "worker/session/tell.h"

/* ---- origins ---- */

/* (What is refused at the door has no session, and gets no path's answer.) */
bool exchange_is_admin(const struct exchange *x)
{
	return x->c && session_is_admin(&session(x->protocols->base, x->c->sid)->state);
}

/* What is for who runs the server is for no other site's pages: who is in `origins` is meant to speak to clients' listeners, and has been given no rights there. */
static enum http_listed page_listed(const struct exchange *x, struct http_text origin)
{
	return exchange_is_admin(x) ? HTTP_NOT_LISTED : http_origins_have(x->protocols->base->settings->origins, origin);
}

/* Nor does `*` say by which names it may be called: who is named, before it, may. */
static bool host_listed(const struct exchange *x, struct http_text host)
{
	enum http_listed listed = http_hosts_have(x->protocols->base->settings->hosts, host);

	return listed == HTTP_LISTED || (listed == HTTP_ANY && !exchange_is_admin(x));
}

/* An empty Origin says as much as none. */
static struct http_text origin_of(const struct http_request *req)
{
	return req->field[HTTP_ORIGIN].len ? req->field[HTTP_ORIGIN] : (struct http_text){ 0 };
}

/* Whether the page comes from here, by the name that the request is for. */
static bool is_own(const struct http_request *req, struct http_text origin)
{
	struct http_origin parts;

	return http_origin(origin, &parts) && http_origin_is(&parts, &req->authority);
}

static bool host_is_ours(const struct exchange *x)
{
	struct http_text host = x->req->authority.host;

	return host.len == 0 || http_host_is_safe(host) || host_listed(x, host);
}

/* What Access-Control-Allow-Origin is to say; p NULL: nothing. *credentials: the page may come with cookies and the like. */
static struct http_text granted(const struct exchange *x, bool *credentials)
{
	struct http_text origin = origin_of(x->req);

	*credentials = false;
	if (!origin.p || origin.len > HTTP_ORIGIN_MAX)
		return (struct http_text){ 0 };
	switch (page_listed(x, origin)) {
	case HTTP_ANY:
		return (struct http_text){ "*", 1 };
	case HTTP_LISTED:
		*credentials = !http_is(origin, "null");	/* which any page can be, in a sandbox */
		return origin;
	case HTTP_NOT_LISTED:
		break;
	}
	return is_own(x->req, origin) && host_is_ours(x) ? origin : (struct http_text){ 0 };
}

bool exchange_origin_allowed(const struct exchange *x)
{
	bool credentials;

	return !origin_of(x->req).p || granted(x, &credentials).p;
}

/*
 * A browser that loads something of the page's own site sends no Origin, and to a plain http:// site with a name no Sec-Fetch-Site. What it
 * always sends is Accept-Language, which a page can change and not take away; other programs don't, but for Node's fetch(), which has a
 * Sec-Fetch-Mode beside it, as no page can.
 */
static bool is_of_browser(const struct http_request *req)
{
	return req->field[HTTP_FETCH_SITE].p || (req->field[HTTP_ACCEPT_LANGUAGE].p && !req->field[HTTP_FETCH_MODE].p);
}

bool exchange_of_browser(const struct exchange *x)
{
	return origin_of(x->req).p || is_of_browser(x->req);
}

/* Whether a page that comes from here, by whatever scheme, is one that `origins` has. */
static bool host_is_listed(const struct exchange *x)
{
	static const char *const schemes[] = { "http", "https" };
	struct http_authority at = x->req->authority;
	char text[HTTP_ORIGIN_MAX];

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		int len = at.port ? snprintf(text, sizeof(text), "%s://%.*s:%u", schemes[i], (int)at.host.len, at.host.p, at.port)
				  : snprintf(text, sizeof(text), "%s://%.*s", schemes[i], (int)at.host.len, at.host.p);

		if ((size_t)len < sizeof(text) && page_listed(x, (struct http_text){ text, (size_t)len }) != HTTP_NOT_LISTED)
			return true;
	}
	return false;
}

/*
 * DNS rebinding: a stranger's page has its own name mean this machine, and is then of the same site as the server, to the browser. So a name
 * makes a page the server's own only if it is known to be the server's.
 */
bool exchange_host_allowed(const struct exchange *x)
{
	struct http_text origin = origin_of(x->req);

	if (origin.p ? !is_own(x->req, origin) : !is_of_browser(x->req))
		return true;
	return host_is_ours(x) || host_is_listed(x);
}

/* ---- answers ---- */

struct http_answer exchange_answer(const struct exchange *x, unsigned status, const char *type)
{
	struct http_answer answer = {
		.status = status,
		.time = hub_now(),
		.minor = x->req->minor,
		.keep_alive = x->req->keep_alive,
		.head = x->req->method == HTTP_HEAD,
		.type = type,
	};

	answer.origin = granted(x, &answer.credentials);
	return answer;
}

/* By the answer's first line: it is what the client gets, whoever made it. */
static void count_status(const struct exchange *x, const char *bytes, size_t len)
{
	static const enum counter by_class[] = { COUNTER_http_1xx, COUNTER_http_2xx, COUNTER_http_3xx, COUNTER_http_4xx, COUNTER_http_5xx };
	unsigned class = len >= sizeof("HTTP/1.1 200") - 1 ? (unsigned)(bytes[sizeof("HTTP/1.1 ") - 1] - '1') : 5;

	if (class < sizeof(by_class) / sizeof(by_class[0]))
		base_count(x->protocols->base, by_class[class], 1);
}

bool exchange_send(const struct exchange *x, struct outcome *o, const char *bytes, size_t len, bool goes_on)
{
	if (!len) {			/* it does not fit into the scratch */
		session_abort(x->protocols->base, x->c->sid, COUNTER_no_buffer);
		x->c->stop = true;
		if (o->count > 0)
			publish_batch_end(x->protocols->service);
	}
	if (!len || !outcome_commit(x->protocols->service, x->c, o, x->after, bytes, len, goes_on ? 0 : SESSION_CLOSE))
		return false;
	count_status(x, bytes, len);
	return true;
}

/* The answer lies in the scratch. */
static void reply(const struct exchange *x, struct outcome *o, size_t len, bool goes_on)
{
	exchange_send(x, o, x->protocols->base->scratch, len, goes_on);
}

void exchange_reply(const struct exchange *x, struct outcome *o, const struct http_answer *answer, const char *body, size_t len)
{
	reply(x, o, http_answer(x->protocols->base->scratch, x->protocols->base->scratch_room, answer, body, len), answer->keep_alive);
}

/* Tells of a page that may not do what it asks for: why, and the page's origin, or the name by which it asks. */
static void tell_forbidden(const struct exchange *x, const char *why)
{
	struct http_text origin = origin_of(x->req), host = x->req->authority.host;
	bool by_origin = origin.p != NULL;
	char text[EVENT_TEXT + 1];

	snprintf(text, sizeof(text), "%s %.*s: %s", by_origin ? "Origin" : "Host", (int)(by_origin ? origin.len : host.len),
		 by_origin ? origin.p : host.p ? host.p : "", why);
	tell_session(x->protocols->base, x->c->sid, EVENT_REFUSE, 403, text, strlen(text), NULL);
}

void exchange_error(const struct exchange *x, unsigned status, const char *fields, const char *text)
{
	struct http_answer answer = exchange_answer(x, status, NULL);
	struct outcome o = outcome_nothing(x->protocols->service, x->c);

	if (status == 403 && !(x->c && access_was_refused(x->protocols->service)))
		tell_forbidden(x, text);
	if (status == 401 && !fields)
		fields = "WWW-Authenticate: Bearer\r\n";
	answer.fields = fields;
	reply(x, &o, http_error(x->protocols->base->scratch, x->protocols->base->scratch_room, &answer, text), answer.keep_alive);
}

void exchange_flood(struct exchange *x)
{
	struct http_answer answer = exchange_answer(x, 429, NULL);
	struct outcome o = outcome_nothing(x->protocols->service, x->c);

	tell_ends(x->protocols->base, x->c->sid, COUNTER_closed_flood, FLOOD_MESSAGES);
	answer.keep_alive = false;
	x->after = x->c->at + cursor_left(x->c);
	reply(x, &o, http_error(x->protocols->base->scratch, x->protocols->base->scratch_room, &answer, FLOOD_MESSAGES), false);
}

size_t http_last_words(struct protocols *protocols, const char *input, size_t len, unsigned status, const char *text, char *dst)
{
	struct http_request req;
	struct exchange x = { .protocols = protocols, .req = &req };
	struct http_answer answer;

	http_glance(input, len, &req);
	answer = exchange_answer(&x, status, NULL);
	answer.keep_alive = false;
	return http_error(dst, TRANSPORT_NOTICE_MAX, &answer, text);
}
