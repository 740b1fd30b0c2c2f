/*
 * HTTP connections: from the input to requests. What a request does is in http_routes.c; how it is answered, in http_exchange.c.
 */
#include "worker/protocol/http.h"

#include "worker/io/session_peer.h"
#include "worker/protocol/answer.h"
#include "worker/protocol/input.h"
#include "worker/service/flood.h"
#include "worker/session/tell.h"

static struct http_limits limits(const struct protocols *protocols)
{
	return (struct http_limits){
		.line = (uint32_t)protocols->base->settings->max_head / 2,
		.head = (uint32_t)protocols->base->settings->max_head,
		.headers = (uint32_t)protocols->base->settings->max_fields,
		.body = (uint32_t)protocols->base->settings->max_frame,
	};
}

/* Where the next request would begin is not certain: this was the last one. */
static void refuse(struct protocols *protocols, struct cursor *c, const struct http_request *bad)
{
	struct http_request req;
	struct exchange x = { .protocols = protocols, .c = c, .req = &req, .after = c->at + cursor_left(c) };

	http_glance(cursor_text(c), cursor_left(c), &req);
	session_bad(protocols, c->sid, bad->error);
	exchange_error(&x, bad->status, NULL, bad->error);
}

/*
 * Whether the client is to be told to go on, as it waits for. If not it is answered, and that is the connection's end: whether the body comes all the
 * same, and so where the next request would begin, is not certain. *req is changed.
 */
static bool expected(struct exchange *x, struct http_request *req)
{
	x->after = x->c->at + cursor_left(x->c);
	req->keep_alive = false;
	if (flood_has(x->protocols->service, x->c->sid, 1)) {
		exchange_flood(x);
		return false;
	}
	return routes_want_body(x);
}

bool http_step(struct protocols *protocols, struct cursor *c)
{
	struct http_limits most = limits(protocols);
	struct http_request req;
	struct exchange x = { .protocols = protocols, .c = c, .req = &req };

	http_next(cursor_text(c), cursor_left(c), &most, cursor_scan(c), protocols->base->scratch, &req);
	switch (req.kind) {
	case HTTP_MORE:
		return false;
	case HTTP_CONTINUE:
		return expected(&x, &req) && session_answer(protocols->base, c->sid, c->at, HTTP_100, sizeof(HTTP_100) - 1);
	case HTTP_BAD:
		refuse(protocols, c, &req);
		return false;
	case HTTP_REQUEST:
		break;
	}
	if (flood_has(protocols->service, c->sid, 1)) {
		exchange_flood(&x);
		return false;
	}
	if (cursor_yields(c))
		return false;
	x.after = c->at + req.taken;
	session_peer_forwarded(protocols->base, c->sid, cursor_text(c), ((const struct http_scan *)cursor_scan(c))->head);
	routes_handle(&x);
	if (c->stalled || c->waits)
		return false;
	cursor_take(c, req.taken);
	return !c->stop;
}
