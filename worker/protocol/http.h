/*
 * A request and its answer: what http.c, which knows the connection, and http_routes.c, which knows the paths, have in common.
 */
#ifndef WORKER_PROTOCOL_HTTP_H
#define WORKER_PROTOCOL_HTTP_H

#include "proto/http_response.h"
#include "worker/protocol/protocols.h"
#include "worker/service/request.h"

struct exchange {
	struct protocols *protocols;
	struct cursor *c;
	const struct http_request *req;
	uint64_t after;			/* place in the input behind the request */
};

/* Deals with the request: answers it, makes the session a stream, or stops the cursor for a later try. */
void routes_handle(struct exchange *x);

/* Of a request that asks whether to send its body: false if it is answered, as its head is enough to refuse it. */
bool routes_want_body(const struct exchange *x);

/* The answer's head, as the request wants it. */
struct http_answer exchange_answer(const struct exchange *x, unsigned status, const char *type);

/* Answers, in one commit with the request's being taken. */
void exchange_reply(const struct exchange *x, struct outcome *o, const struct http_answer *answer, const char *body, size_t len);
void exchange_error(const struct exchange *x, unsigned status, const char *fields, const char *text);

/* An answer to what came of a request that is not dealt with (input[0..len), perhaps none of it): the last one of its connection.
 * dst[TRANSPORT_NOTICE_MAX]. */
size_t http_last_words(struct protocols *protocols, const char *input, size_t len, unsigned status, const char *text, char *dst);

/* Answers a request that is more than flood_messages allows, which is the last one. */
void exchange_flood(struct exchange *x);

/* Sends what was made of an outcome, which is the connection's last answer if it does not go on. False: the session was aborted. */
bool exchange_send(const struct exchange *x, struct outcome *o, const char *bytes, size_t len, bool goes_on);

/* ---- http_bearer.c ---- */

/* Looks at the token or key that the request shows, if it shows one. False: it is no good, and the request is answered. */
bool exchange_bearer(const struct exchange *x);
/* Whether that is what this parameter of the query is; and whether it would be, if tokens were read there. */
bool exchange_looks_like_bearer(struct http_text name, struct http_text value);
bool exchange_is_bearer(const struct exchange *x, struct http_text name, struct http_text value);
/* Whether the request's client has these rights (enum right). False: answered with 401 or 403. */
bool exchange_may(const struct exchange *x, unsigned rights, const struct topic_name *name);

/* Whether the connection came by an admin listener. */
bool exchange_is_admin(const struct exchange *x);
/* Whether a browser sent it, whatever page it shows. Other programs seem so only if they send a browser's fields. */
bool exchange_of_browser(const struct exchange *x);
/* Whether the name that the request is for may be the one that its page comes from. */
bool exchange_host_allowed(const struct exchange *x);
/* Whether the request's Origin, if it has one, may use this server from a web page. */
bool exchange_origin_allowed(const struct exchange *x);

#endif
