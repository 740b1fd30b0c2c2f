/*
 * From an HTTP request to a WebSocket (RFC 6455, section 4.2). SHA-1 is nettle's: it takes no memory of its own.
 */
#ifndef PROTO_WEBSOCKET_HANDSHAKE_H
#define PROTO_WEBSOCKET_HANDSHAKE_H

#include "proto/http_response.h"

#define WEBSOCKET_ACCEPT 28	/* bytes of Sec-WebSocket-Accept */
#define WEBSOCKET_VERSION_FIELD "Sec-WebSocket-Version: 13\r\n"	/* for the answer 426 */

/* 0 if the request (with req->websocket) can be granted; or the status to answer, 400, 405 or 426, with *error. The Origin is the caller's
 * affair: 403. */
unsigned websocket_check(const struct http_request *req, const char **error);

/* Sec-WebSocket-Accept for a key that websocket_check() has let pass. */
void websocket_accept(struct http_text key, char dst[WEBSOCKET_ACCEPT]);

/*
 * The subprotocol to be answered: "janus" if the client offers it, else the first that it offers, as a browser ends the connection if none of those
 * that it was told to offer is taken. p NULL: it offers none. What is spoken is the same in any case.
 */
struct http_text websocket_protocol(const struct http_request *req);

/*
 * The token that a browser's page offers as a subprotocol `bearer.TOKEN`, as it can send no field of its own. p NULL: there is none. It is never
 * the one that is answered, so the page offers another one besides.
 */
struct http_text websocket_bearer(const struct http_request *req);

/* The answer 101. `protocol` is the one chosen of those that were asked for, p NULL none. Returns its length; 0: no room (512 bytes and the
 * protocol are enough). */
size_t websocket_answer(char *dst, size_t room, const struct http_request *req, struct http_text protocol);

#endif
