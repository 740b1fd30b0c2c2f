/*
 * What a client is told whom an operator sends away, in the words of what it speaks.
 *
 *              kicked                                  asked to connect again
 *   WebSocket  close 1008, the reason                  close 1012, the reason
 *   packets    {"ok": false, "error": reason}          the same
 *   flash      its error frame                         the same
 *   SSE        event: kicked, data: {"kicked":reason}  retry: milliseconds; then the stream's end
 *   lines      {"kicked":reason}                       the stream's end
 *   a page     the stream's end                        the same
 *
 * HTTP between or within requests is none of these: it has an answer to be given (http_last_words()).
 */
#ifndef PROTO_PARTING_H
#define PROTO_PARTING_H

#include "proto/transport.h"

struct parting {
	bool again;			/* it is to connect again, to whoever takes it then */
	const char *reason;		/* UTF-8 without control characters, at most 120 bytes */
	uint32_t retry;			/* milliseconds that a stream's client is to wait */
	uint64_t now;			/* microseconds since 1970 */
};

/* Writes to dst[TRANSPORT_NOTICE_MAX]. The length, 0: there is nothing to say. Not for TRANSPORT_HTTP. */
size_t parting_write(uint32_t transport, const struct parting *p, char *dst);

#endif
