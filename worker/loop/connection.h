/*
 * Connections: what becomes of one that was accepted, and the end of one that is over.
 */
#ifndef WORKER_LOOP_CONNECTION_H
#define WORKER_LOOP_CONNECTION_H

#include "worker/loop/worker.h"

/* Of a listener of protocol `proto` (PROTO_): makes a session of it, which is counted `as` accepted or adopted, and greets it; or refuses it. */
void connection_take(struct worker *w, int fd, int proto, enum counter as);
void connection_watch(struct worker *w, int fd);	/* gives a session its watcher */
void connection_close(struct worker *w, int fd);
bool connection_close_over(struct worker *w);		/* those that are over (session_over()), for some milliseconds. True: some are left */

#endif
