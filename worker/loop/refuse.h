/*
 * Connections that the server has no room for.
 */
#ifndef WORKER_LOOP_REFUSE_H
#define WORKER_LOOP_REFUSE_H

#include "worker/loop/worker.h"

/* Tells the peer that there is no room, and closes the connection when the peer has had time to read that. */
void refuse_take(struct worker *w, int fd, uint32_t transport, const struct event_peer *peer);
/* The same of one that has been told all: our side is shut, and it is closed when its peer has closed, or has had time to. */
void refuse_told(struct worker *w, int fd);
void refuse_sweep(struct worker *w);	/* tells or closes those whose time is up */
bool refuse_fewer(struct worker *w);	/* closes the oldest of them; false: there is none */

#endif
