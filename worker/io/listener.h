/*
 * New connections: whether this worker listens, and whether there is room. What becomes of a connection, worker.accepted says.
 */
#ifndef WORKER_IO_LISTENER_H
#define WORKER_IO_LISTENER_H

#include "worker/session/session.h"

void listener_start(struct worker *w);
void listener_stop(struct worker *w);
void listener_balance(struct worker *w);		/* listening is paused: should it go on? */
bool listener_counts(struct worker *w, int fd);		/* counts a connected socket as a connection, unless there is no room for it */

#endif
