/*
 * Connections that the server has no room for.
 */
#ifndef WORKER_LOOP_REFUSE_H
#define WORKER_LOOP_REFUSE_H

#include "worker/loop/worker.h"
#include "worker/service/quota.h"

/* Tells the peer why, and closes the connection when the peer has had time to read that. (Whoever refuses it has counted and told it.) */
void refuse_take(struct worker *w, int fd, uint32_t transport, const struct refusal *why);
/* That there is no room, which is counted and told. */
struct refusal refuse_full(struct worker *w, uint32_t transport, const struct event_peer *peer);
/* The same of one that has been told all: our side is shut, and it is closed when its peer has closed, or has had time to. */
void refuse_told(struct worker *w, int fd);
void refuse_sweep(struct worker *w);	/* tells or closes those whose time is up */
bool refuse_fewer(struct worker *w);	/* closes the oldest of them; false: there is none */

#endif
