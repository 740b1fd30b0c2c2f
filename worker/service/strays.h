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
/* Notes that the session has its token; and that it has it no more. strays_add(): 0, or -1: no memory. strays_remove(): whether it had it; another one may have it by now. */
int strays_add(struct base *base, session_id sid);
bool strays_remove(struct base *base, session_id sid);

/*
 * The same over all slots, for sessions that have moved (shm/moved_tokens.h). strays_slot(): in which slot the table says that the token's session is, -1: it says nothing. strays_place(): the session is in that slot, or
 * about to go there; -1: there is no room to say so. strays_end(): it is not here any more.
 */
int strays_slot(const struct base *base, const uint8_t token[TOKEN_BYTES]);
int strays_place(struct base *base, session_id sid, unsigned slot);
void strays_end(struct base *base, session_id sid);

#endif
