/*
 * Whose turn it is.
 */
#ifndef WORKER_LOOP_TURN_H
#define WORKER_LOOP_TURN_H

#include "worker/loop/worker.h"

void turn_take(struct worker *w, int fd, int events);	/* EV_READ, EV_WRITE: the session is; now or later in turn, it is dealt with */
bool turn_run(struct worker *w);			/* those whose turn it is, for some milliseconds. True: some are left */

#endif
