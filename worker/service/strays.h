/*
 * Strays: sessions that were taken over by another connection, so that their number is not the one in their token (proto/token.h). Found by the token.
 *
 * The worker's own. They are kept by a hash of the token with a secret, so that no time shows how much of a wrong token was right.
 */
#ifndef WORKER_SERVICE_STRAYS_H
#define WORKER_SERVICE_STRAYS_H

#include "worker/session/session.h"

/* The session that has this token, -1: none here has. */
session_id strays_find(const struct base *base, const uint8_t token[TOKEN_BYTES]);
/* Notes that the session has its token; and that it has it no more. strays_add(): 0, or -1: no memory. */
int strays_add(struct base *base, session_id sid);
void strays_remove(struct base *base, session_id sid);

#endif
