/*
 * What a client is told whom an operator sends away, or whose token has run out, in the words of what it speaks.
 *
 *              kicked                                  asked to connect again                        its token has run out
 *   WebSocket  close 1008, the reason                  close 1012, the reason                        close 4401, the reason
 *   packets    {"ok": false, "error": reason}          the same                                      the same with "code": 401
 *   flash      its error frame                         the same                                      the same with "code":401
 *   SSE        event: kicked, data: {"kicked":reason}  retry: milliseconds; then the stream's end    event: expired, data: {"expired":reason}
 *   lines      {"kicked":reason}                       the stream's end                              {"expired":reason}
 *   a page     the stream's end                        the same                                      the same
 *
 * Ahead of the latter it is told in how many seconds that will be: {"expires":{"in":90}}, of server-sent events as an event `expires` with this as data, on the
 * flash socket with a timestamp in the same object.
 *
 * HTTP between or within requests is none of these: it has an answer to be given (http_last_words()).
 */
#ifndef PROTO_PARTING_H
#define PROTO_PARTING_H

#include "proto/transport.h"

struct parting {
	bool again;			/* it is to connect again, to whoever takes it then */
	bool expired;			/* its token has run out */
	const char *reason;		/* UTF-8 without control characters, at most 120 bytes */
	uint32_t retry;			/* milliseconds that a stream's client is to wait */
	uint64_t now;			/* microseconds since 1970 */
};

/* Writes to dst[TRANSPORT_NOTICE_MAX]. The length, 0: there is nothing to say. Not for TRANSPORT_HTTP. */
size_t parting_write(uint32_t transport, const struct parting *p, char *dst);

/* The same, of what is said ahead of a token's end, `seconds` before. */
size_t parting_ahead(uint32_t transport, uint64_t seconds, uint64_t now, char *dst);

#endif
