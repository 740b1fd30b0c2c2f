/*
 * What sessions are told that they did not ask for: errors, and the server's end.
 */
#ifndef WORKER_PROTOCOL_ANSWER_H
#define WORKER_PROTOCOL_ANSWER_H

#include "worker/protocol/protocols.h"

/* Ends the session with an error, with input taken up to `parsed`.
 * `status` is the one of HTTP that says why (400, 408, 429, 503), other transports have their own for it. */
void session_end(struct protocols *protocols, session_id sid, uint64_t parsed, unsigned status, const char *text);
/* Counts that its input could not be understood, by what it speaks, and tells it as the reason of its end. */
void session_bad(struct protocols *protocols, session_id sid, const char *text);
/* The server stops: says so where that is usual, and sends it if there is room. */
void session_goodbye(struct protocols *protocols, session_id sid);

#endif
