/*
 * What sessions are told that they did not ask for: errors, and the server's end.
 */
#ifndef WORKER_PROTOCOL_ANSWER_H
#define WORKER_PROTOCOL_ANSWER_H

#include "proto/parting.h"
#include "worker/protocol/protocols.h"

/* Ends the session with an error, with input taken up to `parsed`.
 * `status` is the one of HTTP that says why (400, 408, 429, 503), other transports have their own for it. */
void session_end(struct protocols *protocols, session_id sid, uint64_t parsed, unsigned status, const char *text);
/* Counts that its input could not be understood, by what it speaks, and tells it as the reason of its end. */
void session_bad(struct protocols *protocols, session_id sid, const char *text);
/* Ends the session, whose client an operator sends away: its input is taken no further, and it does not linger. */
void session_part(struct protocols *protocols, session_id sid, const struct parting *parting);
/* Tells the client that its token runs out in so many seconds. False: not now, as it has other things to be sent. */
bool session_warn(struct protocols *protocols, session_id sid, uint64_t seconds);
/* The server stops: says so where that is usual, and sends it if there is room. */
void session_goodbye(struct protocols *protocols, session_id sid);

#endif
