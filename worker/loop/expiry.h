/*
 * Tokens that run out: their connections are told ahead, and end.
 */
#ifndef WORKER_LOOP_EXPIRY_H
#define WORKER_LOOP_EXPIRY_H

#include "worker/loop/worker.h"

/*
 * Looks whether the session's token has run out, or is about to. True: it ends for that. Not for a session that is parked or shut.
 */
bool expiry_look(struct worker *w, session_id sid);

#endif
